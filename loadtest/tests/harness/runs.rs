//! Starts the harness as a user would and reads its JSON.

use std::process::{Command, Output};

use serde_json::Value;

/// Runs the harness with `arguments`.
pub(crate) fn output(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fanfare-loadtest")).args(arguments).output().unwrap()
}

/// Runs the harness with `--json`, and returns whether it was content, and its report.
pub(crate) fn report(arguments: &[&str]) -> (bool, Value) {
    let output = output(&[arguments, &["--json"]].concat());
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(stdout.lines().count(), 1, "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
    (output.status.success(), serde_json::from_str(&stdout).unwrap())
}

const SHORT: [&str; 4] = ["--duration", "0.3", "--warmup", "0.1"];

fn assert_clean_floor(arguments: &[&str]) -> Value {
    let (content, report) = report(&[&["run", "fanout"], &SHORT[..], arguments].concat());
    assert!(content, "{report}");
    // Over the whole run: the measured part of a run this short can be empty on a machine that is busy elsewhere.
    assert!(report["verdict"]["in_order"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["verdict"]["lost"], 0, "{report}");
    assert!(report["server"]["pid"].as_i64().unwrap() > 0, "{report}");
    report
}

#[test]
fn the_floor_delivers_everything_to_everybody_one_by_one_and_in_bursts() {
    let report = assert_clean_floor(&["--subscribers", "50", "--topics", "3", "--window", "8", "floor"]);
    assert!(report["writes_per_delivery"].as_f64().unwrap() > 0.99, "{report}");
    assert!(!report["timeline"].as_array().unwrap().is_empty(), "{report}");
    let report = assert_clean_floor(&["--subscribers", "50", "--topics", "3", "--window", "8", "floor-batch"]);
    assert!(report["writes_per_delivery"].as_f64().unwrap() < 0.5, "{report}");
}

#[test]
fn every_way_of_sending_delivers_everything_and_says_what_it_cost() {
    // Payloads larger than a socket's buffer, too: what a socket did not take must follow.
    for load in [["--window", "8", "--payload", "64"], ["--window", "3", "--payload", "300000"]] {
        for floor in ["floor", "floor-batch"] {
            let target = format!("{floor}:send,sendmsg,uring:4,uring:64");
            let run = [&["run", "fanout", "--subscribers", "20", "--json"], &SHORT[..], &load, &[&target]].concat();
            let output = output(&run);
            let told = String::from_utf8_lossy(&output.stderr);
            if told.contains("io_uring_setup") {
                return; // Forbidden, as in many containers.
            }
            assert!(output.status.success(), "{told}");
            for way in ["send ", "sendmsg ", "uring:4 ", "uring:64 "] {
                assert!(told.lines().any(|line| line.starts_with(way)), "{way} in {told}");
            }
        }
    }
}

#[test]
fn text_large_payloads_and_several_publishers_are_verified_too() {
    assert_clean_floor(&["--subscribers", "9", "--text", "--payload", "200", "floor"]);
    assert_clean_floor(&["--subscribers", "9", "--envelope", "json", "--payload", "200", "floor"]);
    assert_clean_floor(&["--subscribers", "4", "--window", "3", "--payload", "300000", "floor"]);
    assert_clean_floor(&["--subscribers", "9", "--publishers", "3", "--window", "4", "floor"]);
}

#[test]
fn an_open_loop_publishes_at_its_rate() {
    let report = assert_clean_floor(&["--subscribers", "5", "--rate", "1000", "floor"]);
    // 0.4 s at 1,000 a second to 5 subscribers, as far as nothing was unpublished.
    let published = report["verdict"]["in_order"].as_u64().unwrap() / 5;
    let unpublished = report["unpublished"].as_u64().unwrap();
    assert!((399..=401).contains(&(published + unpublished)), "{report}");
    assert!(report["latency"]["count"].as_u64().unwrap() <= 5 * 301, "{report}");
    assert!(report["latency"]["p50_us"].as_f64() <= report["latency"]["p99_us"].as_f64(), "{report}");
}

#[test]
fn other_machines_are_never_loaded() {
    for url in ["ws://192.0.2.1:80", "ws://example.org:80", "ws://0.0.0.0:80"] {
        let output = output(&["run", "fanout", url]);
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("loopback"), "{url}");
    }
}

#[test]
fn tls_is_only_spoken_to_a_hub_that_is_started_for_it() {
    for (arguments, reason) in [
        (&["idle", "--tls"][..], "behind --"),
        (&["storm", "--tls"], "behind --"),
        (&["storm", "--resume"], "--tls"),
        (&["idle", "--tls", "--", env!("CARGO_BIN_EXE_fanfare-loadtest"), "own.toml"], "without own.toml"),
        (&["run", "fanout", "wss://127.0.0.1:8000"], "hub+tls:PATH"),
    ] {
        let output = output(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(reason), "{arguments:?}: {said}");
    }
}

#[test]
fn help_has_examples() {
    let output = output(&["--help"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("fanfare-loadtest compare --window 1,16,64 floors"));
}

#[test]
fn connections_on_several_topics_get_each_of_them_and_bursts_in_one_write() {
    let several = ["--subscribers", "30", "--topics", "30", "--topics-each", "5", "--publishers", "1"];
    let report = assert_clean_floor(&[&several[..], &["--window", "4", "floor-batch"]].concat());
    assert_eq!((report["dialect"].as_str(), report["scenario"]["text"].as_bool()), (Some("json"), Some(true)));
    assert!(report["writes_per_delivery"].as_f64().unwrap() < 0.9, "{report}");
    assert_clean_floor(&[&several[..], &["--window", "4", "floor"]].concat());
    let two = ["--subscribers", "60", "--topics", "30", "--topics-each", "5", "--publishers", "2"];
    assert_clean_floor(&[&two[..], &["floor-batch"]].concat());
}

#[test]
fn publishers_who_take_turns_have_so_many_in_flight_over_all() {
    let report = assert_clean_floor(&["--subscribers", "40", "--topics", "20", "--window-in-all", "8", "floor"]);
    assert_eq!(report["scenario"]["pace"]["window_in_all"], 8, "{report}");
}

#[test]
fn the_scenarios_that_come_with_the_program_are_run_by_name_and_flags_win() {
    let few = ["--subscribers", "40", "--topics", "40"];
    for (name, flags) in [("fanout", &[][..]), ("topics", &few[..]), ("mixed", &few[..]), ("wake", &[][..])] {
        let (content, report) = report(&[&["run", name], flags, &SHORT[..], &["floors"]].concat());
        assert!(content && report["verdict"]["in_order"].as_u64().unwrap() > 0, "{name}: {report}");
        assert_eq!(report["scenario"]["name"], name);
    }
}

#[test]
fn a_list_of_payloads_is_a_run_of_each() {
    let output = output(&[&["run", "payloads", "--subscribers", "3", "--json", "floor"], &SHORT[..]].concat());
    assert!(output.status.success(), "{output:?}");
    let sizes: Vec<u64> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["scenario"]["payload_bytes"].as_u64().unwrap())
        .collect();
    assert_eq!(sizes, [64, 256, 1024, 4096, 16_384, 65_536]);
}

#[test]
fn a_mistake_in_a_file_is_told_with_file_line_and_key() {
    let path = std::env::temp_dir().join(format!("fanfare-loadtest-mistake-{}.toml", std::process::id()));
    std::fs::write(&path, "kind = \"fanout\"\nsubscribrs = 7\n").unwrap();
    let output = output(&["run", path.to_str().unwrap(), "floor"]);
    std::fs::remove_file(&path).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(".toml:2: subscribrs: unknown field"), "{said}");
}

#[test]
fn a_comparison_runs_every_target_in_every_round_and_tells_ratios_to_the_first() {
    let arguments = ["compare", "--rounds", "2", "--window", "1,8", "--subscribers", "20", "--duration", "0.2"];
    let targets = ["--warmup", "0", "floors", "other=floor", "third=floor-batch"];
    let (content, report) = report(&[&arguments[..], &targets[..]].concat());
    assert!(content, "{report}");
    assert_eq!(report["runs"].as_array().unwrap().len(), 12, "two rounds of two windows of three targets");
    let cases = report["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 2);
    for case in cases {
        let names: Vec<_> = case["standings"].as_array().unwrap().iter().map(|standing| &standing["name"]).collect();
        assert_eq!(names, ["floors", "other", "third"]);
        assert_eq!(case["standings"][0]["cpu_over_first"]["median"], 1.0);
    }
    // The fitting floor: one write per delivery with one in flight, fewer with several.
    let writes = |case: usize| cases[case]["standings"][0]["writes_per_delivery"]["median"].as_f64().unwrap();
    assert!(writes(0) > 0.99 && writes(1) < 0.5, "{report}");
}

#[test]
fn a_kept_run_becomes_a_page_and_a_broken_record_is_named() {
    let path = |name: &str| std::env::temp_dir().join(format!("fanfare-loadtest-{}-{name}", std::process::id()));
    let (records, page) = (path("kept.jsonl"), path("kept.html"));
    let (save, html) = (records.to_str().unwrap(), page.to_str().unwrap());
    for target in ["floor", "floor-batch"] {
        assert_clean_floor(&["--subscribers", "5", "--save", save, "--html", html, target]);
    }
    let lines = std::fs::read_to_string(&records).unwrap();
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(!lines.contains("kept.jsonl/") && !lines.contains(save), "{lines}");

    let written = std::fs::read_to_string(&page).unwrap();
    let rendered = String::from_utf8(output(&["report", save]).stdout).unwrap();
    assert!(written.contains("floor-batch") && rendered.contains("2 runs of 1 load against floor and floor-batch"));
    assert!(rendered.contains("Latency by percentile") && rendered.len() < 300_000, "{rendered}");

    std::fs::write(&records, format!("{lines}{{\"record\":9}}\n")).unwrap();
    let refused = output(&["report", save]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("kept.jsonl, line 3: a record of version 9"), "{said}");
    std::fs::remove_file(records).unwrap();
    std::fs::remove_file(page).unwrap();
}

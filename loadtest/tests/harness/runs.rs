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
    let (content, report) = report(&[&["floor"], &SHORT[..], arguments].concat());
    assert!(content, "{report}");
    // Over the whole run: the measured part of a run this short can be empty on a machine that is busy elsewhere.
    assert!(report["verdict"]["in_order"].as_u64().unwrap() > 0, "{report}");
    assert_eq!(report["verdict"]["lost"], 0, "{report}");
    assert!(report["server"]["pid"].as_i64().unwrap() > 0, "{report}");
    report
}

#[test]
fn the_floor_delivers_everything_to_everybody_one_by_one_and_in_bursts() {
    assert_clean_floor(&["--subscribers", "50", "--topics", "3", "--window", "8"]);
    assert_clean_floor(&["--subscribers", "50", "--topics", "3", "--window", "8", "--batch"]);
}

#[test]
fn text_large_payloads_and_several_publishers_are_verified_too() {
    assert_clean_floor(&["--subscribers", "9", "--text", "--payload", "200"]);
    assert_clean_floor(&["--subscribers", "4", "--window", "3", "--payload", "300000"]);
    assert_clean_floor(&["--subscribers", "9", "--publishers", "3", "--window", "4"]);
}

#[test]
fn an_open_loop_publishes_at_its_rate() {
    let report = assert_clean_floor(&["--subscribers", "5", "--rate", "1000"]);
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
        let output = output(&["fanout", "--url", url]);
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("loopback"), "{url}");
    }
}

#[test]
fn help_has_examples() {
    let output = output(&["--help"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("fanfare-loadtest compare --rounds 5 --"));
}

#[test]
fn a_kept_run_becomes_a_page_and_a_broken_record_is_named() {
    let path = |name: &str| std::env::temp_dir().join(format!("fanfare-loadtest-{}-{name}", std::process::id()));
    let (records, page) = (path("kept.jsonl"), path("kept.html"));
    let (save, html) = (records.to_str().unwrap(), page.to_str().unwrap());
    for batch in [&[][..], &["--batch"]] {
        assert_clean_floor(&[&["--subscribers", "5", "--save", save, "--html", html], batch].concat());
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

//! Runs whose subscribers come, go, hang or do nothing: short ones, against the stub and the floor of idle connections.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::runs;
use crate::stub::{self, Fault};

/// Runs `arguments` against a stub with `fault`.
fn against(fault: Fault, arguments: &[&str]) -> (bool, Value) {
    let url = format!("ws://127.0.0.1:{}", stub::start(fault));
    runs::report(&[arguments, &["--url", &url]].concat())
}

fn seconds(report: &Value, path: &str) -> f64 {
    report.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} in {report}"))
}

const CHURN: &[&str] = &[
    "churn",
    "--subscribers",
    "4",
    "--churn",
    "100",
    "--stay",
    "0.1",
    "--rate",
    "200",
    "--before",
    "0.2",
    "--during",
    "0.5",
];

#[test]
fn who_comes_and_goes_misses_nothing_in_between() {
    let (content, report) = against(Fault::None, CHURN);
    assert!(content, "{report}");
    assert!(report["joined"].as_u64().unwrap() > 5 && report["left"] == report["joined"], "{report}");
    assert!(report["verdict"]["in_order"].as_u64().unwrap() > 100, "{report}");
}

#[test]
fn a_publication_that_does_not_come_between_joining_and_leaving_is_lost() {
    // The stub drops for the last subscriber, who is always one of those that have just come.
    let (content, report) = against(Fault::Drop, CHURN);
    assert!(!content && report["verdict"]["lost"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn pongs_are_timed_while_it_is_quiet_and_while_it_is_not() {
    let arguments = ["pong", "--subscribers", "10", "--rate", "100", "--before", "0.2", "--duration", "0.3"];
    let (content, report) = against(Fault::None, &arguments);
    assert!(content, "{report}");
    for phase in ["quiet", "hot"] {
        assert!(report[phase]["count"].as_u64().unwrap() > 0, "{phase}: {report}");
        assert!(seconds(&report, &format!("/{phase}/p50_us")) > 0.0);
    }
}

#[test]
fn the_others_are_verified_while_some_do_not_read() {
    let arguments = ["slow", "--subscribers", "10", "--stopped-share", "0.2", "--rate", "100", "--payload", "64"];
    let (content, report) = against(Fault::None, &[&arguments[..], &["--before", "0.2", "--during", "0.3"]].concat());
    assert!(content, "{report}");
    assert_eq!((report["stopped"].as_u64(), report["ends"]["still open"].as_u64()), (Some(2), Some(2)), "{report}");
    assert!(report["during"]["count"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn those_who_were_there_are_verified_through_a_storm() {
    let arguments = ["storm", "--connections", "50", "--concurrency", "10", "--rounds", "1", "--steady", "5"];
    let (content, report) = against(Fault::None, &[&arguments[..], &["--before", "0.2"]].concat());
    assert!(content, "{report}");
    assert_eq!(report["rounds"][0]["server"]["opened"]["count"], 50, "{report}");
    assert!(report["beside"]["verdict"]["in_order"].as_u64().unwrap() > 0, "{report}");
    let (content, report) = against(Fault::Drop, &[&arguments[..], &["--before", "0.2"]].concat());
    assert!(!content && report["beside"]["verdict"]["lost"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn a_ramp_rises_until_its_steps_run_out_or_something_is_lost() {
    let arguments =
        ["ramp", "--subscribers", "4", "--rate", "50", "--factor", "2", "--steps", "2", "--p99-limit", "10000"];
    let arguments = [&arguments[..], &["--duration", "0.3", "--warmup", "0.1"]].concat();
    let (content, report) = against(Fault::None, &arguments);
    let curve = &report["curves"][0];
    assert!(content && curve["broke"].is_null() && curve["knee"] == 1, "{report}");
    assert_eq!((seconds(curve, "/curve/0/rate_per_s"), seconds(curve, "/curve/1/rate_per_s")), (50.0, 100.0));
    let (content, report) = against(Fault::Drop, &arguments);
    let curve = &report["curves"][0];
    assert!(!content && curve["knee"].is_null() && curve["broke"].as_str().unwrap().contains("lost"), "{report}");
}

#[test]
fn a_publication_that_nobody_wants_must_wake_nobody() {
    let arguments = ["subscriptions", "--members", "5,10", "--churn", "20", "--rounds", "1", "--posts", "50"];
    let (content, report) = against(Fault::None, &arguments);
    assert!(content, "{report}");
    assert_eq!(report["by_members"][1]["members"], 10, "{report}");
    let (content, report) = against(Fault::Wake, &arguments);
    assert!(!content && report["posts"]["wakeups"].as_f64() >= Some(49.0), "{report}");
}

/// The floor of idle connections; ends with its standard input.
struct IdleFloor(Child, u16);

impl IdleFloor {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare-loadtest"));
        command.arg("idle-floor-server").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.strip_prefix("listening ").unwrap().trim().parse().unwrap();
        Self(child, port)
    }
}

impl Drop for IdleFloor {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

#[test]
fn the_floor_accepts_everyone_with_fixed_or_computed_answers_and_pings() {
    for arguments in [&[][..], &["--compute-accept"], &["--ping-every", "100"]] {
        let floor = IdleFloor::start(arguments);
        let url = format!("ws://127.0.0.1:{}", floor.1);
        let run = ["idle", "--url", &url, "--steps", "20,60", "--first-connections", "5", "--settle", "0.3"];
        let (content, report) = runs::report(&[&run[..], &["--after", "0.1", "--look-every-ms", "1"]].concat());
        assert!(content, "{arguments:?}: {report}");
        assert_eq!(report["messages"], 0, "{report}");
        let steps = report["steps"].as_array().unwrap();
        assert_eq!((steps[0]["connections"].as_u64(), steps[1]["connections"].as_u64()), (Some(20), Some(60)));
        assert!(steps[1]["peak"]["looks"].as_u64().unwrap() > 0, "{report}");
    }
}

#[test]
fn runs_that_start_the_hub_say_so() {
    for run in ["restart", "liveness"] {
        let output = runs::output(&[run]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("behind --"), "{said}");
    }
}

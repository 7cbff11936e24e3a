//! Each broken promise must be seen as what it is, on real sockets.

use serde_json::Value;

use crate::runs;
use crate::stub::{self, Fault};

fn fanout(fault: Fault, more: &[&str]) -> (bool, Value) {
    let url = format!("ws://127.0.0.1:{}", stub::start(fault));
    let arguments = ["run", "fanout", &url, "--subscribers", "6", "--topics", "2", "--window", "4"];
    // One by one: the stub harms the last that came, which must not be the publisher.
    let arguments = [&arguments[..], &["--concurrency", "1"]].concat();
    runs::report(&[&arguments[..], &["--duration", "0.3", "--warmup", "0", "--stragglers", "0.3"], more].concat())
}

/// Runs against a server with `fault` and returns the counts that are not zero, without the good ones.
fn counts(fault: Fault) -> Vec<&'static str> {
    let (content, report) = fanout(fault, &[]);
    let verdict = &report["verdict"];
    assert!(verdict["in_order"].as_u64().unwrap() > 100, "{report}");
    let names = ["lost", "duplicated", "reordered", "wrong", "foreign", "closed", "disagreeing"];
    let found: Vec<_> = names.into_iter().filter(|name| verdict[name].as_u64() != Some(0)).collect();
    assert_eq!(content, found.is_empty(), "{report}");
    found
}

#[test]
fn a_server_that_keeps_its_promises_is_clean() {
    assert_eq!(counts(Fault::None), [""; 0]);
}

#[test]
fn a_dropped_delivery_is_lost() {
    assert_eq!(counts(Fault::Drop), ["lost"]);
}

#[test]
fn a_repeated_delivery_is_duplicated() {
    assert_eq!(counts(Fault::Duplicate), ["duplicated"]);
}

#[test]
fn a_late_delivery_is_reordered() {
    // The one held back at the end of the run may never come.
    let found = counts(Fault::Swap);
    assert!(found.contains(&"reordered") && found.iter().all(|name| ["reordered", "lost"].contains(name)), "{found:?}");
}

#[test]
fn a_flipped_bit_is_wrong_and_what_was_meant_is_lost() {
    assert_eq!(counts(Fault::Flip), ["lost", "wrong"]);
}

#[test]
fn a_closed_connection_is_told_and_does_not_stop_the_run() {
    assert_eq!(counts(Fault::HangUp), ["lost", "closed"]);
}

#[test]
fn publications_over_http_are_verified_the_same_way() {
    let (content, report) = fanout(Fault::None, &["--publish-by", "http"]);
    assert!(content && report["deliveries"].as_u64().unwrap() > 100, "{report}");
    let (content, report) = fanout(Fault::Drop, &["--publish-by", "http"]);
    assert!(!content && report["verdict"]["lost"].as_u64().unwrap() > 0, "{report}");
}

#[test]
fn a_refused_publication_ends_the_run_with_the_servers_words() {
    let url = format!("http://127.0.0.1:{}", stub::start(Fault::Forbid));
    let output = runs::output(&["run", "fanout", &url, "--subscribers", "1", "--publish-by", "http"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("403 Forbidden: no entry"), "{said}");
}

#[test]
fn idle_connections_are_counted_against_the_process_that_serves_them() {
    let url = format!("ws://127.0.0.1:{}", stub::start(Fault::None));
    let (content, report) = runs::report(&[
        "idle",
        "--url",
        &url,
        "--connections",
        "20",
        "--first-connections",
        "5",
        "--topics",
        "3",
        "--settle",
        "0.2",
        "--after",
        "0.1",
    ]);
    assert!(content, "{report}");
    assert_eq!(report["pid"].as_u64().unwrap(), u64::from(std::process::id()));
    assert!(report["resident_bytes_after"].as_u64().unwrap() > 0 && report["handshakes_per_s"].as_f64().unwrap() > 0.0);
}

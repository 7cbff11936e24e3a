//! `cargo xtask conformance`: the Autobahn test suite against an echo endpoint of the hub, and a compressing one.
//!
//! [`Suite`] puts the suite (a Python 2 program) into the cache; [`EchoHub`] runs the hub it talks to; [`Expected`] is
//! what its results are held to. Imports [`machine`](crate::machine) and [`run`](crate::run).

mod echo_hub;
mod expected;
mod suite;
mod verdicts;

use std::fs;
use std::time::Duration;

use anyhow::Context;

use crate::machine::Place;
use crate::run::Report;
use echo_hub::EchoHub;
use expected::Expected;
use suite::Suite;
use verdicts::Verdicts;

/// What the suite calls the echo endpoint: replies, which are not compressed.
const ECHO: &str = "fanfare";

/// And the endpoint of a topic, which gives a client's message back as a publication: compressed.
const TOPIC: &str = "fanfare-topic";

/// Runs the cases that match `cases`, and holds their results to the expected ones.
pub(crate) fn run(place: &Place, cases: &[String]) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let suite = Suite::install(place)?;
    let Some(hub) = place.hub(&mut report)? else { return Ok(report) };
    let leavings = place.leavings("conformance");
    let echo = EchoHub::start(&hub, &leavings)?;

    let specification = leavings.join("fuzzingclient.json");
    let reports = leavings.join("cases");
    if reports.exists() {
        // Results of an earlier run must not pass for this one's.
        fs::remove_dir_all(&reports).context("the reports of the last run")?;
    }
    let specification_text = serde_json::json!({
        "outdir": reports,
        "servers": [{ "agent": ECHO, "url": echo.url() }, { "agent": TOPIC, "url": echo.topic_url() }],
        "cases": cases,
        "exclude-cases": [],
        // Compression is all that the topic adds to the echo.
        "exclude-agent-cases": { TOPIC: (1..=11).map(|group| format!("{group}.*")).collect::<Vec<_>>() },
    });
    fs::write(&specification, specification_text.to_string()).context("the suite's specification")?;
    if !report.run(suite.fuzzing_client(&specification).at_most(Duration::from_secs(3600)))? {
        return Ok(report);
    }
    drop(echo);

    let verdicts = Verdicts::read(&reports.join("index.json"), &[ECHO, TOPIC])?;
    let expected = Expected::committed()?;
    println!("\n{}", verdicts.summary());
    let everything = cases.iter().any(|pattern| pattern == "*");
    let differences = expected.differences(&verdicts, everything);
    for note in &differences.better {
        println!("better than expected, so xtask/src/conformance/expected.txt can be tightened: {note}");
    }
    if differences.worse.is_empty() {
        println!("every result is as listed in docs/conformance.md, or better");
    } else {
        let text =
            format!("{}\nReports to read: {}", differences.worse.join("\n"), reports.join("index.html").display());
        report.fail("results", text);
    }
    Ok(report)
}

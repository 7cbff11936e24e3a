//! `cargo xtask test smoke`: every run of the load harness for a second or two, against the hub.
//!
//! What is checked is delivery, not speed: the harness fails a run in which anything was lost, duplicated, reordered or
//! altered, and the machine may be as slow as it likes.

use std::path::Path;
use std::time::Duration;

use crate::machine::Place;
use crate::run::{Report, Step};

/// Stands for the hub's program.
const HUB: &str = "HUB";

/// The harness's runs, small, as they would be typed.
const RUNS: &[&str] = &[
    "compare --rounds 1 --subscribers 50 --windows 1,16 --duration 0.3 --warmup 0.1 floors hub:HUB",
    "run topics --topics 20 --subscribers 60 --duration 0.3 --warmup 0.1 hub:HUB",
    "run mixed --topics 20 --subscribers 40 --topics-each 3 --duration 0.3 --warmup 0.1 hub:HUB",
    "compare --scenario tls --rounds 1 --subscribers 50 --duration 0.3 --warmup 0.1 floors plain=hub:HUB hub+tls:HUB",
    "run payloads --subscribers 10 --duration 0.2 --warmup 0.1 hub:HUB",
    "idle --steps 100,300 --first-connections 20 --settle 0.3 --after 0.3 -- HUB",
    "idle --over ws --connections 20 --subscriptions 50 --topics 1050 --first-connections 1 --settle 0.3 --after 0.1 -- HUB",
    "idle --over sse --connections 20 --subscriptions 50 --topics 1050 --first-connections 1 --settle 0.3 --after 0.1 -- HUB",
    "idle --tls --connections 100 --first-connections 20 --settle 0.3 --after 0.1 -- HUB",
    "idle --tls --over sse --connections 100 --first-connections 20 --settle 0.3 --after 0.1 -- HUB",
    "liveness --connections 100 --ping-every 500 --rounds 1 --duration 1 -- HUB",
    "storm --connections 200 --rounds 1 --steady 20 --before 0.3 -- HUB",
    "storm --tls --connections 200 --concurrency 50 --rounds 1 --steady 20 --before 0.3 -- HUB",
    "storm --tls --resume --connections 200 --concurrency 50 --rounds 1 --steady 0 -- HUB",
    "restart --ending term --subscribers 100 --backoff 100 --drain 500 -- HUB",
    "restart --ending kill --subscribers 100 --backoff 100 -- HUB",
    "slow --subscribers 20 --stopped-share 0.1 --rate 300 --payload 16384 --lag 65536 --before 0.3 --during 2 -- HUB",
    "churn --subscribers 50 --churn 100 --before 0.5 --during 1 -- HUB",
    "ramp --subscribers 20 --rate 20 --factor 2 --steps 2 --duration 0.5 --warmup 0.2 --p99-limit 60000 -- HUB",
    "pong --subscribers 100 --before 0.3 --duration 1 -- HUB",
    "subscriptions --members 50,200 --churn 100 --rounds 1 --posts 100 -- HUB",
];

/// One run takes a second or two; a machine that is busy elsewhere gets time.
const DEADLINE: Duration = Duration::from_secs(60);

/// Builds the harness and lets it loose on `hub`.
pub(crate) fn run(place: &Place, hub: &Path, report: &mut Report) -> anyhow::Result<()> {
    let Some(harness) = place.harness(report)? else { return Ok(()) };
    let hub = hub.display().to_string();
    for run in RUNS {
        let words: Vec<String> = run.split(' ').map(|word| word.replace(HUB, &hub)).collect();
        let name: Vec<&str> = run.split(' ').take_while(|word| !word.starts_with("--")).collect();
        let step = Step::new(format!("smoke: {}", name.join(" ")), &harness).args(words);
        report.run(step.at_most(DEADLINE))?;
    }
    Ok(())
}

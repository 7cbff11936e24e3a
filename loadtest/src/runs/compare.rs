//! The hub against the floor, in interleaved rounds of one run: on a shared machine only such ratios mean something.

use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::report::record::{Record, Run, Session};
use crate::report::report::Report;
use crate::report::spread::Spread;
use crate::runs::fanout;
use crate::scenario::{Pace, Scenario};
use crate::server::floor::Sending;
use crate::server::launch::Launched;

/// Publications in flight in the burst half of each round.
const BURST_WINDOW: usize = 64;

/// Floor and hub, one by one and in bursts.
const RUNS_PER_ROUND: usize = 4;

/// What a comparison needs besides the scenario.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison<'a> {
    /// Rounds of four runs.
    pub(crate) rounds: u32,
    /// The CPU of the servers.
    pub(crate) server_cpu: Option<usize>,
    /// The hub's program.
    pub(crate) hub: &'a Path,
    /// Its configuration; a suitable one is written if `None`.
    pub(crate) config: Option<&'a Path>,
}

/// CPU µs per delivery of one round.
#[derive(Debug, Clone, Copy, Serialize)]
struct Round {
    floor: f64,
    hub: f64,
    floor_batch: f64,
    hub_batch: f64,
}

/// All rounds, and the ratios the design promises something about.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ComparisonReport {
    scenario: Scenario,
    burst_window: usize,
    rounds: Vec<Round>,
    /// Hub over floor, one publication in flight.
    hub_over_floor: Spread,
    /// Hub over the floor that joins bursts, 64 in flight.
    hub_batch_over_floor_batch: Spread,
    /// How many times cheaper a delivery is in a burst, for the hub.
    batching_gain: Spread,
    is_clean: bool,
    /// Every run in full.
    runs: Vec<Report>,
}

impl ComparisonReport {
    /// Whether every delivery of every run was right.
    pub(crate) fn is_clean(&self) -> bool {
        self.is_clean
    }

    /// A record for each run; its name ends with its target.
    pub(crate) fn records(&self, session: &Session) -> Result<Vec<Record>> {
        let record = |(index, report): (usize, &Report)| {
            let target =
                report.name.rsplit(' ').next().map_or("", |name| name.strip_prefix("hub-").map_or(name, |_| "hub"));
            let (round, scenario) = ((index / RUNS_PER_ROUND) as u32 + 1, report.scenario.describe());
            session.record(Run { kind: "fanout", target, yardstick: None, round, scenario }, report)
        };
        self.runs.iter().enumerate().map(record).collect()
    }
}

/// Runs floor, hub, batching floor and hub in turn, `rounds` times; each server stays up through all of them.
pub(crate) fn run(comparison: Comparison<'_>, scenario: &Scenario) -> Result<ComparisonReport> {
    ensure!((1..=1000).contains(&comparison.rounds), "--rounds: 1 to 1000");
    scenario.check()?;
    let Comparison { rounds, server_cpu, hub, config } = comparison;
    let hub = Launched::hub(hub, config, scenario.subscribers, server_cpu)?;
    let floor = Launched::floor(Sending::PerPublication, server_cpu)?;
    let floor_batch = Launched::floor(Sending::PerBurst, server_cpu)?;
    let single = Scenario { pace: Pace::Window(1), ..scenario.clone() };
    let burst = Scenario { pace: Pace::Window(BURST_WINDOW), ..scenario.clone() };

    let mut runs = Vec::new();
    let mut found = Vec::new();
    for round in 1..=rounds {
        let mut measure = |name: &str, server: &Launched, scenario: &Scenario| -> Result<f64> {
            let label = format!("round {round}/{rounds} {name}");
            let report = fanout::run(&label, scenario, &server.target, Some(server.pid()))?;
            let cost = report.server.as_ref().context("invariant: the server's process is known")?.cpu_us_per_delivery;
            eprintln!("{label}: {cost:.3} µs per delivery, {}", report.verdict.to_string().trim_end());
            runs.push(report);
            Ok(cost)
        };
        found.push(Round {
            floor: measure("floor", &floor, &single)?,
            hub: measure("hub", &hub, &single)?,
            floor_batch: measure("floor-batch", &floor_batch, &burst)?,
            hub_batch: measure("hub-batch", &hub, &burst)?,
        });
    }
    Ok(ComparisonReport {
        scenario: scenario.clone(),
        burst_window: BURST_WINDOW,
        hub_over_floor: spread(&found, |round| round.hub / round.floor),
        hub_batch_over_floor_batch: spread(&found, |round| round.hub_batch / round.floor_batch),
        batching_gain: spread(&found, |round| round.hub / round.hub_batch),
        is_clean: runs.iter().all(|run| run.verdict.is_clean()),
        rounds: found,
        runs,
    })
}

fn spread(rounds: &[Round], pick: impl Fn(&Round) -> f64) -> Spread {
    Spread::of(rounds.iter().map(pick)).expect("invariant: there is at least one round")
}

impl fmt::Display for ComparisonReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scenario { subscribers, topics, payload_bytes, duration_s, .. } = &self.scenario;
        writeln!(
            f,
            "{subscribers} subscribers on {topics} topic(s), {payload_bytes} B, {duration_s} s per run; \
             server CPU µs per delivery (min/median/max of {} rounds)",
            self.rounds.len()
        )?;
        let column = |pick: fn(&Round) -> f64| spread(&self.rounds, pick);
        writeln!(f, "  window 1    floor        {}", column(|round| round.floor))?;
        writeln!(f, "              hub          {}", column(|round| round.hub))?;
        writeln!(f, "              hub / floor  {}", self.hub_over_floor)?;
        writeln!(f, "  window {:<4} floor-batch  {}", self.burst_window, column(|round| round.floor_batch))?;
        writeln!(f, "              hub          {}", column(|round| round.hub_batch))?;
        writeln!(f, "              hub / floor  {}", self.hub_batch_over_floor_batch)?;
        writeln!(f, "  hub: window 1 / window {}  {}", self.burst_window, self.batching_gain)?;
        if self.runs.iter().any(|run| run.generator.is_bottleneck) {
            writeln!(f, "  note: the generator was busy all the time in some runs; CPU per delivery stays valid")?;
        }
        write!(f, "  verified: {}", if self.is_clean { "every delivery of every run" } else { "NOT CLEAN, see above" })
    }
}

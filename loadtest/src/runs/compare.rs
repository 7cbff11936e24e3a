//! Several targets under the same load, in interleaved rounds of one run: on a shared machine only such ratios mean
//! something. The first target is the yardstick.

use std::fmt;

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::report::record::{Record, Run, Session};
use crate::report::report::Report;
use crate::report::spread::Spread;
use crate::runs::fanout;
use crate::scenario::Scenario;
use crate::server::hub_settings::HubSettings;
use crate::server::site::Site;
use crate::server::target::Target;

/// What a comparison needs besides the scenarios.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Comparison<'a> {
    /// Rounds of one run of each target.
    pub(crate) rounds: u32,
    /// The CPU of the servers.
    pub(crate) server_cpu: Option<usize>,
    /// What is compared; the first one is the yardstick.
    pub(crate) targets: &'a [Target],
}

/// What was found, scenario by scenario.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ComparisonReport {
    rounds: u32,
    cases: Vec<Case>,
    is_clean: bool,
    /// Every run in full.
    runs: Vec<Report>,
}

/// All targets under one scenario.
#[derive(Debug, Clone, Serialize)]
struct Case {
    scenario: Scenario,
    standings: Vec<Standing>,
}

/// One target under one scenario, over all rounds.
#[derive(Debug, Clone, Serialize)]
struct Standing {
    name: String,
    /// Server CPU time per delivery, if its process is known.
    cpu_us_per_delivery: Option<Spread>,
    /// Over that of the first target, round by round.
    cpu_over_first: Option<Spread>,
    /// Latencies over those of the first target, round by round.
    p50_over_first: Option<Spread>,
    p99_over_first: Option<Spread>,
    /// Server CPU time per connection, until it is subscribed, if its process is known.
    cpu_us_per_connection: Option<Spread>,
    /// If it tells how many writes it made.
    writes_per_delivery: Option<Spread>,
}

impl ComparisonReport {
    /// Whether every delivery of every run was right.
    pub(crate) fn is_clean(&self) -> bool {
        self.is_clean
    }

    /// A record for each run.
    pub(crate) fn records(&self, session: &Session) -> Result<Vec<Record>> {
        let yardstick = self.runs.first().map(|first| first.name.as_str());
        let record = |(index, report): (usize, &Report)| {
            // Scenario by scenario, target by target, round by round.
            let round = index as u32 % self.rounds + 1;
            let scenario = report.scenario.describe();
            let run = Run { kind: &report.scenario.name, target: &report.name, yardstick, round, scenario };
            session.record(run, report)
        };
        self.runs.iter().enumerate().map(record).collect()
    }
}

/// Runs every scenario on every target in turn, `rounds` times; each server stays up through all of them.
pub(crate) fn run(comparison: Comparison<'_>, scenarios: &[Scenario]) -> Result<ComparisonReport> {
    let Comparison { rounds, server_cpu, targets } = comparison;
    ensure!((1..=1000).contains(&rounds), "--rounds: 1 to 1000");
    ensure!(targets.len() >= 2, "a comparison needs two targets or more");
    for (place, target) in targets.iter().enumerate() {
        let is_twice = targets[..place].iter().any(|other| other.name == target.name);
        ensure!(!is_twice, "two targets are called {}: give them names (NAME=TARGET)", target.name);
    }
    let largest = scenarios
        .iter()
        .max_by_key(|scenario| (scenario.subscribers, scenario.payload_bytes))
        .context("nothing to do: no scenario")?;
    let sites = Sites::open(targets, scenarios, &largest.hub_settings(), server_cpu)?;
    let scenarios = alike(scenarios, &sites)?;

    // By scenario, by target, by round.
    let mut found: Vec<Vec<Vec<Report>>> = vec![vec![Vec::new(); targets.len()]; scenarios.len()];
    for round in 0..rounds as usize {
        for (case, scenario) in scenarios.iter().enumerate() {
            for turn in 0..targets.len() {
                // Everybody comes first now and then: what the machine does meanwhile is shared out.
                let place = (turn + round) % targets.len();
                let target = &targets[place];
                let label = format!("round {}/{rounds} {}", round + 1, target.name);
                let report = fanout::run(&label, scenario, sites.of(&target.facing(scenario.is_in_bursts()))?)?;
                eprintln!("{label}, {}: {}", scenario.describe_pace(), gist(&report));
                found[case][place].push(report);
            }
        }
    }
    let cases = scenarios.iter().zip(&found).map(|(scenario, reports)| Case {
        scenario: scenario.clone(),
        standings: reports.iter().map(|own| Standing::new(own, &reports[0])).collect(),
    });
    let cases = cases.collect();
    let runs: Vec<Report> = found.into_iter().flatten().flatten().collect();
    Ok(ComparisonReport { rounds, cases, is_clean: runs.iter().all(|run| run.verdict.is_clean()), runs })
}

/// The servers of a comparison, each once.
struct Sites(Vec<(Target, Site)>);

impl Sites {
    fn open(
        targets: &[Target],
        scenarios: &[Scenario],
        settings: &HubSettings,
        server_cpu: Option<usize>,
    ) -> Result<Self> {
        let mut sites = Self(Vec::new());
        for target in targets {
            for scenario in scenarios {
                let target = target.facing(scenario.is_in_bursts());
                if sites.find(&target).is_none() {
                    let site = Site::open(&target, settings, server_cpu)?;
                    sites.0.push((target, site));
                }
            }
        }
        Ok(sites)
    }

    fn find(&self, target: &Target) -> Option<&Site> {
        self.0.iter().find(|(opened, _)| opened == target).map(|(_, site)| site)
    }

    fn of(&self, target: &Target) -> Result<&Site> {
        self.find(target).context("invariant: every target was opened")
    }
}

/// The scenarios in the one form that every target can take: if one of them carries text only, all get text.
fn alike(scenarios: &[Scenario], sites: &Sites) -> Result<Vec<Scenario>> {
    let mut alike = Vec::with_capacity(scenarios.len());
    for scenario in scenarios {
        let mut text = scenario.text;
        for (target, site) in &sites.0 {
            let (suited, _) = scenario.suited_to(&site.endpoint.dialect).with_context(|| target.name.clone())?;
            target.check(suited.publish_by)?;
            text |= suited.text;
        }
        alike.push(Scenario { text, ..scenario.clone() });
    }
    Ok(alike)
}

/// One line about a run.
fn gist(report: &Report) -> String {
    let cost = match &report.server {
        Some(server) => format!("{:.3} µs per delivery", server.cpu_us_per_delivery),
        None => "process unknown".to_owned(),
    };
    format!("{cost}, {}", report.verdict.to_string().trim_end())
}

impl Standing {
    /// What the rounds `own` say beside the rounds `first`.
    fn new(own: &[Report], first: &[Report]) -> Self {
        let cpu = |report: &Report| report.server.as_ref().map(|server| server.cpu_us_per_delivery);
        let over =
            |value: fn(&Report) -> f64| Spread::of(own.iter().zip(first).map(|(own, first)| value(own) / value(first)));
        let cpu_over_first: Option<Vec<f64>> =
            own.iter().zip(first).map(|(own, first)| Some(cpu(own)? / cpu(first)?)).collect();
        let own_cpu: Option<Vec<f64>> = own.iter().map(cpu).collect();
        let connecting: Option<Vec<f64>> =
            own.iter().map(|report| report.server.as_ref().map(|server| server.cpu_us_per_connection)).collect();
        let writes: Option<Vec<f64>> = own.iter().map(|report| report.writes_per_delivery).collect();
        Self {
            name: own.first().map(|report| report.name.clone()).unwrap_or_default(),
            cpu_us_per_delivery: own_cpu.and_then(Spread::of),
            cpu_over_first: cpu_over_first.and_then(Spread::of),
            p50_over_first: over(|report| report.latency.p50_us),
            p99_over_first: over(|report| report.latency.p99_us),
            cpu_us_per_connection: connecting.and_then(Spread::of),
            writes_per_delivery: writes.and_then(Spread::of),
        }
    }
}

impl fmt::Display for ComparisonReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "server CPU µs per delivery, and everything over the first target round by round: min / median / max of {} rounds",
            self.rounds
        )?;
        for case in &self.cases {
            write!(f, "{case}")?;
        }
        if self.runs.iter().any(|run| run.generator.is_bottleneck) {
            writeln!(f, "note: the generator was busy all the time in some runs; CPU per delivery stays valid")?;
        }
        write!(f, "verified: {}", if self.is_clean { "every delivery of every run" } else { "NOT CLEAN, see above" })
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.standings.iter().map(|standing| standing.name.chars().count()).max().unwrap_or(0).max(6);
        writeln!(f, "{}: {}", self.scenario.name, self.scenario.describe())?;
        writeln!(
            f,
            "  {:width$}  {:23}  {:23}  {:23}  {:23}  {:23}  writes per delivery",
            "", "CPU µs", "CPU / first", "p50 / first", "p99 / first", "CPU µs per connect"
        )?;
        for standing in &self.standings {
            let text =
                |spread: Option<Spread>| spread.map_or_else(|| "unknown".to_owned(), |spread| spread.to_string());
            let writes =
                standing.writes_per_delivery.map_or_else(|| "-".to_owned(), |writes| format!("{:.4}", writes.median));
            writeln!(
                f,
                "  {:width$}  {:23}  {:23}  {:23}  {:23}  {:23}  {writes}",
                standing.name,
                text(standing.cpu_us_per_delivery),
                text(standing.cpu_over_first),
                text(standing.p50_over_first),
                text(standing.p99_over_first),
                text(standing.cpu_us_per_connection),
            )?;
        }
        Ok(())
    }
}

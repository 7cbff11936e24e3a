//! The command.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::deliveries::Counted;
use super::drift::{self, MEMORY_SLACK_BYTES, Memory, SAMPLES_FOR_MEMORY};
use super::hub::Hub;
use super::interrupt::Interrupt;
use super::load::{Harness, Load};
use super::sample::Sample;
use super::table::{self, Round, clock, mib};
use crate::machine::Place;
use crate::run::{Finished, Report};

/// Loads a hub for `minutes`, in whole rounds.
pub(crate) fn run(place: &Place, minutes: u64) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let interrupt = Interrupt::listen()?;
    let Some((program, harness)) = place.released(&mut report)? else { return Ok(report) };
    let folder = place.leavings("soak");
    if folder.exists() {
        // Reports of an earlier run must not pass for this one's.
        fs::remove_dir_all(&folder).context("the reports of the last run")?;
    }
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut soak = Soak {
        hub: Hub::start(&program, &folder)?,
        harness: Harness::new(&harness, &folder),
        interrupt,
        start: Instant::now(),
        rounds: Vec::new(),
        problems: Vec::new(),
    };
    soak.go(Duration::from_secs(minutes * 60));
    soak.conclude(&folder, &mut report);
    Ok(report)
}

struct Soak {
    hub: Hub,
    harness: Harness,
    interrupt: Interrupt,
    start: Instant,
    rounds: Vec<Round>,
    /// What is wrong and belongs to no whole round.
    problems: Vec<String>,
}

impl Soak {
    /// Round after round, until the time is up or nothing more can be learnt.
    fn go(&mut self, time: Duration) {
        println!("\n{}", table::heading());
        while self.start.elapsed() < time {
            let number = self.rounds.len() + 1;
            match self.round(number) {
                Ok(round) => {
                    println!("{}", table::line(number, &round));
                    self.rounds.push(round);
                }
                Err(_) if self.interrupt.has_come() => {
                    println!("interrupted in round {number}, which does not count");
                    return;
                }
                // A hub that does not answer, or a harness that fails: the next round would say the same.
                Err(error) => {
                    self.problems.push(format!("round {number} did not get to its end: {error:#}"));
                    return;
                }
            }
        }
    }

    fn round(&self, number: usize) -> anyhow::Result<Round> {
        let mut before = self.hub.at_rest()?;
        let (mut verified, mut given_up, mut problems) = ([0; Load::ALL.len()], 0, Vec::new());
        for (load, verified) in Load::ALL.into_iter().zip(&mut verified) {
            let seen = load.run(number, self.hub.address(), &self.harness, &self.interrupt);
            let seen = seen.with_context(|| load.label().to_owned())?;
            let after = self.hub.at_rest()?;
            let counted = Counted::between(&before.counters, &after.counters);
            let found = seen.problems(counted).into_iter().chain(after.problems());
            problems.extend(found.map(|problem| format!("{}: {problem}", load.label())));
            *verified = seen.verdict.in_order;
            given_up += counted.given_up;
            before = after;
        }
        Ok(Round { ended_after: self.start.elapsed(), verified, given_up, sample: before, problems })
    }

    /// Ends the hub, prints the table, and says what is wrong.
    fn conclude(self, folder: &Path, report: &mut Report) {
        let Self { hub, rounds, mut problems, start, .. } = self;
        let took = start.elapsed();
        if let Err(error) = hub.end() {
            problems.push(format!("{error:#}"));
        }
        if rounds.is_empty() {
            problems.push("no round got to its end".to_owned());
        }
        let samples: Vec<Sample> = rounds.iter().map(|round| round.sample.clone()).collect();
        let in_rounds = rounds.iter().enumerate().flat_map(|(index, round)| {
            round.problems.iter().map(move |problem| format!("round {}: {problem}", index + 1))
        });
        let problems: Vec<String> = in_rounds.chain(drift::problems(&samples)).chain(problems).collect();
        println!("\n{}", table::heading());
        for (index, round) in rounds.iter().enumerate() {
            println!("{}", table::line(index + 1, round));
        }
        summarise(&rounds, took);
        match Memory::of(&samples) {
            Some(Memory { early_bytes, late_bytes }) => println!(
                "resident memory at rest: {:.2} MiB (median of the second quarter), {:.2} MiB (of the last); may grow by {}",
                mib(early_bytes),
                mib(late_bytes),
                mib(MEMORY_SLACK_BYTES)
            ),
            None => report.not_checked(
                "growth of memory",
                &format!("{} rounds, and it takes {SAMPLES_FOR_MEMORY} to tell", rounds.len()),
            ),
        }
        if problems.is_empty() {
            let name = format!("soak: {} rounds", rounds.len());
            report.record(Finished { name, succeeded: true, output: String::new(), took }, None);
        } else {
            let reports = format!("Reports of the harness: {}", folder.display());
            report.fail("soak", format!("{}\n{reports}", problems.join("\n")));
        }
    }
}

/// What all rounds came to.
fn summarise(rounds: &[Round], took: Duration) {
    let Some(last) = rounds.last() else { return };
    let verified: u64 = rounds.iter().flat_map(|round| round.verified).sum();
    let given_up: u64 = rounds.iter().map(|round| round.given_up).sum();
    let counters = &last.sample.counters;
    let opened: u64 = counters.connections.iter().map(|connections| connections.opened).sum();
    println!(
        "\n{} rounds in {}: {} publications, {verified} deliveries verified ({} by the hub's counter, and {} lost to \
         subscribers that stopped reading), {opened} connections, {given_up} given up as slow consumers; the hub used {:.1} s \
         of CPU time, {:.1} % of a core",
        rounds.len(),
        clock(took),
        counters.published,
        counters.delivered,
        counters.deliveries_lost,
        counters.cpu_seconds,
        counters.cpu_seconds / last.ended_after.as_secs_f64() * 100.0
    );
}

//! The load harness of fanfare: `fanfare-loadtest --help`.
//!
//! The walk of a run: `arguments` and a `recipe` describe a `load`, which makes a `scenario`; `server` starts the targets and
//! looks at what they cost; `client` connects, publishes and reads (`wire` has the bytes and the languages); `verify` compares
//! what came with what was published, for everybody in their `seating`; `report` says what was found. `runs` has a file for
//! each kind of run. Where subscribers come and go, settings and a `subject` describe a run, and an `attendance` verifies it.

mod arguments;
mod attendance;
mod client;
mod clock;
mod load;
mod recipe;
mod report;
mod runs;
mod scenario;
mod seating;
mod server;
mod subject;
mod verify;
mod wire;

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;
use std::{fs, io};

use anyhow::{Context as _, Result};
use clap::Parser as _;
use serde::Serialize;

use crate::arguments::{Arguments, Command, Cpus};
use crate::load::Load;
use crate::recipe::Recipe;
use crate::report::record::{Run, Session};
use crate::report::{keep, page};
use crate::scenario::Scenario;
use crate::server::floor::Sending;
use crate::server::idle_floor::Duties;
use crate::server::site::Site;
use crate::server::target::Target;

/// What is loaded if nothing is named.
const DEFAULT_TARGET: &str = "ws://127.0.0.1:8000";

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything was delivered as promised.
fn run(command: Command) -> Result<bool> {
    match command {
        Command::Run { scenario, targets, load, cpus, json, keep } => {
            let session = Session::begin();
            let scenarios = scenarios(&scenario, load)?;
            let targets = if targets.is_empty() { vec![DEFAULT_TARGET.parse()?] } else { targets };
            let server_cpu = cpus_of(&targets, &cpus)?;
            let (mut is_clean, mut records) = (true, Vec::new());
            for target in &targets {
                for scenario in &scenarios {
                    target.check(scenario.publish_by)?;
                    let site =
                        Site::open(&target.facing(scenario.is_in_bursts()), &scenario.hub_settings(), server_cpu)?;
                    let report = runs::fanout::run(&target.name, scenario, &site)?;
                    show(&report, json)?;
                    is_clean &= report.verdict.is_clean();
                    let Scenario { name: kind, .. } = scenario;
                    let load = report.scenario.describe();
                    let run = Run { kind, target: &target.name, yardstick: None, round: 1, scenario: load };
                    records.push(session.record(run, &report)?);
                }
            }
            keep::keep(&records, &keep)?;
            Ok(is_clean)
        }
        Command::Compare { scenario, targets, load, rounds, cpus, json, keep } => {
            let session = Session::begin();
            let scenarios = scenarios(&scenario, load)?;
            let server_cpu = cpus_of(&targets, &cpus)?;
            let comparison = runs::compare::Comparison { rounds, server_cpu, targets: &targets };
            let report = runs::compare::run(comparison, &scenarios)?;
            show(&report, json)?;
            keep::keep(&report.records(&session)?, &keep)?;
            Ok(report.is_clean())
        }
        Command::Subscribers(command) => runs::command::run(&command),
        Command::IdleFloorServer { ping_every, compute_accept } => {
            let duties = Duties { ping_every_ms: ping_every, computes_accept: compute_accept };
            server::idle_floor::serve(duties).map(|()| true)
        }
        Command::Report { files, output } => {
            let page = page::render(&keep::load(&files)?)?;
            match output {
                Some(path) => fs::write(&path, page).with_context(|| format!("-o {}", path.display()))?,
                None => io::stdout().write_all(page.as_bytes())?,
            }
            Ok(true)
        }
        Command::RunTied { command } => server::launch::run_tied(&command).map(|()| true),
        Command::FloorServer { batch, ways } => {
            server::floor::serve(if batch { Sending::PerBurst } else { Sending::PerPublication }, &ways)?;
            Ok(true)
        }
    }
}

/// The scenarios called `name_or_path`, as far as `flags` do not say otherwise; and the descriptors they need.
fn scenarios(name_or_path: &str, flags: Load) -> Result<Vec<Scenario>> {
    let Recipe::Fanout(load) = Recipe::read(name_or_path)?;
    let scenarios = flags.over(load).scenarios(recipe::name_of(name_or_path))?;
    // What is started inherits the limit.
    for scenario in &scenarios {
        client::descriptors::make_room(scenario.subscribers as usize)?;
    }
    Ok(scenarios)
}

/// Splits the CPUs between this process and the servers it starts. One that runs already may use all of them: then this
/// process stays where it is, unless it was told a CPU.
fn cpus_of(targets: &[Target], cpus: &Cpus) -> Result<Option<usize>> {
    let starts_some = targets.iter().any(Target::is_started);
    if starts_some {
        return split_cpus(cpus);
    }
    if let Some(cpu) = cpus.generator_cpu {
        server::cpu::pin(&[cpu])?;
    }
    Ok(cpus.server_cpu)
}

/// Pins this process to its CPU and returns that of the server: two different ones, or none at all.
fn split_cpus(cpus: &Cpus) -> Result<Option<usize>> {
    let available = server::cpu::available()?;
    let apart = available.len() >= 2;
    let server = cpus.server_cpu.or_else(|| available.first().copied().filter(|_| apart));
    let generator = cpus.generator_cpu.or_else(|| available.iter().rev().copied().find(|_| apart));
    match (server, generator) {
        (Some(server), Some(generator)) if server != generator => server::cpu::pin(&[generator])?,
        _ => eprintln!("warning: server and generator share CPUs: latencies and rates are not the server's alone"),
    }
    Ok(server)
}

fn show(report: &(impl Display + Serialize), json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string(report).context("writing the report")?);
    } else {
        println!("{report}");
    }
    Ok(())
}

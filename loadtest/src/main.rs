//! The load harness of fanfare: `fanfare-loadtest --help`.
//!
//! The walk of a run: `arguments` describe a `scenario` and a `target`; `client` connects, publishes and reads (`wire` has the
//! bytes), `verify` compares what came with what was published; `server` starts what is loaded and looks at what it costs;
//! `report` says what was found. `runs` has a file for each kind of run.

mod arguments;
mod client;
mod clock;
mod report;
mod runs;
mod scenario;
mod server;
mod verify;
mod wire;

use std::fmt::Display;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{fs, io};

use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;
use rustix::process::Pid;
use serde::Serialize;

use crate::arguments::{Arguments, Command, Cpus, Server};
use crate::client::publisher::PublishBy;
use crate::report::record::Session;
use crate::report::{keep, page};
use crate::server::floor::Sending;
use crate::server::launch::Launched;
use crate::server::target::Target;

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
        Command::Fanout { server, load, pin_generator } => {
            let session = Session::begin();
            let scenario = load.scenario()?;
            let (target, pid) = resolve(&server)?;
            if let Some(cpu) = pin_generator {
                server::cpu::pin(&[cpu])?;
            }
            if let Err(error) = &pid {
                eprintln!("warning: no CPU and memory figures: {error:#}");
            }
            let report = runs::fanout::run("fanout", &scenario, &target, pid.ok())?;
            show(&report, load.json)?;
            keep::keep(&session.only("fanout", "hub", scenario.describe(), &report)?, &load.keep)?;
            Ok(report.verdict.is_clean())
        }
        Command::Floor { load, batch, cpus } => {
            let session = Session::begin();
            let scenario = load.scenario()?;
            ensure!(scenario.publish_by == PublishBy::Ws, "the floor server knows only WebSocket publishers");
            // What is started inherits the limit.
            client::descriptors::make_room(scenario.subscribers as usize)?;
            let (sending, name) =
                if batch { (Sending::PerBurst, "floor-batch") } else { (Sending::PerPublication, "floor") };
            let server_cpu = split_cpus(&cpus)?;
            let floor = Launched::floor(sending, server_cpu)?;
            let report = runs::fanout::run(name, &scenario, &floor.target, Some(floor.pid()))?;
            show(&report, load.json)?;
            keep::keep(&session.only("fanout", name, scenario.describe(), &report)?, &load.keep)?;
            Ok(report.verdict.is_clean())
        }
        Command::Compare { load, rounds, cpus, hub } => {
            let session = Session::begin();
            let scenario = load.scenario()?;
            ensure!(scenario.publish_by == PublishBy::Ws, "the floor server knows only WebSocket publishers");
            client::descriptors::make_room(scenario.subscribers as usize)?;
            let server_cpu = split_cpus(&cpus)?;
            let program = hub.first().context("invariant: clap requires the hub's program")?;
            let config = hub.get(1).map(PathBuf::as_path);
            let comparison = runs::compare::Comparison { rounds, server_cpu, hub: program, config };
            let report = runs::compare::run(comparison, &scenario)?;
            show(&report, load.json)?;
            keep::keep(&report.records(&session)?, &load.keep)?;
            Ok(report.is_clean())
        }
        Command::Idle { server, idle, json, keep, hub } => {
            let session = Session::begin();
            let idle = idle.idle(!hub.is_empty());
            client::descriptors::make_room((idle.connections + idle.first_connections) as usize)?;
            let config = hub.get(1).map(PathBuf::as_path);
            let report = match hub.first() {
                Some(program) => {
                    let hub = Launched::hub(program, config, idle.connections + idle.first_connections, None)?;
                    runs::idle::run(&idle, &hub.target, hub.pid())?
                }
                None => {
                    let (target, pid) = resolve(&server)?;
                    runs::idle::run(&idle, &target, pid?)?
                }
            };
            show(&report, json)?;
            keep::keep(&session.only("idle", "hub", report.describe(), &report)?, &keep)?;
            Ok(report.is_clean())
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
        Command::FloorServer { batch } => {
            server::floor::serve(if batch { Sending::PerBurst } else { Sending::PerPublication })?;
            Ok(true)
        }
    }
}

fn resolve(server: &Server) -> Result<(Target, Result<Pid>)> {
    let target = Target::parse(&server.url)?;
    let pid = match server.pid {
        Some(pid) => Pid::from_raw(pid).with_context(|| format!("--pid {pid}: not a process")),
        None => server::process::listening_on(target.address.port()),
    };
    Ok((target, pid))
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

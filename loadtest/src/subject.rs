//! What a run is against: a hub that it starts, or one that runs already.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use rustix::process::Pid;

use crate::report::keep::Keep;
use crate::server;
use crate::server::door::Door;
use crate::server::hub_settings::HubSettings;
use crate::server::launch::Launched;
use crate::server::place::Place;

/// Which server, and which CPUs.
#[derive(Debug, Args)]
pub(crate) struct Subject {
    /// A scenario that comes with this program, or a file: flags win over it
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) scenario: Option<String>,
    /// A running server: ws:// or http://, a loopback address
    #[arg(long, default_value = "ws://127.0.0.1:8000")]
    url: String,
    /// Its process, for CPU and memory; found by its port if not given
    #[arg(long)]
    pid: Option<i32>,
    /// Keep the server that is started on this CPU (default: the first one, if there are two)
    #[arg(long, value_name = "CPU")]
    server_cpu: Option<usize>,
    /// Keep the generator on this CPU (default: the last one, if there are two)
    #[arg(long, alias = "pin-generator", value_name = "CPU")]
    generator_cpu: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) keep: Keep,
    /// Start this hub, fresh, instead of loading the one at --url
    #[arg(last = true, num_args = 1..=2, value_names = ["HUB", "CONFIG"], conflicts_with_all = ["url", "pid"])]
    hub: Vec<PathBuf>,
}

/// A server that can be loaded. One that was started ends with this value.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// Where it is.
    pub(crate) place: Place,
    /// Where subscribers come in.
    pub(crate) door: Door,
    /// Its process.
    pub(crate) pid: Pid,
    /// The CPU it was put on.
    pub(crate) cpu: Option<usize>,
    /// Whether nobody was connected to it before this run.
    pub(crate) is_fresh: bool,
    /// Holds the server that was started.
    _launched: Option<Launched>,
}

impl From<Launched> for Loaded {
    fn from(launched: Launched) -> Self {
        let (place, door, pid) = (launched.place.clone(), launched.door(), launched.pid());
        Self { place, door, pid, cpu: None, is_fresh: true, _launched: Some(launched) }
    }
}

impl Subject {
    /// The server, started with `settings` (or with the configuration of the command line) or found.
    pub(crate) fn open(&self, settings: &HubSettings) -> Result<Loaded> {
        let server_cpu = self.split_cpus()?;
        if let Some(program) = self.hub.first() {
            let launched = match self.hub.get(1) {
                Some(config) => Launched::hub(program, Some(config), settings, server_cpu)?,
                None => Launched::hub_with(program, settings, server_cpu)?,
            };
            return Ok(Loaded { cpu: server_cpu, ..launched.into() });
        }
        ensure!(!settings.tls, "--tls: this program starts the hub itself then: give the hub's program behind --");
        let place = Place::parse(&self.url)?;
        let pid = match self.pid {
            Some(pid) => Pid::from_raw(pid).with_context(|| format!("--pid {pid}: not a process"))?,
            None => server::process::listening_on(place.address.port())?,
        };
        let door = Door::plain(&place);
        Ok(Loaded { place, door, pid, cpu: server_cpu, is_fresh: false, _launched: None })
    }

    /// The hub's program, for runs that must start it themselves.
    pub(crate) fn program(&self) -> Result<&Path> {
        self.hub.first().map(PathBuf::as_path).context("this run starts the hub itself: give its program behind --")
    }

    /// The hub's program, if it was given.
    pub(crate) fn given_program(&self) -> Option<&Path> {
        self.hub.first().map(PathBuf::as_path)
    }

    /// Pins this process to its CPU and returns that of the server: two different ones, or none at all.
    pub(crate) fn split_cpus(&self) -> Result<Option<usize>> {
        crate::split_cpus(&crate::arguments::Cpus { server_cpu: self.server_cpu, generator_cpu: self.generator_cpu })
    }
}

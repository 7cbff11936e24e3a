//! A target that is up: where clients connect, and which process it is.

use anyhow::Result;
use rustix::process::Pid;

use crate::server::cpu;
use crate::server::door::Door;
use crate::server::endpoint::Endpoint;
use crate::server::hub_settings::HubSettings;
use crate::server::launch::Launched;
use crate::server::place::Place;
use crate::server::process;
use crate::server::target::{Kind, Target};

/// A running server. Ends with this value if it was started for it.
#[derive(Debug)]
pub(crate) struct Site {
    /// What it is called in reports.
    pub(crate) name: String,
    /// Where it answers, and what it speaks.
    pub(crate) endpoint: Endpoint,
    /// Where subscribers connect.
    pub(crate) door: Door,
    /// Its process, if it could be found: without it there are no CPU and memory figures.
    pub(crate) pid: Option<Pid>,
    _launched: Option<Launched>,
}

impl Site {
    /// A server that somebody else found or started, and ends: `name` speaks the language of fanfare at `place`.
    pub(crate) fn known(name: &str, place: &Place, pid: Pid) -> Self {
        let (endpoint, door) = (Endpoint::topics(place.clone()), Door::plain(place));
        Self { name: name.to_owned(), endpoint, door, pid: Some(pid), _launched: None }
    }

    /// Starts `target`, a hub with `settings`, on `server_cpu` if given; or finds it, if it runs already.
    ///
    /// Panics for [`Kind::Floors`], which is none until [`Target::facing`] says which.
    pub(crate) fn open(target: &Target, settings: &HubSettings, server_cpu: Option<usize>) -> Result<Self> {
        let launched = match &target.kind {
            Kind::Floor(sending, ways) => Launched::floor(*sending, ways, server_cpu)?,
            Kind::Floors => unreachable!("invariant: `facing` has chosen a floor"),
            Kind::Program { path, config, tls } => {
                let settings = HubSettings { tls: *tls, ..settings.clone() };
                Launched::hub(path, config.as_deref(), &settings, server_cpu)?
            }
            Kind::Running { endpoint, pid } => {
                let pid = pid.map_or_else(|| process::listening_on(endpoint.place.address.port()), Ok);
                if let Err(error) = &pid {
                    eprintln!("warning: {}: no CPU and memory figures: {error:#}", target.name);
                }
                if let (Ok(pid), Some(cpu)) = (&pid, server_cpu)
                    && !cpu::threads_off(*pid, cpu).is_empty()
                {
                    eprintln!("warning: {} is not on CPU {cpu} alone: start it with taskset -c {cpu}", target.name);
                }
                let (endpoint, door) = (endpoint.clone(), Door::plain(&endpoint.place));
                return Ok(Self { name: target.name.clone(), endpoint, door, pid: pid.ok(), _launched: None });
            }
        };
        Ok(Self {
            name: target.name.clone(),
            endpoint: Endpoint::topics(launched.place.clone()),
            door: launched.door(),
            pid: Some(launched.pid()),
            _launched: Some(launched),
        })
    }
}

//! What it costs to know that idle clients are alive: server CPU per ping and pong, beside a bare `send` and `recv`.

use std::fmt;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::client::crowd::Crowd;
use crate::client::descriptors;
use crate::client::dialer::{Dialer, Wanted};
use crate::clock;
use crate::report::spread::Spread;
use crate::runs::settings::{Kind, Settings};
use crate::server::cpu::CpuTime;
use crate::server::hub_settings::HubSettings;
use crate::server::idle_floor::Duties;
use crate::server::launch::Launched;
use crate::subject::{Loaded, Subject};

const PAYLOAD_BYTES: usize = 32;

/// Idle connections that are pinged.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Liveness {
    /// In a file: that it is for this run.
    #[arg(skip)]
    #[serde(skip_serializing)]
    kind: Option<Kind>,
    /// Idle connections
    #[arg(long, default_value_t = Liveness::default().connections)]
    pub(crate) connections: u32,
    /// Milliseconds between two pings of a connection
    #[arg(long = "ping-every", default_value_t = Liveness::default().ping_every_ms, value_name = "MS")]
    pub(crate) ping_every_ms: u64,
    /// Measured seconds of each run
    #[arg(long = "duration", default_value_t = Liveness::default().duration_s, value_name = "SECONDS")]
    pub(crate) duration_s: f64,
    /// Rounds of floor and hub
    #[arg(long, default_value_t = Liveness::default().rounds)]
    pub(crate) rounds: u32,
    /// Handshakes at once
    #[arg(long, default_value_t = Liveness::default().concurrency)]
    pub(crate) concurrency: usize,
    /// Connect from 127.0.0.1 to 127.0.0.K
    #[arg(long, default_value_t = Liveness::default().source_addresses, value_name = "K", value_parser = clap::value_parser!(u8).range(1..=254))]
    pub(crate) source_addresses: u8,
    /// The topic is called PREFIX-0
    #[arg(long, default_value_t = Liveness::default().topic_prefix, value_name = "PREFIX")]
    pub(crate) topic_prefix: String,
}

impl Settings for Liveness {
    const KIND: Kind = Kind::Liveness;

    fn kind(&self) -> Option<Kind> {
        self.kind
    }
}

impl Default for Liveness {
    fn default() -> Self {
        Self {
            kind: None,
            connections: 5_000,
            ping_every_ms: 1_000,
            duration_s: 5.0,
            rounds: 3,
            concurrency: 64,
            source_addresses: 8,
            topic_prefix: "liveness".to_owned(),
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LivenessReport {
    run: Liveness,
    rounds: Vec<Round>,
    floor_us: Spread,
    hub_us: Spread,
    hub_over_floor: Spread,
    is_clean: bool,
}

/// Floor and hub, one after the other.
#[derive(Debug, Clone, Copy, Serialize)]
struct Round {
    floor: Exchange,
    hub: Exchange,
}

/// One server, pinging.
#[derive(Debug, Clone, Copy, Serialize)]
struct Exchange {
    /// Pings that came, each answered.
    pings: u64,
    /// Pings that should have come.
    due: u64,
    cpu_us_per_ping: f64,
    closed: u64,
}

impl LivenessReport {
    /// Whether everyone was pinged and nobody was given up.
    pub(crate) fn is_clean(&self) -> bool {
        self.is_clean
    }
}

/// Measures the floor and the hub of `subject` in turn.
pub(crate) fn run(liveness: &Liveness, subject: &Subject) -> Result<LivenessReport> {
    ensure!((1..=100).contains(&liveness.rounds), "--rounds: 1 to 100");
    ensure!(liveness.connections > 0, "nothing to do: no connections");
    ensure!(liveness.ping_every_ms >= 100, "--ping-every: at least 100 ms, the step of the hub's wheel");
    ensure!((0.1..=600.0).contains(&liveness.duration_s), "--duration: at most 600 seconds");
    descriptors::make_room(liveness.connections as usize)?;
    let program = subject.program()?;
    let server_cpu = subject.split_cpus()?;
    let settings = HubSettings {
        ping_interval_ms: Some(liveness.ping_every_ms),
        ..HubSettings::for_connections(liveness.connections)
    };
    let duties = Duties { ping_every_ms: Some(liveness.ping_every_ms), computes_accept: false };
    let mut rounds = Vec::new();
    for round in 1..=liveness.rounds {
        // Fresh ones: neither carries what the round before left.
        let floor = measure(liveness, &Launched::idle_floor(duties, server_cpu)?.into())?;
        let hub = measure(liveness, &Launched::hub_with(program, &settings, server_cpu)?.into())?;
        let (ours, bare) = (hub.cpu_us_per_ping, floor.cpu_us_per_ping);
        eprintln!("round {round}/{}: floor {bare:.2} µs, hub {ours:.2} µs per ping and pong", liveness.rounds);
        rounds.push(Round { floor, hub });
    }
    let spread = |pick: fn(&Round) -> f64| Spread::of(rounds.iter().map(pick)).context("invariant: there is a round");
    Ok(LivenessReport {
        run: liveness.clone(),
        floor_us: spread(|round| round.floor.cpu_us_per_ping)?,
        hub_us: spread(|round| round.hub.cpu_us_per_ping)?,
        hub_over_floor: spread(|round| round.hub.cpu_us_per_ping / round.floor.cpu_us_per_ping)?,
        // A ping more or less per connection lies on the edge of the measured time.
        is_clean: rounds.iter().flat_map(|round| [round.floor, round.hub]).all(|exchange| {
            let edge = u64::from(liveness.connections);
            exchange.closed == 0 && exchange.pings > 0 && exchange.pings + edge >= exchange.due
        }),
        rounds,
    })
}

fn measure(liveness: &Liveness, server: &Loaded) -> Result<Exchange> {
    let mut crowd = Crowd::new(1, PAYLOAD_BYTES, clock::now_ns())?;
    let mut dialer = Dialer::new(&server.door, Wanted::WebSocket, liveness.source_addresses, liveness.concurrency)?;
    let topics = (0..liveness.connections).map(|_| 0);
    crowd.gather(&mut dialer, &liveness.topic_prefix, topics, |_, _, _| Ok(())).context("connecting")?;
    // Until everyone has been pinged once, pings are fewer than they will be.
    crowd.run_for(liveness.ping_every_ms as f64 / 1e3 + 0.2, |_| Ok(()))?;
    let (pings, cpu) = (crowd.roll.pings, CpuTime::of(server.pid)?);
    crowd.run_for(liveness.duration_s, |_| Ok(()))?;
    let pings = crowd.roll.pings - pings;
    let cpu = CpuTime::of(server.pid)?.since(cpu);
    let due = liveness.duration_s * 1e3 / liveness.ping_every_ms as f64 * f64::from(liveness.connections);
    Ok(Exchange {
        pings,
        due: due as u64,
        cpu_us_per_ping: cpu.total_s() * 1e6 / pings.max(1) as f64,
        closed: crowd.roll.take_ended().len() as u64,
    })
}

impl fmt::Display for LivenessReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Liveness { connections, ping_every_ms, duration_s, .. } = &self.run;
        writeln!(
            f,
            "liveness: {connections} idle connections, each pinged every {ping_every_ms} ms, {duration_s} s per run; \
             server CPU µs per ping and pong (min/median/max of {} rounds)",
            self.rounds.len()
        )?;
        writeln!(f, "  floor        {}", self.floor_us)?;
        writeln!(f, "  hub          {}", self.hub_us)?;
        writeln!(f, "  hub / floor  {}", self.hub_over_floor)?;
        let (mut pings, mut due, mut closed) = (0, 0, 0);
        for exchange in self.rounds.iter().map(|round| round.hub) {
            pings += exchange.pings;
            due += exchange.due;
            closed += exchange.closed;
        }
        write!(f, "  verified     hub: {pings} pings of about {due} that were due, {closed} closed early")
    }
}

//! A connect storm: what a handshake costs the server beside a bare accept, and what those who are connected notice of it.

use std::fmt;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::client::crowd::Crowd;
use crate::client::descriptors;
use crate::client::dialer::{Dialer, Wanted};
use crate::client::probe::Probe;
use crate::clock;
use crate::report::report::Latency;
use crate::report::spread::Spread;
use crate::runs::settings::{Kind, Settings};
use crate::scenario::topic_path;
use crate::server::cpu::CpuTime;
use crate::server::hub_settings::HubSettings;
use crate::server::idle_floor::Duties;
use crate::server::launch::Launched;
use crate::subject::{Loaded, Subject};
use crate::verify::Verdict;

/// Connections of a server that it may get used to before the first storm is measured.
const FIRST_CONNECTIONS: u32 = 100;

/// Between two storms the server sees the ends of the last one.
const PAUSE_S: f64 = 0.5;

/// How long the last deliveries are waited for.
const STRAGGLERS_S: f64 = 5.0;

/// Many clients at once.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Storm {
    /// In a file: that it is for this run.
    #[arg(skip)]
    #[serde(skip_serializing)]
    kind: Option<Kind>,
    /// Connections of a storm
    #[arg(long, default_value_t = Storm::default().connections)]
    pub(crate) connections: u32,
    /// Handshakes at once
    #[arg(long, default_value_t = Storm::default().concurrency)]
    pub(crate) concurrency: usize,
    /// Connect to the hub over TLS, with a full handshake each; needs HUB, without CONFIG
    #[arg(long)]
    pub(crate) tls: bool,
    /// Resume TLS with tickets that earlier connections got
    #[arg(long, requires = "tls")]
    pub(crate) resume: bool,
    /// Rounds of floor and hub
    #[arg(long, default_value_t = Storm::default().rounds)]
    pub(crate) rounds: u32,
    /// Let the floor compute the accept value of each handshake, instead of answering with fixed bytes
    #[arg(long)]
    pub(crate) compute_accept: bool,
    /// Subscribers that are connected before a last storm, and listen through it; 0 leaves that part out
    #[arg(long, default_value_t = Storm::default().steady)]
    pub(crate) steady: u32,
    /// Publications to them, per second
    #[arg(long, default_value_t = Storm::default().rate, value_name = "PER_SECOND")]
    pub(crate) rate: f64,
    /// Bytes of each payload
    #[arg(long = "payload", default_value_t = Storm::default().payload_bytes, value_name = "BYTES")]
    pub(crate) payload_bytes: usize,
    /// Milliseconds between two pings of the probe
    #[arg(long = "ping-every", default_value_t = Storm::default().ping_every_ms, value_name = "MS")]
    pub(crate) ping_every_ms: u64,
    /// Seconds of quiet before that storm
    #[arg(long = "before", default_value_t = Storm::default().before_s, value_name = "SECONDS")]
    pub(crate) before_s: f64,
    /// Connect from 127.0.0.1 to 127.0.0.K
    #[arg(long, default_value_t = Storm::default().source_addresses, value_name = "K", value_parser = clap::value_parser!(u8).range(1..=254))]
    pub(crate) source_addresses: u8,
    /// Topics are called PREFIX-0 and PREFIX-1
    #[arg(long, default_value_t = Storm::default().topic_prefix, value_name = "PREFIX")]
    pub(crate) topic_prefix: String,
}

impl Settings for Storm {
    const KIND: Kind = Kind::Storm;

    fn kind(&self) -> Option<Kind> {
        self.kind
    }
}

impl Default for Storm {
    fn default() -> Self {
        Self {
            kind: None,
            connections: 5_000,
            concurrency: 256,
            tls: false,
            resume: false,
            rounds: 3,
            compute_accept: false,
            steady: 100,
            rate: 200.0,
            payload_bytes: 128,
            ping_every_ms: 2,
            before_s: 2.0,
            source_addresses: 8,
            topic_prefix: "storm".to_owned(),
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StormReport {
    run: Storm,
    rounds: Vec<Round>,
    floor_us: Option<Spread>,
    server_us: Spread,
    /// Server over floor, CPU per handshake.
    server_over_floor: Option<Spread>,
    beside: Option<Beside>,
}

/// One storm each.
#[derive(Debug, Clone, Serialize)]
struct Round {
    /// Only if the server is one that was started.
    floor: Option<Rush>,
    server: Rush,
}

/// One storm on one server.
#[derive(Debug, Clone, Serialize)]
struct Rush {
    handshakes_per_s: f64,
    cpu_us_per_handshake: f64,
    /// TLS handshakes that were a resumption.
    resumed: usize,
    /// From the SYN to the answer.
    opened: Latency,
}

/// What those who were there noticed of a storm.
#[derive(Debug, Clone, Serialize)]
struct Beside {
    handshakes_per_s: f64,
    deliveries_before: Latency,
    deliveries_during: Latency,
    pongs_before: Latency,
    pongs_during: Latency,
    unpublished: u64,
    verdict: Verdict,
}

impl StormReport {
    /// Whether nobody lost anything.
    pub(crate) fn is_clean(&self) -> bool {
        self.beside.as_ref().is_none_or(|beside| beside.verdict.is_clean())
    }
}

/// Storms the server of `subject`, and the floor in turn if the server is started for this.
pub(crate) fn run(storm: &Storm, subject: &Subject) -> Result<StormReport> {
    ensure!((1..=100).contains(&storm.rounds), "--rounds: 1 to 100");
    ensure!(storm.connections > 0, "nothing to do: no connections");
    ensure!(storm.rate > 0.0 && storm.rate.is_finite(), "--rate: more than 0 per second");
    ensure!(storm.tls || !storm.resume, "resume: only TLS is resumed (tls = true)");
    // Each handshake of a storm that resumes finds a ticket: there are as many as handshakes at once.
    let tickets = if storm.resume { u32::try_from(storm.concurrency)? } else { 0 };
    let first = FIRST_CONNECTIONS.max(tickets);
    let all = storm.connections + storm.steady.max(first);
    descriptors::make_room(all as usize)?;
    let mut server = subject.open(&HubSettings { tls: storm.tls, ..HubSettings::for_connections(all) })?;
    if storm.resume {
        server.door = server.door.resuming();
    }
    let floor = match subject.given_program() {
        Some(_) => {
            let duties = Duties { ping_every_ms: None, computes_accept: storm.compute_accept };
            Some(Loaded::from(Launched::idle_floor(duties, server.cpu)?))
        }
        None => None,
    };
    for server in floor.iter().chain([&server]) {
        rush(&Storm { connections: first, ..storm.clone() }, server)?;
    }
    let mut rounds = Vec::new();
    for round in 1..=storm.rounds {
        let floor = floor.as_ref().map(|floor| rush(storm, floor)).transpose()?;
        let server = rush(storm, &server)?;
        let bare =
            floor.as_ref().map_or(String::new(), |floor| format!("floor {:.2} µs, ", floor.cpu_us_per_handshake));
        eprintln!("round {round}/{}: {bare}server {:.2} µs per handshake", storm.rounds, server.cpu_us_per_handshake);
        rounds.push(Round { floor, server });
    }
    let beside = if storm.steady > 0 { Some(beside(storm, &server)?) } else { None };
    let floors = || rounds.iter().filter_map(|round| Some((round.floor.as_ref()?.cpu_us_per_handshake, round)));
    Ok(StormReport {
        run: storm.clone(),
        floor_us: Spread::of(floors().map(|(floor, _)| floor)),
        server_us: Spread::of(rounds.iter().map(|round| round.server.cpu_us_per_handshake))
            .context("invariant: there is a round")?,
        server_over_floor: Spread::of(floors().map(|(floor, round)| round.server.cpu_us_per_handshake / floor)),
        beside,
        rounds,
    })
}

/// One storm; all connections end after it.
fn rush(storm: &Storm, server: &Loaded) -> Result<Rush> {
    let mut crowd = Crowd::new(1, storm.payload_bytes, clock::now_ns())?;
    let mut dialer = Dialer::new(&server.door, Wanted::WebSocket, storm.source_addresses, storm.concurrency)?;
    let cpu = CpuTime::of(server.pid)?;
    let topics = (0..storm.connections).map(|_| 0);
    let gathered = crowd.gather(&mut dialer, &storm.topic_prefix, topics, |_, _, _| Ok(())).context("storm")?;
    let cpu = CpuTime::of(server.pid)?.since(cpu);
    crowd.drop_all();
    crowd.run_for(PAUSE_S, |_| Ok(()))?;
    Ok(Rush {
        handshakes_per_s: f64::from(storm.connections) / gathered.all_took_s,
        cpu_us_per_handshake: cpu.total_s() * 1e6 / f64::from(storm.connections),
        resumed: gathered.resumed,
        opened: Latency::of(&gathered.took),
    })
}

/// A storm on another topic, while some listen.
fn beside(storm: &Storm, server: &Loaded) -> Result<Beside> {
    let mut crowd = Crowd::new(2, storm.payload_bytes, clock::now_ns())?;
    let mut dialer = Dialer::new(&server.door, Wanted::WebSocket, storm.source_addresses, storm.concurrency)?;
    crowd.gather(&mut dialer, &storm.topic_prefix, (0..storm.steady).map(|_| 0), |_, _, _| Ok(()))?;
    let probe_path = topic_path(&storm.topic_prefix, 2);
    let probe = Probe::start(&server.place, &probe_path, storm.ping_every_ms)?;
    crowd.start_on(1, storm.rate);
    crowd.run_for(0.5, |_| Ok(()))?;
    crowd.roll.take_latencies();
    probe.take();
    crowd.run_for(storm.before_s, |_| Ok(()))?;
    let (deliveries_before, pongs_before) = (crowd.roll.take_latencies(), probe.take());
    let newcomers = (0..storm.connections).map(|_| 1);
    let gathered = crowd.gather(&mut dialer, &storm.topic_prefix, newcomers, |_, _, _| Ok(()))?;
    let (deliveries_during, pongs_during) = (crowd.roll.take_latencies(), probe.take());
    let unpublished = crowd.stop()?;
    crowd.settle(STRAGGLERS_S)?;
    probe.finish()?;
    Ok(Beside {
        handshakes_per_s: f64::from(storm.connections) / gathered.all_took_s,
        deliveries_before: Latency::of(&deliveries_before),
        deliveries_during: Latency::of(&deliveries_during),
        pongs_before: Latency::of(&pongs_before),
        pongs_during: Latency::of(&pongs_during),
        unpublished,
        verdict: crowd.roll.verdict(),
    })
}

impl fmt::Display for StormReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Storm { connections, concurrency, steady, rate, tls, .. } = &self.run;
        let over = if *tls { " over TLS" } else { "" };
        writeln!(
            f,
            "storm: {connections} connections{over}, {concurrency} handshakes at once; server CPU µs per handshake \
             (min/median/max of {} rounds)",
            self.rounds.len()
        )?;
        if let (Some(floor), Some(ratio)) = (&self.floor_us, &self.server_over_floor) {
            writeln!(f, "  floor           {floor}")?;
            writeln!(f, "  server          {}", self.server_us)?;
            writeln!(f, "  server / floor  {ratio}")?;
        } else {
            writeln!(f, "  server          {}", self.server_us)?;
        }
        if let Some(Round { server, .. }) = self.rounds.last() {
            writeln!(f, "  open            {}; {:.0} /s", server.opened, server.handshakes_per_s)?;
            if *tls {
                let resumed: usize = self.rounds.iter().map(|round| round.server.resumed).sum();
                let all = u64::from(*connections) * self.rounds.len() as u64;
                writeln!(f, "  TLS             {resumed} of {all} handshakes were resumptions")?;
            }
        }
        let Some(beside) = &self.beside else { return write!(f, "  beside          left out") };
        writeln!(
            f,
            "  beside: {steady} subscribers, {rate} publications/s; {:.0} handshakes/s",
            beside.handshakes_per_s
        )?;
        writeln!(f, "  deliveries      before  {}", beside.deliveries_before)?;
        writeln!(f, "                  during  {}", beside.deliveries_during)?;
        writeln!(f, "  pongs           before  {}", beside.pongs_before)?;
        writeln!(f, "                  during  {}", beside.pongs_during)?;
        if beside.unpublished > 0 {
            writeln!(f, "  warning         {} publications were due and not made", beside.unpublished)?;
        }
        write!(f, "  verified        {}", beside.verdict.to_string().trim_end())
    }
}

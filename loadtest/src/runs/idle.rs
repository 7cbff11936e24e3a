//! What an idle subscribed connection costs: connect many, publish nothing, look at the server.

use anyhow::{Result, ensure};
use rustix::process::Pid;
use serde::Serialize;
use std::fmt;

use crate::client::connector::{self, Dialing};
use crate::client::descriptors;
use crate::client::subscriber::{Fleet, Message, Watch};
use crate::clock;
use crate::report::progress::Progress;
use crate::scenario::topic_name;
use crate::server::cpu::CpuTime;
use crate::server::endpoint::Endpoint;
use crate::server::process::Memory;
use crate::verify::SubscriberId;

/// Any message would be unexpected; room for notices and the like.
const MESSAGE_LIMIT_BYTES: usize = 64 * 1024;

/// An idle run. Only a fresh server tells the truth: one that had connections before fills the room they left.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Idle {
    /// Connections whose cost is measured.
    pub(crate) connections: u32,
    /// Whether the server was started for this run.
    pub(crate) is_server_fresh: bool,
    /// Connections opened before the first look: code pages and buffers that are touched once are not theirs.
    pub(crate) first_connections: u32,
    /// Topics they are spread over.
    pub(crate) topics: u32,
    /// Wait after the last handshake.
    pub(crate) settle_s: f64,
    /// Source addresses.
    pub(crate) source_addresses: u8,
    /// Handshakes at once.
    pub(crate) concurrency: usize,
    /// Topics are called PREFIX-0 …
    pub(crate) topic_prefix: String,
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct IdleReport {
    run: Idle,
    pid: i32,
    resident_bytes_per_connection: f64,
    anonymous_bytes_per_connection: f64,
    resident_bytes_before: u64,
    resident_bytes_after: u64,
    handshakes_per_s: f64,
    server_cpu_us_per_handshake: f64,
    server_cpu_ms_while_idle: f64,
    /// Messages that came although nothing was published.
    messages: u64,
    closed: u64,
}

impl IdleReport {
    /// Whether all connections were there, and idle, at the end.
    pub(crate) fn is_clean(&self) -> bool {
        self.closed == 0
    }

    /// One line for people.
    pub(crate) fn describe(&self) -> String {
        let Idle { connections, topics, first_connections, .. } = self.run;
        format!("{connections} connections on {topics} topic(s), behind the first {first_connections}")
    }
}

/// Connects, waits, and compares the memory of `server` before and after.
pub(crate) fn run(idle: &Idle, endpoint: &Endpoint, server: Pid) -> Result<IdleReport> {
    ensure!(idle.connections > 0 && idle.topics > 0, "nothing to do: a count is 0");
    ensure!((0.0..=600.0).contains(&idle.settle_s), "--settle: at most 600 seconds");
    let all = (idle.connections + idle.first_connections) as usize;
    descriptors::make_room(all)?;
    let progress = Progress::new("idle");
    progress.stage("connecting", all as u64);
    let topics = |number: usize| vec![topic_name(&idle.topic_prefix, number as u32 % idle.topics)];
    let dialing = Dialing {
        source_addresses: idle.source_addresses,
        concurrency: idle.concurrency,
        deadline_ns: 300_000_000_000,
        run: clock::now_ns(),
    };
    let first = connector::connect_all(endpoint, dialing, idle.first_connections as usize, topics, |_| ())?;
    let mut fleet = Fleet::new(first, &endpoint.dialect, MESSAGE_LIMIT_BYTES)?;
    let mut silence = Silence::default();
    settle(&mut fleet, &mut silence, idle.settle_s)?;

    let (before, cpu_before, start_ns) = (Memory::of(server)?, CpuTime::of(server)?, clock::now_ns());
    let connected = connector::connect_all(endpoint, dialing, idle.connections as usize, topics, |count| {
        progress.at(count as u64);
    })?;
    let connecting_s = (clock::now_ns() - start_ns) as f64 / 1e9;
    let connecting_cpu = CpuTime::of(server)?.since(cpu_before);
    fleet.extend(connected)?;

    let cpu_connected = CpuTime::of(server)?;
    progress.stage("settling", 1);
    settle(&mut fleet, &mut silence, idle.settle_s)?;
    let idle_cpu = CpuTime::of(server)?.since(cpu_connected);
    let after = Memory::of(server)?;
    progress.done();

    let per_connection = |after: u64, before: u64| (after as f64 - before as f64) / f64::from(idle.connections);
    Ok(IdleReport {
        run: idle.clone(),
        pid: server.as_raw_nonzero().get(),
        resident_bytes_per_connection: per_connection(after.resident_bytes, before.resident_bytes),
        anonymous_bytes_per_connection: per_connection(after.anonymous_bytes, before.anonymous_bytes),
        resident_bytes_before: before.resident_bytes,
        resident_bytes_after: after.resident_bytes,
        handshakes_per_s: f64::from(idle.connections) / connecting_s,
        server_cpu_us_per_handshake: connecting_cpu.total_s() * 1e6 / f64::from(idle.connections),
        server_cpu_ms_while_idle: idle_cpu.total_s() * 1e3,
        messages: silence.messages,
        closed: silence.closed,
    })
}

/// Lets the server rest for `seconds`, answering its pings meanwhile.
fn settle(fleet: &mut Fleet, silence: &mut Silence, seconds: f64) -> Result<()> {
    let end_ns = clock::now_ns() + clock::seconds_to_ns(seconds);
    let mut others = Vec::new();
    while clock::now_ns() < end_ns {
        fleet.turn(20, silence, &mut others)?;
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Silence {
    messages: u64,
    closed: u64,
}

impl Watch for Silence {
    fn message(&mut self, _: SubscriberId, _: Message<'_>) {
        self.messages += 1;
    }

    fn closed(&mut self, subscriber: SubscriberId, why: String) {
        if self.closed == 0 {
            eprintln!("subscriber {}: {why}", subscriber.0);
        }
        self.closed += 1;
    }
}

impl fmt::Display for IdleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
        writeln!(f, "idle: {}", self.describe())?;
        writeln!(
            f,
            "  memory      {:.0} B per connection resident ({:.0} B anonymous): {:.2} -> {:.2} MiB, pid {}",
            self.resident_bytes_per_connection,
            self.anonymous_bytes_per_connection,
            mib(self.resident_bytes_before),
            mib(self.resident_bytes_after),
            self.pid
        )?;
        if !self.run.is_server_fresh {
            writeln!(
                f,
                "              too low if this server had connections before: they leave room that is filled first"
            )?;
        }
        writeln!(
            f,
            "  handshakes  {:.0} /s, {:.1} µs of server CPU each",
            self.handshakes_per_s, self.server_cpu_us_per_handshake
        )?;
        write!(
            f,
            "  at rest     {:.0} ms of server CPU in {} s; {} unexpected messages, {} closed early",
            self.server_cpu_ms_while_idle, self.run.settle_s, self.messages, self.closed
        )
    }
}

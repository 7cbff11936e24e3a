//! What an idle subscribed connection costs: connect many, publish nothing, look at the server.
//!
//! Its memory two seconds after the last handshake, and at the dearest moment while they come; the same by number of
//! connections; and what is left when all are gone.

use std::fmt;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use crate::client::crowd::Crowd;
use crate::client::descriptors;
use crate::client::dialer::{Dialer, Wanted};
use crate::clock;
use crate::report::progress::Progress;
use crate::runs::settings::{Kind, Settings};
use crate::runs::streams::Streams;
use crate::scenario::topic_path;
use crate::server::cpu::CpuTime;
use crate::server::hub_settings::HubSettings;
use crate::server::memory_peak::{MemoryPeak, Peak};
use crate::server::process::Memory;
use crate::subject::Loaded;

/// Nothing is published; a payload is as small as it can be.
const PAYLOAD_BYTES: usize = 32;

/// Longest request head: a connection with many topics names them all in its URL.
const HEAD_LIMIT_BYTES: u32 = 256 * 1024;

/// Over what subscribers connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Over {
    /// WebSockets.
    Ws,
    /// Server-Sent Events.
    Sse,
}

/// An idle run. Only a fresh server tells the truth: one that had connections before fills the room they left.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Idle {
    /// In a file: that it is for this run.
    #[arg(skip)]
    #[serde(skip_serializing)]
    kind: Option<Kind>,
    /// Connections whose cost is measured
    #[arg(long, default_value_t = Idle::default().connections)]
    pub(crate) connections: u32,
    /// Look at several numbers of connections on the way, and at the last of these instead of --connections
    #[arg(long, value_name = "COUNTS", value_delimiter = ',')]
    pub(crate) steps: Vec<u32>,
    /// Connections opened before the first look: code and buffers touched once are not charged to the rest
    #[arg(long, default_value_t = Idle::default().first_connections)]
    pub(crate) first_connections: u32,
    /// Topics all connections together are spread over
    #[arg(long, default_value_t = Idle::default().topics)]
    pub(crate) topics: u32,
    /// Topics of each connection; more than one are asked for with ?also=
    #[arg(long, default_value_t = Idle::default().subscriptions, value_name = "TOPICS")]
    pub(crate) subscriptions: u32,
    /// Over what they connect
    #[arg(long, value_enum, default_value_t = Idle::default().over)]
    pub(crate) over: Over,
    /// Offer permessage-deflate, which a hub that is started then has switched on
    #[arg(long)]
    pub(crate) compress: bool,
    /// Connect over TLS; needs HUB, without CONFIG
    #[arg(long)]
    pub(crate) tls: bool,
    /// Handshakes at once
    #[arg(long, default_value_t = Idle::default().concurrency)]
    pub(crate) concurrency: usize,
    /// Milliseconds between two looks at the memory while connections are opened
    #[arg(long, default_value_t = Idle::default().look_every_ms, value_name = "MS")]
    pub(crate) look_every_ms: u64,
    /// Seconds between the last handshake and the look at the memory
    #[arg(long = "settle", default_value_t = Idle::default().settle_s, value_name = "SECONDS")]
    pub(crate) settle_s: f64,
    /// Seconds between the end of all connections and the last look at the memory
    #[arg(long = "after", default_value_t = Idle::default().after_s, value_name = "SECONDS")]
    pub(crate) after_s: f64,
    /// Connect from 127.0.0.1 to 127.0.0.K
    #[arg(long, default_value_t = Idle::default().source_addresses, value_name = "K", value_parser = clap::value_parser!(u8).range(1..=254))]
    pub(crate) source_addresses: u8,
    /// Topics are called PREFIX-0, PREFIX-1 and so on
    #[arg(long, default_value_t = Idle::default().topic_prefix, value_name = "PREFIX")]
    pub(crate) topic_prefix: String,
}

impl Settings for Idle {
    const KIND: Kind = Kind::Idle;

    fn kind(&self) -> Option<Kind> {
        self.kind
    }
}

impl Default for Idle {
    fn default() -> Self {
        Self {
            kind: None,
            connections: 10_000,
            steps: Vec::new(),
            first_connections: 100,
            topics: 1,
            subscriptions: 1,
            over: Over::Ws,
            compress: false,
            tls: false,
            concurrency: 64,
            look_every_ms: 20,
            settle_s: 2.0,
            after_s: 3.0,
            source_addresses: 8,
            topic_prefix: "idle".to_owned(),
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct IdleReport {
    run: Idle,
    pid: i32,
    is_server_fresh: bool,
    /// Behind the first connections.
    resident_bytes_before: u64,
    /// With all connections: the figures of the last step.
    resident_bytes_per_connection: f64,
    anonymous_bytes_per_connection: f64,
    handshakes_per_s: f64,
    server_cpu_us_per_handshake: f64,
    server_cpu_ms_while_idle: f64,
    /// By number of connections.
    steps: Vec<Step>,
    /// With all connections, settled.
    resident_bytes_after: u64,
    /// When all connections had ended, before the pause.
    resident_bytes_left: u64,
    /// Behind the pause.
    resident_bytes_at_end: u64,
    /// Messages that came although nothing was published.
    messages: u64,
    closed: u64,
}

/// With so many connections behind the first ones.
#[derive(Debug, Clone, Serialize)]
struct Step {
    connections: u32,
    resident_bytes_per_connection: f64,
    anonymous_bytes_per_connection: f64,
    /// Growth of the resident memory by each subscription, its topic and its share of the connection included.
    resident_bytes_per_subscription: f64,
    /// While the connections of this step came.
    peak: Peak,
    handshakes_per_s: f64,
    server_cpu_us_per_handshake: f64,
    server_cpu_ms_while_idle: f64,
}

impl IdleReport {
    /// Whether all connections were there, and idle, at the end.
    pub(crate) fn is_clean(&self) -> bool {
        self.closed == 0
    }
}

impl Idle {
    /// The hub this needs.
    pub(crate) fn hub_settings(&self) -> HubSettings {
        let all = self.steps().last().copied().unwrap_or_default() + self.first_connections;
        HubSettings {
            topics: Some(self.topics.saturating_add(1_000).max(1_000_000)),
            subscriptions: (self.subscriptions > 1).then_some(self.subscriptions),
            header_bytes: (self.subscriptions > 1).then_some(HEAD_LIMIT_BYTES),
            compression: self.compress,
            tls: self.tls,
            ..HubSettings::for_connections(all)
        }
    }

    fn steps(&self) -> Vec<u32> {
        if self.steps.is_empty() { vec![self.connections] } else { self.steps.clone() }
    }

    /// The descriptors this needs.
    pub(crate) fn make_room(&self) -> Result<()> {
        let all = self.steps().last().copied().unwrap_or_default() + self.first_connections;
        descriptors::make_room(all as usize)
    }

    fn check(&self) -> Result<()> {
        let steps = self.steps();
        ensure!(steps[0] > 0 && self.topics > 0 && self.subscriptions > 0, "nothing to do: a count is 0");
        ensure!(steps.is_sorted_by(|a, b| a < b), "--steps: each number must be more than the one before");
        ensure!(!self.compress || self.over == Over::Ws, "--compress: event streams are not compressed");
        ensure!(
            self.subscriptions <= self.topics,
            "--subscriptions: a connection cannot be on more topics than there are"
        );
        for (name, seconds) in [("--settle", self.settle_s), ("--after", self.after_s)] {
            ensure!((0.0..=600.0).contains(&seconds), "{name}: at most 600 seconds");
        }
        Ok(())
    }

    /// The URL of connection `number`: its topics are the next ones behind those of the one before, round and round.
    fn path(&self, number: u32) -> String {
        let first = u64::from(number) * u64::from(self.subscriptions);
        let topic = |at: u64| ((first + at) % u64::from(self.topics)) as u32;
        let mut path = topic_path(&self.topic_prefix, topic(0));
        for at in 1..u64::from(self.subscriptions) {
            path.push_str(if at == 1 { "?also=" } else { "&also=" });
            path.push_str(&format!("{}-{}", self.topic_prefix, topic(at)));
        }
        if self.subscriptions > 1 && self.over == Over::Ws {
            // Plain frames do not say their topic.
            path.push_str("&format=json");
        }
        path
    }
}

/// Connections of either kind.
enum Connections {
    WebSockets(Box<Crowd>),
    Streams(Streams),
}

impl Connections {
    fn open(
        &mut self,
        dialer: &mut Dialer,
        paths: impl Iterator<Item = String>,
        look: impl FnMut(u64, usize, usize) -> Result<()>,
    ) -> Result<f64> {
        match self {
            Self::WebSockets(crowd) => Ok(crowd.gather_at(dialer, paths.map(|path| (0, path)), look)?.all_took_s),
            Self::Streams(streams) => streams.gather(dialer, paths, look),
        }
    }

    fn rest(&mut self, seconds: f64) -> Result<()> {
        match self {
            Self::WebSockets(crowd) => crowd.run_for(seconds, |_| Ok(())),
            Self::Streams(streams) => streams.run_for(seconds),
        }
    }

    /// Messages that came, and ends.
    fn unrest(&mut self) -> (u64, u64) {
        match self {
            Self::WebSockets(crowd) => {
                let ended = crowd.roll.take_ended();
                if let Some(first) = ended.first() {
                    eprintln!("connection {}: {}", first.member.0, first.why);
                }
                let verdict = crowd.roll.verdict();
                (verdict.foreign + verdict.wrong, ended.len() as u64)
            }
            Self::Streams(streams) => (0, streams.closed()),
        }
    }

    fn end_all(&mut self) {
        match self {
            Self::WebSockets(crowd) => crowd.drop_all(),
            Self::Streams(streams) => streams.drop_all(),
        }
    }
}

/// Connects, waits, and compares the memory of `server` before and after.
pub(crate) fn run(idle: &Idle, server: &Loaded) -> Result<IdleReport> {
    idle.check()?;
    idle.make_room()?;
    let steps = idle.steps();
    let pid = server.pid;
    let progress = Progress::new("idle");
    let (mut connections, kind) = match idle.over {
        Over::Ws => {
            let crowd = Crowd::new(1, PAYLOAD_BYTES, clock::now_ns())?;
            let wanted = if idle.compress { Wanted::CompressedWebSocket } else { Wanted::WebSocket };
            (Connections::WebSockets(Box::new(crowd)), wanted)
        }
        Over::Sse => (Connections::Streams(Streams::default()), Wanted::EventStream),
    };
    let mut dialer = Dialer::new(&server.door, kind, idle.source_addresses, idle.concurrency)?;
    let paths = |from: u32, to: u32| (from..to).map(|number| idle.path(number));
    connections.open(&mut dialer, paths(0, idle.first_connections), |_, _, _| Ok(()))?;
    connections.rest(idle.settle_s)?;

    let before = Memory::of(pid)?;
    let mut found = Vec::new();
    let mut open = 0;
    for step in steps {
        progress.stage("connecting", u64::from(step - open));
        let (cpu_before, start_ns) = (CpuTime::of(pid)?, clock::now_ns());
        let mut peak = MemoryPeak::new(pid, before, start_ns, idle.look_every_ms);
        let first = idle.first_connections;
        let took_s =
            connections.open(&mut dialer, paths(first + open, first + step), |now_ns, more, in_handshake| {
                progress.at(more as u64);
                peak.look(now_ns, u64::from(open) + more as u64, in_handshake as u64)
            })?;
        let cpu_connected = CpuTime::of(pid)?;
        let opened = f64::from(step - open);
        open = step;
        progress.stage("settling", 1);
        connections.rest(idle.settle_s)?;
        let after = Memory::of(pid)?;
        let per_connection = |after: u64, before: u64| (after as f64 - before as f64) / f64::from(step);
        let resident_bytes_per_connection = per_connection(after.resident_bytes, before.resident_bytes);
        found.push(Step {
            connections: step,
            resident_bytes_per_connection,
            anonymous_bytes_per_connection: per_connection(after.anonymous_bytes, before.anonymous_bytes),
            resident_bytes_per_subscription: resident_bytes_per_connection / f64::from(idle.subscriptions),
            peak: peak.peak(),
            handshakes_per_s: opened / took_s,
            server_cpu_us_per_handshake: cpu_connected.since(cpu_before).total_s() * 1e6 / opened,
            server_cpu_ms_while_idle: CpuTime::of(pid)?.since(cpu_connected).total_s() * 1e3,
        });
    }
    let (messages, closed) = connections.unrest();
    let after = Memory::of(pid)?;
    progress.stage("leaving", 1);
    connections.end_all();
    let left = wait_until_gone(pid, after, &mut connections)?;
    connections.rest(idle.after_s)?;
    progress.done();
    let last = found.last().context("invariant: there is a step")?;
    Ok(IdleReport {
        run: Idle { connections: last.connections, ..idle.clone() },
        resident_bytes_per_connection: last.resident_bytes_per_connection,
        anonymous_bytes_per_connection: last.anonymous_bytes_per_connection,
        handshakes_per_s: last.handshakes_per_s,
        server_cpu_us_per_handshake: last.server_cpu_us_per_handshake,
        server_cpu_ms_while_idle: last.server_cpu_ms_while_idle,
        pid: pid.as_raw_nonzero().get(),
        is_server_fresh: server.is_fresh,
        resident_bytes_before: before.resident_bytes,
        steps: found,
        resident_bytes_after: after.resident_bytes,
        resident_bytes_left: left.resident_bytes,
        resident_bytes_at_end: Memory::of(pid)?.resident_bytes,
        messages,
        closed,
    })
}

/// Waits until the server has been told of all ends: until it uses no CPU for a tenth of a second. A busy one is not
/// waited for longer than two seconds.
fn wait_until_gone(pid: Pid, mut memory: Memory, connections: &mut Connections) -> Result<Memory> {
    let mut used = CpuTime::of(pid)?;
    for _ in 0..20 {
        connections.rest(0.1)?;
        memory = Memory::of(pid)?;
        let now = CpuTime::of(pid)?;
        if now.since(used).total_s() < 0.002 {
            return Ok(memory);
        }
        used = now;
    }
    if memory.resident_bytes == 0 {
        bail!("the server is gone");
    }
    Ok(memory)
}

impl fmt::Display for IdleReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
        let Idle { connections, topics, subscriptions, first_connections, concurrency, settle_s, after_s, tls, .. } =
            &self.run;
        let over = if *tls { " over TLS" } else { "" };
        writeln!(
            f,
            "idle: {connections} connections{over} on {topics} topic(s), {subscriptions} each, {concurrency} handshakes at \
             once, behind the first {first_connections}"
        )?;
        for step in &self.steps {
            let Step { connections, peak, .. } = step;
            writeln!(
                f,
                "  {connections:>7}     {:.0} B per connection resident after {settle_s} s ({:.0} B anonymous)",
                step.resident_bytes_per_connection, step.anonymous_bytes_per_connection
            )?;
            if *subscriptions > 1 {
                writeln!(
                    f,
                    "              {:.0} B per topic and its subscription, share of the connection included",
                    step.resident_bytes_per_subscription
                )?;
            }
            writeln!(
                f,
                "              {:.0} B at most, after {:.0} ms, with {} open or in their handshake ({}); {} looks",
                peak.bytes_per_connection, peak.at_ms, peak.connections, peak.in_handshake, peak.looks
            )?;
            writeln!(
                f,
                "              {:.0} handshakes/s, {:.1} µs of server CPU each; {:.0} ms of server CPU in {settle_s} s idle",
                step.handshakes_per_s, step.server_cpu_us_per_handshake, step.server_cpu_ms_while_idle
            )?;
        }
        writeln!(
            f,
            "  resident    {:.2} MiB before, {:.2} with all, {:.2} when all had left, {:.2} after {after_s} s",
            mib(self.resident_bytes_before),
            mib(self.resident_bytes_after),
            mib(self.resident_bytes_left),
            mib(self.resident_bytes_at_end)
        )?;
        if !self.is_server_fresh {
            writeln!(
                f,
                "              too low if this server had connections before: they leave room that is filled first"
            )?;
        }
        write!(f, "  at rest     {} unexpected messages, {} closed early", self.messages, self.closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_share_the_topics_out_one_after_another() {
        let idle =
            Idle { topics: 5, subscriptions: 3, over: Over::Sse, topic_prefix: "t".to_owned(), ..Idle::default() };
        assert_eq!(idle.path(0), "/topics/t-0?also=t-1&also=t-2");
        assert_eq!(idle.path(1), "/topics/t-3?also=t-4&also=t-0");
        let idle = Idle { over: Over::Ws, ..idle };
        assert_eq!(idle.path(0), "/topics/t-0?also=t-1&also=t-2&format=json");
        let idle = Idle { topics: 2, topic_prefix: "t".to_owned(), ..Idle::default() };
        assert_eq!(idle.path(3), "/topics/t-1");
    }

    #[test]
    fn steps_that_do_not_grow_are_refused() {
        Idle::default().check().unwrap();
        assert!(Idle { steps: vec![10, 10], ..Idle::default() }.check().is_err());
        assert!(Idle { subscriptions: 2, ..Idle::default() }.check().is_err());
        assert!(Idle { connections: 0, ..Idle::default() }.check().is_err());
    }
}

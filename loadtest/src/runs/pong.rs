//! How long a pong takes while a hot topic keeps the server busy.

use std::fmt;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

use crate::client::crowd::Crowd;
use crate::client::descriptors;
use crate::client::dialer::{Dialer, Wanted};
use crate::client::probe::Probe;
use crate::clock;
use crate::report::progress::Progress;
use crate::report::report::Latency;
use crate::runs::settings::{Kind, Settings};
use crate::scenario::topic_path;
use crate::server::cpu::CpuTime;
use crate::subject::Loaded;
use crate::verify::Verdict;

const WARM_UP_S: f64 = 1.0;

/// How long the last deliveries are waited for.
const STRAGGLERS_S: f64 = 5.0;

/// A hot topic, and a client on another one that pings.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Pong {
    /// In a file: that it is for this run.
    #[arg(skip)]
    #[serde(skip_serializing)]
    kind: Option<Kind>,
    /// Subscribers of the hot topic
    #[arg(long, default_value_t = Pong::default().subscribers)]
    pub(crate) subscribers: u32,
    /// Publications per second
    #[arg(long, default_value_t = Pong::default().rate, value_name = "PER_SECOND")]
    pub(crate) rate: f64,
    /// Bytes of each payload
    #[arg(long = "payload", default_value_t = Pong::default().payload_bytes, value_name = "BYTES")]
    pub(crate) payload_bytes: usize,
    /// Milliseconds between two pings
    #[arg(long = "ping-every", default_value_t = Pong::default().ping_every_ms, value_name = "MS")]
    pub(crate) ping_every_ms: u64,
    /// Seconds measured while nothing is published
    #[arg(long = "before", default_value_t = Pong::default().before_s, value_name = "SECONDS")]
    pub(crate) before_s: f64,
    /// Seconds measured while the topic is hot
    #[arg(long = "duration", default_value_t = Pong::default().duration_s, value_name = "SECONDS")]
    pub(crate) duration_s: f64,
    /// Handshakes at once
    #[arg(long, default_value_t = Pong::default().concurrency)]
    pub(crate) concurrency: usize,
    /// Connect from 127.0.0.1 to 127.0.0.K
    #[arg(long, default_value_t = Pong::default().source_addresses, value_name = "K", value_parser = clap::value_parser!(u8).range(1..=254))]
    pub(crate) source_addresses: u8,
    /// Topics are called PREFIX-0 and PREFIX-1
    #[arg(long, default_value_t = Pong::default().topic_prefix, value_name = "PREFIX")]
    pub(crate) topic_prefix: String,
}

impl Settings for Pong {
    const KIND: Kind = Kind::Pong;

    fn kind(&self) -> Option<Kind> {
        self.kind
    }
}

impl Default for Pong {
    fn default() -> Self {
        Self {
            kind: None,
            subscribers: 5_000,
            rate: 20.0,
            payload_bytes: 128,
            ping_every_ms: 3,
            before_s: 2.0,
            duration_s: 5.0,
            concurrency: 64,
            source_addresses: 8,
            topic_prefix: "pong".to_owned(),
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PongReport {
    run: Pong,
    quiet: Latency,
    hot: Latency,
    /// Of the hot topic.
    deliveries: Latency,
    server_share: f64,
    unpublished: u64,
    verdict: Verdict,
}

impl PongReport {
    /// Whether the hot topic was delivered.
    pub(crate) fn is_clean(&self) -> bool {
        self.verdict.is_clean()
    }
}

/// Pings `server` while it is quiet, and while it is not.
pub(crate) fn run(pong: &Pong, server: &Loaded) -> Result<PongReport> {
    ensure!(pong.subscribers > 0, "nothing to do: no subscribers");
    ensure!(pong.rate > 0.0 && pong.rate.is_finite(), "--rate: more than 0 per second");
    for (name, seconds) in [("--before", pong.before_s), ("--duration", pong.duration_s)] {
        ensure!((0.0..=600.0).contains(&seconds), "{name}: at most 600 seconds");
    }
    descriptors::make_room(pong.subscribers as usize)?;
    let progress = Progress::new("pong");
    progress.stage("connecting", u64::from(pong.subscribers));
    let mut crowd = Crowd::new(1, pong.payload_bytes, clock::now_ns())?;
    let mut dialer = Dialer::new(&server.door, Wanted::WebSocket, pong.source_addresses, pong.concurrency)?;
    crowd.gather(&mut dialer, &pong.topic_prefix, (0..pong.subscribers).map(|_| 0), |_, open, _| {
        progress.at(open as u64);
        Ok(())
    })?;
    let probe = Probe::start(&server.place, &topic_path(&pong.topic_prefix, 1), pong.ping_every_ms)?;
    progress.stage("quiet", 1);
    crowd.run_for(pong.before_s, |_| Ok(()))?;
    let quiet = probe.take();
    crowd.start(pong.rate);
    crowd.run_for(WARM_UP_S, |_| Ok(()))?;
    probe.take();
    crowd.roll.take_latencies();
    progress.stage("hot", 1);
    let (start_ns, cpu) = (clock::now_ns(), CpuTime::of(server.pid)?);
    crowd.run_for(pong.duration_s, |_| Ok(()))?;
    let hot = probe.take();
    let cpu = CpuTime::of(server.pid)?.since(cpu);
    let measured_s = (clock::now_ns() - start_ns) as f64 / 1e9;
    let deliveries = crowd.roll.take_latencies();
    let unpublished = crowd.stop()?;
    crowd.settle(STRAGGLERS_S)?;
    probe.finish()?;
    progress.done();
    Ok(PongReport {
        run: pong.clone(),
        quiet: Latency::of(&quiet),
        hot: Latency::of(&hot),
        deliveries: Latency::of(&deliveries),
        server_share: cpu.total_s() / measured_s,
        unpublished,
        verdict: crowd.roll.verdict(),
    })
}

impl fmt::Display for PongReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pong { subscribers, rate, payload_bytes, ping_every_ms, .. } = &self.run;
        writeln!(
            f,
            "pong: a ping every {ping_every_ms} ms beside {subscribers} subscribers of one topic, {payload_bytes} B, \
             {rate} publications/s"
        )?;
        writeln!(f, "  pongs       quiet  {} ({})", self.quiet, self.quiet.count)?;
        writeln!(f, "              hot    {} ({})", self.hot, self.hot.count)?;
        writeln!(f, "  deliveries         {}", self.deliveries)?;
        writeln!(f, "  server      {:.0} % of a CPU", self.server_share * 100.0)?;
        if self.unpublished > 0 {
            writeln!(f, "  warning     {} publications were due and not made", self.unpublished)?;
        }
        write!(f, "  verified    {}", self.verdict.to_string().trim_end())
    }
}

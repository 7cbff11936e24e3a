//! Slow consumers: a share of the subscribers stops reading. The others must not notice, and the server must not grow.

use std::collections::BTreeMap;
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
use crate::server::hub_settings::HubSettings;
use crate::server::process::Memory;
use crate::subject::Loaded;
use crate::verify::{SubscriberId, Verdict};

const WARM_UP_S: f64 = 1.0;

/// How long the last deliveries are waited for.
const STRAGGLERS_S: f64 = 5.0;

/// Between two looks at the server's memory.
const LOOK_EVERY_NS: u64 = 50_000_000;

/// How long those who stopped read what is left for them.
const REST_S: f64 = 1.0;

/// Between two pings of the probe.
const PING_EVERY_MS: u64 = 5;

/// Subscribers of one topic, some of which stop.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Slow {
    /// In a file: that it is for this run.
    #[arg(skip)]
    #[serde(skip_serializing)]
    kind: Option<Kind>,
    /// Subscribers of one topic
    #[arg(long, default_value_t = Slow::default().subscribers)]
    pub(crate) subscribers: u32,
    /// The share of them that stops reading
    #[arg(long, default_value_t = Slow::default().stopped_share, value_name = "SHARE")]
    pub(crate) stopped_share: f64,
    /// Publications per second
    #[arg(long, default_value_t = Slow::default().rate, value_name = "PER_SECOND")]
    pub(crate) rate: f64,
    /// Bytes of each payload
    #[arg(long = "payload", default_value_t = Slow::default().payload_bytes, value_name = "BYTES")]
    pub(crate) payload_bytes: usize,
    /// Bytes the hub lets wait for a subscriber before it disconnects it (default: the hub's)
    #[arg(long = "lag", value_name = "BYTES")]
    pub(crate) lag_bytes: Option<u64>,
    /// Seconds measured before they stop
    #[arg(long = "before", default_value_t = Slow::default().before_s, value_name = "SECONDS")]
    pub(crate) before_s: f64,
    /// Seconds measured after that
    #[arg(long = "during", default_value_t = Slow::default().during_s, value_name = "SECONDS")]
    pub(crate) during_s: f64,
    /// Handshakes at once
    #[arg(long, default_value_t = Slow::default().concurrency)]
    pub(crate) concurrency: usize,
    /// Connect from 127.0.0.1 to 127.0.0.K
    #[arg(long, default_value_t = Slow::default().source_addresses, value_name = "K", value_parser = clap::value_parser!(u8).range(1..=254))]
    pub(crate) source_addresses: u8,
    /// The topic is called PREFIX-0
    #[arg(long, default_value_t = Slow::default().topic_prefix, value_name = "PREFIX")]
    pub(crate) topic_prefix: String,
}

impl Settings for Slow {
    const KIND: Kind = Kind::Slow;

    fn kind(&self) -> Option<Kind> {
        self.kind
    }
}

impl Default for Slow {
    fn default() -> Self {
        Self {
            kind: None,
            subscribers: 500,
            stopped_share: 0.05,
            rate: 200.0,
            payload_bytes: 1024,
            lag_bytes: None,
            before_s: 4.0,
            during_s: 12.0,
            concurrency: 64,
            source_addresses: 8,
            topic_prefix: "slow".to_owned(),
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SlowReport {
    run: Slow,
    stopped: u32,
    /// Of those who never stop.
    before: Latency,
    during: Latency,
    pongs_before: Latency,
    pongs_during: Latency,
    resident_bytes_before: u64,
    resident_bytes_peak: u64,
    /// Growth at the peak, for each that stopped.
    resident_bytes_per_stopped: f64,
    /// How the connections of those who stopped had ended when they read again.
    ends: BTreeMap<String, u64>,
    unpublished: u64,
    /// Of those who never stop; and of the others, that they had no hole up to their end.
    verdict: Verdict,
}

impl SlowReport {
    /// Whether the others lost nothing.
    pub(crate) fn is_clean(&self) -> bool {
        self.verdict.is_clean()
    }
}

impl Slow {
    /// The hub this needs.
    pub(crate) fn hub_settings(&self) -> HubSettings {
        let message = u32::try_from(self.payload_bytes).unwrap_or(u32::MAX).max(1024);
        HubSettings {
            lag_bytes: self.lag_bytes,
            // The lag may not be below the longest message.
            message_bytes: self.lag_bytes.map(|_| message),
            ..HubSettings::for_connections(self.subscribers)
        }
    }

    fn stopped(&self) -> u32 {
        (f64::from(self.subscribers) * self.stopped_share).round() as u32
    }
}

/// Stops some of the subscribers and looks at the others.
pub(crate) fn run(slow: &Slow, server: &Loaded) -> Result<SlowReport> {
    let stopped = slow.stopped();
    ensure!((0.0..1.0).contains(&slow.stopped_share), "--stopped-share: at least 0, less than 1");
    ensure!(slow.subscribers > stopped, "somebody must go on reading");
    ensure!(slow.rate > 0.0 && slow.rate.is_finite(), "--rate: more than 0 per second");
    for (name, seconds) in [("--before", slow.before_s), ("--during", slow.during_s)] {
        ensure!((0.0..=600.0).contains(&seconds), "{name}: at most 600 seconds");
    }
    descriptors::make_room(slow.subscribers as usize)?;
    let progress = Progress::new("slow");
    progress.stage("connecting", u64::from(slow.subscribers));
    let mut crowd = Crowd::new(1, slow.payload_bytes, clock::now_ns())?;
    let mut dialer = Dialer::new(&server.door, Wanted::WebSocket, slow.source_addresses, slow.concurrency)?;
    let gathered = crowd.gather(&mut dialer, &slow.topic_prefix, (0..slow.subscribers).map(|_| 0), |_, open, _| {
        progress.at(open as u64);
        Ok(())
    })?;
    let probe = Probe::start(&server.place, &topic_path(&slow.topic_prefix, 1), PING_EVERY_MS)?;
    crowd.start(slow.rate);
    crowd.run_for(WARM_UP_S, |_| Ok(()))?;
    crowd.roll.take_latencies();
    probe.take();
    progress.stage("everybody reads", 1);
    crowd.run_for(slow.before_s, |_| Ok(()))?;
    let (before, pongs_before) = (crowd.roll.take_latencies(), probe.take());

    // The first one publishes: the last ones stop.
    let those: Vec<SubscriberId> = gathered.members[(slow.subscribers - stopped) as usize..].to_vec();
    let memory_before = Memory::of(server.pid)?.resident_bytes;
    for &member in &those {
        crowd.hold(member);
    }
    progress.stage("some have stopped", 1);
    let (mut peak, mut next_ns) = (memory_before, 0);
    crowd.run_for(slow.during_s, |_| {
        let now_ns = clock::now_ns();
        if now_ns >= next_ns {
            next_ns = now_ns + LOOK_EVERY_NS;
            peak = peak.max(Memory::of(server.pid)?.resident_bytes);
        }
        Ok(())
    })?;
    let (during, pongs_during) = (crowd.roll.take_latencies(), probe.take());
    let unpublished = crowd.stop()?;
    crowd.settle(STRAGGLERS_S)?;
    probe.finish()?;
    crowd.roll.take_ended().iter().for_each(|ended| eprintln!("subscriber {}: {}", ended.member.0, ended.why));
    for &member in &those {
        crowd.release(member)?;
    }
    crowd.run_for(REST_S, |_| Ok(()))?;
    let mut endings: BTreeMap<String, u64> = BTreeMap::new();
    for ended in crowd.roll.take_ended() {
        *endings.entry(ended.why).or_default() += 1;
    }
    let ended: u64 = endings.values().sum();
    if ended < u64::from(stopped) {
        endings.insert("still open".to_owned(), u64::from(stopped) - ended);
    }
    progress.done();
    Ok(SlowReport {
        run: slow.clone(),
        stopped,
        before: Latency::of(&before),
        during: Latency::of(&during),
        pongs_before: Latency::of(&pongs_before),
        pongs_during: Latency::of(&pongs_during),
        resident_bytes_before: memory_before,
        resident_bytes_peak: peak,
        resident_bytes_per_stopped: (peak - memory_before) as f64 / f64::from(stopped.max(1)),
        ends: endings,
        unpublished,
        verdict: crowd.roll.verdict(),
    })
}

impl fmt::Display for SlowReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
        let Slow { subscribers, rate, payload_bytes, .. } = &self.run;
        writeln!(
            f,
            "slow: {} of {subscribers} subscribers stop reading, {payload_bytes} B, {rate} publications/s",
            self.stopped
        )?;
        writeln!(f, "  deliveries  before  {}", self.before)?;
        writeln!(f, "              during  {}", self.during)?;
        writeln!(f, "  pongs       before  {}", self.pongs_before)?;
        writeln!(f, "              during  {}", self.pongs_during)?;
        writeln!(
            f,
            "  memory      {:.2} MiB before, {:.2} at most: {:.0} B for each that stopped",
            mib(self.resident_bytes_before),
            mib(self.resident_bytes_peak),
            self.resident_bytes_per_stopped
        )?;
        for (why, count) in &self.ends {
            writeln!(f, "  stopped     {count} × {why}")?;
        }
        if self.unpublished > 0 {
            writeln!(f, "  warning     {} publications were due and not made", self.unpublished)?;
        }
        write!(f, "  verified    {}", self.verdict.to_string().trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_to_whole_subscribers() {
        let stopped = |subscribers, stopped_share| Slow { subscribers, stopped_share, ..Slow::default() }.stopped();
        assert_eq!((stopped(1_000, 0.05), stopped(10, 0.05), stopped(9, 0.05), stopped(3, 0.0)), (50, 1, 0, 0));
    }
}

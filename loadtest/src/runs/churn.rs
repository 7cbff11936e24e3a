//! Churn: subscribers join and leave all the time while something is published to the topic they come to.

use std::collections::VecDeque;
use std::fmt;

use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::client::crowd::Crowd;
use crate::client::descriptors;
use crate::client::dialer::{Dialer, Dialled, Wanted};
use crate::client::publisher::Schedule;
use crate::clock;
use crate::report::progress::Progress;
use crate::report::report::Latency;
use crate::runs::settings::{Kind, Settings};
use crate::scenario::topic_path;
use crate::server::cpu::CpuTime;
use crate::subject::Loaded;
use crate::verify::{SubscriberId, Verdict};

const WARM_UP_S: f64 = 0.5;

/// How long the last deliveries, and the last answers to a goodbye, are waited for.
const STRAGGLERS_S: f64 = 5.0;

/// Handshake steps per turn.
const STEPS: usize = 16;

/// Subscribers who stay, and others who do not.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Churn {
    /// In a file: that it is for this run.
    #[arg(skip)]
    #[serde(skip_serializing)]
    kind: Option<Kind>,
    /// Subscribers who stay
    #[arg(long, default_value_t = Churn::default().subscribers)]
    pub(crate) subscribers: u32,
    /// Subscribers who join, and as many who leave, per second
    #[arg(long, default_value_t = Churn::default().churn, value_name = "PER_SECOND")]
    pub(crate) churn: f64,
    /// Seconds each of them stays
    #[arg(long = "stay", default_value_t = Churn::default().stay_s, value_name = "SECONDS")]
    pub(crate) stay_s: f64,
    /// Topics all are spread over
    #[arg(long, default_value_t = Churn::default().topics)]
    pub(crate) topics: u32,
    /// Publications per second over all topics
    #[arg(long, default_value_t = Churn::default().rate, value_name = "PER_SECOND")]
    pub(crate) rate: f64,
    /// Bytes of each payload
    #[arg(long = "payload", default_value_t = Churn::default().payload_bytes, value_name = "BYTES")]
    pub(crate) payload_bytes: usize,
    /// Seconds measured before the churn begins, with as many subscribers
    #[arg(long = "before", default_value_t = Churn::default().before_s, value_name = "SECONDS")]
    pub(crate) before_s: f64,
    /// Seconds of churn
    #[arg(long = "during", default_value_t = Churn::default().during_s, value_name = "SECONDS")]
    pub(crate) during_s: f64,
    /// Connect from 127.0.0.1 to 127.0.0.K
    #[arg(long, default_value_t = Churn::default().source_addresses, value_name = "K", value_parser = clap::value_parser!(u8).range(1..=254))]
    pub(crate) source_addresses: u8,
    /// Topics are called PREFIX-0, PREFIX-1 and so on
    #[arg(long, default_value_t = Churn::default().topic_prefix, value_name = "PREFIX")]
    pub(crate) topic_prefix: String,
}

impl Settings for Churn {
    const KIND: Kind = Kind::Churn;

    fn kind(&self) -> Option<Kind> {
        self.kind
    }
}

impl Default for Churn {
    fn default() -> Self {
        Self {
            kind: None,
            subscribers: 500,
            churn: 500.0,
            stay_s: 0.5,
            topics: 1,
            rate: 100.0,
            payload_bytes: 128,
            before_s: 3.0,
            during_s: 5.0,
            source_addresses: 8,
            topic_prefix: "churn".to_owned(),
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ChurnReport {
    run: Churn,
    /// Subscribers who came and went while it was measured.
    joined: u64,
    left: u64,
    server_share_before: f64,
    server_share_during: f64,
    /// What one who comes and goes costs beyond the deliveries.
    server_cpu_us_per_churn: f64,
    before: Latency,
    during: Latency,
    /// From the SYN to the answer, of those who came.
    opened: Latency,
    unpublished: u64,
    verdict: Verdict,
}

impl ChurnReport {
    /// Whether nobody missed anything between joining and leaving.
    pub(crate) fn is_clean(&self) -> bool {
        self.verdict.is_clean()
    }
}

impl Churn {
    /// Those who do not stay, at any moment.
    fn guests(&self) -> u32 {
        (self.churn * self.stay_s).ceil() as u32
    }

    /// Connections at once, and some more that are on their way in or out.
    pub(crate) fn connections(&self) -> u32 {
        self.subscribers + self.guests() * 2 + 100
    }
}

/// Measures `server` without and with churn.
pub(crate) fn run(churn: &Churn, server: &Loaded) -> Result<ChurnReport> {
    ensure!(
        churn.topics > 0 && churn.subscribers >= churn.topics,
        "every topic needs a subscriber who stays: it publishes"
    );
    for (name, rate) in [("--rate", churn.rate), ("--churn", churn.churn)] {
        ensure!(rate > 0.0 && rate.is_finite(), "{name}: more than 0 per second");
    }
    for (name, seconds) in [("--before", churn.before_s), ("--during", churn.during_s), ("--stay", churn.stay_s)] {
        ensure!((0.0..=600.0).contains(&seconds), "{name}: at most 600 seconds");
    }
    descriptors::make_room(churn.connections() as usize)?;
    let progress = Progress::new("churn");
    let all = churn.subscribers + churn.guests();
    progress.stage("connecting", u64::from(all));
    let mut crowd = Crowd::new(churn.topics, churn.payload_bytes, clock::now_ns())?;
    let mut dialer = Dialer::new(&server.door, Wanted::WebSocket, churn.source_addresses, 256)?;
    let gathered =
        crowd.gather(&mut dialer, &churn.topic_prefix, (0..all).map(|n| n % churn.topics), |_, open, _| {
            progress.at(open as u64);
            Ok(())
        })?;
    // The first ones publish, and stay.
    let mut guests: VecDeque<SubscriberId> = gathered.members[churn.subscribers as usize..].iter().copied().collect();
    crowd.watch(&dialer)?;
    crowd.start(churn.rate);
    crowd.run_for(WARM_UP_S, |_| Ok(()))?;
    crowd.roll.take_latencies();

    progress.stage("nobody comes or goes", 1);
    let (start_ns, cpu) = (clock::now_ns(), CpuTime::of(server.pid)?);
    crowd.run_for(churn.before_s, |_| Ok(()))?;
    let before_share = share(CpuTime::of(server.pid)?.since(cpu), start_ns);
    let before = crowd.roll.take_latencies();

    progress.stage("churning", 1);
    let (start_ns, cpu) = (clock::now_ns(), CpuTime::of(server.pid)?);
    let mut comings = Schedule::new(churn.churn);
    let mut opened = crate::report::report::latency_histogram();
    let (mut joined, mut left, mut done) = (0, 0, Vec::new());
    crowd.run_for(churn.during_s, |crowd| {
        let now_ns = clock::now_ns();
        while comings.next().1 <= now_ns {
            let topic = comings.next().0 as u32 % churn.topics;
            dialer.order(topic, topic_path(&churn.topic_prefix, topic));
            comings.advance();
        }
        crowd.wake_at(comings.next().1);
        dialer.turn(STEPS, &mut done)?;
        for outcome in done.drain(..) {
            match outcome {
                Dialled::Open { number: topic, connected, took_ns } => {
                    opened.saturating_record(took_ns);
                    guests.push_back(crowd.join(topic, connected)?);
                    joined += 1;
                    // One for one: the number of deliveries stays what it was.
                    if let Some(guest) = guests.pop_front() {
                        crowd.leave(guest)?;
                        left += 1;
                    }
                }
                Dialled::Failed { why, .. } => bail!("a subscriber could not join: {why}"),
            }
        }
        Ok(())
    })?;
    let during_s = (clock::now_ns() - start_ns) as f64 / 1e9;
    let during_share = share(CpuTime::of(server.pid)?.since(cpu), start_ns);
    let during = crowd.roll.take_latencies();
    let unpublished = crowd.stop()?;
    crowd.settle(STRAGGLERS_S)?;
    progress.done();
    Ok(ChurnReport {
        run: churn.clone(),
        joined,
        left,
        server_share_before: before_share,
        server_share_during: during_share,
        server_cpu_us_per_churn: (during_share - before_share) * during_s * 1e6 / (joined as f64).max(1.0),
        before: Latency::of(&before),
        during: Latency::of(&during),
        opened: Latency::of(&opened),
        unpublished,
        verdict: crowd.roll.verdict(),
    })
}

/// `cpu` as a share of one CPU since `start_ns`.
fn share(cpu: CpuTime, start_ns: u64) -> f64 {
    cpu.total_s() / ((clock::now_ns() - start_ns) as f64 / 1e9)
}

impl fmt::Display for ChurnReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Churn { subscribers, churn, stay_s, topics, rate, during_s, .. } = &self.run;
        writeln!(
            f,
            "churn: {subscribers} subscribers on {topics} topic(s), {rate} publications/s; {churn} come and go per \
             second, each for about {stay_s} s"
        )?;
        writeln!(f, "  churned     {} came and {} left in {during_s} s", self.joined, self.left)?;
        writeln!(
            f,
            "  server      {:.1} µs CPU for each who comes and goes ({:.0} % of a CPU, {:.0} % without churn)",
            self.server_cpu_us_per_churn,
            self.server_share_during * 100.0,
            self.server_share_before * 100.0
        )?;
        writeln!(f, "  deliveries  before  {}", self.before)?;
        writeln!(f, "              during  {}", self.during)?;
        writeln!(f, "  joins       {}", self.opened)?;
        if self.unpublished > 0 {
            writeln!(f, "  warning     {} publications were due and not made", self.unpublished)?;
        }
        write!(f, "  verified    {}", self.verdict.to_string().trim_end())
    }
}

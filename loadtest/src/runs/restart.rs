//! A reconnect storm: the server ends and comes back on the same port, and everybody wants in at once.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;

use anyhow::{Context as _, Result, bail, ensure};
use hdrhistogram::Histogram;
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::client::crowd::Crowd;
use crate::client::descriptors;
use crate::client::dialer::{Dialer, Dialled, Wanted};
use crate::clock;
use crate::report::progress::Progress;
use crate::report::report::{self, Latency};
use crate::runs::settings::{Kind, Settings};
use crate::scenario::topic_path;
use crate::server::hub_settings::HubSettings;
use crate::server::launch::Launched;
use crate::subject::Subject;
use crate::verify::{SubscriberId, Verdict};

/// Seconds of publishing before the server ends.
const BEFORE_S: f64 = 1.0;

/// How long the last deliveries are waited for.
const STRAGGLERS_S: f64 = 5.0;

/// Everybody is back by then, or the run fails.
const DEADLINE_NS: u64 = 90_000_000_000;

/// How the server ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ending {
    /// SIGTERM: it drains.
    Term,
    /// SIGKILL: it is gone.
    Kill,
}

/// One restart.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Restart {
    /// In a file: that it is for this run.
    #[arg(skip)]
    #[serde(skip_serializing)]
    kind: Option<Kind>,
    /// Subscribers of one topic
    #[arg(long, default_value_t = Restart::default().subscribers)]
    pub(crate) subscribers: u32,
    /// How the server ends
    #[arg(long, value_enum, default_value_t = Restart::default().ending)]
    pub(crate) ending: Ending,
    /// Milliseconds the server may drain
    #[arg(long = "drain", default_value_t = Restart::default().drain_ms, value_name = "MS")]
    pub(crate) drain_ms: u64,
    /// A client waits up to so many milliseconds, at random, before each try
    #[arg(long = "backoff", default_value_t = Restart::default().backoff_ms, value_name = "MS")]
    pub(crate) backoff_ms: u64,
    /// Publications per second, except while the server is away
    #[arg(long, default_value_t = Restart::default().rate, value_name = "PER_SECOND")]
    pub(crate) rate: f64,
    /// Bytes of each payload
    #[arg(long = "payload", default_value_t = Restart::default().payload_bytes, value_name = "BYTES")]
    pub(crate) payload_bytes: usize,
    /// Handshakes at once
    #[arg(long, default_value_t = Restart::default().concurrency)]
    pub(crate) concurrency: usize,
    /// Connect from 127.0.0.1 to 127.0.0.K
    #[arg(long, default_value_t = Restart::default().source_addresses, value_name = "K", value_parser = clap::value_parser!(u8).range(1..=254))]
    pub(crate) source_addresses: u8,
    /// The topic is called PREFIX-0
    #[arg(long, default_value_t = Restart::default().topic_prefix, value_name = "PREFIX")]
    pub(crate) topic_prefix: String,
}

impl Settings for Restart {
    const KIND: Kind = Kind::Restart;

    fn kind(&self) -> Option<Kind> {
        self.kind
    }
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            kind: None,
            subscribers: 2_000,
            ending: Ending::Term,
            drain_ms: 2_000,
            backoff_ms: 500,
            rate: 50.0,
            payload_bytes: 128,
            concurrency: 1_000,
            source_addresses: 8,
            topic_prefix: "restart".to_owned(),
        }
    }
}

/// What was found. Times are from the signal.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RestartReport {
    run: Restart,
    /// Until the old server had ended.
    ended_after_s: f64,
    /// Until the new one answered the first handshake.
    there_after_s: f64,
    /// Until each subscriber was back: its 101 was read.
    back: Latency,
    /// Until each had a publication again.
    resumed: Latency,
    /// From the first answer of the new server until the last subscriber was back.
    all_back_s: f64,
    /// Tries that failed, because nobody listened yet.
    failed_tries: u64,
    /// How the connections ended.
    ends: BTreeMap<String, u64>,
    /// Publications that their publisher had got back before the signal and that others never got. A drain owes them.
    missing_at_end: u64,
    unpublished: u64,
    verdict: Verdict,
}

impl RestartReport {
    /// Whether a drain delivered what it owed, and nobody lost anything after coming back.
    pub(crate) fn is_clean(&self) -> bool {
        let owes_nothing = match self.run.ending {
            Ending::Term => self.missing_at_end == 0,
            Ending::Kill => true,
        };
        owes_nothing && self.verdict.is_clean()
    }
}

/// Ends and starts the hub of `subject` under its subscribers.
pub(crate) fn run(restart: &Restart, subject: &Subject) -> Result<RestartReport> {
    ensure!(restart.subscribers > 0, "nothing to do: no subscribers");
    ensure!(restart.rate > 0.0 && restart.rate.is_finite(), "--rate: more than 0 per second");
    ensure!(restart.drain_ms <= 30_000 && restart.backoff_ms <= 30_000, "--drain and --backoff: at most 30000 ms");
    descriptors::make_room(restart.subscribers as usize)?;
    let program = subject.program()?;
    let server_cpu = subject.split_cpus()?;
    let settings =
        HubSettings { drain_ms: Some(restart.drain_ms.max(1)), ..HubSettings::for_connections(restart.subscribers) };
    let mut server = Launched::hub_with(program, &settings, server_cpu)?;
    let port = server.place.address.port();
    let progress = Progress::new("restart");
    progress.stage("connecting", u64::from(restart.subscribers));
    let mut crowd = Crowd::new(1, restart.payload_bytes, clock::now_ns())?;
    let mut dialer = Dialer::new(&server.door(), Wanted::WebSocket, restart.source_addresses, restart.concurrency)?;
    let everyone = (0..restart.subscribers).map(|_| 0);
    let first = crowd.gather(&mut dialer, &restart.topic_prefix, everyone, |_, open, _| {
        progress.at(open as u64);
        Ok(())
    })?;
    crowd.start(restart.rate);
    crowd.run_for(BEFORE_S, |_| Ok(()))?;
    let mut unpublished = crowd.stop()?;
    // What its publisher has back was acknowledged: it is queued for everyone.
    let acknowledged = crowd.roll.attendance.published(0) - crowd.roll.attendance.owed(first.members[0]);
    for &member in &first.members {
        crowd.excuse(member);
    }

    let signal_ns = clock::now_ns();
    server.signal(match restart.ending {
        Ending::Term => Signal::TERM,
        Ending::Kill => Signal::KILL,
    })?;
    progress.stage("coming back", u64::from(restart.subscribers));
    let mut comeback = Comeback::new(restart, signal_ns);
    let mut ended_ns = None;
    while !comeback.is_complete(&crowd) {
        let now_ns = clock::now_ns();
        if now_ns > signal_ns + DEADLINE_NS {
            bail!("{} of {} are back, then the deadline came", comeback.members.len(), restart.subscribers);
        }
        if ended_ns.is_none() && server.ended()?.is_some() {
            ended_ns = Some(now_ns);
            server = Launched::hub_on(program, &settings, port, server_cpu)?;
        }
        for ended in crowd.roll.take_ended() {
            if ended.member.index() < first.members.len() {
                comeback.missing += crowd.roll.attendance.missing_before(ended.member, acknowledged);
                *comeback.ends.entry(ended.why).or_default() += 1;
                comeback.try_later(ended.member.0, now_ns);
            }
        }
        comeback.turn(&mut crowd, &mut dialer, now_ns)?;
        progress.at(comeback.members.len() as u64);
        crowd.turn(1)?;
    }
    unpublished += crowd.stop()?;
    crowd.settle(STRAGGLERS_S)?;
    progress.done();

    let there_ns = comeback.there_ns.context("invariant: somebody is back")?;
    let since_signal = |at_ns: u64| (at_ns - signal_ns) as f64 / 1e9;
    let mut resumed = report::latency_histogram();
    for first_ns in comeback.members.iter().filter_map(|&member| crowd.roll.first_ns(member)) {
        resumed.saturating_record(first_ns - signal_ns);
    }
    Ok(RestartReport {
        run: restart.clone(),
        ended_after_s: since_signal(ended_ns.context("the old server answered after its end")?),
        there_after_s: since_signal(there_ns),
        all_back_s: (comeback.last_ns - there_ns) as f64 / 1e9,
        back: Latency::of(&comeback.back),
        resumed: Latency::of(&resumed),
        failed_tries: comeback.failed_tries,
        ends: comeback.ends,
        missing_at_end: comeback.missing,
        unpublished,
        verdict: crowd.roll.verdict(),
    })
}

/// Clients on their way back.
struct Comeback<'a> {
    restart: &'a Restart,
    signal_ns: u64,
    /// When who tries again; the earliest first.
    plans: BinaryHeap<Reverse<(u64, u32)>>,
    /// Those who are back.
    members: Vec<SubscriberId>,
    back: Histogram<u64>,
    there_ns: Option<u64>,
    last_ns: u64,
    failed_tries: u64,
    missing: u64,
    ends: BTreeMap<String, u64>,
    random: u64,
    done: Vec<Dialled>,
}

impl<'a> Comeback<'a> {
    fn new(restart: &'a Restart, signal_ns: u64) -> Self {
        Self {
            restart,
            signal_ns,
            plans: BinaryHeap::new(),
            members: Vec::new(),
            back: report::latency_histogram(),
            there_ns: None,
            last_ns: signal_ns,
            failed_tries: 0,
            missing: 0,
            ends: BTreeMap::new(),
            random: signal_ns | 1,
            done: Vec::new(),
        }
    }

    /// Number `client` tries again after a random pause.
    fn try_later(&mut self, client: u32, now_ns: u64) {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pause_ns = (self.random >> 33) % (self.restart.backoff_ms * 1_000_000).max(1);
        self.plans.push(Reverse((now_ns + pause_ns, client)));
    }

    fn turn(&mut self, crowd: &mut Crowd, dialer: &mut Dialer, now_ns: u64) -> Result<()> {
        while let Some(&Reverse((at_ns, client))) = self.plans.peek()
            && at_ns <= now_ns
        {
            self.plans.pop();
            dialer.order(client, topic_path(&self.restart.topic_prefix, 0));
        }
        dialer.turn(64, &mut self.done)?;
        for outcome in std::mem::take(&mut self.done) {
            match outcome {
                Dialled::Open { connected, .. } => {
                    let member = crowd.join(0, connected)?;
                    self.members.push(member);
                    self.last_ns = clock::now_ns();
                    self.back.saturating_record(self.last_ns - self.signal_ns);
                    if self.there_ns.is_none() {
                        self.there_ns = Some(self.last_ns);
                        // The first one back publishes again, while the others still come.
                        crowd.publish_by(member);
                        crowd.start(self.restart.rate);
                    }
                }
                Dialled::Failed { number, .. } => {
                    self.failed_tries += 1;
                    self.try_later(number, now_ns);
                }
            }
        }
        Ok(())
    }

    fn is_complete(&self, crowd: &Crowd) -> bool {
        self.members.len() == self.restart.subscribers as usize
            && self.members.iter().all(|&member| crowd.roll.first_ns(member).is_some())
    }
}

impl fmt::Display for RestartReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Restart { subscribers, ending, backoff_ms, concurrency, rate, .. } = &self.run;
        let ending = match ending {
            Ending::Term => "SIGTERM",
            Ending::Kill => "SIGKILL",
        };
        writeln!(
            f,
            "restart: {subscribers} subscribers, {rate} publications/s, {ending}; each comes back after up to \
             {backoff_ms} ms, {concurrency} at once"
        )?;
        writeln!(
            f,
            "  server      ended after {:.3} s, answered again after {:.3} s; everyone was back {:.3} s later",
            self.ended_after_s, self.there_after_s, self.all_back_s
        )?;
        writeln!(f, "  back        {} after the signal", self.back)?;
        writeln!(f, "  resumed     {}", self.resumed)?;
        for (why, count) in &self.ends {
            writeln!(f, "  ended       {count} × {why}")?;
        }
        writeln!(f, "  tries       {} found nobody listening", self.failed_tries)?;
        writeln!(f, "  owed        {} acknowledged publications did not come before the end", self.missing_at_end)?;
        write!(f, "  verified    {}", self.verdict.to_string().trim_end())
    }
}

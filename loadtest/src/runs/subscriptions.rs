//! What a subscription costs where there are many: joining and leaving must cost the same on a topic of a thousand members
//! and of fifteen thousand, and a publication that nobody wants must wake nobody.

use std::fmt;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::client::crowd::Crowd;
use crate::client::descriptors;
use crate::client::dialer::{Dialer, Wanted};
use crate::client::request::{self, Requests};
use crate::clock;
use crate::report::progress::Progress;
use crate::report::spread::Spread;
use crate::runs::settings::{Kind, Settings};
use crate::scenario::topic_path;
use crate::server::cpu::CpuTime;
use crate::subject::Loaded;

const PAYLOAD_BYTES: usize = 32;

/// The topic with many members, the one with none but those who come and go, and the one that nobody ever joins.
const CROWDED: u32 = 0;
const LONELY: u32 = 1;
const EMPTY: u32 = 2;

/// Goodbyes are answered by then.
const FAREWELL_S: f64 = 10.0;

/// Between two measurements the server sees to what the last one left.
const PAUSE_S: f64 = 0.3;

const WAKEUPS: &str = "fanfare_worker_wakeups_total";

/// Wakes there may be beside those of the publications: the connections of this run itself, and a canary.
const WAKEUPS_ALLOWED: f64 = 20.0;

/// Subscribers of one topic, and some who come and go.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Subscriptions {
    /// In a file: that it is for this run.
    #[arg(skip)]
    #[serde(skip_serializing)]
    kind: Option<Kind>,
    /// Numbers of members at which it is measured
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', default_values_t = Subscriptions::default().members)]
    pub(crate) members: Vec<u32>,
    /// Subscribers who come and go in each measurement
    #[arg(long, default_value_t = Subscriptions::default().churn)]
    pub(crate) churn: u32,
    /// Rounds of measurements
    #[arg(long, default_value_t = Subscriptions::default().rounds)]
    pub(crate) rounds: u32,
    /// Publications to a topic without members
    #[arg(long, default_value_t = Subscriptions::default().posts)]
    pub(crate) posts: u32,
    /// Handshakes at once
    #[arg(long, default_value_t = Subscriptions::default().concurrency)]
    pub(crate) concurrency: usize,
    /// Connect from 127.0.0.1 to 127.0.0.K
    #[arg(long, default_value_t = Subscriptions::default().source_addresses, value_name = "K", value_parser = clap::value_parser!(u8).range(1..=254))]
    pub(crate) source_addresses: u8,
    /// Topics are called PREFIX-0, PREFIX-1 and so on
    #[arg(long, default_value_t = Subscriptions::default().topic_prefix, value_name = "PREFIX")]
    pub(crate) topic_prefix: String,
}

impl Settings for Subscriptions {
    const KIND: Kind = Kind::Subscriptions;

    fn kind(&self) -> Option<Kind> {
        self.kind
    }
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self {
            kind: None,
            members: vec![100, 1_000, 10_000],
            churn: 2_000,
            rounds: 3,
            posts: 1_000,
            concurrency: 64,
            source_addresses: 8,
            topic_prefix: "subscriptions".to_owned(),
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SubscriptionsReport {
    run: Subscriptions,
    by_members: Vec<ByMembers>,
    /// Join and leave with the most members over the same with the fewest, medians.
    most_over_fewest: f64,
    posts: Posts,
    closed: u64,
}

/// Server CPU of one who joins and leaves, in µs.
#[derive(Debug, Clone, Copy, Serialize)]
struct ByMembers {
    members: u32,
    crowded_us: Spread,
    /// On a topic without other members, in turn with the others.
    lonely_us: Spread,
    crowded_over_lonely: Spread,
}

/// Publications to a topic without members.
#[derive(Debug, Clone, Copy, Serialize)]
struct Posts {
    published: u32,
    /// Times a worker was woken meanwhile; each connection of the harness costs one or two.
    wakeups: f64,
    cpu_us_per_post: f64,
}

impl SubscriptionsReport {
    /// Whether everybody stayed, and nobody was woken for nothing.
    pub(crate) fn is_clean(&self) -> bool {
        self.closed == 0 && self.posts.wakeups <= WAKEUPS_ALLOWED
    }
}

/// Measures `server` with more and more members.
pub(crate) fn run(settings: &Subscriptions, server: &Loaded) -> Result<SubscriptionsReport> {
    let Subscriptions { members, churn, rounds, .. } = settings;
    ensure!(
        !members.is_empty() && members.is_sorted_by(|a, b| a < b),
        "--members: each number more than the one before"
    );
    ensure!(*churn > 0 && (1..=100).contains(rounds), "--churn: more than 0; --rounds: 1 to 100");
    let most = members.last().copied().unwrap_or_default();
    descriptors::make_room((most + churn) as usize)?;
    let progress = Progress::new("subscriptions");
    let mut crowd = Crowd::new(3, PAYLOAD_BYTES, clock::now_ns())?;
    let mut dialer = Dialer::new(&server.door, Wanted::WebSocket, settings.source_addresses, settings.concurrency)?;
    // Once unmeasured: pages and tables that grow with the first thousand are not this run's question.
    for topic in [CROWDED, LONELY] {
        come_and_go(settings, topic, &mut crowd, &mut dialer, server)?;
    }
    let posts = posts(settings, server)?;

    let mut by_members = Vec::new();
    let mut present = 0;
    for &count in members {
        progress.stage("joining", u64::from(count - present));
        crowd.gather(&mut dialer, &settings.topic_prefix, (present..count).map(|_| CROWDED), |_, open, _| {
            progress.at(open as u64);
            Ok(())
        })?;
        present = count;
        crowd.run_for(PAUSE_S, |_| Ok(()))?;
        progress.stage("coming and going", u64::from(*rounds));
        let (mut crowded, mut lonely) = (Vec::new(), Vec::new());
        for round in 0..*rounds {
            crowded.push(come_and_go(settings, CROWDED, &mut crowd, &mut dialer, server)?);
            lonely.push(come_and_go(settings, LONELY, &mut crowd, &mut dialer, server)?);
            progress.at(u64::from(round));
        }
        let ratios = crowded.iter().zip(&lonely).map(|(crowded, lonely)| crowded / lonely);
        let spread = |values: &[f64]| Spread::of(values.iter().copied()).context("invariant: there is a round");
        by_members.push(ByMembers {
            members: count,
            crowded_over_lonely: spread(&ratios.collect::<Vec<f64>>())?,
            crowded_us: spread(&crowded)?,
            lonely_us: spread(&lonely)?,
        });
    }
    progress.done();
    let closed = crowd.roll.verdict().closed;
    let (first, last) = by_members.first().zip(by_members.last()).context("invariant: members is not empty")?;
    Ok(SubscriptionsReport {
        run: settings.clone(),
        most_over_fewest: last.crowded_us.median / first.crowded_us.median,
        by_members,
        posts,
        closed,
    })
}

/// So many join `topic`, and leave it again. The server's CPU for each of them, in µs.
fn come_and_go(
    settings: &Subscriptions,
    topic: u32,
    crowd: &mut Crowd,
    dialer: &mut Dialer,
    server: &Loaded,
) -> Result<f64> {
    let cpu = CpuTime::of(server.pid)?;
    let everyone = (0..settings.churn).map(|_| topic);
    let guests = crowd.gather(dialer, &settings.topic_prefix, everyone, |_, _, _| Ok(()))?.members;
    let mut waiting = guests.len();
    for guest in guests {
        crowd.leave(guest)?;
        crowd.turn(0)?;
    }
    let end_ns = clock::now_ns() + clock::seconds_to_ns(FAREWELL_S);
    loop {
        waiting -= crowd.roll.take_ended().len().min(waiting);
        if waiting == 0 {
            break;
        }
        ensure!(clock::now_ns() < end_ns, "{waiting} goodbyes were not answered");
        crowd.turn(10)?;
    }
    let cpu = CpuTime::of(server.pid)?.since(cpu);
    crowd.run_for(PAUSE_S, |_| Ok(()))?;
    Ok(cpu.total_s() * 1e6 / f64::from(settings.churn))
}

/// Publishes where nobody listens, and asks the hub whom that woke.
fn posts(settings: &Subscriptions, server: &Loaded) -> Result<Posts> {
    let mut publisher = Requests::connect(&server.place)?;
    let mut scraper = Requests::connect(&server.place)?;
    let path = topic_path(&settings.topic_prefix, EMPTY);
    publisher.post(&path, "the first makes the topic")?;
    let wakeups = request::metric(&scraper.get("/metrics")?, WAKEUPS)?;
    let cpu = CpuTime::of(server.pid)?;
    for _ in 0..settings.posts {
        publisher.post(&path, "nobody is here")?;
    }
    let cpu = CpuTime::of(server.pid)?.since(cpu);
    let wakeups = request::metric(&scraper.get("/metrics")?, WAKEUPS)? - wakeups;
    let cpu_us_per_post = cpu.total_s() * 1e6 / f64::from(settings.posts.max(1));
    Ok(Posts { published: settings.posts, wakeups, cpu_us_per_post })
}

impl fmt::Display for SubscriptionsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Subscriptions { churn, rounds, concurrency, .. } = &self.run;
        writeln!(
            f,
            "subscriptions: {churn} join and leave, {concurrency} handshakes at once; server CPU µs for each \
             (min/median/max of {rounds} rounds)"
        )?;
        for ByMembers { members, crowded_us, lonely_us, crowded_over_lonely } in &self.by_members {
            writeln!(
                f,
                "  {members:>7} members  {crowded_us}; on an empty topic {lonely_us}; ratio {crowded_over_lonely}"
            )?;
        }
        writeln!(f, "  most / fewest    {:.3}", self.most_over_fewest)?;
        let Posts { published, wakeups, cpu_us_per_post } = self.posts;
        writeln!(
            f,
            "  empty topic      {published} publications over HTTP woke workers {wakeups} times; {cpu_us_per_post:.1} µs CPU each"
        )?;
        write!(f, "  members          {} closed early", self.closed)
    }
}

//! An open loop that goes faster step by step until something breaks: the curve of latency against load, and its knee.

use std::fmt;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::client::descriptors;
use crate::client::publisher::PublishBy;
use crate::report::record::{Record, Run, Session};
use crate::report::report::Report;
use crate::report::spread::Spread;
use crate::runs::fanout;
use crate::runs::settings::{Kind, Settings};
use crate::scenario::{Pace, Scenario};
use crate::server::floor::Sending;
use crate::server::hub_settings::HubSettings;
use crate::server::launch::Launched;
use crate::server::site::Site;
use crate::server::target::Target;
use crate::server::way::Way;
use crate::subject::{Loaded, Subject};
use crate::wire::filler::Filler;

/// Publications that were due and not made, from which on a step has failed: a few are those of the last millisecond.
const UNPUBLISHED_SHARE: f64 = 0.01;

/// Steps of one ramp.
const STEPS_LIMIT: u32 = 100;

/// More and more publications per second.
#[derive(Debug, Clone, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ramp {
    /// In a file: that it is for this run.
    #[arg(skip)]
    #[serde(skip_serializing)]
    kind: Option<Kind>,
    /// Subscribers in all
    #[arg(long, default_value_t = Ramp::default().subscribers)]
    pub(crate) subscribers: u32,
    /// Topics they are spread over
    #[arg(long, default_value_t = Ramp::default().topics)]
    pub(crate) topics: u32,
    /// Bytes of each payload
    #[arg(long = "payload", default_value_t = Ramp::default().payload_bytes, value_name = "BYTES")]
    pub(crate) payload_bytes: usize,
    /// Publications per second over all topics, at first
    #[arg(long, default_value_t = Ramp::default().rate, value_name = "PER_SECOND")]
    pub(crate) rate: f64,
    /// What the rate is multiplied by from step to step
    #[arg(long, default_value_t = Ramp::default().factor)]
    pub(crate) factor: f64,
    /// The ramp ends when the 99th percentile is over this many milliseconds
    #[arg(long = "p99-limit", default_value_t = Ramp::default().p99_limit_ms, value_name = "MS")]
    pub(crate) p99_limit_ms: f64,
    /// Steps at most
    #[arg(long, default_value_t = Ramp::default().steps)]
    pub(crate) steps: u32,
    /// Measured seconds of each step
    #[arg(long = "duration", default_value_t = Ramp::default().duration_s, value_name = "SECONDS")]
    pub(crate) duration_s: f64,
    /// Seconds of load before that
    #[arg(long = "warmup", default_value_t = Ramp::default().warmup_s, value_name = "SECONDS")]
    pub(crate) warmup_s: f64,
    /// Instead of a ramp: floor and hub in turn, both at this share of the rate that the floor's CPU allows
    #[arg(long, value_name = "SHARE")]
    pub(crate) at_share: Option<f64>,
    /// Rounds of that
    #[arg(long, default_value_t = Ramp::default().rounds)]
    pub(crate) rounds: u32,
    /// Ramp the floor as well as the server
    #[arg(long)]
    pub(crate) floor: bool,
    /// Ramp this target as well, whatever it speaks, in the same run; as those of `compare`, and any number of them
    #[arg(long, value_name = "TARGET")]
    pub(crate) beside: Vec<String>,
    /// Handshakes at once
    #[arg(long, default_value_t = Ramp::default().concurrency)]
    pub(crate) concurrency: usize,
    /// Connect from 127.0.0.1 to 127.0.0.K
    #[arg(long, default_value_t = Ramp::default().source_addresses, value_name = "K", value_parser = clap::value_parser!(u8).range(1..=254))]
    pub(crate) source_addresses: u8,
    /// Topics are called PREFIX-0, PREFIX-1 and so on
    #[arg(long, default_value_t = Ramp::default().topic_prefix, value_name = "PREFIX")]
    pub(crate) topic_prefix: String,
}

impl Settings for Ramp {
    const KIND: Kind = Kind::Ramp;

    fn kind(&self) -> Option<Kind> {
        self.kind
    }
}

impl Default for Ramp {
    fn default() -> Self {
        Self {
            kind: None,
            subscribers: 500,
            topics: 1,
            payload_bytes: 128,
            rate: 50.0,
            factor: 1.5,
            p99_limit_ms: 50.0,
            steps: 20,
            duration_s: 2.0,
            warmup_s: 0.5,
            at_share: None,
            rounds: 3,
            floor: false,
            beside: Vec::new(),
            concurrency: 64,
            source_addresses: 8,
            topic_prefix: "ramp".to_owned(),
        }
    }
}

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RampReport {
    run: Ramp,
    curves: Vec<Curve>,
    at_share: Option<AtShare>,
}

/// One server, faster and faster.
#[derive(Debug, Clone, Serialize)]
struct Curve {
    name: String,
    curve: Vec<Step>,
    /// The last step before something broke, by its index; none if the first one broke.
    knee: Option<usize>,
    /// What broke; nothing if the steps ran out first.
    broke: Option<String>,
}

impl Curve {
    /// The fastest step that is at most half as fast as the knee.
    fn half_of_knee(&self) -> Option<&Step> {
        let half_per_s = self.curve[self.knee?].rate_per_s / 2.0;
        self.curve.iter().rfind(|step| step.rate_per_s <= half_per_s)
    }
}

/// One rate.
#[derive(Debug, Clone, Copy, Serialize)]
struct Step {
    /// Publications per second that were due.
    rate_per_s: f64,
    /// And that were made.
    published_per_s: f64,
    /// Deliveries per second that were asked for.
    offered_per_s: f64,
    /// And that came.
    deliveries_per_s: f64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
    /// The server's, of one CPU.
    cpu_share: Option<f64>,
    generator_share: f64,
    unpublished: u64,
    lost: u64,
    is_clean: bool,
}

/// What a record says of a round at the share: a latency, as of any run.
#[derive(Debug, Serialize)]
struct Held<'a> {
    latency: &'a Step,
}

/// Floor and server at the same rate.
#[derive(Debug, Clone, Serialize)]
struct AtShare {
    /// Publications per second at which the floor's CPU would be full.
    capacity_per_s: f64,
    rate_per_s: f64,
    floor: Vec<Step>,
    server: Vec<Step>,
    floor_p99_us: Spread,
    server_p99_us: Spread,
    /// Server over floor, round by round.
    p99_ratio: Spread,
}

impl RampReport {
    /// A record of each curve, and of each round at the share.
    pub(crate) fn records(&self, session: &Session) -> Result<Vec<Record>> {
        let run = |target, round, scenario| Run { kind: "ramp", target, yardstick: Some("floor"), round, scenario };
        let mut records = Vec::new();
        for curve in &self.curves {
            records.push(session.record(run(&curve.name, 1, self.run.describe()), curve)?);
        }
        if let Some(at) = &self.at_share {
            let share = self.run.at_share.unwrap_or_default();
            for (target, steps) in [("floor", &at.floor), ("server", &at.server)] {
                for (round, step) in (1..).zip(steps) {
                    let scenario = format!("{}, at {share} of the floor's capacity", self.run.describe());
                    records.push(session.record(run(target, round, scenario), &Held { latency: step })?);
                }
            }
        }
        Ok(records)
    }

    /// Whether nothing was lost below the knee, or at the share.
    pub(crate) fn is_clean(&self) -> bool {
        let curves = self
            .curves
            .iter()
            .all(|curve| curve.knee.is_some_and(|knee| curve.curve[..=knee].iter().all(|step| step.is_clean)));
        let shares = self.at_share.iter().flat_map(|at| at.floor.iter().chain(&at.server)).all(|step| step.is_clean);
        curves && shares
    }
}

impl Ramp {
    fn describe(&self) -> String {
        let Self { subscribers, topics, payload_bytes, duration_s, .. } = self;
        format!("ramp: {subscribers} subscribers on {topics} topic(s), {payload_bytes} B, {duration_s} s per step")
    }

    fn scenario(&self, pace: Pace) -> Scenario {
        Scenario {
            name: "ramp".to_owned(),
            topics_each: 1,
            envelope: None,
            topics: self.topics,
            subscribers: self.subscribers,
            publishers: 1,
            payload_bytes: self.payload_bytes,
            text: false,
            filler: Filler::Letters,
            compress: false,
            pace,
            publish_by: PublishBy::Ws,
            duration_s: self.duration_s,
            warmup_s: self.warmup_s,
            stragglers_s: 5.0,
            source_addresses: self.source_addresses,
            concurrency: self.concurrency,
            topic_prefix: self.topic_prefix.clone(),
        }
    }

    fn check(&self) -> Result<()> {
        ensure!(self.factor > 1.0 && self.factor <= 10.0, "--factor: more than 1, at most 10");
        ensure!((1..=STEPS_LIMIT).contains(&self.steps), "--steps: 1 to {STEPS_LIMIT}");
        ensure!((1..=100).contains(&self.rounds), "--rounds: 1 to 100");
        ensure!(self.p99_limit_ms > 0.0, "--p99-limit: more than 0 ms");
        ensure!(self.at_share.is_none_or(|share| share > 0.0 && share <= 1.0), "--at-share: more than 0, at most 1");
        ensure!(self.beside.is_empty() || self.at_share.is_none(), "--at-share is for floor and server alone");
        self.targets()?;
        self.scenario(Pace::Rate(self.rate)).check()
    }

    /// What is ramped besides.
    fn targets(&self) -> Result<Vec<Target>> {
        // At a rate nothing is a burst, until the server makes one of its backlog.
        self.beside.iter().map(|text| Ok(text.parse::<Target>()?.facing(false))).collect()
    }

    /// Why `step` ends the ramp, if it does.
    fn broken_by(&self, step: &Step) -> Option<String> {
        if step.lost > 0 || !step.is_clean {
            return Some(format!("deliveries were lost or wrong ({} lost)", step.lost));
        }
        if step.unpublished as f64 > step.rate_per_s * self.duration_s * UNPUBLISHED_SHARE {
            return Some(format!("{} publications were due and not made", step.unpublished));
        }
        let limit_us = self.p99_limit_ms * 1e3;
        (step.p99_us > limit_us).then(|| format!("p99 is {:.1} ms", step.p99_us / 1e3))
    }
}

/// Ramps the server of `subject`, or holds it and the floor at a share of what the floor can do.
pub(crate) fn run(ramp: &Ramp, subject: &Subject) -> Result<RampReport> {
    ramp.check()?;
    descriptors::make_room((ramp.subscribers + ramp.topics) as usize)?;
    let server = subject.open(&HubSettings::for_connections(ramp.subscribers))?;
    let mut report = RampReport { run: ramp.clone(), curves: Vec::new(), at_share: None };
    let floor = match ramp.at_share.is_some() || ramp.floor {
        true => Some(Loaded::from(Launched::floor(Sending::PerPublication, &[Way::Send], server.cpu)?)),
        false => None,
    };
    match (ramp.at_share, &floor) {
        (Some(share), Some(floor)) => report.at_share = Some(at_share(ramp, share, floor, &server)?),
        (Some(_), None) | (None, _) => {
            for (name, server) in floor.iter().map(|floor| ("floor", floor)).chain([("server", &server)]) {
                report.curves.push(curve(ramp, &Site::known(name, &server.place, server.pid))?);
            }
            for target in ramp.targets()? {
                let site = Site::open(&target, &HubSettings::for_connections(ramp.subscribers), server.cpu)?;
                report.curves.push(curve(ramp, &site)?);
            }
        }
    }
    Ok(report)
}

fn curve(ramp: &Ramp, site: &Site) -> Result<Curve> {
    let name = &site.name;
    let mut curve = Curve { name: name.to_owned(), curve: Vec::new(), knee: None, broke: None };
    let mut rate = ramp.rate;
    for number in 0..ramp.steps as usize {
        let step = step(ramp, &format!("{name} at {rate:.0}/s"), rate, site)?;
        eprintln!("{name}: {step}");
        let broke = ramp.broken_by(&step);
        curve.curve.push(step);
        if broke.is_some() {
            curve.broke = broke;
            break;
        }
        curve.knee = Some(number);
        rate *= ramp.factor;
    }
    Ok(curve)
}

fn step(ramp: &Ramp, label: &str, rate: f64, site: &Site) -> Result<Step> {
    let report = fanout::run(label, &ramp.scenario(Pace::Rate(rate)), site)?;
    Ok(Step::of(rate, f64::from(ramp.subscribers) / f64::from(ramp.topics), &report))
}

impl Step {
    /// At `rate`, each publication being for `fanout` subscribers.
    fn of(rate: f64, fanout: f64, report: &Report) -> Self {
        let latency = &report.latency;
        Self {
            rate_per_s: rate,
            published_per_s: report.publications as f64 / report.measured_s,
            offered_per_s: rate * fanout,
            deliveries_per_s: report.deliveries_per_s,
            p50_us: latency.p50_us,
            p90_us: latency.p90_us,
            p99_us: latency.p99_us,
            p999_us: latency.p999_us,
            max_us: latency.max_us,
            cpu_share: report.server.as_ref().map(|server| server.cpu_share),
            generator_share: report.generator.cpu_share,
            unpublished: report.unpublished,
            lost: report.verdict.lost,
            is_clean: report.verdict.is_clean(),
        }
    }
}

fn at_share(ramp: &Ramp, share: f64, floor: &Loaded, server: &Loaded) -> Result<AtShare> {
    // One in flight: no burst makes it look cheaper than a publication alone is.
    let scenario = ramp.scenario(Pace::Window(1));
    let closed = fanout::run("capacity", &scenario, &Site::known("floor", &floor.place, floor.pid))?;
    let cost_us = closed.server.as_ref().context("invariant: the floor's process is known")?.cpu_us_per_delivery;
    let per_topic = f64::from(ramp.subscribers) / f64::from(ramp.topics);
    let capacity_per_s = 1e6 / cost_us / per_topic;
    let rate_per_s = capacity_per_s * share;
    let site = |name: &str, server: &Loaded| Site::known(name, &server.place, server.pid);
    let (floor, server) = (site("floor", floor), site("server", server));
    let (mut floors, mut servers) = (Vec::new(), Vec::new());
    for round in 1..=ramp.rounds {
        floors.push(step(ramp, "floor", rate_per_s, &floor)?);
        servers.push(step(ramp, "server", rate_per_s, &server)?);
        for (name, steps) in [("floor", &floors), ("server", &servers)] {
            if let Some(step) = steps.last() {
                eprintln!("round {round}/{} {name}: {step}", ramp.rounds);
            }
        }
    }
    let p99 = |steps: &[Step]| Spread::of(steps.iter().map(|step| step.p99_us)).context("invariant: there is a round");
    let ratios = floors.iter().zip(&servers).map(|(floor, server)| server.p99_us / floor.p99_us);
    Ok(AtShare {
        capacity_per_s,
        rate_per_s,
        floor_p99_us: p99(&floors)?,
        server_p99_us: p99(&servers)?,
        p99_ratio: Spread::of(ratios).context("invariant: there is a round")?,
        floor: floors,
        server: servers,
    })
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        let ms = |us: f64| us / 1e3;
        write!(
            f,
            "{:>7.0}/s, made {:>7.0}/s, {:>9.0} deliveries/s; p50 {:.2}  p90 {:.2}  p99 {:.2}  p99.9 {:.2} ms; CPU {} \
             server, {} generator",
            self.rate_per_s,
            self.published_per_s,
            self.deliveries_per_s,
            ms(self.p50_us),
            ms(self.p90_us),
            ms(self.p99_us),
            ms(self.p999_us),
            self.cpu_share.map_or("?".to_owned(), percent),
            percent(self.generator_share)
        )
    }
}

impl fmt::Display for RampReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ramp { subscribers, topics, payload_bytes, duration_s, .. } = &self.run;
        write!(f, "ramp: {subscribers} subscribers on {topics} topic(s), {payload_bytes} B, {duration_s} s per step")?;
        for curve in &self.curves {
            write!(f, "\n  {}", curve.name)?;
            for (number, step) in curve.curve.iter().enumerate() {
                write!(f, "\n  {} {step}", if curve.knee == Some(number) { "knee >" } else { "      " })?;
            }
            match &curve.broke {
                Some(broke) => write!(f, "\n         then {broke}")?,
                None => write!(f, "\n         nothing broke: the steps ran out")?,
            }
            if let Some(step) = curve.half_of_knee() {
                write!(f, "\n         at half of the knee, or the step below: p99 {:.2} ms", step.p99_us / 1e3)?;
            }
        }
        if let Some(at) = &self.at_share {
            let share = self.run.at_share.unwrap_or_default() * 100.0;
            writeln!(
                f,
                "\n  at {share:.0} % of the floor's capacity of {:.0} publications/s: {:.0}/s (min/median/max of {} rounds)",
                at.capacity_per_s,
                at.rate_per_s,
                at.floor.len()
            )?;
            writeln!(f, "  p99 µs  floor           {}", at.floor_p99_us)?;
            writeln!(f, "          server          {}", at.server_p99_us)?;
            write!(f, "          server / floor  {}", at.p99_ratio)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step_with(p99_us: f64, unpublished: u64, lost: u64) -> Step {
        Step {
            rate_per_s: 1_000.0,
            published_per_s: 1_000.0,
            offered_per_s: 1.0,
            deliveries_per_s: 1.0,
            p50_us: 1.0,
            p90_us: 1.0,
            p99_us,
            p999_us: p99_us,
            max_us: p99_us,
            cpu_share: None,
            generator_share: 0.0,
            unpublished,
            lost,
            is_clean: lost == 0,
        }
    }

    #[test]
    fn a_ramp_breaks_by_latency_by_what_could_not_be_published_and_by_loss() {
        let ramp = Ramp { p99_limit_ms: 10.0, duration_s: 2.0, ..Ramp::default() };
        assert_eq!(ramp.broken_by(&step_with(10_000.0, 20, 0)), None);
        assert!(ramp.broken_by(&step_with(10_001.0, 0, 0)).unwrap().contains("p99"));
        assert!(ramp.broken_by(&step_with(1.0, 21, 0)).unwrap().contains("not made"));
        assert!(ramp.broken_by(&step_with(1.0, 0, 1)).unwrap().contains("lost"));
    }

    #[test]
    fn half_of_the_knee_is_the_last_step_that_is_not_faster() {
        let at = |rate_per_s| Step { rate_per_s, ..step_with(1.0, 0, 0) };
        let curve =
            |knee| Curve { name: String::new(), curve: [10.0, 20.0, 39.0, 80.0].map(at).to_vec(), knee, broke: None };
        let half = |knee| curve(knee).half_of_knee().map(|step| step.rate_per_s);
        assert_eq!(
            [None, Some(0), Some(1), Some(2), Some(3)].map(half),
            [None, None, Some(10.0), Some(10.0), Some(39.0)]
        );
    }

    #[test]
    fn a_ramp_that_would_not_rise_is_refused() {
        Ramp::default().check().unwrap();
        assert!(Ramp { factor: 1.0, ..Ramp::default() }.check().is_err());
        assert!(Ramp { at_share: Some(1.5), ..Ramp::default() }.check().is_err());
        assert!(Ramp { steps: 0, ..Ramp::default() }.check().is_err());
        let beside = vec!["no target".to_owned()];
        assert!(Ramp { beside, ..Ramp::default() }.check().is_err());
    }
}

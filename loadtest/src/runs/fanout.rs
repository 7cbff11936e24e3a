//! The fan-out run: connect, publish, verify every delivery, account for the CPU time.

use std::rc::Rc;

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use rustix::process::Pid;

use crate::client::connector;
use crate::client::descriptors;
use crate::client::publisher::{Publishers, Schedule};
use crate::client::subscriber::{Fleet, Message, Watch};
use crate::clock;
use crate::report::progress::{Progress, UPDATE_NS};
use crate::report::report::{self, GeneratorCost, Latency, MemoryOverRun, Report, ServerCost};
use crate::report::timeline::Timeline;
use crate::scenario::{Pace, Scenario};
use crate::server::cpu::CpuTime;
use crate::server::endpoint::Endpoint;
use crate::server::process::Memory;
use crate::server::site::Site;
use crate::server::writes;
use crate::verify::{Delivery, LaneId, Ledger, SubscriberId};
use crate::wire::dialect::Dialect;
use crate::wire::frame::Opcode;
use crate::wire::stamp::{Payloads, Wrong};

/// Reasons for early ends that are kept for the report.
const ENDINGS_KEPT: usize = 5;

/// The longest wait for an event, so that phases end in time.
const TURN_LIMIT_MS: u32 = 20;

/// Runs `scenario` against `site`. `label` heads the progress bar.
pub(crate) fn run(label: &str, scenario: &Scenario, site: &Site) -> Result<Report> {
    let (scenario, dialect) = &scenario.suited_to(&site.endpoint.dialect)?;
    let endpoint = &Endpoint { place: site.endpoint.place.clone(), dialect: dialect.clone() };
    let server = site.pid;
    descriptors::make_room((scenario.subscribers + scenario.topics * scenario.publishers) as usize)?;
    let progress = Progress::new(label);
    let run = clock::now_ns();
    let before = server.map(Memory::of).transpose()?;
    let cpu_before = server.map(CpuTime::of).transpose()?;

    progress.stage("connecting", u64::from(scenario.subscribers));
    let seating = scenario.seating();
    let connections = connector::connect_all(
        &site.door,
        dialect,
        scenario.dialing(run),
        scenario.subscribers as usize,
        |number| scenario.topics_of(&seating, number),
        |count| progress.at(count as u64),
    )?;
    let connecting = server.map(CpuTime::of).transpose()?.zip(cpu_before).map(|(after, before)| after.since(before));
    let connected = server.map(Memory::of).transpose()?;
    let writes_before = writes_of(endpoint);

    let mut traffic = Traffic::new(scenario, endpoint, connections, run)?;
    let Driven { start, end, unpublished, timeline } = traffic.drive(scenario, server, &progress)?;
    progress.done();
    // Over the whole run: asking in the midst of it would be part of what is measured.
    let writes = writes_before.zip(writes_of(endpoint)).map(|(before, after)| after.saturating_sub(before));

    let compressed = scenario.compress.then(|| traffic.fleet.compressed());
    let Recorder { ledger, latencies, endings, .. } = traffic.recorder;
    let measured_s = (end.at_ns - start.at_ns) as f64 / 1e9;
    let deliveries = end.delivered - start.delivered;
    let server = match (server, before, connected.zip(connecting)) {
        (Some(pid), Some(before), Some((connected, connecting))) => {
            let memory = MemoryOverRun { before, connected, end: Memory::of(pid)? };
            let cpu = end.server.since(start.server);
            let pid = pid.as_raw_nonzero().get();
            let connections = (scenario.subscribers, connecting);
            Some(ServerCost::new(pid, cpu, measured_s, deliveries, &memory, connections))
        }
        _ => None,
    };
    Ok(Report {
        name: site.name.clone(),
        dialect: dialect.label(),
        scenario: scenario.clone(),
        measured_s,
        publications: end.published - start.published,
        unpublished,
        deliveries,
        deliveries_per_s: deliveries as f64 / measured_s,
        timeline,
        writes_per_delivery: writes.map(|writes| writes as f64 / ledger.delivered().max(1) as f64),
        compressed,
        latency: Latency::of(&latencies),
        verdict: ledger.verdict(),
        endings,
        server,
        generator: GeneratorCost::new(
            end.generator.since(start.generator),
            measured_s,
            deliveries,
            server.map(|server| server.cpu_share),
        ),
    })
}

/// The writes of a server that may count them.
fn writes_of(endpoint: &Endpoint) -> Option<u64> {
    match endpoint.dialect {
        Dialect::Topics(_) => writes::count(&endpoint.place),
        Dialect::Template(_) | Dialect::Centrifuge(_) | Dialect::Pusher(_) => None,
    }
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at_ns: u64,
    delivered: u64,
    published: u64,
    server: CpuTime,
    generator: CpuTime,
}

/// What was driven: the marks between which was measured, and what an open loop could not publish.
struct Driven {
    start: Mark,
    end: Mark,
    unpublished: u64,
    timeline: Timeline,
}

struct Traffic {
    fleet: Fleet,
    /// Whose turn it is, when they take turns.
    next_lane: u32,
    publishers: Publishers,
    recorder: Recorder,
}

impl Traffic {
    fn new(scenario: &Scenario, endpoint: &Endpoint, connections: Vec<connector::Connected>, run: u64) -> Result<Self> {
        let payloads = scenario.payloads(run)?;
        let ledger = scenario.ledger();
        let topics: Rc<[String]> = scenario.topic_names().into();
        let mut fleet = Fleet::new(connections, &endpoint.dialect, scenario.payload_bytes)?;
        let publishers = Publishers::new(scenario.publish_by, endpoint, Rc::clone(&topics), &ledger, &mut fleet)?;
        let opcode = endpoint.dialect.opcode(payloads.format());
        Ok(Self { fleet, next_lane: 0, publishers, recorder: Recorder::new(ledger, payloads, topics, opcode) })
    }

    /// Publishes through warm-up and measured time, then waits for the stragglers.
    fn drive(&mut self, scenario: &Scenario, server: Option<Pid>, progress: &Progress) -> Result<Driven> {
        let begin_ns = clock::now_ns();
        let measure_ns = begin_ns + clock::seconds_to_ns(scenario.warmup_s);
        let end_ns = measure_ns + clock::seconds_to_ns(scenario.duration_s);
        let deadline_ns = end_ns + clock::seconds_to_ns(scenario.stragglers_s);
        self.recorder.measured_from_ns = measure_ns;
        progress.stage("publishing", (end_ns - begin_ns) / 1_000_000);

        let mut schedule = match scenario.pace {
            Pace::Window(_) | Pace::WindowInAll(_) => None,
            Pace::Rate(rate) => Some(Schedule::new(rate)),
        };
        // At first every lane has room; later those on which something was completed.
        let mut lanes: Vec<LaneId> = (0..self.recorder.ledger.lane_count()).map(LaneId).collect();
        let mut others = Vec::new();
        let (mut start, mut end) = (None, None);
        let mut shown = (begin_ns, 0);
        let mut timeline = Timeline::new(end_ns - measure_ns);
        loop {
            let now_ns = clock::now_ns();
            if start.is_none() && now_ns >= measure_ns {
                let mark = self.mark(server)?;
                timeline.begin(mark.at_ns, mark.delivered);
                start = Some(mark);
            }
            if now_ns < end_ns {
                match (&mut schedule, scenario.pace) {
                    (Some(schedule), _) => self.publish_due(schedule, &mut lanes, now_ns)?,
                    (None, Pace::WindowInAll(window)) => self.publish_in_turn(&mut lanes, window as u64, now_ns)?,
                    (None, Pace::Window(_) | Pace::Rate(_)) => {
                        self.publish_windows(&mut lanes, scenario.in_flight_limit() as u64, now_ns)?;
                    }
                }
                timeline.at(now_ns, self.recorder.ledger.delivered());
            } else {
                if end.is_none() {
                    end = Some(self.mark(server)?);
                    progress.stage("waiting for stragglers", 1);
                }
                let is_complete = self.recorder.ledger.outstanding() == 0 && self.publishers.unanswered() == 0;
                if is_complete || now_ns >= deadline_ns {
                    break;
                }
            }
            self.fleet.turn(TURN_LIMIT_MS, &mut self.recorder, &mut others)?;
            for event in others.drain(..) {
                self.publishers.handle(event, &mut self.fleet)?;
            }
            self.recorder.ledger.take_moved(&mut lanes);
            if now_ns < end_ns && now_ns - shown.0 >= UPDATE_NS {
                let delivered = self.recorder.ledger.delivered();
                let rate = (delivered - shown.1) as f64 / ((now_ns - shown.0) as f64 / 1e9);
                progress.say((now_ns - begin_ns) / 1_000_000, format!("{rate:.0} deliveries/s"));
                shown = (now_ns, delivered);
            }
        }
        Ok(Driven {
            start: start.context("invariant: the start was marked")?,
            end: end.context("invariant: the end was marked")?,
            unpublished: schedule.map_or(0, |schedule| schedule.behind(end_ns)),
            timeline,
        })
    }

    /// Fills the window of each of `lanes`, one write per lane.
    fn publish_windows(&mut self, lanes: &mut Vec<LaneId>, window: u64, now_ns: u64) -> Result<()> {
        for lane in lanes.drain(..) {
            let mut queued = false;
            while self.recorder.ledger.in_flight(lane) < window {
                if !self.queue(lane, now_ns) {
                    break;
                }
                queued = true;
            }
            if queued {
                self.flush(lane)?;
            }
        }
        Ok(())
    }

    /// Publishes on one lane after another until `window` are in flight over all; one write per lane.
    fn publish_in_turn(&mut self, touched: &mut Vec<LaneId>, window: u64, now_ns: u64) -> Result<()> {
        touched.clear();
        let lane_count = self.recorder.ledger.lane_count();
        let mut refusals = 0;
        while self.recorder.ledger.all_in_flight() < window && refusals < lane_count {
            let lane = LaneId(self.next_lane);
            self.next_lane = (self.next_lane + 1) % lane_count;
            if self.queue(lane, now_ns) {
                touched.push(lane);
            } else {
                refusals += 1;
            }
        }
        self.flush_all(touched)
    }

    /// Publishes what is due by `now_ns`, and sets the alarm for what is due next.
    fn publish_due(&mut self, schedule: &mut Schedule, touched: &mut Vec<LaneId>, now_ns: u64) -> Result<()> {
        touched.clear();
        let lane_count = u64::from(self.recorder.ledger.lane_count());
        loop {
            let (number, due_ns) = schedule.next();
            if due_ns > now_ns {
                self.fleet.poller().wake_at(due_ns)?;
                break;
            }
            let lane = LaneId((number % lane_count) as u32);
            if !self.queue(lane, due_ns) {
                // The server is behind by all that may be in flight: this one waits, and keeps its intended time.
                break;
            }
            schedule.advance();
            touched.push(lane);
        }
        self.flush_all(touched)
    }

    fn flush_all(&mut self, touched: &mut Vec<LaneId>) -> Result<()> {
        touched.sort_unstable_by_key(|lane| lane.0);
        touched.dedup();
        for lane in touched.drain(..) {
            self.flush(lane)?;
        }
        Ok(())
    }

    fn queue(&mut self, lane: LaneId, intended_ns: u64) -> bool {
        let Recorder { ledger, payloads, .. } = &mut self.recorder;
        let Some(stamp) = ledger.publish(lane, intended_ns) else { return false };
        let subscriber = ledger.publishing_subscriber(lane);
        self.publishers.queue(lane, subscriber, &stamp, payloads, &mut self.fleet);
        true
    }

    fn flush(&mut self, lane: LaneId) -> Result<()> {
        let subscriber = self.recorder.ledger.publishing_subscriber(lane);
        self.publishers.flush(lane, subscriber, &mut self.fleet, &mut self.recorder)
    }

    fn mark(&self, server: Option<Pid>) -> Result<Mark> {
        Ok(Mark {
            at_ns: clock::now_ns(),
            delivered: self.recorder.ledger.delivered(),
            published: self.recorder.ledger.published(),
            server: server.map(CpuTime::of).transpose()?.unwrap_or_default(),
            generator: CpuTime::of(rustix::process::getpid())?,
        })
    }
}

/// Verifies what comes and records how long it took.
struct Recorder {
    ledger: Ledger,
    payloads: Payloads,
    /// The names of the topics.
    topics: Rc<[String]>,
    opcode: Opcode,
    latencies: Histogram<u64>,
    /// Publications intended before this are not measured.
    measured_from_ns: u64,
    endings: Vec<String>,
}

impl Recorder {
    fn new(ledger: Ledger, payloads: Payloads, topics: Rc<[String]>, opcode: Opcode) -> Self {
        let latencies = report::latency_histogram();
        Self { ledger, payloads, topics, opcode, latencies, measured_from_ns: 0, endings: Vec::new() }
    }
}

impl Watch for Recorder {
    fn message(&mut self, subscriber: SubscriberId, message: Message<'_>) {
        let Message { opcode, topic, payload, read_ns } = message;
        let stamp = match self.payloads.check(payload) {
            Ok(stamp) => stamp,
            Err(Wrong::Foreign) => return self.ledger.note_foreign(),
            Err(Wrong::Altered) => return self.ledger.note_wrong(),
        };
        let is_elsewhere = topic.is_some_and(|told| {
            self.topics.get(stamp.topic as usize).is_none_or(|published| published.as_bytes() != told)
        });
        if opcode != self.opcode || is_elsewhere {
            return self.ledger.note_wrong();
        }
        match self.ledger.deliver(subscriber, &stamp) {
            Delivery::InOrder | Delivery::AfterGap(_) | Delivery::Reordered => {
                if stamp.intended_ns >= self.measured_from_ns {
                    self.latencies.saturating_record(read_ns.saturating_sub(stamp.intended_ns));
                }
            }
            // Counted by the ledger; not a delivery whose time means anything.
            Delivery::Duplicate | Delivery::Invented => {}
        }
    }

    fn closed(&mut self, subscriber: SubscriberId, why: String) {
        self.ledger.close(subscriber);
        if self.endings.len() < ENDINGS_KEPT {
            self.endings.push(format!("subscriber {}: {why}", subscriber.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seating::Seating;
    use crate::wire::stamp::{Format, Stamp};

    fn message(opcode: Opcode, payload: &[u8], read_ns: u64) -> Message<'_> {
        Message { opcode, topic: None, payload, read_ns }
    }

    fn recorder() -> Recorder {
        let payloads = Payloads::new(9, Format::Binary, 64).unwrap();
        let ledger = Ledger::new(Seating::new(1, 1, 1), 1, 16);
        let mut recorder = Recorder::new(ledger, payloads, Rc::new(["load-0".to_owned()]), Opcode::Binary);
        recorder.measured_from_ns = 5_000_000;
        recorder
    }

    fn payload(recorder: &Recorder, stamp: &Stamp) -> Vec<u8> {
        let mut bytes = Vec::new();
        recorder.payloads.write(stamp, &mut bytes);
        bytes
    }

    #[test]
    fn latency_is_counted_from_the_intended_time_and_only_in_the_measured_time() {
        let mut recorder = recorder();
        for intended_ns in [4_000_000, 6_000_000, 7_000_000] {
            let stamp = recorder.ledger.publish(LaneId(0), intended_ns).unwrap();
            let bytes = payload(&recorder, &stamp);
            // All three come at once, at 10 ms: the server, or the publisher's socket, was stuck until then.
            recorder.message(SubscriberId(0), message(Opcode::Binary, &bytes, 10_000_000));
        }
        assert_eq!(recorder.latencies.len(), 2);
        assert!((recorder.latencies.max() as f64 / 4e6 - 1.0).abs() < 0.001);
        assert!((recorder.latencies.min() as f64 / 3e6 - 1.0).abs() < 0.001);
    }

    #[test]
    fn altered_and_foreign_messages_and_the_wrong_kind_are_not_deliveries() {
        let mut recorder = recorder();
        let stamp = recorder.ledger.publish(LaneId(0), 6_000_000).unwrap();
        let mut bytes = payload(&recorder, &stamp);
        recorder.message(SubscriberId(0), message(Opcode::Text, &bytes, 7_000_000));
        recorder.message(SubscriberId(0), message(Opcode::Text, b"hello", 7_000_000));
        bytes[63] ^= 1;
        recorder.message(SubscriberId(0), message(Opcode::Binary, &bytes, 7_000_000));
        let verdict = recorder.ledger.verdict();
        assert_eq!((verdict.in_order, verdict.wrong, verdict.foreign, verdict.lost), (0, 2, 1, 1));
        assert_eq!(recorder.latencies.len(), 0);
    }

    #[test]
    fn a_publication_under_the_name_of_another_topic_is_wrong() {
        let mut recorder = recorder();
        let stamp = recorder.ledger.publish(LaneId(0), 6_000_000).unwrap();
        let bytes = payload(&recorder, &stamp);
        let told = |topic: &'static [u8]| Message { topic: Some(topic), ..message(Opcode::Binary, &bytes, 7_000_000) };
        recorder.message(SubscriberId(0), told(b"load-1"));
        assert_eq!(recorder.ledger.verdict().wrong, 1);
        recorder.message(SubscriberId(0), told(b"load-0"));
        assert_eq!((recorder.ledger.verdict().in_order, recorder.ledger.verdict().wrong), (1, 1));
    }
}

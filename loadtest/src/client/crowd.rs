//! Subscribers who come and go while something is published to them at a steady rate, every delivery verified.

use std::os::fd::AsFd;

use anyhow::{Result, bail};
use hdrhistogram::Histogram;

use crate::attendance::{Attendance, Parting};
use crate::client::connector::Connected;
use crate::client::dialer::{Dialer, Dialled};
use crate::client::poller::{Interest, Ready};
use crate::client::publisher::Schedule;
use crate::client::subscriber::{FIRST_OTHER_TOKEN, Fleet, Message, Watch};
use crate::clock;
use crate::report::report;
use crate::scenario::topic_path;
use crate::verify::{Delivery, SubscriberId, Verdict};
use crate::wire::dialect::{Dialect, Envelope};
use crate::wire::frame::{self, Opcode};
use crate::wire::stamp::{Format, Payloads, Wrong};

/// Publications that may be under way to their own publisher before the schedule has to wait.
const IN_FLIGHT_LIMIT_COUNT: u64 = 4096;

/// Handshake steps between two looks at those who are here: 0.3 ms of work, so that a storm of newcomers delays what is
/// measured on the others by no more than that.
const STEPS_BESIDE_TRAFFIC: usize = 16;
/// And while nothing is published.
const STEPS_ALONE: usize = 256;

/// The longest wait for an event.
const TURN_LIMIT_MS: u32 = 10;

/// All of a run's handshakes together may take this long.
const GATHER_DEADLINE_NS: u64 = 120_000_000_000;

/// The close frame of a client that leaves: 1000, masked.
const GOODBYE: [u8; 2] = 1000_u16.to_be_bytes();

/// Members of topics, and one publisher for each topic.
pub(crate) struct Crowd {
    fleet: Fleet,
    /// What they have received.
    pub(crate) roll: Roll,
    publishers: Vec<Option<SubscriberId>>,
    schedule: Option<Schedule>,
    /// Topics that something is published to: the first so many.
    busy_topics: u64,
    others: Vec<Ready>,
    watched: u64,
    alarm_ns: u64,
}

/// The end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Whose.
    pub(crate) member: SubscriberId,
    /// The close code, or what went wrong.
    pub(crate) why: String,
    /// Whether it was wanted.
    pub(crate) parting: Parting,
}

/// Connections that were opened together.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// In the order they were asked for.
    pub(crate) members: Vec<SubscriberId>,
    /// How long each took, from the SYN to the answer.
    pub(crate) took: Histogram<u64>,
    /// How many of them resumed TLS.
    pub(crate) resumed: usize,
    /// From the first SYN to the last answer.
    pub(crate) all_took_s: f64,
}

impl Crowd {
    /// Nobody yet. Payloads have `payload_bytes`; `run` tells this run's from others'.
    pub(crate) fn new(topics: u32, payload_bytes: usize, run: u64) -> Result<Self> {
        let payloads = Payloads::new(run, Format::Binary, payload_bytes)?;
        let roll = Roll {
            attendance: Attendance::new(topics),
            payloads,
            latencies: report::latency_histogram(),
            first_ns: Vec::new(),
            ended: Vec::new(),
            pings: 0,
        };
        Ok(Self {
            // Notices of a hub may be longer than a payload.
            fleet: Fleet::new(Vec::new(), &Dialect::Topics(Envelope::Plain), payload_bytes.max(64 * 1024))?,
            roll,
            publishers: vec![None; topics as usize],
            schedule: None,
            busy_topics: u64::from(topics),
            others: Vec::new(),
            watched: 0,
            alarm_ns: u64::MAX,
        })
    }

    /// Wakes up for `dialer` too.
    pub(crate) fn watch(&mut self, dialer: impl AsFd) -> Result<()> {
        self.fleet.poller().add(dialer, FIRST_OTHER_TOKEN + self.watched, Interest::Read)?;
        self.watched += 1;
        Ok(())
    }

    /// Takes over a subscriber of `topic`.
    pub(crate) fn join(&mut self, topic: u32, connected: Connected) -> Result<SubscriberId> {
        let member = self.roll.attendance.join(topic);
        self.roll.first_ns.push(0);
        self.fleet.extend(vec![connected])?;
        Ok(member)
    }

    /// `member` publishes on its topic from now on, until it is gone.
    pub(crate) fn publish_by(&mut self, member: SubscriberId) {
        self.publishers[self.roll.attendance.topic_of(member) as usize] = Some(member);
    }

    /// Opens connections to the `topics` of `prefix`, one each; the rest is as in [`Crowd::gather_at`].
    pub(crate) fn gather(
        &mut self,
        dialer: &mut Dialer,
        prefix: &str,
        topics: impl Iterator<Item = u32>,
        look: impl FnMut(u64, usize, usize) -> Result<()>,
    ) -> Result<Gathered> {
        self.gather_at(dialer, topics.map(|topic| (topic, topic_path(prefix, topic))), look)
    }

    /// Opens connections to topics at the path of each, going on with everything else meanwhile. `look` is called once per
    /// turn with the time, how many are open, and how many handshakes are under way. The first of each topic publishes
    /// there, if nobody does.
    ///
    /// Errors: the first connection that fails; the deadline.
    pub(crate) fn gather_at(
        &mut self,
        dialer: &mut Dialer,
        places: impl Iterator<Item = (u32, String)>,
        mut look: impl FnMut(u64, usize, usize) -> Result<()>,
    ) -> Result<Gathered> {
        let start_ns = clock::now_ns();
        let mut topics = Vec::new();
        for (topic, path) in places {
            dialer.order(topics.len() as u32, path);
            topics.push(topic);
        }
        let mut members = vec![None; topics.len()];
        let mut took = report::latency_histogram();
        let (mut done, mut open, mut resumed) = (Vec::new(), 0, 0);
        while dialer.is_busy() {
            let steps = if self.schedule.is_some() { STEPS_BESIDE_TRAFFIC } else { STEPS_ALONE };
            dialer.turn(steps, &mut done)?;
            for outcome in done.drain(..) {
                match outcome {
                    Dialled::Open { number, connected, took_ns } => {
                        took.saturating_record(took_ns);
                        resumed += usize::from(connected.line.is_resumed());
                        members[number as usize] = Some(self.join(topics[number as usize], connected)?);
                        open += 1;
                    }
                    Dialled::Failed { number, why } => {
                        bail!("connection {number}: {why} ({open} of {} are open)", topics.len())
                    }
                }
            }
            self.turn(0)?;
            let now_ns = clock::now_ns();
            look(now_ns, open, dialer.in_flight())?;
            if now_ns > start_ns + GATHER_DEADLINE_NS {
                bail!("{open} of {} connections open, then the deadline came: is the server accepting?", topics.len());
            }
        }
        let all_took_s = (clock::now_ns() - start_ns) as f64 / 1e9;
        let members: Vec<SubscriberId> = members.into_iter().flatten().collect();
        // The first that was asked for, not the first that was open: the caller knows which one that is.
        for (&member, &topic) in members.iter().zip(&topics) {
            self.publishers[topic as usize].get_or_insert(member);
        }
        Ok(Gathered { members, took, resumed, all_took_s })
    }

    /// Publishes so many times a second from now on, over all topics in turn.
    pub(crate) fn start(&mut self, rate_per_second: f64) {
        self.schedule = Some(Schedule::new(rate_per_second));
        self.busy_topics = self.publishers.len() as u64;
    }

    /// The same on the first `topics` only.
    pub(crate) fn start_on(&mut self, topics: u32, rate_per_second: f64) {
        self.start(rate_per_second);
        self.busy_topics = u64::from(topics);
    }

    /// Publishes no more, but what is due by now. Returns how many publications could not be made: their publisher was behind,
    /// or gone.
    pub(crate) fn stop(&mut self) -> Result<u64> {
        let now_ns = clock::now_ns();
        self.publish_due()?;
        Ok(self.schedule.take().map_or(0, |schedule| schedule.behind(now_ns)))
    }

    /// Publishes what is due, waits for at most `timeout_ms`, and reads what has come.
    pub(crate) fn turn(&mut self, timeout_ms: u32) -> Result<()> {
        let alarm_ns = self.publish_due()?.min(std::mem::replace(&mut self.alarm_ns, u64::MAX));
        if alarm_ns < u64::MAX {
            self.fleet.poller().wake_at(alarm_ns)?;
        }
        self.others.clear();
        self.fleet.turn(timeout_ms, &mut self.roll, &mut self.others)
    }

    /// Makes the next turn end at `at_ns`, if nothing ends it before.
    pub(crate) fn wake_at(&mut self, at_ns: u64) {
        self.alarm_ns = at_ns;
    }

    /// Takes turns for `seconds`; `between` is called after each.
    pub(crate) fn run_for(&mut self, seconds: f64, mut between: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        let end_ns = clock::now_ns() + clock::seconds_to_ns(seconds);
        while clock::now_ns() < end_ns {
            self.turn(TURN_LIMIT_MS)?;
            between(self)?;
        }
        Ok(())
    }

    /// Waits until everybody has everything, for at most `seconds`. What is missing then is lost.
    pub(crate) fn settle(&mut self, seconds: f64) -> Result<()> {
        let end_ns = clock::now_ns() + clock::seconds_to_ns(seconds);
        while self.roll.attendance.outstanding() > 0 && clock::now_ns() < end_ns {
            self.turn(TURN_LIMIT_MS)?;
        }
        Ok(())
    }

    /// `member` says goodbye. It is gone when the server has answered.
    pub(crate) fn leave(&mut self, member: SubscriberId) -> Result<()> {
        self.excuse(member);
        let out = self.fleet.outbox(member);
        frame::write_masked(out, Opcode::Close, [1, 2, 3, 4], GOODBYE.len(), |out| out.extend_from_slice(&GOODBYE));
        self.fleet.flush(member, &mut self.roll)
    }

    /// Ends the connections of all who are still there, without a word.
    pub(crate) fn drop_all(&mut self) {
        for member in (0..self.fleet.len() as u32).map(SubscriberId) {
            self.roll.attendance.excuse(member);
            self.roll.attendance.part(member);
            self.fleet.drop_connection(member);
        }
        self.publishers.fill(None);
    }

    /// However the connection of `member` ends, it is as the run wanted it.
    pub(crate) fn excuse(&mut self, member: SubscriberId) {
        self.roll.attendance.excuse(member);
        let publisher = &mut self.publishers[self.roll.attendance.topic_of(member) as usize];
        if *publisher == Some(member) {
            *publisher = None;
        }
    }

    /// `member` reads nothing from now on, and owes no explanation for what it does not get.
    pub(crate) fn hold(&mut self, member: SubscriberId) {
        self.excuse(member);
        self.fleet.hold(member);
    }

    /// `member` reads again, first what has come meanwhile.
    pub(crate) fn release(&mut self, member: SubscriberId) -> Result<()> {
        self.fleet.release(member, &mut self.roll)
    }

    /// Publishes what is due and says when to come again.
    fn publish_due(&mut self) -> Result<u64> {
        let Some(schedule) = &mut self.schedule else { return Ok(u64::MAX) };
        let now_ns = clock::now_ns();
        // All that is due on a topic goes out in one write, as a client library would do it that was late.
        let mut touched = Vec::new();
        let again_ns = loop {
            let (number, due_ns) = schedule.next();
            if due_ns > now_ns {
                break due_ns;
            }
            let topic = (number % self.busy_topics) as u32;
            // Without a publisher nothing is published: what was due is told by `stop`.
            let publisher = self.publishers[topic as usize].filter(|&publisher| self.fleet.is_open(publisher));
            let Some(publisher) = publisher else { break u64::MAX };
            if self.roll.attendance.owed(publisher) >= IN_FLIGHT_LIMIT_COUNT {
                break u64::MAX;
            }
            schedule.advance();
            let stamp = self.roll.attendance.publish(topic, due_ns);
            let Roll { payloads, .. } = &self.roll;
            let key = (stamp.sequence as u32).wrapping_mul(0x9e37_79b9) | 0x0101_0101;
            let out = self.fleet.outbox(publisher);
            frame::write_masked(out, Opcode::Binary, key.to_be_bytes(), payloads.size(), |out| {
                payloads.write(&stamp, out);
            });
            touched.push(publisher);
        };
        touched.dedup();
        for publisher in touched {
            self.fleet.flush(publisher, &mut self.roll)?;
        }
        Ok(again_ns)
    }
}

/// What the members have received.
pub(crate) struct Roll {
    /// Who must have what.
    pub(crate) attendance: Attendance,
    payloads: Payloads,
    latencies: Histogram<u64>,
    /// By member: when its first publication was read; 0 before.
    first_ns: Vec<u64>,
    /// Ends that nobody has taken yet.
    ended: Vec<Ended>,
    /// Pings that came.
    pub(crate) pings: u64,
}

impl Roll {
    /// The latencies, in ns from the intended time, of what came since the last call.
    pub(crate) fn take_latencies(&mut self) -> Histogram<u64> {
        std::mem::replace(&mut self.latencies, report::latency_histogram())
    }

    /// The connections that ended since the last call.
    pub(crate) fn take_ended(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.ended)
    }

    /// When `member` read its first publication, if it has.
    pub(crate) fn first_ns(&self, member: SubscriberId) -> Option<u64> {
        Some(self.first_ns[member.index()]).filter(|&at_ns| at_ns > 0)
    }

    /// The counts so far; what has not come is lost.
    pub(crate) fn verdict(&self) -> Verdict {
        self.attendance.verdict()
    }
}

impl Watch for Roll {
    fn message(&mut self, member: SubscriberId, message: Message<'_>) {
        let Message { opcode, topic: _, payload, read_ns } = message;
        let stamp = match self.payloads.check(payload) {
            Ok(stamp) if opcode == Opcode::Binary => stamp,
            Err(Wrong::Foreign) => return self.attendance.note_foreign(),
            Ok(_) | Err(Wrong::Altered) => return self.attendance.note_wrong(),
        };
        match self.attendance.deliver(member, &stamp) {
            Delivery::InOrder | Delivery::AfterGap(_) | Delivery::Reordered => {
                self.latencies.saturating_record(read_ns.saturating_sub(stamp.intended_ns));
                let first_ns = &mut self.first_ns[member.index()];
                if *first_ns == 0 {
                    *first_ns = read_ns;
                }
            }
            Delivery::Duplicate | Delivery::Invented => {}
        }
    }

    fn closed(&mut self, member: SubscriberId, why: String) {
        let parting = self.attendance.part(member);
        self.ended.push(Ended { member, why, parting });
    }

    fn pinged(&mut self, _: SubscriberId) {
        self.pings += 1;
    }
}

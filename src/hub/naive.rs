//! The hub against a list: topics that are published to, joined, read, left, expired and freed in any order.
//!
//! The steps come from `promises/lives.rs` (at random) and from the fuzz target `hub` (whatever reaches new code).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{
    Draft, Epoch, Hub, Joined, Letter, Mailbox, Outcome, Position, Publication, Queue, Recovery, Start, Topic,
    TopicName, WorkerId,
};
use crate::config::{Config, History, Span, TopicRules};

const SIZE: usize = 4;
const TTL: Duration = Duration::from_secs(10);
/// How many workers there are.
pub(super) const WORKERS: u16 = 3;
/// What topics there are; those called `keep` keep [`SIZE`] publications for [`TTL`].
pub(super) const NAMES: [&str; 3] = ["keep1", "keep2", "news"];
/// Publications that fit into a mailbox.
const MAILBOX: usize = 8;
/// Of every payload: the publication's number in the run.
const PAYLOAD_BYTES: usize = 8;

/// One thing done to a hub.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Publish { name: usize },
    Join { name: usize, worker: u16, start: Asked },
    Read { name: usize, start: Asked, limit: usize },
    Leave { name: usize, worker: u16 },
    Drain { worker: u16 },
    Wait { secs: u64 },
    Tidy,
}

/// A [`Start`] that does not need to know where the topic is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    /// That many behind the top.
    Back(u64),
    /// After so many before the top, if no more than so many were missed.
    Within(u64, usize),
    /// That many ahead of the top.
    Ahead(u64),
    /// In another epoch.
    Elsewhere,
    /// With the last so many.
    Last(usize),
    Now,
}

/// A topic as one would write it down: everything ever accepted in this life, and who is in it.
#[derive(Debug)]
struct Life {
    epoch: Epoch,
    keeps: usize,
    /// What was accepted, and when.
    accepted: Vec<(String, Instant)>,
    /// One reference to the topic per subscription, as workers hold them.
    subscriptions: Vec<(u16, Arc<Topic>)>,
}

impl Life {
    fn top(&self) -> u64 {
        self.accepted.len() as u64
    }

    /// The offset after which everything is still kept and not expired.
    fn complete_after(&self, now: Instant) -> u64 {
        let by_size = self.accepted.len().saturating_sub(self.keeps);
        let expired = self.accepted.iter().skip(by_size).filter(|(_, at)| *at + TTL <= now);
        (by_size + expired.count()) as u64
    }

    fn position(&self, offset: u64) -> Position {
        Position { epoch: self.epoch, offset: super::Offset(offset) }
    }

    fn start(&self, asked: Asked) -> Start {
        match asked {
            Asked::Back(count) => Start::Since(self.position(self.top().saturating_sub(count))),
            Asked::Within(count, limit) => Start::SinceWithin(self.position(self.top().saturating_sub(count)), limit),
            Asked::Ahead(count) => Start::Since(self.position(self.top().saturating_add(count))),
            Asked::Elsewhere => Start::Since(Position { epoch: Epoch(self.epoch.0 ^ 1), ..self.position(self.top()) }),
            Asked::Last(count) => Start::Last(count),
            Asked::Now => Start::Now,
        }
    }

    /// What someone who starts at `start` is to be told.
    fn check(&self, joined: &Joined, start: Start, limit: usize, now: Instant) {
        let complete_after = self.complete_after(now);
        let (from, limit, recovery) = match start {
            Start::Now => (self.top(), limit, Recovery::NotAsked),
            Start::Last(count) => {
                let count = count.min(limit) as u64;
                (self.top().saturating_sub(count).max(complete_after), usize::MAX, Recovery::NotAsked)
            }
            Start::Since(position) | Start::SinceWithin(position, _) => {
                let offset = position.offset.0;
                let most = if let Start::SinceWithin(_, most) = start { most as u64 } else { u64::MAX };
                let is_there = position.epoch == self.epoch
                    && (complete_after..=self.top()).contains(&offset)
                    && self.top() - offset <= most;
                if is_there { (offset, limit, Recovery::Complete) } else { (self.top(), limit, Recovery::Gap) }
            }
        };
        let wanted =
            (from + 1..=self.top()).take(limit).map(|offset| (offset, self.accepted[offset as usize - 1].0.as_bytes()));
        assert!(joined.replay.iter().map(|one| (one.offset.0, &one.payload[..])).eq(wanted), "{start:?}: {joined:?}");
        assert_eq!(joined.top, self.position(self.top()));
        assert_eq!(joined.recovery, recovery, "{start:?}");
    }
}

/// A hub and what would be written down of it.
struct Rival {
    hub: Arc<Hub>,
    now: Instant,
    lives: BTreeMap<usize, Life>,
    mail: Vec<Vec<(Position, String)>>,
    last_epoch: Option<Epoch>,
    published: u64,
}

/// Does `steps` to a hub and to a list; panics where they differ.
pub(super) fn run(steps: impl IntoIterator<Item = Step>) {
    let mut rival = Rival::new();
    for step in steps {
        rival.step(step);
        let subscriptions: usize = rival.lives.values().map(|life| life.subscriptions.len()).sum();
        assert_eq!(rival.hub.census().subscriptions, subscriptions);
    }
}

impl Rival {
    fn new() -> Self {
        let history = History { size: SIZE, ttl: Span(TTL), ..History::default() };
        let keep = TopicRules { pattern: "keep*".to_owned(), history, ..TopicRules::default() };
        let config = Config { topics: vec![keep], ..Config::default() };
        let limit_bytes = MAILBOX * (PAYLOAD_BYTES + size_of::<Publication>());
        let mailboxes = (0..WORKERS).map(|_| Arc::new(Mailbox::new(limit_bytes, Box::new(|| {})))).collect();
        Self {
            hub: Hub::new(&config, mailboxes),
            now: Instant::now(),
            lives: BTreeMap::new(),
            mail: vec![Vec::new(); usize::from(WORKERS)],
            last_epoch: None,
            published: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Publish { name } => self.publish(name),
            Step::Join { name, worker, start } => {
                let topic = self.topic(name);
                let life = &self.lives[&name];
                let start = life.start(start);
                let joined = self.hub.subscribe(&topic, WorkerId(worker), start, self.now);
                life.check(&joined, start, usize::MAX, self.now);
                self.life(name).subscriptions.push((worker, topic));
            }
            Step::Read { name, start, limit } => {
                let topic = self.topic(name);
                let life = &self.lives[&name];
                let start = life.start(start);
                let read = self.hub.history(&topic, start, limit, self.now);
                life.check(&read, start, limit, self.now);
                let before_oldest = life.position(life.complete_after(self.now));
                assert_eq!(self.hub.before_oldest(&topic, self.now), before_oldest);
            }
            Step::Leave { name, worker } => self.leave(name, worker),
            Step::Drain { worker } => self.drain(worker),
            Step::Wait { secs } => self.now += Duration::from_secs(secs),
            Step::Tidy => self.tidy(),
        }
    }

    /// The topic of this name, which may begin a life with it: with a higher epoch than all before.
    fn topic(&mut self, name: usize) -> Arc<Topic> {
        let topic = self.hub.topic(&TopicName::new(NAMES[name]).expect("a name")).expect("room for all names");
        let epoch = topic.epoch();
        let keeps = if NAMES[name].starts_with("keep") { SIZE } else { 0 };
        let last_epoch = &mut self.last_epoch;
        let life = self.lives.entry(name).or_insert_with(|| {
            assert!(last_epoch.replace(epoch).is_none_or(|last| last < epoch));
            Life { epoch, keeps, accepted: Vec::new(), subscriptions: Vec::new() }
        });
        assert_eq!(life.epoch, epoch);
        topic
    }

    fn life(&mut self, name: usize) -> &mut Life {
        self.lives.get_mut(&name).expect("a topic that was asked for lives")
    }

    fn publish(&mut self, name: usize) {
        let topic = self.topic(name);
        self.published += 1;
        let payload = format!("{:0PAYLOAD_BYTES$}", self.published);
        let answer = self.hub.publish(&topic, Draft::text(&payload), self.now, || unreachable!());
        let now = self.now;
        let life = self.life(name);
        let workers: BTreeSet<usize> = life.subscriptions.iter().map(|(worker, _)| usize::from(*worker)).collect();
        let full = workers.iter().copied().find(|&worker| self.mail[worker].len() == MAILBOX);
        match (answer, full) {
            (Some(Outcome::Accepted(receipt)), None) => {
                let life = self.life(name);
                life.accepted.push((payload.clone(), now));
                assert_eq!(receipt.position, life.position(life.top()));
                assert_eq!(receipt.receivers, life.subscriptions.len());
                workers.into_iter().for_each(|worker| self.mail[worker].push((receipt.position, payload.clone())));
            }
            (Some(Outcome::Full { draft, queue: Queue::Mailbox(worker) }), Some(_)) => {
                assert_eq!(draft.payload(), payload.as_bytes(), "the draft comes back as it was");
                assert!(workers.contains(&worker.index()) && self.mail[worker.index()].len() == MAILBOX);
            }
            (answer, full) => panic!("{answer:?}, and full is {full:?}"),
        }
    }

    fn leave(&mut self, name: usize, worker: u16) {
        let Some(life) = self.lives.get_mut(&name) else { return };
        let Some(at) = life.subscriptions.iter().position(|(one, _)| *one == worker) else { return };
        let (_, topic) = life.subscriptions.swap_remove(at);
        let last = life.subscriptions.iter().all(|(one, _)| *one != worker);
        self.hub.unsubscribe(topic, WorkerId(worker), last, self.now);
    }

    fn drain(&mut self, worker: u16) {
        let mailbox = self.hub.mailbox(WorkerId(worker));
        let mut got = Vec::new();
        while let Some(letter) = mailbox.pop() {
            let Letter::Publication(publication) = letter else { panic!("no canary was sent") };
            mailbox.release(publication.charge_bytes());
            let payload = String::from_utf8(publication.payload().to_vec()).expect("text");
            got.push((publication.position, payload));
        }
        assert_eq!(got, self.mail[usize::from(worker)]);
        self.mail[usize::from(worker)].clear();
    }

    fn tidy(&mut self) {
        self.hub.tidy(self.now);
        let (now, mail) = (self.now, &self.mail);
        self.lives.retain(|_, life| {
            let kept = life.top() > life.complete_after(now);
            let in_mail = mail.iter().flatten().any(|(position, _)| position.epoch == life.epoch);
            kept || in_mail || !life.subscriptions.is_empty()
        });
        assert_eq!(self.hub.census().topics, self.lives.len());
        let kept: u64 = self.lives.values().map(|life| life.top() - life.complete_after(now)).sum();
        assert_eq!(self.hub.census().history_publications as u64, kept);
    }
}

/// Steps as the fuzzer's bytes choose them, two bytes each.
#[cfg(fuzzing)]
pub fn fuzz(bytes: &[u8]) {
    run(bytes.as_chunks().0.iter().map(|&[what, how]| {
        let name = usize::from(how & 3).min(NAMES.len() - 1);
        let worker = u16::from(how >> 2 & 3).min(WORKERS - 1);
        let start = match (what >> 4, how >> 4) {
            (0..6, back) => Asked::Back(back.into()),
            (6 | 7, back) => Asked::Within(back.into(), 3),
            (8 | 9, ahead) => Asked::Ahead(ahead.into()),
            (10, _) => Asked::Elsewhere,
            (11..15, count) => Asked::Last(count.into()),
            (_, _) => Asked::Now,
        };
        match what & 15 {
            0..5 => Step::Publish { name },
            5..8 => Step::Join { name, worker, start },
            8 | 9 => Step::Read { name, start, limit: worker.into() },
            10 | 11 => Step::Leave { name, worker },
            12 | 13 => Step::Drain { worker },
            14 => Step::Wait { secs: (how & 15).into() },
            _ => Step::Tidy,
        }
    }));
}

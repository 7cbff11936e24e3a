//! The hub against a naive model: topics that are published to, joined, left, expired and freed in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::config::{Config, History, Span, TopicRules};
use crate::hub::{
    Draft, Epoch, Hub, Letter, Mailbox, Offset, Outcome, Position, Recovery, Start, Topic, TopicName, WorkerId,
};

const SIZE: usize = 4;
const TTL: Duration = Duration::from_secs(10);
const WORKERS: u16 = 3;
const NAMES: [&str; 3] = ["keep1", "keep2", "news"];

#[derive(Debug, Clone)]
enum Step {
    Publish { name: usize },
    Join { name: usize, worker: u16, back: u64 },
    Leave { name: usize, worker: u16 },
    Drain { worker: u16 },
    Wait { secs: u64 },
    Tidy,
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..NAMES.len();
    prop_oneof![
        4 => name.clone().prop_map(|name| Step::Publish { name }),
        3 => (name.clone(), 0..WORKERS, 0..8u64).prop_map(|(name, worker, back)| Step::Join { name, worker, back }),
        3 => (name, 0..WORKERS).prop_map(|(name, worker)| Step::Leave { name, worker }),
        2 => (0..WORKERS).prop_map(|worker| Step::Drain { worker }),
        1 => (1..6u64).prop_map(|secs| Step::Wait { secs }),
        2 => Just(Step::Tidy),
    ]
}

/// A topic as one would write it down: everything ever accepted in this life, and who is in it.
#[derive(Debug, Default)]
struct Life {
    epoch: Option<Epoch>,
    accepted: Vec<Instant>,
    /// One reference to the topic per subscription, as workers hold them.
    subscriptions: Vec<(u16, Arc<Topic>)>,
}

impl Life {
    /// The offset after which everything is still kept and not expired.
    fn complete_after(&self, keeps: usize, now: Instant) -> u64 {
        let by_size = self.accepted.len().saturating_sub(keeps);
        self.accepted.iter().skip(by_size).filter(|&&at| at + TTL <= now).count() as u64 + by_size as u64
    }
}

/// A topic has a new life, with a higher epoch than all before.
fn born(epochs: &mut BTreeSet<Epoch>, epoch: Epoch) -> Epoch {
    assert!(epochs.last().is_none_or(|&last| last < epoch));
    epochs.insert(epoch);
    epoch
}

proptest! {
    #[test]
    fn the_hub_is_as_a_list_of_what_was_accepted_and_who_was_there(
        steps in proptest::collection::vec(step(), 1..80),
    ) {
        let history = History { size: SIZE, ttl: Span(TTL) };
        let keep = TopicRules { pattern: "keep*".to_owned(), history, ..TopicRules::default() };
        let config = Config { topics: vec![keep], ..Config::default() };
        let mailboxes = (0..WORKERS).map(|_| Arc::new(Mailbox::new(1 << 20, Box::new(|| {})))).collect();
        let hub = Hub::new(&config, mailboxes);

        let start = Instant::now();
        let mut now = start;
        let mut lives: BTreeMap<usize, Life> = BTreeMap::new();
        let mut mail: Vec<Vec<Position>> = vec![Vec::new(); usize::from(WORKERS)];
        let mut epochs = BTreeSet::new();
        for step in steps {
            match step {
                Step::Publish { name } => {
                    let topic = hub.topic(&TopicName::new(NAMES[name]).unwrap()).unwrap();
                    let mut answer = None;
                    hub.publish(&topic, Draft::text("a"), now, |outcome| answer = Some(outcome));
                    let Some(Outcome::Accepted(receipt)) = answer else { panic!("nothing is full: {answer:?}") };
                    let life = lives.entry(name).or_default();
                    life.accepted.push(now);
                    let epoch = *life.epoch.get_or_insert_with(|| born(&mut epochs, receipt.position.epoch));
                    let position = Position { epoch, offset: Offset(life.accepted.len() as u64) };
                    prop_assert_eq!(receipt.position, position);
                    prop_assert_eq!(receipt.receivers, life.subscriptions.len());
                    let workers: BTreeSet<u16> = life.subscriptions.iter().map(|(worker, _)| *worker).collect();
                    workers.into_iter().for_each(|worker| mail[usize::from(worker)].push(position));
                }
                Step::Join { name, worker, back } => {
                    let topic = hub.topic(&TopicName::new(NAMES[name]).unwrap()).unwrap();
                    let epoch = hub.history(&topic, Start::Now, 0, now).top.epoch;
                    let life = lives.entry(name).or_default();
                    prop_assert_eq!(*life.epoch.get_or_insert_with(|| born(&mut epochs, epoch)), epoch);
                    let top = life.accepted.len() as u64;
                    let from = top.saturating_sub(back);
                    let since = Start::Since(Position { epoch, offset: Offset(from) });
                    let joined = hub.subscribe(&topic, WorkerId(worker), since, now);
                    let keeps = if NAMES[name].starts_with("keep") { SIZE } else { 0 };
                    let complete = from >= life.complete_after(keeps, now);
                    let wanted: Vec<u64> = if complete { (from + 1..=top).collect() } else { Vec::new() };
                    let replayed: Vec<u64> = joined.replay.iter().map(|one| one.offset.0).collect();
                    prop_assert_eq!(joined.top.offset.0, top);
                    prop_assert_eq!(joined.recovery, if complete { Recovery::Complete } else { Recovery::Gap });
                    prop_assert_eq!(replayed, wanted);
                    life.subscriptions.push((worker, topic));
                }
                Step::Leave { name, worker } => {
                    let Some(life) = lives.get_mut(&name) else { continue };
                    let Some(at) = life.subscriptions.iter().position(|(one, _)| *one == worker) else { continue };
                    let (_, topic) = life.subscriptions.swap_remove(at);
                    let last = life.subscriptions.iter().all(|(one, _)| *one != worker);
                    hub.unsubscribe(topic, WorkerId(worker), last, now);
                }
                Step::Drain { worker } => {
                    let mailbox = hub.mailbox(WorkerId(worker));
                    let mut got = Vec::new();
                    while let Some(Letter::Publication(publication)) = mailbox.pop() {
                        mailbox.release(publication.charge_bytes());
                        got.push(publication.position);
                    }
                    prop_assert_eq!(&got, &mail[usize::from(worker)]);
                    mail[usize::from(worker)].clear();
                }
                Step::Wait { secs } => now += Duration::from_secs(secs),
                Step::Tidy => {
                    hub.tidy(now);
                    lives.retain(|&name, life| {
                        let keeps = if NAMES[name].starts_with("keep") { SIZE } else { 0 };
                        let kept = (life.accepted.len() as u64) > life.complete_after(keeps, now);
                        let in_mail = mail.iter().flatten().any(|one| Some(one.epoch) == life.epoch);
                        kept || in_mail || !life.subscriptions.is_empty()
                    });
                    prop_assert_eq!(hub.census().topics, lives.len());
                }
            }
            let subscriptions: usize = lives.values().map(|life| life.subscriptions.len()).sum();
            prop_assert_eq!(hub.census().subscriptions, subscriptions);
        }
    }
}

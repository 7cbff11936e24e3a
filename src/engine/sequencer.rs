//! The thread that gives the publications of topics on disk their places.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::cleaning::Cleaning;
use super::disk::{Disk, Item, Work};
use crate::hub::{
    Draft, Epoch, Extras, Hub, Idempotency, Offset, Outcome, Position, Queue, Receipt, Topic, TopicId, Version,
    wall_micros,
};
use crate::refusal::Refusal;
use crate::store::{Entry, Failure, Key, Record, Store};

/// Without anything to do for so long, it looks for what can be cleaned away.
const IDLE: Duration = Duration::from_secs(1);
/// How often it is looked whether a disk that failed works again.
pub(super) const RETRY: Duration = Duration::from_secs(1);
/// How long at most the end waits for a worker that takes nothing: what is on disk then is told to those who come back.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// The topics of the store by epoch. They are not held: a topic that nobody needs is freed, and then forgotten on disk.
pub(super) type Known = FxHashMap<Epoch, Weak<Topic>>;

pub(super) fn known(topics: &[Arc<Topic>]) -> Known {
    topics.iter().map(|topic| (topic.epoch(), Arc::downgrade(topic))).collect()
}

/// `sync = "always"`: what waits is written in one commit, then delivered, then acknowledged.
pub(super) fn write_then_deliver(hub: &Arc<Hub>, mut store: Store, mut known: Known) {
    let Some(disk) = hub.disk() else { return };
    let _shut = ShutOnPanic(disk);
    let mut deliverer = Deliverer::new(hub, disk);
    let mut cleaning = Cleaning::default();
    loop {
        let group = match disk.next(IDLE) {
            Work::Group(group) => group,
            Work::Idle => Vec::new(),
            Work::Closing => {
                // What was removed since it was last looked at would be back after the restart, and this is no crash.
                if let Err(failure) = disk.take_away(&mut store) {
                    disk.figures.failed();
                    tracing::error!(%failure, "history that was removed is still on disk");
                }
                break;
            }
        };
        if let Err(failure) = disk.take_away(&mut store) {
            give_up(disk, group, &failure);
            wait_for_disk(disk, &mut store);
            continue;
        }
        if !group.is_empty() {
            let mut tops: FxHashMap<TopicId, Offset> = FxHashMap::default();
            let wall = wall_micros();
            let mut batch = Batch::default();
            let mut places = Vec::with_capacity(group.len());
            let mut versions = Versions::default();
            for item in &group {
                let top = tops.entry(item.topic.id()).or_insert_with(|| item.topic.top());
                let is_outdated = versions.outdate(&item.topic, &item.draft);
                top.0 += u64::from(!is_outdated);
                let position = Position { epoch: item.topic.epoch(), offset: *top };
                places.push(position);
                if !is_outdated {
                    batch.add(&item.topic, record(position, &item.draft, wall), &mut known);
                }
                if let Some(key) = &item.key {
                    batch.add(&item.topic, used(position, key.clone(), wall), &mut known);
                }
            }
            if let Err(failure) = batch.append(&mut store, disk) {
                give_up(disk, group, &failure);
                wait_for_disk(disk, &mut store);
                continue;
            }
            for (item, position) in group.into_iter().zip(places) {
                let Item { topic, draft, key: _, now, done } = item;
                done(match deliverer.deliver(&topic, draft, now) {
                    Some(outcome) => {
                        debug_assert!(
                            matches!(&outcome, Outcome::Accepted(receipt) if receipt.position == position),
                            "it stands elsewhere than on disk: {outcome:?}, {position}"
                        );
                        outcome
                    }
                    // It is on disk: whoever comes back after the restart gets it.
                    None => Outcome::Accepted(Receipt { position, receivers: 0 }),
                });
            }
        }
        if let Err(failure) = cleaning.go_on(&mut store, &mut known, hub) {
            give_up(disk, Vec::new(), &failure);
            wait_for_disk(disk, &mut store);
        }
    }
    end(store);
}

/// `sync = "100ms"`: what waits is delivered and acknowledged, and given to the thread that writes.
pub(super) fn deliver_then_write(hub: &Arc<Hub>) {
    let Some(disk) = hub.disk() else { return };
    let _shut = ShutOnPanic(disk);
    let mut deliverer = Deliverer::new(hub, disk);
    loop {
        let group = match disk.next(IDLE) {
            Work::Group(group) => group,
            Work::Idle => continue,
            Work::Closing => return,
        };
        let wall = wall_micros();
        for item in group {
            let Item { topic, draft, key, now, done } = item;
            // Room first: what has its place must be written.
            if !disk.pending.wait_for_room(|| disk.is_failing()) {
                done(Outcome::Refused(Refusal::HistoryUnavailable));
                continue;
            }
            let (written, top) = (draft.clone(), topic.top());
            let outcome = deliverer.deliver(&topic, draft, now);
            // What is outdated has no place of its own.
            if let Some(Outcome::Accepted(Receipt { position, .. })) = &outcome {
                let publication = (position.offset > top).then(|| record(*position, &written, wall));
                disk.pending.push(&topic, publication, key.map(|key| used(*position, key, wall)));
            }
            done(outcome.unwrap_or(Outcome::Refused(Refusal::Draining)));
        }
    }
}

/// The versions of what is on its way in one group: the topic knows those of what was delivered only.
#[derive(Debug, Default)]
struct Versions(FxHashMap<TopicId, Box<Version>>);

impl Versions {
    /// Whether the topic will tell `draft` to nobody; else it is the newest.
    fn outdate(&mut self, topic: &Topic, draft: &Draft) -> bool {
        let Some(extras) = draft.extras() else { return false };
        let Some(version) = &extras.version else { return false };
        let is_outdated = match self.0.get(&topic.id()) {
            Some(newest) => newest.outdates(version),
            None => topic.is_outdated(extras),
        };
        if !is_outdated {
            self.0.insert(topic.id(), version.clone());
        }
        is_outdated
    }
}

/// Publications on their way into the store.
#[derive(Debug, Default)]
pub(super) struct Batch {
    topics: FxHashMap<Epoch, Arc<Topic>>,
    entries: Vec<Entry>,
}

impl Batch {
    pub(super) fn add(&mut self, topic: &Arc<Topic>, entry: Entry, known: &mut Known) {
        self.topics.entry(topic.epoch()).or_insert_with(|| {
            known.insert(topic.epoch(), Arc::downgrade(topic));
            Arc::clone(topic)
        });
        self.entries.push(entry);
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn append(&self, store: &mut Store, disk: &Disk) -> Result<(), Failure> {
        if self.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = self.topics.values().map(|topic| (topic.epoch(), topic.name().clone())).collect();
        let began = Instant::now();
        store.append(&names, &self.entries)?;
        disk.figures.committed(began.elapsed());
        disk.figures.set_used(store.bytes());
        Ok(())
    }
}

fn record(position: Position, draft: &Draft, wall: u64) -> Entry {
    Entry::Publication(Record {
        position,
        kind: draft.kind(),
        accepted_micros: wall,
        payload: draft.payload(),
        extras: draft.extras().map(|extras| Extras::to_bytes(extras)).unwrap_or_default(),
    })
}

/// That `key` was used for what stands at `position`.
fn used(position: Position, key: Bytes, wall: u64) -> Entry {
    let expires_micros = wall + Idempotency::TTL.as_micros() as u64;
    Entry::Key(Key { position, key, expires_micros })
}

fn give_up(disk: &Disk, group: Vec<Item>, failure: &Failure) {
    disk.figures.failed();
    disk.set_failing(true);
    tracing::error!(%failure, "history cannot be written: publishes on topics on disk are refused until it can");
    disk.refuse(group);
}

/// Until the disk works again, or everything is to end.
fn wait_for_disk(disk: &Disk, store: &mut Store) {
    loop {
        disk.refuse(Vec::new());
        match store.recover() {
            Ok(()) => break,
            Err(_) if disk.is_closing() => return,
            Err(failure) => {
                disk.figures.failed();
                tracing::debug!(%failure, "history still cannot be written");
            }
        }
        disk.pause(RETRY);
    }
    disk.set_failing(false);
    tracing::info!("history can be written again; nothing that was acknowledged is missing");
}

/// Shuts the door when the thread that is behind it panics: nobody shall wait for it.
pub(super) struct ShutOnPanic<'a>(pub(super) &'a Disk);

impl Drop for ShutOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set_failing(true);
            self.0.refuse(Vec::new());
            tracing::error!("the thread of the history on disk panicked: its topics take nothing until a restart");
        }
    }
}

/// Closes the store in order.
pub(super) fn end(store: Store) {
    match store.close() {
        Ok(()) => tracing::info!("history is written and closed"),
        Err(failure) => tracing::error!(%failure, "history could not be closed in order"),
    }
}

/// Puts what has its place into history and mailboxes, and waits for room there.
struct Deliverer<'a> {
    hub: &'a Arc<Hub>,
    disk: &'a Disk,
    /// Only to wait for room, with a time limit.
    runtime: tokio::runtime::Runtime,
    /// At the end, some worker took nothing any more. From then on nothing is delivered: what came after it would stand
    /// in its place.
    has_given_up: bool,
}

impl<'a> Deliverer<'a> {
    fn new(hub: &'a Arc<Hub>, disk: &'a Disk) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.expect("invariant: a runtime without sockets needs nothing");
        Self { hub, disk, runtime, has_given_up: false }
    }

    /// The outcome, when it is delivered; `None` if at the end it could not be.
    fn deliver(&mut self, topic: &Arc<Topic>, mut draft: Draft, now: Instant) -> Option<Outcome> {
        let mut closing_since = None;
        while !self.has_given_up {
            match self.hub.place(topic, draft, now) {
                Outcome::Full { draft: back, queue } => {
                    draft = back;
                    self.has_given_up = self.disk.is_closing()
                        && closing_since.get_or_insert_with(Instant::now).elapsed() > LAST_PATIENCE;
                    self.wait(queue);
                }
                outcome @ (Outcome::Accepted(_) | Outcome::Refused(_)) => return Some(outcome),
            }
        }
        None
    }

    fn wait(&self, queue: Queue) {
        // Told, or after a moment anyway: room made before this began is not told.
        let room = self.hub.room(queue).notified();
        self.runtime.block_on(async { tokio::time::timeout(Duration::from_millis(5), room).await.ok() });
    }
}

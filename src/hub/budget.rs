//! The bound on all history of this node.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Instant;

use super::history::Weight;
use super::idle::Idle;
use super::sync::{AtomicUsize, Mutex, Ordering, lock};
use super::topic::{Topic, TopicId};

/// Publications that leave one topic under one hold of its lock.
const STEP: usize = 256;

/// The bound on all history of this node, and what to give up first to keep it.
///
/// Every topic with history has one entry, keyed by when its oldest publication expires, or by an earlier time: the key
/// is corrected only when the entry comes up, so that a publish touches the heap only when its topic had no history. Per
/// publish at most one key becomes stale, so the corrections cost at most one step per publish.
#[derive(Debug)]
pub(super) struct Budget {
    limit_bytes: usize,
    bytes: AtomicUsize,
    publications: AtomicUsize,
    /// Held while an entry is in somebody's hand, so that whoever finds the heap empty has nothing left to give up.
    turn: Mutex<()>,
    entries: Mutex<BinaryHeap<Reverse<Entry>>>,
}

#[derive(Debug)]
struct Entry {
    expiry: Instant,
    topic: Arc<Topic>,
}

impl Budget {
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            bytes: AtomicUsize::new(0),
            publications: AtomicUsize::new(0),
            turn: Mutex::new(()),
            entries: Mutex::new(BinaryHeap::new()),
        }
    }

    /// A topic's history went from `before` to `after`. Called under that topic's lock.
    pub(super) fn settle(&self, before: Weight, after: Weight) {
        shift(&self.publications, before.publications, after.publications);
        shift(&self.bytes, before.bytes, after.bytes);
    }

    /// Enters a topic that has no entry. Called under that topic's lock.
    pub(super) fn enroll(&self, topic: Arc<Topic>, expiry: Instant) {
        lock(&self.entries).push(Reverse(Entry { expiry, topic }));
    }

    /// How much is kept.
    pub(super) fn weight(&self) -> Weight {
        Weight { publications: self.publications.load(Ordering::Relaxed), bytes: self.bytes.load(Ordering::Relaxed) }
    }

    /// If more is kept than the limit, gives up what would expire first, in all topics, until it is not.
    ///
    /// When it returns, the bound held at a moment since it was called; so what is over the bound belongs to publishes
    /// that have not returned. Costs a load while there is room. Below the limit it makes room for some more, a 64th of
    /// the limit, so that a full history does not bring every publisher to the one lock here.
    pub(super) fn enforce(&self, idle: &Idle) {
        if self.weight().bytes <= self.limit_bytes {
            return;
        }
        let _turn = lock(&self.turn);
        if self.weight().bytes <= self.limit_bytes {
            return;
        }
        let target = self.limit_bytes - self.limit_bytes / 64;
        while let excess @ 1.. = self.weight().bytes.saturating_sub(target) {
            let Some((entry, next)) = self.take_first() else { return };
            entry
                .topic
                .shed(self, idle, STEP, |expiry, freed| freed < excess && next.is_none_or(|next| expiry <= next));
        }
    }

    /// Takes away what has expired, at most about `at_most` publications and looks at topics.
    pub(super) fn expire(&self, idle: &Idle, now: Instant, at_most: usize) {
        let mut work = 0;
        while work < at_most {
            // Taken anew for each step: a publisher over the limit waits for it.
            let _turn = lock(&self.turn);
            let Some(entry) = self.take_expired(now) else { return };
            work += 1 + entry.topic.shed(self, idle, STEP, |expiry, _| expiry <= now);
        }
    }

    /// The entry with the first key, and the key after it.
    fn take_first(&self) -> Option<(Entry, Option<Instant>)> {
        let mut entries = lock(&self.entries);
        let Reverse(first) = entries.pop()?;
        Some((first, entries.peek().map(|Reverse(next)| next.expiry)))
    }

    fn take_expired(&self, now: Instant) -> Option<Entry> {
        let mut entries = lock(&self.entries);
        entries.peek().is_some_and(|Reverse(first)| first.expiry <= now).then(|| entries.pop())?.map(|Reverse(e)| e)
    }
}

fn shift(total: &AtomicUsize, before: usize, after: usize) {
    // A full ring often stays as heavy as it was: then the line all publishers share is not written.
    if after > before {
        total.fetch_add(after - before, Ordering::Relaxed);
    } else if after < before {
        total.fetch_sub(before - after, Ordering::Relaxed);
    }
}

impl Entry {
    fn key(&self) -> (Instant, TopicId) {
        (self.expiry, self.topic.id())
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

//! Topics by name.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use dashmap::{DashMap, Entry};

use super::idle::Idle;
use super::position::Epoch;
use super::topic::{Topic, TopicId};
use super::topic_name::TopicName;

/// A shard that grows moves all its entries under its lock; with so many shards that is a few thousand of a million.
const SHARDS: usize = 256;

/// The topics of this node by name. Touched on subscribe, unsubscribe and first publish only: publishers keep the topic.
///
/// The hasher is the standard one, seeded per process: clients choose the names.
#[derive(Debug)]
pub(super) struct Registry {
    topics: DashMap<Named, ()>,
    count: AtomicUsize,
    limit: usize,
    next_id: AtomicU64,
    last_epoch: AtomicU64,
}

/// A topic as the key of itself: half of what an entry with a name of its own would cost.
#[derive(Debug, Clone)]
struct Named(Arc<Topic>);

impl Borrow<TopicName> for Named {
    fn borrow(&self) -> &TopicName {
        self.0.name()
    }
}

impl Borrow<str> for Named {
    fn borrow(&self) -> &str {
        self.0.name().as_str()
    }
}

impl Hash for Named {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name().hash(state);
    }
}

impl PartialEq for Named {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Eq for Named {}

impl Registry {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            topics: DashMap::with_shard_amount(SHARDS),
            count: AtomicUsize::new(0),
            limit,
            next_id: AtomicU64::new(0),
            last_epoch: AtomicU64::new(0),
        }
    }

    /// The topic of this name, if it lives.
    pub(super) fn find(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.topics.get(name).map(|found| Arc::clone(&found.key().0))
    }

    /// The same by a text that may be no name at all.
    pub(super) fn find_text(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics.get(name).map(|found| Arc::clone(&found.key().0))
    }

    /// The topic of this name; `make` is called if there is none and the limit allows one more.
    pub(super) fn find_or_make(
        &self,
        name: &TopicName,
        wall_micros: u64,
        idle: &Idle,
        make: impl FnOnce(TopicId, Epoch) -> Topic,
    ) -> Option<Arc<Topic>> {
        if let Some(living) = self.find(name) {
            return Some(living);
        }
        let one_more = |count: usize| (count < self.limit).then_some(count + 1);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        let topic = Arc::new(make(self.next_id(), self.next_epoch(wall_micros)));
        match self.topics.entry(Named(Arc::clone(&topic))) {
            Entry::Occupied(living) => {
                // Somebody else was faster; the number and the epoch are lost, and there are enough of both.
                self.count.fetch_sub(1, Ordering::Relaxed);
                Some(Arc::clone(&living.key().0))
            }
            Entry::Vacant(place) => {
                place.insert(());
                idle.push(Arc::clone(&topic));
                Some(topic)
            }
        }
    }

    /// Frees topics that nobody subscribes to, that keep nothing and that nobody holds; looks at `at_most` candidates.
    pub(super) fn free(&self, idle: &Idle, at_most: usize) {
        for _ in 0..at_most.min(idle.len()) {
            let Some(topic) = idle.pop() else { return };
            if topic.stays_idle() && !self.remove_if_unheld(&topic) {
                idle.push(topic);
            }
        }
    }

    /// No topic gets an epoch up to this one any more.
    pub(super) fn epochs_begin_after(&self, last: Epoch) {
        self.last_epoch.fetch_max(last.0, Ordering::Relaxed);
    }

    /// Looks at all topics, one shard under its lock after the other.
    pub(super) fn each(&self, mut look: impl FnMut(&Topic)) {
        self.topics.iter().for_each(|named| look(&named.key().0));
    }

    /// Topics in memory.
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Removes `topic` if the caller's reference and the registry's are the only ones.
    ///
    /// Then nobody else can get one while the shard is locked, so nobody can publish on a topic that is no longer found
    /// by its name, and no publish has to ask whether its topic still lives.
    fn remove_if_unheld(&self, topic: &Arc<Topic>) -> bool {
        let removed = self.topics.remove_if(topic.name(), |Named(found), ()| {
            Arc::ptr_eq(found, topic) && Arc::strong_count(found) == 2 && found.is_unneeded()
        });
        if removed.is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        removed.is_some()
    }

    fn next_id(&self) -> TopicId {
        TopicId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// The microseconds since 1970, or one more than the last epoch: later lives of a topic have higher epochs, also after
    /// a restart (unless topics were made faster than one per microsecond all along, or the clock was set back, or a thread that
    /// was about to make one stood still for that whole life).
    fn next_epoch(&self, wall_micros: u64) -> Epoch {
        let next = |last: u64| last.saturating_add(1).max(wall_micros);
        let last = self
            .last_epoch
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)))
            .expect("invariant: the update always has a value");
        Epoch(next(last))
    }
}

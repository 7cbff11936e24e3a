//! The door to all topics of this node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::canary::Canary;
use super::directory::Directory;
use super::history::Keep;
use super::joined::{Joined, Start};
use super::mailbox::Mailbox;
use super::node::Node;
use super::outcome::Outcome;
use super::position::Position;
use super::presence::Presence;
use super::publication::Draft;
use super::registry::Registry;
use super::rules::Rules;
use super::topic::Topic;
use super::topic_name::TopicName;
use super::worker_set::WorkerId;
use crate::config::{Config, TopicRules};
use crate::engine::{Engine, memory};
use crate::refusal::Refusal;

/// Expired publications and topics with any that one [`Hub::tidy`] takes away.
const TIDY_PUBLICATIONS: usize = 32_768;
/// Candidates that one [`Hub::tidy`] looks at.
const TIDY_TOPICS: usize = 16_384;
/// Candidates that whoever wants a topic over the limit looks at.
const TOPICS_FREED_AT_LIMIT: usize = 64;

/// All topics of this node, and the workers that deliver them.
#[derive(Debug)]
pub struct Hub {
    engine: Engine,
    registry: Registry,
    rules: Rules,
    node: Node,
    draining: AtomicBool,
    subscriptions: AtomicUsize,
    presence: Presence,
    directory: Directory,
}

impl Hub {
    /// A hub over these workers; a [`WorkerId`] is a place in `mailboxes`.
    pub fn new(config: &Config, mailboxes: Vec<Arc<Mailbox>>) -> Arc<Self> {
        let rules = Rules::new(&config.topics);
        let keep = |rules: &TopicRules| Keep { size: rules.history.size, ttl: rules.history.ttl.0, delta: rules.delta };
        let keeps = rules.list().iter().map(keep).collect();
        Arc::new(Self {
            engine: Engine::Memory,
            registry: Registry::new(config.limits.topics),
            rules,
            node: Node::new(mailboxes, keeps, config.limits.history_total.bytes()),
            draining: AtomicBool::new(false),
            subscriptions: AtomicUsize::new(0),
            presence: Presence::default(),
            directory: Directory::default(),
        })
    }

    /// The rules by index ([`Topic::rules`]): those of the configuration, then the built-in ones.
    pub fn rules(&self) -> &[TopicRules] {
        self.rules.list()
    }

    /// The rules of the topic of this name, whether it lives or not.
    pub fn rules_of(&self, name: &TopicName) -> &TopicRules {
        &self.rules.list()[usize::from(self.rules.resolve(name.as_str()))]
    }

    /// Whether a pattern of the configuration is for this name, and not only the built-in rules.
    pub fn is_listed(&self, name: &TopicName) -> bool {
        usize::from(self.rules.resolve(name.as_str())) + 1 < self.rules.list().len()
    }

    /// Who is in which topic.
    pub fn presence(&self) -> &Presence {
        &self.presence
    }

    /// Where the connections of each user are.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The mailbox of a worker.
    ///
    /// # Panics
    /// If there is no such worker.
    pub fn mailbox(&self, worker: WorkerId) -> &Arc<Mailbox> {
        &self.node.mailboxes[worker.index()]
    }

    /// The topic of this name, made if there is none.
    ///
    /// While the caller keeps it, it stays the topic of that name. Refused with [`Refusal::TooManyTopics`] at
    /// `limits.topics`, if none of the first few idle topics can be freed on the spot.
    pub fn topic(&self, name: &TopicName) -> Result<Arc<Topic>, Refusal> {
        if let Some(topic) = self.registry.find(name) {
            return Ok(topic);
        }
        if let Some(topic) = self.find_or_make(name) {
            return Ok(topic);
        }
        self.registry.free(&self.node.idle, TOPICS_FREED_AT_LIMIT);
        self.find_or_make(name).ok_or(Refusal::TooManyTopics)
    }

    /// The topic of this name, if it lives.
    pub fn find(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.registry.find(name)
    }

    /// Publishes `draft` on `topic` and answers through `done`: at once with the memory engine, later with a remote one.
    ///
    /// With the memory engine: a predictable branch, then the topic's critical section; nothing is allocated but the
    /// publication itself, if somebody subscribes, and places in the history until it is full. See bench `publish`.
    /// Keep the topic and publish on it again: it is never freed under its holder.
    pub fn publish<D: FnOnce(Outcome)>(&self, topic: &Arc<Topic>, draft: Draft, now: Instant, done: D) {
        if self.is_draining() {
            return done(Outcome::Refused(Refusal::Draining));
        }
        match self.engine {
            Engine::Memory => done(memory::publish(topic, draft, now, &self.node)),
        }
    }

    /// Adds one subscriber on `worker`. Called on the worker's thread.
    ///
    /// Publications at or below [`Joined::top`] that are still in the worker's mailbox are not for this subscriber: it
    /// got them from the replay, or did not ask for them.
    pub fn subscribe(&self, topic: &Arc<Topic>, worker: WorkerId, start: Start, now: Instant) -> Joined {
        self.subscriptions.fetch_add(1, Ordering::Relaxed);
        topic.join(worker, start, now)
    }

    /// Takes one subscriber on `worker` away; `last` if the worker has none left for the topic. Called on its thread.
    ///
    /// A topic that nobody needs any more is freed by [`Hub::tidy`].
    pub fn unsubscribe(&self, topic: Arc<Topic>, worker: WorkerId, last: bool, now: Instant) {
        let _ = now;
        self.subscriptions.fetch_sub(1, Ordering::Relaxed);
        topic.leave(worker, last, &self.node.idle);
    }

    /// Takes all `count` subscribers on `worker` away, because the worker failed. Called on its thread.
    pub(crate) fn unsubscribe_all(&self, topic: &Arc<Topic>, worker: WorkerId, count: u32) {
        self.subscriptions.fetch_sub(count as usize, Ordering::Relaxed);
        topic.leave_all(worker, count, &self.node.idle);
    }

    /// The top position, the kept publications (at most `limit`) after `since`, and whether `since` could be honoured.
    ///
    /// After a position: the first `limit` of them, so that the last one's position leads to the next page.
    pub fn history(&self, topic: &Topic, start: Start, limit: usize, now: Instant) -> Joined {
        topic.read(start, limit, now)
    }

    /// The position after which [`Hub::history`] gives everything that is kept, oldest first: for those who page through
    /// it from the start. It may be gone by the time it is used.
    pub fn before_oldest(&self, topic: &Topic, now: Instant) -> Position {
        topic.before_oldest(now)
    }

    /// Sends a canary through every mailbox; [`Canary::done`] tells when all workers have seen it.
    pub fn send_canary(&self) -> Arc<Canary> {
        let canary = Arc::new(Canary::new(self.node.mailboxes.len()));
        for mailbox in &self.node.mailboxes {
            mailbox.push_canary(&canary);
        }
        canary
    }

    /// Sends a canary through one worker's mailbox, so that a silent worker can be named. It is left out when too many
    /// wait there; then the caller holds the only reference to it.
    ///
    /// # Panics
    /// If there is no such worker.
    pub fn send_canary_to(&self, worker: WorkerId) -> Arc<Canary> {
        let canary = Arc::new(Canary::new(1));
        self.mailbox(worker).push_canary(&canary);
        canary
    }

    /// From now on publishes are refused with [`Refusal::Draining`].
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Makes all workers look up.
    pub(crate) fn wake_workers(&self) {
        for mailbox in &self.node.mailboxes {
            mailbox.wake();
        }
    }

    /// Whether [`Hub::drain`] was called.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Expires history and frees topics that nobody needs. Call about once a second.
    ///
    /// One call takes away at most about 32,768 publications and looks at 16,384 idle topics, however many there are; what
    /// is left is done by the next calls. Nothing waits for it: what has expired is not served, busy topics drop their
    /// own, and at `limits.topics` whoever wants a topic frees some itself.
    pub fn tidy(&self, now: Instant) {
        self.node.budget.expire(&self.node.idle, now, TIDY_PUBLICATIONS);
        self.registry.free(&self.node.idle, TIDY_TOPICS);
    }

    /// Counts for metrics and `/api/info`. Costs four loads.
    pub fn census(&self) -> Census {
        let kept = self.node.budget.weight();
        Census {
            topics: self.registry.len(),
            subscriptions: self.subscriptions.load(Ordering::Relaxed),
            history_publications: kept.publications,
            history_bytes: kept.bytes,
        }
    }

    fn find_or_make(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.registry.find_or_make(name, wall_micros(), &self.node.idle, |id, epoch| {
            let rules = self.rules.resolve(name.as_str());
            Topic::new(id, name.clone(), rules, epoch, self.node.mailboxes.len())
        })
    }
}

/// Counts for metrics and `/api/info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Census {
    /// Topics in memory.
    pub topics: usize,
    /// Subscriptions on this node.
    pub subscriptions: usize,
    /// Publications kept.
    pub history_publications: usize,
    /// Bytes kept.
    pub history_bytes: usize,
}

/// The wall clock in microseconds since 1970: the one place where the hub asks for it.
fn wall_micros() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_micros()).unwrap_or(0)
}

//! The door to all topics of this node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;

use super::canary::Canary;
use super::directory::Directory;
use super::doorman::Doorman;
use super::extras::Extras;
use super::history::{Keep, Retained};
use super::idempotency::Idempotency;
use super::idempotency_key::IdempotencyKey;
use super::joined::{Joined, Start};
use super::mailbox::Mailbox;
use super::node::Node;
use super::outcome::{Done, Outcome, Queue, Receipt};
use super::position::{Offset, Position};
use super::presence::Presence;
use super::publication::{Draft, Purpose};
use super::registry::Registry;
use super::rules::Rules;
use super::topic::Topic;
use super::topic_name::{BadTopicName, TopicName};
use super::wildcard::{self, Match, Matches, is_wildcard};
use super::worker_set::WorkerId;
use crate::config::{Config, HistoryStore, Sync, TopicRules};
use crate::engine::{Disk, DiskFigures, Engine, memory};
use crate::refusal::Refusal;
use crate::store::{Kept, OpenError, Store, SyncMode};

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
    /// Those of wildcards: without any, nobody looks for them.
    wildcard_subscriptions: AtomicUsize,
    presence: Presence,
    doorman: Doorman,
    directory: Directory,
    idempotency: Arc<Idempotency>,
}

impl Hub {
    /// A hub over these workers; a [`WorkerId`] is a place in `mailboxes`.
    ///
    /// What is to be kept on disk is not, either: [`Hub::open`] does that.
    pub fn new(config: &Config, mailboxes: Vec<Arc<Mailbox>>) -> Arc<Self> {
        Self::with(config, mailboxes, Engine::Memory)
    }

    /// The same, with the topics that are kept on disk as they were, and a thread that writes. Blocks on the disk.
    ///
    /// To be ended with [`Hub::close`].
    ///
    /// # Errors
    /// The file of `history.path` cannot be used.
    pub fn open(config: &Config, mailboxes: Vec<Arc<Mailbox>>, now: Instant) -> Result<Arc<Self>, OpenError> {
        if !config.keeps_on_disk() {
            return Ok(Self::new(config, mailboxes));
        }
        let began = Instant::now();
        let path = &config.history.path;
        tracing::info!(path = %path.display(), bytes = std::fs::metadata(path).map_or(0, |file| file.len()), "reading history");
        let wall = wall_micros();
        let (store, kept) = Store::open(path, sync_mode(config.history.sync), wall)?;
        let hub = Self::with(config, mailboxes, Engine::Disk(Box::new(Disk::new(config))));
        hub.registry.epochs_begin_after(kept.last_epoch);
        let stopped = kept.stopped;
        let restored = hub.restore(kept, now, wall);
        tracing::info!(
            topics = restored.topics.len(),
            left_out = restored.left_out,
            publications = hub.census().history_publications,
            keys = restored.keys,
            keys_left_out = restored.keys_left_out,
            ?stopped,
            took = ?began.elapsed(),
            "history is read"
        );
        if let Engine::Disk(disk) = &hub.engine {
            disk.start(&hub, store, restored.topics).map_err(|error| OpenError::Disk {
                path: path.clone(),
                detail: format!("cannot start its thread: {error}"),
            })?;
        }
        Ok(hub)
    }

    /// Writes what still waits for the disk, and says there that nothing is missing. Blocks; call it when nobody publishes
    /// any more. Without a disk it does nothing.
    pub fn close(&self) {
        if let Engine::Disk(disk) = &self.engine {
            disk.close();
        }
    }

    fn with(config: &Config, mailboxes: Vec<Arc<Mailbox>>, engine: Engine) -> Arc<Self> {
        let rules = Rules::new(&config.topics);
        let keep = |rules: &TopicRules| Keep {
            size: rules.history.size,
            ttl: rules.history.ttl.0,
            on_disk: rules.history.store == HistoryStore::Disk && rules.history.size > 0,
            delta: rules.delta,
            wildcards: rules.wildcards,
        };
        let keeps = rules.list().iter().map(keep).collect();
        Arc::new(Self {
            engine,
            registry: Registry::new(config.limits.topics),
            rules,
            node: Node::new(mailboxes, keeps, config.limits.history_total.bytes()),
            draining: AtomicBool::new(false),
            subscriptions: AtomicUsize::new(0),
            wildcard_subscriptions: AtomicUsize::new(0),
            presence: Presence::default(),
            doorman: Doorman::default(),
            directory: Directory::default(),
            idempotency: Idempotency::new(Idempotency::LIMIT_BYTES),
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

    /// Whether the rules allow a topic of this name. Costs nothing where no rules say so, and a look at the topics for one that
    /// lives: only others are matched.
    ///
    /// # Errors
    /// [`BadTopicName::NotAllowed`]
    pub fn check_name(&self, name: &TopicName) -> Result<(), BadTopicName> {
        let is_allowed =
            self.rules.allow_all() || self.registry.find(name).is_some() || self.rules.allow(name.as_str());
        if is_allowed { Ok(()) } else { Err(BadTopicName::NotAllowed) }
    }

    /// Whether a pattern of the configuration is for this name, other than one for all names.
    pub fn is_listed(&self, name: &TopicName) -> bool {
        let index = usize::from(self.rules.resolve(name.as_str()));
        index + 1 < self.rules.list().len() && self.rules.list()[index].pattern.contains(|c| c != '*')
    }

    /// Who is in which topic.
    pub fn presence(&self) -> &Presence {
        &self.presence
    }

    /// Who of those who come and go is told of.
    pub fn doorman(&self) -> &Doorman {
        &self.doorman
    }

    /// Where the connections of each user are.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Publications that may come twice.
    pub fn idempotency(&self) -> &Arc<Idempotency> {
        &self.idempotency
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
    /// `limits.topics`, if none of the first few idle topics can be freed on the spot, and with [`Refusal::BadTopicName`] if
    /// the rules allow no topic of this name.
    pub fn topic(&self, name: &TopicName) -> Result<Arc<Topic>, Refusal> {
        if let Some(topic) = self.registry.find(name) {
            return Ok(topic);
        }
        if !self.rules.allow(name.as_str()) {
            return Err(Refusal::BadTopicName);
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

    /// Publishes `draft` on `topic`. `None`: the outcome is not known yet, and comes through what `later` makes, which is
    /// called in that case only.
    ///
    /// For topics in memory: a predictable branch, then the topic's critical section; nothing is allocated but the
    /// publication itself, if somebody subscribes, and places in the history until it is full. See bench `publish`. For
    /// topics on disk: a place in the queue of the thread that writes; nobody waits for the disk here.
    /// Keep the topic and publish on it again: it is never freed under its holder.
    #[must_use]
    pub fn publish(
        &self,
        topic: &Arc<Topic>,
        draft: Draft,
        now: Instant,
        later: impl FnOnce() -> Done,
    ) -> Option<Outcome> {
        self.publish_under(topic, draft, None, now, later)
    }

    /// The same for a publication that is published under a key: see [`Idempotency`]. On a topic on disk the key is written
    /// in the same commit, so that a restart finds both or neither; its turn is the caller's business.
    #[must_use]
    pub fn publish_under(
        &self,
        topic: &Arc<Topic>,
        draft: Draft,
        key: Option<&IdempotencyKey>,
        now: Instant,
        later: impl FnOnce() -> Done,
    ) -> Option<Outcome> {
        if self.is_draining() {
            return Some(Outcome::Refused(Refusal::Draining));
        }
        if self.is_wildcard(topic) && draft.is_told() {
            return Some(Outcome::Refused(Refusal::Wildcard));
        }
        match &self.engine {
            Engine::Disk(disk) if self.node.keeps[topic.rules()].on_disk && draft.purpose() == Purpose::Publication => {
                disk.publish(topic, draft, key, now, later)
            }
            Engine::Memory | Engine::Disk(_) => Some(self.place(topic, draft, now)),
        }
    }

    /// Whether `topic` stands for all topics of a prefix: nothing is published on it, and nothing kept.
    #[inline]
    pub fn is_wildcard(&self, topic: &Topic) -> bool {
        self.node.keeps[topic.rules()].wildcards && is_wildcard(topic.name().as_str())
    }

    /// The same of the topic of this name, whether it lives or not.
    pub fn names_wildcard(&self, name: &TopicName) -> bool {
        is_wildcard(name.as_str()) && self.rules_of(name).wildcards
    }

    /// The same for a publication that has its place on disk, or will have.
    pub(crate) fn place(&self, topic: &Arc<Topic>, draft: Draft, now: Instant) -> Outcome {
        if self.node.keeps[topic.rules()].wildcards && draft.is_told() {
            return topic.publish_matching(draft, now, &self.matches(topic), &self.node);
        }
        memory::publish(topic, draft, now, &self.node)
    }

    /// The wildcards with subscribers that stand for `topic`. They have its rules: what other rules guard is not for them.
    #[cold]
    fn matches(&self, topic: &Topic) -> Matches {
        let mut matches = Matches::new();
        let name = topic.name().as_str();
        let is_for_some = self.rules.list()[topic.rules()].user_limited && name.contains('#');
        // Whoever has subscribed before this publish is counted: see `Hub::subscribe`.
        if is_for_some || self.wildcard_subscriptions.load(Ordering::SeqCst) == 0 {
            return matches;
        }
        wildcard::each_over(name, |over| {
            let found = self.registry.find_text(over).filter(|found| found.rules() == topic.rules());
            if let Some(wildcard) = found {
                let workers = wildcard.interest();
                if !workers.is_empty() {
                    matches.push(Match { wildcard, workers });
                }
            }
        });
        matches
    }

    /// Resolves (once enabled) when a queue that was [`Outcome::Full`] has room again; for publishers over HTTP.
    /// See [`Mailbox::room`].
    pub fn room(&self, queue: Queue) -> &Notify {
        match (queue, &self.engine) {
            (Queue::Disk, Engine::Disk(disk)) => disk.room(),
            (Queue::Mailbox(worker), Engine::Memory | Engine::Disk(_)) => self.mailbox(worker).room(),
            (Queue::Disk, Engine::Memory) => unreachable!("nothing waits for a disk that is not there"),
        }
    }

    /// Wakes `worker` when a queue that was [`Outcome::Full`] has room again. See [`Mailbox::wake_when_roomy`].
    pub fn wake_when_roomy(&self, queue: Queue, worker: &Arc<Mailbox>) {
        match (queue, &self.engine) {
            (Queue::Disk, Engine::Disk(disk)) => disk.wake_when_roomy(worker),
            (Queue::Mailbox(full), Engine::Memory | Engine::Disk(_)) => self.mailbox(full).wake_when_roomy(worker),
            (Queue::Disk, Engine::Memory) => unreachable!("nothing waits for a disk that is not there"),
        }
    }

    /// The disk, if there is one.
    pub(crate) fn disk(&self) -> Option<&Disk> {
        match &self.engine {
            Engine::Disk(disk) => Some(disk),
            Engine::Memory => None,
        }
    }

    /// What the disk does, if there is one.
    pub fn disk_figures(&self) -> Option<&DiskFigures> {
        match &self.engine {
            Engine::Disk(disk) => Some(disk.figures()),
            Engine::Memory => None,
        }
    }

    /// Adds one subscriber on `worker`. Called on the worker's thread.
    ///
    /// Publications at or below [`Joined::top`] that are still in the worker's mailbox are not for this subscriber: it
    /// got them from the replay, or did not ask for them.
    pub fn subscribe(&self, topic: &Arc<Topic>, worker: WorkerId, start: Start, now: Instant) -> Joined {
        self.subscriptions.fetch_add(1, Ordering::Relaxed);
        if self.is_wildcard(topic) {
            self.wildcard_subscriptions.fetch_add(1, Ordering::SeqCst);
        }
        topic.join(worker, start, now)
    }

    /// Takes one subscriber on `worker` away; `last` if the worker has none left for the topic. Called on its thread.
    ///
    /// A topic that nobody needs any more is freed by [`Hub::tidy`].
    pub fn unsubscribe(&self, topic: Arc<Topic>, worker: WorkerId, last: bool, now: Instant) {
        let _ = now;
        self.subscriptions.fetch_sub(1, Ordering::Relaxed);
        if self.is_wildcard(&topic) {
            self.wildcard_subscriptions.fetch_sub(1, Ordering::SeqCst);
        }
        topic.leave(worker, last, &self.node.idle);
    }

    /// Takes all `count` subscribers on `worker` away, because the worker failed. Called on its thread.
    pub(crate) fn unsubscribe_all(&self, topic: &Arc<Topic>, worker: WorkerId, count: u32) {
        self.subscriptions.fetch_sub(count as usize, Ordering::Relaxed);
        if self.is_wildcard(topic) {
            self.wildcard_subscriptions.fetch_sub(count as usize, Ordering::SeqCst);
        }
        topic.leave_all(worker, count, &self.node.idle);
    }

    /// The top position, the kept publications (at most `limit`) after `since`, and whether `since` could be honoured.
    ///
    /// After a position: the first `limit` of them, so that the last one's position leads to the next page.
    pub fn history(&self, topic: &Topic, start: Start, limit: usize, now: Instant) -> Joined {
        topic.read(start, limit, now)
    }

    /// The last `limit` kept publications before `before`, oldest first: for those who page backwards.
    pub fn history_before(&self, topic: &Topic, before: Offset, limit: usize, now: Instant) -> Joined {
        topic.read_before(before, limit, now)
    }

    /// Forgets all that is kept of a topic. Its numbers go on in the same epoch: whoever comes back with a position from
    /// before finds a gap, and not other publications under the same numbers. On disk it is gone a moment later.
    pub fn remove_history(&self, topic: &Arc<Topic>) {
        topic.forget(&self.node);
        if let Engine::Disk(disk) = &self.engine
            && self.node.keeps[topic.rules()].on_disk
        {
            disk.let_go(topic);
        }
    }

    /// Looks at all topics, in no order. Whoever makes or frees a topic may wait for a look at up to a 256th of all.
    pub fn each_topic(&self, look: impl FnMut(&Topic)) {
        self.registry.each(look);
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
        self.doorman.tidy(now);
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

    /// Makes the topics that were kept, as far as `limits.topics` and their rules of today allow.
    fn restore(&self, kept: Kept, now: Instant, wall_micros: u64) -> Restored {
        let mut restored = Restored::default();
        // The ones that were published on last, if there is not room for all.
        for kept in kept.topics.into_iter().rev() {
            let rules = self.rules.resolve(kept.name.as_str());
            let keep = self.node.keeps[usize::from(rules)];
            let made = (keep.on_disk && self.rules.allow(kept.name.as_str())).then(|| {
                self.registry.find_or_make(&kept.name, wall_micros, &self.node.idle, |id, _| {
                    Topic::new(id, kept.name.clone(), rules, kept.epoch, self.node.mailboxes.len())
                })
            });
            let Some(Some(topic)) = made else {
                restored.left_out += 1;
                continue;
            };
            let first = kept.records.len().saturating_sub(keep.size);
            let retained = kept.records.into_iter().skip(first).filter_map(|record| {
                let age = Duration::from_micros(wall_micros.saturating_sub(record.accepted_micros));
                let accepted = if age < keep.ttl { now.checked_sub(age)? } else { return None };
                Some(Retained {
                    offset: record.position.offset,
                    kind: record.kind,
                    // Its own memory, with the frame's header before it: what the budget reckons with.
                    payload: Draft::new(record.kind, &record.payload).payload(),
                    accepted,
                    extras: Extras::from_bytes(&record.extras).map(Arc::new),
                })
            });
            topic.restore(kept.top, ending_at(kept.top, retained.collect()), now, &self.node);
            restored.topics.push(topic);
        }
        self.node.budget.enforce(&self.node.idle);
        let keys = kept.keys.iter().filter_map(|kept| {
            let left = Duration::from_micros(kept.expires_micros.saturating_sub(wall_micros));
            // Never longer than one that was used just now, whatever the clock was set to.
            let age = Idempotency::TTL.saturating_sub(left);
            let used_at = now.checked_sub(age).unwrap_or(now);
            Some((IdempotencyKey::from_bytes(&kept.key)?, used_at, Receipt { position: kept.position, receivers: 0 }))
        });
        restored.keys_left_out = self.idempotency.restore(keys.collect());
        restored.keys = self.idempotency.len();
        restored
    }

    fn find_or_make(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.registry.find_or_make(name, wall_micros(), &self.node.idle, |id, epoch| {
            let rules = self.rules.resolve(name.as_str());
            Topic::new(id, name.clone(), rules, epoch, self.node.mailboxes.len())
        })
    }
}

/// What was made of what was kept.
#[derive(Debug, Default)]
struct Restored {
    topics: Vec<Arc<Topic>>,
    /// Topics for which there is no room, or which are not kept on disk any more, or not allowed.
    left_out: usize,
    /// Idempotency keys.
    keys: usize,
    /// Those for which there is no room: the oldest.
    keys_left_out: usize,
}

/// The end of `records` that leads up to `top` without a gap: all, but for a clock that was set back meanwhile.
fn ending_at(top: Offset, mut records: Vec<Retained>) -> Vec<Retained> {
    let mut expected = top.0;
    let fits = |record: &&Retained| {
        let fits = record.offset.0 == expected;
        expected = expected.wrapping_sub(1);
        fits
    };
    let count = records.iter().rev().take_while(fits).count();
    records.split_off(records.len() - count)
}

fn sync_mode(sync: Sync) -> SyncMode {
    match sync {
        Sync::Always => SyncMode::Always,
        Sync::Every(_) => SyncMode::Interval,
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
pub(crate) fn wall_micros() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_micros()).unwrap_or(0)
}

//! The door to all topics of this node.

use std::sync::Arc;
use std::time::Instant;

use super::mailbox::{Mailbox, WorkerId};
use super::position::Position;
use super::publication::{Draft, Retained};
use super::topic::Topic;
use super::topic_name::TopicName;
use crate::config::{Config, TopicRules};
use crate::refusal::Refusal;

/// All topics of this node, and the workers that deliver them.
#[derive(Debug)]
pub struct Hub {}

/// What an accepted publication is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Where it stands.
    pub position: Position,
    /// Subscribers on this node when it was accepted.
    pub receivers: usize,
}

/// What became of a draft.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// It has its offset, is in the history, and is queued on every interested worker.
    Accepted(Receipt),
    /// `worker`'s mailbox has no room; nothing happened. Try again when it has.
    Full {
        /// The draft, given back.
        draft: Draft,
        /// Whose mailbox to wait for.
        worker: WorkerId,
    },
    /// It was refused and will be refused again.
    Refused(Refusal),
}

/// Where a subscriber wants to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the next publication.
    Now,
    /// After this position.
    Since(Position),
    /// With at most this many of the last publications.
    Last(usize),
}

/// Whether a subscriber got everything since its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// It did not ask.
    NotAsked,
    /// Everything since its position is in the replay (nothing, if it missed nothing).
    Complete,
    /// Something is gone (other epoch, or older than history): the replay is empty.
    Gap,
}

/// What a subscriber is told on joining.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The last position at the moment of joining: the replay ends here, live publications come after it.
    pub top: Position,
    /// Publications to send first, oldest first.
    pub replay: Vec<Retained>,
    /// Whether that is everything it asked for.
    pub recovery: Recovery,
}

impl Hub {
    /// A hub over these workers.
    pub fn new(config: &Config, mailboxes: Vec<Arc<Mailbox>>) -> Arc<Self> {
        let _ = (config, mailboxes);
        unimplemented!()
    }
    /// The rules by index ([`Topic::rules`]): those of the configuration, then the built-in ones.
    pub fn rules(&self) -> &[TopicRules] {
        unimplemented!()
    }
    /// The mailbox of a worker.
    pub fn mailbox(&self, worker: WorkerId) -> &Arc<Mailbox> {
        let _ = worker;
        unimplemented!()
    }
    /// The topic of this name, made if there is none.
    pub fn topic(&self, name: &TopicName) -> Result<Arc<Topic>, Refusal> {
        let _ = name;
        unimplemented!()
    }
    /// The topic of this name, if it lives.
    pub fn find(&self, name: &TopicName) -> Option<Arc<Topic>> {
        let _ = name;
        unimplemented!()
    }
    /// Publishes `draft` on `topic` and answers through `done`: at once with the memory engine, later with a remote one.
    pub fn publish<D: FnOnce(Outcome)>(&self, topic: &Arc<Topic>, draft: Draft, now: Instant, done: D) {
        let _ = (topic, draft, now, done);
        unimplemented!()
    }
    /// Adds one subscriber on `worker`. Called on the worker's thread.
    pub fn subscribe(&self, topic: &Arc<Topic>, worker: WorkerId, start: Start, now: Instant) -> Joined {
        let _ = (topic, worker, start, now);
        unimplemented!()
    }
    /// Takes one subscriber on `worker` away; `last` if the worker has none left for the topic. Called on its thread.
    pub fn unsubscribe(&self, topic: Arc<Topic>, worker: WorkerId, last: bool, now: Instant) {
        let _ = (topic, worker, last, now);
        unimplemented!()
    }
    /// The top position, the kept publications (at most `limit`) after `since`, and whether `since` could be honoured.
    pub fn history(&self, topic: &Topic, start: Start, limit: usize, now: Instant) -> Joined {
        let _ = (topic, start, limit, now);
        unimplemented!()
    }
    /// From now on publishes are refused with [`Refusal::Draining`].
    pub fn drain(&self) {
        unimplemented!()
    }
    /// Whether [`Hub::drain`] was called.
    pub fn is_draining(&self) -> bool {
        unimplemented!()
    }
    /// Expires history and frees topics that nobody needs. Call about once a second.
    pub fn tidy(&self, now: Instant) {
        let _ = now;
        unimplemented!()
    }
    /// (topics, subscriptions, history publications, history bytes) on this node.
    pub fn census(&self) -> Census {
        unimplemented!()
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

//! Which logs of this worker carry which topics.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::bundle::BundleId;
use crate::fanout::LogId;
use crate::hub::{Topic, TopicId};
use crate::protocol::Encoding;

/// What a log of this worker carries.
#[derive(Debug, Clone)]
pub(crate) enum Carries {
    /// One topic in one encoding.
    Topic(Arc<Topic>, Encoding),
    /// The topics of a bundle.
    Bundle(BundleId),
}

/// Which logs of this worker carry which topics, both ways.
#[derive(Debug, Default)]
pub(crate) struct Memberships {
    /// Our own ids: the fast hasher is safe.
    topics: FxHashMap<TopicId, Local>,
    logs: Vec<Option<Carries>>,
}

/// A topic as this worker sees it.
#[derive(Debug)]
struct Local {
    logs: [Option<LogId>; Encoding::COUNT],
    bundles: SmallVec<[BundleId; 1]>,
    /// Subscribers here, over all logs: the hub is told when the last one goes.
    members: usize,
}

/// What a publication of a topic goes to on this worker. Copied per publication, without an allocation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Destinations {
    pub(crate) logs: [Option<LogId>; Encoding::COUNT],
    pub(crate) bundles: SmallVec<[BundleId; 1]>,
}

/// Whether the worker still needs a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Interest {
    /// It has other subscribers here.
    Kept,
    /// That was the last one here.
    Lost,
}

impl Memberships {
    /// Where a publication on `topic` goes; `None` if nobody here wants it (any more).
    pub(crate) fn destinations(&self, topic: TopicId) -> Option<Destinations> {
        let local = self.topics.get(&topic)?;
        Some(Destinations { logs: local.logs, bundles: local.bundles.clone() })
    }

    /// The log of `topic` in `encoding`, if there is one.
    pub(crate) fn log(&self, topic: TopicId, encoding: Encoding) -> Option<LogId> {
        self.topics.get(&topic)?.logs[encoding.index()]
    }

    /// Counts a subscriber of `topic`.
    pub(crate) fn join(&mut self, topic: &Arc<Topic>) {
        let local = self.topics.entry(topic.id()).or_insert_with(|| Local {
            logs: [None; Encoding::COUNT],
            bundles: SmallVec::new(),
            members: 0,
        });
        local.members += 1;
    }

    /// Takes a subscriber of `topic` away.
    pub(crate) fn leave(&mut self, topic: TopicId) -> Interest {
        let Some(local) = self.topics.get_mut(&topic) else { return Interest::Lost };
        local.members -= 1;
        if local.members > 0 {
            return Interest::Kept;
        }
        self.topics.remove(&topic);
        Interest::Lost
    }

    /// A new log carries `topic` in `encoding`. The topic was joined.
    pub(crate) fn opened(&mut self, log: LogId, topic: &Arc<Topic>, encoding: Encoding) {
        if let Some(local) = self.topics.get_mut(&topic.id()) {
            local.logs[encoding.index()] = Some(log);
        }
        self.carry(log, Carries::Topic(Arc::clone(topic), encoding));
    }

    /// A new log carries a bundle.
    pub(crate) fn bundled<'a>(&mut self, log: LogId, bundle: BundleId, topics: impl Iterator<Item = &'a Arc<Topic>>) {
        for topic in topics {
            if let Some(local) = self.topics.get_mut(&topic.id()) {
                local.bundles.push(bundle);
            }
        }
        self.carry(log, Carries::Bundle(bundle));
    }

    fn carry(&mut self, log: LogId, carries: Carries) {
        let index = log.0 as usize;
        if self.logs.len() <= index {
            self.logs.resize_with(index + 1, || None);
        }
        self.logs[index] = Some(carries);
    }

    /// A log without members is closed. The bundle it carried, if it carried one, is to be forgotten.
    pub(crate) fn closed(&mut self, log: LogId) -> Option<BundleId> {
        match self.logs.get_mut(log.0 as usize).and_then(Option::take)? {
            Carries::Topic(topic, encoding) => {
                if let Some(local) = self.topics.get_mut(&topic.id()) {
                    local.logs[encoding.index()] = None;
                }
                None
            }
            Carries::Bundle(bundle) => Some(bundle),
        }
    }

    /// A bundle no longer carries this topic.
    pub(crate) fn unbundled(&mut self, topic: TopicId, bundle: BundleId) {
        if let Some(local) = self.topics.get_mut(&topic) {
            local.bundles.retain(|one| *one != bundle);
        }
    }

    /// What `log` carries.
    pub(crate) fn carried(&self, log: LogId) -> Option<&Carries> {
        self.logs.get(log.0 as usize)?.as_ref()
    }
}

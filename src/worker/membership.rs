//! Which logs of this worker carry which topics.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use super::bundle::BundleId;
use super::filtered::FilteredId;
use super::slab::Slab;
use crate::fanout::LogId;
use crate::hub::{Topic, TopicId};
use crate::protocol::Encoding;

/// What tells the logs of one topic apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Variant {
    /// All publications, in one encoding.
    Of(Encoding),
    /// Those that a filter lets through.
    Filtered(FilteredId),
}

/// What a log of this worker carries.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Carried<'a> {
    /// One topic.
    Topic(&'a Arc<Topic>, Variant),
    /// The topics of a bundle.
    Bundle(BundleId),
}

/// Which logs of this worker carry which topics, both ways.
///
/// A topic with one log costs it 50 bytes or so: there may be a million of them.
#[derive(Debug, Default)]
pub(crate) struct Memberships {
    /// Places in `locals`, by the topic's id: 4 bytes an entry, where a map with its keys would have 16.
    index: HashTable<u32>,
    locals: Slab<Local>,
    free: Vec<u32>,
    logs: Slab<Carries>,
}

/// What a log carries, by place.
#[derive(Debug, Clone, Copy)]
enum Carries {
    Topic(u32, Variant),
    Bundle(BundleId),
}

/// A topic as this worker sees it.
#[derive(Debug)]
struct Local {
    topic: Arc<Topic>,
    carriers: Carriers,
    /// Subscribers here, over all logs: the hub is told when the last one goes.
    members: u32,
}

/// The logs of a topic. Nearly all have one.
#[derive(Debug)]
enum Carriers {
    None,
    Log(LogId, Variant),
    Many(Box<Destinations>),
}

/// What a publication of a topic goes to on this worker. Copied per publication, without an allocation unless there are
/// more than a few.
#[derive(Debug, Clone, Default)]
pub(crate) struct Destinations {
    /// In the order in which they were opened.
    pub(crate) logs: SmallVec<[(Variant, LogId); 4]>,
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
        Some(self.local(topic)?.carriers.destinations())
    }

    /// The log of a variant of `topic`, if there is one.
    pub(crate) fn log(&self, topic: TopicId, variant: Variant) -> Option<LogId> {
        match &self.local(topic)?.carriers {
            Carriers::Log(log, of) => (*of == variant).then_some(*log),
            Carriers::Many(all) => all.logs.iter().find(|(of, _)| *of == variant).map(|&(_, log)| log),
            Carriers::None => None,
        }
    }

    /// Counts a subscriber of `topic`.
    pub(crate) fn join(&mut self, topic: &Arc<Topic>) {
        if let Some(local) = self.local_mut(topic.id()) {
            local.members += 1;
            return;
        }
        let place = self.free.pop().unwrap_or(self.index.len() as u32);
        self.locals.insert(place, Local { topic: Arc::clone(topic), carriers: Carriers::None, members: 1 });
        let locals = &self.locals;
        // Its own id is never asked for: all entries but the new one are in `locals` with their topic, and so is that.
        let hash_of = |&place: &u32| locals.get(place).map_or(0, |local| hash(local.topic.id()));
        self.index.insert_unique(hash(topic.id()), place, hash_of);
    }

    /// Takes a subscriber of `topic` away.
    pub(crate) fn leave(&mut self, topic: TopicId) -> Interest {
        let Some(local) = self.local_mut(topic) else { return Interest::Lost };
        local.members -= 1;
        if local.members > 0 {
            return Interest::Kept;
        }
        let locals = &self.locals;
        if let Ok(entry) = self.index.find_entry(hash(topic), |&place| is_of(locals, place, topic)) {
            let (place, _) = entry.remove();
            self.locals.remove(place);
            self.free.push(place);
        }
        Interest::Lost
    }

    /// The topics, with how many subscribers each has here.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (&Arc<Topic>, u32)> {
        self.locals.iter().map(|local| (&local.topic, local.members))
    }

    /// A new log carries a variant of `topic`. The topic was joined.
    pub(crate) fn opened(&mut self, log: LogId, topic: TopicId, variant: Variant) {
        let Some(place) = self.place(topic) else { return };
        if let Some(local) = self.locals.get_mut(place) {
            match &mut local.carriers {
                Carriers::None => local.carriers = Carriers::Log(log, variant),
                Carriers::Log(..) | Carriers::Many(_) => local.carriers.many().logs.push((variant, log)),
            }
        }
        self.logs.insert(log.0, Carries::Topic(place, variant));
    }

    /// A new log carries a bundle.
    pub(crate) fn bundled<'a>(&mut self, log: LogId, bundle: BundleId, topics: impl Iterator<Item = &'a Arc<Topic>>) {
        for topic in topics {
            if let Some(local) = self.local_mut(topic.id()) {
                local.carriers.many().bundles.push(bundle);
            }
        }
        self.logs.insert(log.0, Carries::Bundle(bundle));
    }

    /// A log without members is closed. The bundle it carried, if it carried one, is to be forgotten.
    pub(crate) fn closed(&mut self, log: LogId) -> Option<BundleId> {
        match self.logs.remove(log.0)? {
            Carries::Topic(place, variant) => {
                if let Some(local) = self.locals.get_mut(place) {
                    match &mut local.carriers {
                        Carriers::Log(..) => local.carriers = Carriers::None,
                        Carriers::Many(all) => all.logs.retain(|(of, _)| *of != variant),
                        Carriers::None => {}
                    }
                }
                None
            }
            Carries::Bundle(bundle) => Some(bundle),
        }
    }

    /// A bundle no longer carries this topic.
    pub(crate) fn unbundled(&mut self, topic: TopicId, bundle: BundleId) {
        if let Some(Local { carriers: Carriers::Many(all), .. }) = self.local_mut(topic) {
            all.bundles.retain(|one| *one != bundle);
        }
    }

    /// What `log` carries.
    pub(crate) fn carried(&self, log: LogId) -> Option<Carried<'_>> {
        match *self.logs.get(log.0)? {
            Carries::Topic(place, variant) => Some(Carried::Topic(&self.locals.get(place)?.topic, variant)),
            Carries::Bundle(bundle) => Some(Carried::Bundle(bundle)),
        }
    }

    fn place(&self, topic: TopicId) -> Option<u32> {
        self.index.find(hash(topic), |&place| is_of(&self.locals, place, topic)).copied()
    }

    fn local(&self, topic: TopicId) -> Option<&Local> {
        self.locals.get(self.place(topic)?)
    }

    fn local_mut(&mut self, topic: TopicId) -> Option<&mut Local> {
        self.locals.get_mut(self.place(topic)?)
    }
}

impl Carriers {
    fn destinations(&self) -> Destinations {
        match self {
            Self::None => Destinations::default(),
            Self::Log(log, variant) => {
                let mut only = Destinations::default();
                only.logs.push((*variant, *log));
                only
            }
            Self::Many(all) => Destinations::clone(all),
        }
    }

    /// Room for more than one log.
    fn many(&mut self) -> &mut Destinations {
        if !matches!(self, Self::Many(_)) {
            *self = Self::Many(Box::new(self.destinations()));
        }
        match self {
            Self::Many(all) => all,
            Self::None | Self::Log(..) => unreachable!("invariant: made so above"),
        }
    }
}

/// Our own ids: the fast hasher is safe.
fn hash(topic: TopicId) -> u64 {
    FxBuildHasher.hash_one(topic)
}

fn is_of(locals: &Slab<Local>, place: u32, topic: TopicId) -> bool {
    locals.get(place).is_some_and(|local| local.topic.id() == topic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::hub::{Hub, TopicName};

    fn topics(count: usize) -> Vec<Arc<Topic>> {
        let hub = Hub::new(&Config::default(), Vec::new());
        (0..count).map(|number| hub.topic(&TopicName::new(&format!("t{number}")).unwrap()).unwrap()).collect()
    }

    #[test]
    fn a_topic_with_one_log_is_small() {
        assert!(size_of::<Option<Local>>() <= 32, "{}", size_of::<Option<Local>>());
        assert!(size_of::<Option<Carries>>() <= 8, "{}", size_of::<Option<Carries>>());
    }

    #[test]
    fn topics_are_found_among_many_and_their_places_are_used_again() {
        let topics = topics(1000);
        let mut memberships = Memberships::default();
        for (log, topic) in (0..).zip(&topics) {
            memberships.join(topic);
            memberships.opened(LogId(log), topic.id(), Variant::Of(Encoding::Plain));
        }
        for (log, topic) in (0..).zip(&topics) {
            assert_eq!(memberships.log(topic.id(), Variant::Of(Encoding::Plain)), Some(LogId(log)));
            assert_eq!(memberships.log(topic.id(), Variant::Of(Encoding::Json)), None);
        }
        for (log, topic) in (0..).zip(&topics).step_by(2) {
            assert_eq!(memberships.closed(LogId(log)), None);
            assert_eq!(memberships.leave(topic.id()), Interest::Lost);
        }
        assert!(memberships.destinations(topics[0].id()).is_none());
        memberships.join(&topics[0]);
        memberships.opened(LogId(0), topics[0].id(), Variant::Of(Encoding::Json));
        for log in [0, 1, 999] {
            let Some(Carried::Topic(topic, _)) = memberships.carried(LogId(log)) else { panic!("log {log}") };
            assert_eq!(topic.id(), topics[log as usize].id());
        }
        assert_eq!(memberships.free.len(), 499);
    }

    #[test]
    fn a_topic_keeps_its_other_logs_when_one_is_closed() {
        let topics = topics(1);
        let topic = topics[0].id();
        let mut memberships = Memberships::default();
        for (log, encoding) in [(5, Variant::Of(Encoding::Plain)), (6, Variant::Of(Encoding::Sse))] {
            memberships.join(&topics[0]);
            memberships.opened(LogId(log), topic, encoding);
        }
        let logs = |memberships: &Memberships| memberships.destinations(topic).unwrap().logs.len();
        assert_eq!(logs(&memberships), 2);
        assert_eq!(memberships.closed(LogId(5)), None);
        assert_eq!(memberships.leave(topic), Interest::Kept);
        assert_eq!(logs(&memberships), 1);
        assert_eq!(memberships.log(topic, Variant::Of(Encoding::Sse)), Some(LogId(6)));
        assert_eq!(memberships.closed(LogId(6)), None);
        assert_eq!(memberships.leave(topic), Interest::Lost);
        assert!(memberships.destinations(topic).is_none());
    }
}

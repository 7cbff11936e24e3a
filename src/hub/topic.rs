//! One topic: the sequencer, its history and its interest, under one short lock.

use super::topic_name::TopicName;

/// A topic's number in this process; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TopicId(pub u64);

/// A named stream that clients join.
#[derive(Debug)]
pub struct Topic {
    id: TopicId,
    name: TopicName,
    rules: usize,
}

impl Topic {
    /// Its number.
    pub fn id(&self) -> TopicId {
        self.id
    }
    /// Its name.
    pub fn name(&self) -> &TopicName {
        &self.name
    }
    /// The index of its rules in [`super::Hub::rules`].
    pub fn rules(&self) -> usize {
        self.rules
    }
}

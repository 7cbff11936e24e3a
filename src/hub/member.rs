//! A client as others see it: in presence, in joins and leaves, and beside what it publishes.

use std::fmt;

use bytes::Bytes;
use uuid::Uuid;

/// One connection of a client on this hub or another: a fresh random number, told to others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub Uuid);

impl ClientId {
    /// A fresh one.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The id of this text, in any of the forms of a UUID.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0.hyphenated(), f)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A client as others see it on one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its user; empty if it is anonymous.
    pub user: Box<str>,
    /// Its connection.
    pub client: ClientId,
    /// What its connection brought about itself: JSON, or anything if its client speaks Protobuf. Empty if nothing.
    pub connection_info: Bytes,
    /// What its subscription brought besides. Empty if nothing.
    pub topic_info: Bytes,
}

impl Member {
    /// What it holds in memory, about.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.user.len() + self.connection_info.len() + self.topic_info.len()
    }
}

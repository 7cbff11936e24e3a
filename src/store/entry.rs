//! What is kept on disk.

use bytes::Bytes;

use crate::hub::{Kind, Position};

/// One thing that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A publication.
    Publication(Record),
    /// That a publication was published with an idempotency key.
    Key(Key),
}

/// A publication as it is kept on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it stands in its topic.
    pub position: Position,
    /// Text or binary.
    pub kind: Kind,
    /// When it was accepted, in microseconds since 1970: of the clocks there are, the one that outlives the process.
    pub accepted_micros: u64,
    /// The application bytes.
    pub payload: Bytes,
    /// Whatever else the hub keeps with it, in the hub's own encoding; empty for most.
    pub extras: Bytes,
}

/// An idempotency key that was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The publication that was accepted with it.
    pub position: Position,
    /// The key, with whatever it is qualified by. At most 65,535 bytes.
    pub key: Bytes,
    /// Until when it is remembered, in microseconds since 1970.
    pub expires_micros: u64,
}

impl Entry {
    /// Where its publication stands.
    pub fn position(&self) -> Position {
        match self {
            Self::Publication(record) => record.position,
            Self::Key(key) => key.position,
        }
    }
}

//! One payload accepted on a topic, with its offset and its encoded frames.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;

use super::kind::Kind;
use super::position::Position;
use super::topic::Topic;
use crate::protocol::{self, Encoding};

/// A payload on its way to a topic: not yet accepted, no offset yet.
///
/// Holds the plain WebSocket frame, of which the payload is the end: so a publication to plain subscribers is copied
/// once, when its draft is made, and history keeps that same allocation.
#[derive(Debug, Clone)]
pub struct Draft {
    pub(super) kind: Kind,
    pub(super) frame: Bytes,
    pub(super) header_len: u8,
}

impl Draft {
    /// Copies `payload` behind a frame header. The caller has checked that text is UTF-8.
    pub fn new(kind: Kind, payload: &[u8]) -> Self {
        let frame = protocol::plain_frame(kind, payload);
        let header_len = (frame.len() - payload.len()) as u8;
        Self { kind, frame, header_len }
    }

    /// A text payload.
    pub fn text(payload: &str) -> Self {
        Self::new(Kind::Text, payload.as_bytes())
    }

    /// Text or binary.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The payload.
    pub fn payload(&self) -> Bytes {
        self.frame.slice(usize::from(self.header_len)..)
    }

    /// What it is charged with in a mailbox, in bytes: the same as its publication.
    pub(super) fn charge_bytes(&self) -> usize {
        self.frame.len() - usize::from(self.header_len) + size_of::<Publication>()
    }
}

/// One payload accepted on a topic. Shared by all workers; each encoding is made once, on first use.
#[derive(Debug)]
pub struct Publication {
    /// The topic it was accepted on.
    pub topic: Arc<Topic>,
    /// Where it stands there.
    pub position: Position,
    /// Text or binary.
    pub kind: Kind,
    /// The application bytes; a slice of the plain frame.
    pub payload: Bytes,
    /// When it was accepted.
    pub accepted: Instant,
    frames: [OnceLock<Bytes>; Encoding::COUNT],
}

impl Publication {
    /// A draft that got its position.
    pub(super) fn new(topic: Arc<Topic>, position: Position, draft: Draft, accepted: Instant) -> Self {
        let payload = draft.payload();
        let frames = [const { OnceLock::new() }; Encoding::COUNT];
        let plain = frames[Encoding::Plain.index()].set(draft.frame);
        debug_assert!(plain.is_ok());
        Self { topic, position, kind: draft.kind, payload, accepted, frames }
    }

    /// The bytes of this publication for a socket that speaks `encoding`, made once and shared.
    pub fn frame(&self, encoding: Encoding) -> &Bytes {
        self.frames[encoding.index()].get_or_init(|| {
            protocol::encode(encoding, self.topic.name().as_str(), self.position, self.kind, &self.payload)
        })
    }

    /// What it is charged with in a mailbox, in bytes.
    pub fn charge_bytes(&self) -> usize {
        self.payload.len() + size_of::<Self>()
    }
}

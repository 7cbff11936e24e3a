//! One payload accepted on a topic, with its offset and its encoded frames.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;

use super::kind::Kind;
use super::position::{Offset, Position};
use super::topic::Topic;
use crate::protocol::{self, Encoding};
use crate::ws::Deflater;

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
    /// When it was accepted.
    pub accepted: Instant,
    draft: Draft,
    /// By [`Encoding::index`]. The place of the plain one stays empty: that frame came with the draft.
    frames: [OnceLock<Bytes>; Encoding::UNCOMPRESSED_COUNT],
    /// Those of the encodings behind, made with the first that is needed: most publications need none.
    deflated: OnceLock<Box<Deflated>>,
}

/// By encoding; `None` if compression does not make the frame smaller.
type Deflated = [OnceLock<Option<Bytes>>; Encoding::COMPRESSED_COUNT];

impl Publication {
    fn new(topic: Arc<Topic>, position: Position, draft: Draft, accepted: Instant) -> Self {
        let frames = [const { OnceLock::new() }; Encoding::UNCOMPRESSED_COUNT];
        Self { topic, position, accepted, draft, frames, deflated: OnceLock::new() }
    }

    /// Text or binary.
    pub fn kind(&self) -> Kind {
        self.draft.kind
    }

    /// The application bytes; a slice of the plain frame. The first one taken allocates the count of references, which a
    /// publication that is only copied into logs does without.
    pub fn payload(&self) -> Bytes {
        self.draft.payload()
    }

    /// The bytes of this publication for a socket that speaks `encoding`, made once and shared.
    ///
    /// Compressed by `deflater` once for each encoding that compresses, whichever worker needs it first; another that
    /// needs it meanwhile waits. If `deflater` does not make the frame smaller, it is the one without compression.
    pub fn frame(&self, encoding: Encoding, deflater: &mut Deflater) -> &Bytes {
        let uncompressed = self.uncompressed(encoding.uncompressed());
        match encoding.window() {
            Some(window) if deflater.takes(uncompressed) => {
                let all =
                    self.deflated.get_or_init(|| Box::new([const { OnceLock::new() }; Encoding::COMPRESSED_COUNT]));
                let place = encoding.index() - Encoding::UNCOMPRESSED_COUNT;
                all[place].get_or_init(|| deflater.deflate(window, uncompressed)).as_ref().unwrap_or(uncompressed)
            }
            Some(_) | None => uncompressed,
        }
    }

    fn uncompressed(&self, encoding: Encoding) -> &Bytes {
        if encoding == Encoding::Plain {
            return &self.draft.frame;
        }
        self.frames[encoding.index()].get_or_init(|| {
            let payload = &self.draft.frame[usize::from(self.draft.header_len)..];
            protocol::encode(encoding, self.topic.name().as_str(), self.position, self.draft.kind, payload)
        })
    }

    /// What it is charged with in a mailbox, in bytes.
    pub fn charge_bytes(&self) -> usize {
        self.draft.charge_bytes()
    }
}

/// A draft at the door of its topic: whatever can be made of it without its position is made here, so that the topic's
/// lock is held over no allocation (bench `publish/4_threads`).
#[derive(Debug)]
pub(super) enum Prepared {
    /// Nobody seemed to subscribe: no publication may be needed.
    Draft(Draft),
    /// All but its position and time; nobody else has it yet.
    Publication(Arc<Publication>),
}

impl Prepared {
    /// Prepares `draft`, for subscribers if there seem to be any.
    pub(super) fn new(topic: &Arc<Topic>, draft: Draft, now: Instant) -> Self {
        if topic.subscribers() == 0 {
            return Self::Draft(draft);
        }
        let nowhere = Position { epoch: topic.epoch(), offset: Offset(0) };
        Self::Publication(Arc::new(Publication::new(Arc::clone(topic), nowhere, draft, now)))
    }

    /// The publication, at its place. Allocates only if the first subscriber came after it was prepared.
    pub(super) fn place(self, topic: &Arc<Topic>, position: Position, accepted: Instant) -> Arc<Publication> {
        match self {
            Self::Draft(draft) => Arc::new(Publication::new(Arc::clone(topic), position, draft, accepted)),
            Self::Publication(mut shared) => {
                let publication =
                    Arc::get_mut(&mut shared).expect("invariant: nobody has a publication without a place");
                publication.position = position;
                publication.accepted = accepted;
                shared
            }
        }
    }

    /// The draft, unchanged.
    pub(super) fn into_draft(self) -> Draft {
        match self {
            Self::Draft(draft) => draft,
            Self::Publication(shared) => {
                Arc::into_inner(shared).expect("invariant: nobody has a publication without a place").draft
            }
        }
    }
}

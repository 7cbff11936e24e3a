//! One payload accepted on a topic, with its offset and its encoded frames.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;

use super::extras::Extras;
use super::kind::Kind;
use super::member::Member;
use super::position::{Offset, Position};
use super::topic::Topic;
use super::topic_name::TopicName;
use crate::protocol::{self, About, Content, Encoding};
use crate::ws::frame::payload;
use crate::ws::{Deflater, Deflation, Window};

/// A payload on its way to a topic: not yet accepted, no offset yet.
///
/// Holds the plain WebSocket frame, of which the payload is the end: so a publication to plain subscribers is copied
/// once, when its draft is made, and history keeps that same allocation.
#[derive(Debug, Clone)]
pub struct Draft {
    pub(super) kind: Kind,
    pub(super) purpose: Purpose,
    pub(super) header_len: u8,
    pub(super) frame: Bytes,
    pub(super) extras: Option<Arc<Extras>>,
}

/// What a draft is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To be numbered, kept as the topic's rules say, and delivered.
    Publication,
    /// To be delivered to those who are there now: it gets no number, and is not kept.
    Passing,
    /// To tell those who want to know that its member came.
    Join,
    /// To tell them that it went.
    Leave,
}

impl Draft {
    /// Copies `payload` behind a frame header. The caller has checked that text is UTF-8.
    pub fn new(kind: Kind, payload: &[u8]) -> Self {
        let frame = protocol::plain_frame(kind, payload);
        let header_len = (frame.len() - payload.len()) as u8;
        Self { kind, purpose: Purpose::Publication, header_len, frame, extras: None }
    }

    /// A text payload.
    pub fn text(payload: &str) -> Self {
        Self::new(Kind::Text, payload.as_bytes())
    }

    /// The news that `member` came or went.
    ///
    /// # Panics
    /// If `purpose` is that of a publication.
    pub fn of_member(purpose: Purpose, member: Arc<Member>) -> Self {
        assert!(matches!(purpose, Purpose::Join | Purpose::Leave), "{purpose:?} is not about a member");
        let extras = Extras { publisher: Some(member), ..Extras::default() };
        Self { kind: Kind::Binary, purpose, header_len: 0, frame: Bytes::new(), extras: Some(Arc::new(extras)) }
    }

    /// The same with tags, or with the client that publishes it.
    #[must_use]
    pub fn with_extras(mut self, extras: Arc<Extras>) -> Self {
        self.extras = Some(extras);
        self
    }

    /// The same for those who are there now: see [`Purpose::Passing`].
    #[must_use]
    pub fn passing(mut self) -> Self {
        self.purpose = Purpose::Passing;
        self
    }

    /// Text or binary.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it is for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Whether it is what somebody published, and not the hub's own news of a member.
    pub(super) fn is_told(&self) -> bool {
        match self.purpose {
            Purpose::Publication | Purpose::Passing => true,
            Purpose::Join | Purpose::Leave => false,
        }
    }

    /// The payload.
    pub fn payload(&self) -> Bytes {
        self.frame.slice(usize::from(self.header_len)..)
    }

    /// What it has beside its payload.
    pub fn extras(&self) -> Option<&Arc<Extras>> {
        self.extras.as_ref()
    }

    /// The bytes of its payload, and of what it has besides.
    pub(crate) fn content_bytes(&self) -> usize {
        self.frame.len() + self.extras.as_ref().map_or(0, |extras| extras.bytes())
    }

    /// The length of the payload, in bytes.
    pub fn payload_len(&self) -> usize {
        self.frame.len() - usize::from(self.header_len)
    }

    /// What it is charged with in a mailbox, in bytes: the same as its publication.
    pub(super) fn charge_bytes(&self) -> usize {
        let extras = self.extras.as_ref().map_or(0, |extras| extras.bytes());
        self.frame.len() - usize::from(self.header_len) + extras + size_of::<Publication>()
    }
}

/// One payload accepted on a topic. Shared by all workers; each encoding is made once, on first use.
#[derive(Debug)]
pub struct Publication {
    /// The topic it was accepted on.
    pub topic: Arc<Topic>,
    /// Where it stands there. What is not numbered has the position of the publication before.
    pub position: Position,
    /// When it was accepted.
    pub accepted: Instant,
    draft: Draft,
    /// The payload of the publication before, if the topic's rules allow deltas and it was kept.
    previous: Option<Bytes>,
    /// Whether it is kept, so that its position is one to come back to.
    is_kept: bool,
    /// The frames made so far. That of [`Encoding::Plain`] came with the draft.
    frames: OnceLock<Box<Made>>,
}

/// A frame that was made, and those made after it. A list, because a publication is seldom in more than one or two of the
/// many encodings there are.
#[derive(Debug)]
struct Made {
    /// One that does not compress.
    encoding: Encoding,
    /// What it was compressed for besides.
    window: Option<Window>,
    /// `None` if compression does not make it smaller.
    frame: Option<Bytes>,
    next: OnceLock<Box<Made>>,
}

impl Publication {
    pub(super) fn new(topic: Arc<Topic>, position: Position, draft: Draft, accepted: Instant) -> Self {
        Self { topic, position, accepted, draft, previous: None, is_kept: false, frames: OnceLock::new() }
    }

    /// Text or binary.
    pub fn kind(&self) -> Kind {
        self.draft.kind
    }

    /// What it is for.
    pub fn purpose(&self) -> Purpose {
        self.draft.purpose
    }

    /// What it has beside its payload.
    pub fn extras(&self) -> Option<&Arc<Extras>> {
        self.draft.extras.as_ref()
    }

    /// The application bytes; a slice of the plain frame. The first one taken allocates the count of references, which a
    /// publication that is only copied into logs does without.
    pub fn payload(&self) -> Bytes {
        self.draft.payload()
    }

    /// The bytes of this publication for a socket that speaks `encoding`, made once and shared. Empty if there is nothing
    /// to say in it.
    ///
    /// Compressed by `deflater` once for each window, whatever the thresholds are and whichever worker needs it first;
    /// another that needs it meanwhile waits. Below the threshold, or if `deflater` does not make the frame smaller, it is
    /// the one without compression.
    pub fn frame(&self, encoding: Encoding, deflater: &mut Deflater) -> &Bytes {
        let (plain, how) = (encoding.uncompressed(), encoding.deflation());
        let uncompressed = self.uncompressed(plain);
        match how {
            Some(Deflation { window, threshold }) if deflater.takes(threshold, payload(uncompressed).len()) => {
                self.made(plain, Some(window), || deflater.deflate(window, uncompressed)).unwrap_or(uncompressed)
            }
            Some(_) | None => uncompressed,
        }
    }

    /// The same for subscribers of `wildcard`, which clients of the Centrifuge protocol are told beside the topic. For those
    /// it is made, and compressed, anew each time: once per worker and log.
    pub fn frame_for(&self, wildcard: &TopicName, encoding: Encoding, deflater: &mut Deflater) -> Bytes {
        if encoding.shape().is_none() {
            return self.frame(encoding, deflater).clone();
        }
        let frame = protocol::encode(encoding, &Content { wildcard: Some(wildcard.as_str()), ..self.content() });
        match encoding.deflation() {
            Some(Deflation { window, threshold }) if deflater.takes(threshold, payload(&frame).len()) => {
                deflater.deflate(window, &frame).unwrap_or(frame)
            }
            Some(_) | None => frame,
        }
    }

    fn uncompressed(&self, encoding: Encoding) -> &Bytes {
        if encoding == Encoding::Plain {
            return &self.draft.frame;
        }
        self.made(encoding, None, || Some(protocol::encode(encoding, &self.content())))
            .expect("invariant: without compression there always is a frame")
    }

    /// The frame in `encoding`, compressed for `window` or not, made by `make` if it was not yet. Who finds the end of the
    /// list taken by another one goes on behind it; the list is never longer than there are encodings and windows in use.
    fn made(&self, encoding: Encoding, window: Option<Window>, make: impl FnOnce() -> Option<Bytes>) -> Option<&Bytes> {
        let mut make = Some(make);
        let mut place = &self.frames;
        loop {
            let made = place.get_or_init(|| {
                let make = make.take().expect("invariant: what was made is found, and not made again");
                Box::new(Made { encoding, window, frame: make(), next: OnceLock::new() })
            });
            if made.encoding == encoding && made.window == window {
                return made.frame.as_ref();
            }
            place = &made.next;
        }
    }

    fn content(&self) -> Content<'_> {
        let Draft { kind, purpose, header_len, frame, extras } = &self.draft;
        let publisher = extras.as_ref().and_then(|extras| extras.publisher.as_deref());
        let is_numbered = match purpose {
            Purpose::Publication => self.is_kept,
            Purpose::Passing | Purpose::Join | Purpose::Leave => false,
        };
        let publication = About::Publication {
            kind: *kind,
            payload: &frame[usize::from(*header_len)..],
            previous: self.previous.as_deref(),
            publisher,
            is_numbered,
        };
        let about = match (purpose, publisher) {
            (Purpose::Join, Some(member)) => About::Joined(member),
            (Purpose::Leave, Some(member)) => About::Left(member),
            (Purpose::Publication | Purpose::Passing | Purpose::Join | Purpose::Leave, _) => publication,
        };
        let tags = extras.as_ref().map_or(&[][..], |extras| &extras.tags);
        Content { topic: self.topic.name().as_str(), position: self.position, about, tags, wildcard: None }
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
    pub(super) fn new(topic: &Arc<Topic>, draft: Draft, now: Instant, has_receivers: bool) -> Self {
        if !has_receivers {
            return Self::Draft(draft);
        }
        let nowhere = Position { epoch: topic.epoch(), offset: Offset(0) };
        Self::Publication(Arc::new(Publication::new(Arc::clone(topic), nowhere, draft, now)))
    }

    /// The publication, at its place. Allocates only if the first subscriber came after it was prepared.
    pub(super) fn place(
        self,
        topic: &Arc<Topic>,
        position: Position,
        accepted: Instant,
        is_kept: bool,
        previous: Option<Bytes>,
    ) -> Arc<Publication> {
        match self {
            Self::Draft(draft) => {
                let publication = Publication::new(Arc::clone(topic), position, draft, accepted);
                Arc::new(Publication { previous, is_kept, ..publication })
            }
            Self::Publication(mut shared) => {
                let publication =
                    Arc::get_mut(&mut shared).expect("invariant: nobody has a publication without a place");
                publication.position = position;
                publication.accepted = accepted;
                publication.previous = previous;
                publication.is_kept = is_kept;
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

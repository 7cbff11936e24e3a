//! The kept publications of one topic.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use smallvec::SmallVec;

use super::kind::Kind;
use super::position::Offset;

/// A publication as history keeps it: without frames other than the plain one its payload is a slice of.
#[derive(Debug, Clone)]
pub struct Retained {
    /// Its number in the topic's epoch.
    pub offset: Offset,
    /// Text or binary.
    pub kind: Kind,
    /// The application bytes.
    pub payload: Bytes,
    /// When it was accepted.
    pub accepted: Instant,
}

impl Retained {
    /// What an entry costs beside its payload: its place in a ring that may have twice the places it needs, and the
    /// frame header, reference count and allocator's rounding of the payload.
    pub(super) const OVERHEAD_BYTES: usize = 2 * size_of::<Self>() + 64;

    fn charge_bytes(&self) -> usize {
        self.payload.len() + Self::OVERHEAD_BYTES
    }
}

/// How much of a topic is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keep {
    /// Publications; 0 keeps none.
    pub(super) size: usize,
    /// How long each.
    pub(super) ttl: Duration,
}

/// Longer than any process lives; keeps `accepted + ttl` in the range of the clock.
const LONGEST_TTL: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// How much there is in a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Weight {
    pub(super) publications: usize,
    pub(super) bytes: usize,
}

/// A ring of the last publications of one topic, without gaps between their offsets, by size and time.
#[derive(Debug)]
pub(super) struct History {
    ring: VecDeque<Retained>,
    keep: Keep,
    bytes: usize,
}

impl History {
    pub(super) fn new(keep: Keep) -> Self {
        let keep = Keep { size: keep.size, ttl: keep.ttl.min(LONGEST_TTL) };
        Self { ring: VecDeque::new(), keep, bytes: 0 }
    }

    /// Whether this topic keeps anything.
    pub(super) fn keeps(&self) -> bool {
        self.keep.size > 0 && self.keep.ttl > Duration::ZERO
    }

    /// Appends the publication after the last one; what had to leave for it is returned, so that it can be freed
    /// outside of a lock. At most two leave per call, so the cost is bounded; what has expired beyond that is not
    /// served and goes with later calls or [`History::shed_while`].
    #[must_use]
    pub(super) fn push(&mut self, retained: Retained, now: Instant) -> SmallVec<[Retained; 2]> {
        let mut gone = SmallVec::new();
        if !self.keeps() {
            gone.push(retained);
            return gone;
        }
        debug_assert!(self.ring.back().is_none_or(|last| last.offset.0 + 1 == retained.offset.0));
        self.bytes += retained.charge_bytes();
        self.ring.push_back(retained);
        while gone.len() < 2 && (self.ring.len() > self.keep.size || self.first_has_expired(now)) {
            gone.extend(self.pop_first());
        }
        gone
    }

    /// Everything after `offset`, oldest first, if nothing of it is gone. `top` is the last offset there was.
    pub(super) fn since(&self, offset: Offset, top: Offset, now: Instant) -> Option<impl Iterator<Item = &Retained>> {
        let missed = usize::try_from(top.0.checked_sub(offset.0)?).ok()?;
        let first = self.ring.len().checked_sub(missed)?;
        (missed == 0 || first >= self.expired(now)).then(|| self.ring.range(first..))
    }

    /// The last `count` at most, oldest first.
    pub(super) fn last(&self, count: usize, now: Instant) -> impl Iterator<Item = &Retained> {
        let first = self.ring.len().saturating_sub(count).max(self.expired(now));
        self.ring.range(first..)
    }

    /// The oldest that has not expired.
    pub(super) fn oldest(&self, now: Instant) -> Option<Offset> {
        self.ring.get(self.expired(now)).map(|oldest| oldest.offset)
    }

    /// Takes away, oldest first, at most `at_most` while `wanted(its expiry, bytes taken away before)`.
    pub(super) fn shed_while(&mut self, at_most: usize, wanted: impl Fn(Instant, usize) -> bool) -> Vec<Retained> {
        let before = self.bytes;
        let mut gone = Vec::new();
        while gone.len() < at_most && self.expiry().is_some_and(|expiry| wanted(expiry, before - self.bytes)) {
            gone.extend(self.pop_first());
        }
        if self.ring.is_empty() {
            self.ring = VecDeque::new();
        } else if self.ring.len() < self.ring.capacity() / 4 {
            self.ring.shrink_to(self.ring.len() * 2);
        }
        gone
    }

    /// When the oldest expires; `None` if there is none.
    pub(super) fn expiry(&self) -> Option<Instant> {
        self.ring.front().map(|oldest| oldest.accepted + self.keep.ttl)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// How much there is, expired or not.
    pub(super) fn weight(&self) -> Weight {
        Weight { publications: self.ring.len(), bytes: self.bytes }
    }

    /// How many at the front have expired. They were accepted in order, so those are all.
    fn expired(&self, now: Instant) -> usize {
        if !self.first_has_expired(now) {
            return 0;
        }
        self.ring.partition_point(|one| one.accepted + self.keep.ttl <= now)
    }

    fn first_has_expired(&self, now: Instant) -> bool {
        self.expiry().is_some_and(|expiry| expiry <= now)
    }

    fn pop_first(&mut self) -> Option<Retained> {
        let gone = self.ring.pop_front()?;
        self.bytes -= gone.charge_bytes();
        Some(gone)
    }
}

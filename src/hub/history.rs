//! The kept publications of one topic.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use smallvec::SmallVec;

use super::extras::{Extras, Version};
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
    /// What it has beside its payload.
    pub extras: Option<Arc<Extras>>,
}

impl Retained {
    /// What an entry costs beside its payload: its place in a ring that may have twice the places it needs, and the
    /// frame header, reference count and allocator's rounding of the payload.
    pub(super) const OVERHEAD_BYTES: usize = 2 * size_of::<Self>() + 64;

    fn charge_bytes(&self) -> usize {
        self.payload.len() + self.extras.as_ref().map_or(0, |extras| extras.bytes()) + Self::OVERHEAD_BYTES
    }
}

/// How much of a topic is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Keep {
    /// Publications; 0 keeps none.
    pub(super) size: usize,
    /// How long each.
    pub(super) ttl: Duration,
    /// Whether it is kept on disk, too.
    pub(super) on_disk: bool,
    /// Whether a publication may be told as what differs from the one before.
    pub(super) delta: bool,
    /// Whether it may be for the subscribers of wildcards, too.
    pub(super) wildcards: bool,
}

impl Keep {
    /// Whether anything is kept.
    pub(super) fn keeps(self) -> bool {
        self.size > 0 && self.ttl > Duration::ZERO
    }
}

/// Longer than any process lives; keeps `accepted + ttl` in the range of the clock.
const LONGEST_TTL: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// How much there is in a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Weight {
    pub(crate) publications: usize,
    pub(crate) bytes: usize,
}

impl Weight {
    /// The bytes without what memory costs: payloads, and what stands beside them.
    pub(crate) fn content_bytes(self) -> usize {
        self.bytes - self.publications * Retained::OVERHEAD_BYTES
    }
}

/// A ring of the last publications of one topic, without gaps between their offsets, by size and time.
#[derive(Debug)]
pub(super) struct History {
    ring: VecDeque<Retained>,
    keep: Keep,
    bytes: usize,
    /// When the last publication was accepted.
    last_accepted: Option<Instant>,
    /// The last version of a publication, if its publisher numbers them. Stays when all that was kept is gone.
    version: Option<Box<Version>>,
    /// What was delivered last was not kept.
    has_passed: bool,
}

/// That of a topic that has kept nothing yet.
pub(super) static NOTHING: History = History {
    ring: VecDeque::new(),
    keep: Keep { size: 0, ttl: Duration::ZERO, on_disk: false, delta: false, wildcards: false },
    bytes: 0,
    last_accepted: None,
    version: None,
    has_passed: false,
};

impl History {
    pub(super) fn new(keep: Keep) -> Self {
        let keep = Keep { ttl: keep.ttl.min(LONGEST_TTL), ..keep };
        Self { ring: VecDeque::new(), keep, bytes: 0, last_accepted: None, version: None, has_passed: false }
    }

    /// When a publication is accepted whose publisher read its clock at `now`: not before the last one. The clocks of two
    /// publishers may have been read in another order than they got the topic's lock, and what expires relies on the
    /// order of these.
    pub(super) fn accept(&mut self, now: Instant) -> Instant {
        *self.last_accepted.insert(self.last_accepted.map_or(now, |last| last.max(now)))
    }

    /// Appends the publication after the last one; what had to leave for it is returned, so that it can be freed
    /// outside of a lock. At most two leave per call, so the cost is bounded; what has expired beyond that is not
    /// served and goes with later calls or [`History::shed_while`].
    #[must_use]
    pub(super) fn push(&mut self, retained: Retained, now: Instant) -> SmallVec<[Retained; 2]> {
        let mut gone = SmallVec::new();
        if !self.keep.keeps() {
            gone.push(retained);
            return gone;
        }
        debug_assert!(self.ring.back().is_none_or(|last| last.offset.0 + 1 == retained.offset.0));
        self.bytes += retained.charge_bytes();
        if let Some(version) = retained.extras.as_ref().and_then(|extras| extras.version.as_ref()) {
            self.version = Some(version.clone());
        }
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

    /// Something was delivered that is not kept.
    pub(super) fn note_passing(&mut self) {
        self.has_passed = true;
    }

    /// What the next publication may be told as a difference to: the payload of the newest, if that has this offset and is
    /// what was delivered last.
    pub(super) fn take_base(&mut self, last: Offset) -> Option<Bytes> {
        let has_passed = std::mem::take(&mut self.has_passed);
        let newest = self.ring.back().filter(|newest| newest.offset == last && !has_passed)?;
        Some(newest.payload.clone())
    }

    /// The `count` last ones before `offset`, oldest first.
    pub(super) fn before(&self, offset: Offset, count: usize, now: Instant) -> impl Iterator<Item = &Retained> {
        let expired = self.expired(now);
        let end = self.ring.partition_point(|one| one.offset < offset).max(expired);
        self.ring.range(end.saturating_sub(count).max(expired)..end)
    }

    /// Whether something with these extras tells of a state that was told already, or of one before it.
    pub(super) fn is_outdated(&self, extras: &Extras) -> bool {
        let (Some(last), Some(version)) = (&self.version, &extras.version) else { return false };
        last.outdates(version)
    }

    /// Takes everything away.
    pub(super) fn clear(&mut self) -> VecDeque<Retained> {
        self.bytes = 0;
        std::mem::take(&mut self.ring)
    }

    /// When the oldest expires; `None` if there is none.
    pub(super) fn expiry(&self) -> Option<Instant> {
        self.ring.front().map(|oldest| oldest.accepted + self.keep.ttl)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Whether it knows nothing that is not the same in a new one.
    pub(super) fn is_blank(&self) -> bool {
        self.is_empty() && self.version.is_none()
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    fn retained(offset: u64, accepted: Instant) -> Retained {
        Retained {
            offset: Offset(offset),
            kind: Kind::Text,
            payload: Bytes::from_static(b"payload"),
            accepted,
            extras: None,
        }
    }

    fn filled(size: usize, count: u64, now: Instant) -> History {
        let mut history = History::new(Keep { size, ttl: TTL, on_disk: false, delta: false, wildcards: false });
        for offset in 1..=count {
            let gone = history.push(retained(offset, now), now);
            assert_eq!(gone.len(), usize::from(offset > size as u64));
        }
        history
    }

    fn offsets<'a>(kept: impl Iterator<Item = &'a Retained>) -> Vec<u64> {
        kept.map(|one| one.offset.0).collect()
    }

    fn since(history: &History, offset: u64, top: u64, now: Instant) -> Option<Vec<u64>> {
        history.since(Offset(offset), Offset(top), now).map(offsets)
    }

    #[test]
    fn at_its_size_the_oldest_goes_for_the_newest() {
        let now = Instant::now();
        let history = filled(3, 5, now);
        assert_eq!(offsets(history.last(usize::MAX, now)), [3, 4, 5]);
        assert_eq!(history.weight(), Weight { publications: 3, bytes: 3 * (7 + Retained::OVERHEAD_BYTES) });
    }

    #[test]
    fn only_a_position_after_which_nothing_is_gone_is_honoured() {
        let now = Instant::now();
        let history = filled(3, 5, now);
        assert_eq!(since(&history, 1, 5, now), None);
        assert_eq!(since(&history, 2, 5, now), Some(vec![3, 4, 5]));
        assert_eq!(since(&history, 5, 5, now), Some(vec![]));
        assert_eq!(since(&history, 6, 5, now), None);
    }

    #[test]
    fn without_history_only_the_top_is_honoured() {
        let now = Instant::now();
        let mut history = History::new(Keep { size: 0, ttl: TTL, on_disk: false, delta: false, wildcards: false });
        assert_eq!(history.push(retained(1, now), now).len(), 1);
        assert!(!history.keep.keeps() && history.is_empty());
        assert_eq!(since(&history, 1, 1, now), Some(vec![]));
        assert_eq!(since(&history, 0, 1, now), None);
    }

    #[test]
    fn what_stands_before_an_offset_is_served_from_its_end() {
        let start = Instant::now();
        let history = filled(4, 6, start);
        let before = |offset, count, now| offsets(history.before(Offset(offset), count, now));
        assert_eq!(before(6, 2, start), [4, 5]);
        assert_eq!(before(u64::MAX, usize::MAX, start), [3, 4, 5, 6]);
        assert_eq!(before(4, 9, start), [3]);
        assert!(before(3, 9, start).is_empty());
        assert!(before(0, 9, start).is_empty());
        assert!(before(6, 0, start).is_empty());
        assert!(before(6, 9, start + TTL).is_empty(), "what has expired is not served");
    }

    #[test]
    fn the_last_version_is_remembered_when_all_that_was_kept_is_gone() {
        let now = Instant::now();
        let extras = |number, epoch: &str| {
            let version = Some(Box::new(Version { number, epoch: epoch.into() }));
            Arc::new(Extras { version, ..Extras::default() })
        };
        let mut history = filled(3, 1, now);
        assert!(!history.is_outdated(&extras(0, "")), "nothing was numbered yet");
        let _ = history.push(Retained { extras: Some(extras(5, "a")), ..retained(2, now) }, now);
        assert_eq!(history.clear().len(), 2);
        assert!(history.is_empty() && !history.is_blank());
        assert_eq!(history.weight(), Weight::default());
        assert!(history.is_outdated(&extras(5, "a")) && history.is_outdated(&extras(4, "a")));
        assert!(!history.is_outdated(&extras(6, "a")) && !history.is_outdated(&extras(5, "b")));
        assert!(!history.is_outdated(&Extras::default()), "what has no version is never outdated");
    }

    #[test]
    fn a_clock_that_was_read_before_the_last_publication_counts_as_its_time() {
        let start = Instant::now();
        let mut history = History::new(Keep { size: 1, ttl: TTL, on_disk: false, delta: false, wildcards: false });
        let later = start + Duration::from_millis(1);
        assert_eq!(history.accept(later), later);
        assert_eq!(history.accept(start), later);
        assert_eq!(history.accept(later + TTL), later + TTL);
    }

    #[test]
    fn what_has_expired_is_not_served_even_before_it_is_taken_away() {
        let start = Instant::now();
        let mut history = filled(10, 2, start);
        let later = start + Duration::from_secs(4);
        assert!(history.push(retained(3, later), later).is_empty());
        let just_before = start + TTL - Duration::from_nanos(1);
        assert_eq!(since(&history, 0, 3, just_before), Some(vec![1, 2, 3]));
        assert_eq!(since(&history, 0, 3, start + TTL), None);
        assert_eq!(since(&history, 2, 3, start + TTL), Some(vec![3]));
        assert_eq!(offsets(history.last(3, start + TTL)), [3]);
        assert_eq!(history.weight().publications, 3);
    }

    #[test]
    fn a_push_takes_at_most_two_expired_ones_away() {
        let start = Instant::now();
        let mut history = filled(10, 5, start);
        let gone = history.push(retained(6, start + TTL), start + TTL);
        assert_eq!(offsets(gone.iter()), [1, 2]);
        assert_eq!(history.weight().publications, 4);
    }

    #[test]
    fn shedding_takes_the_oldest_that_are_wanted_up_to_the_number_allowed() {
        let start = Instant::now();
        let mut history = filled(10, 6, start);
        assert_eq!(history.expiry(), Some(start + TTL));
        assert_eq!(offsets(history.shed_while(2, |expiry, _| expiry <= start + TTL).iter()), [1, 2]);
        assert!(history.shed_while(2, |expiry, _| expiry < start + TTL).is_empty());
        let one = 7 + Retained::OVERHEAD_BYTES;
        assert_eq!(offsets(history.shed_while(10, |_, freed| freed < one + 1).iter()), [3, 4]);
        assert_eq!(offsets(history.shed_while(10, |_, _| true).iter()), [5, 6]);
        assert_eq!((history.weight(), history.expiry()), (Weight::default(), None));
    }

    #[test]
    fn a_time_to_live_beyond_the_range_of_the_clock_means_never() {
        let now = Instant::now();
        let mut history =
            History::new(Keep { size: 1, ttl: Duration::MAX, on_disk: false, delta: false, wildcards: false });
        assert!(history.push(retained(1, now), now).is_empty());
        assert_eq!(since(&history, 0, 1, now + Duration::from_secs(86_400 * 365)), Some(vec![1]));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push,
        Wait(u64),
        Expire(usize),
        Since(u64),
        Last(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Push),
            1 => (1..6u64).prop_map(Step::Wait),
            1 => (0..4usize).prop_map(Step::Expire),
            2 => (0..40u64).prop_map(Step::Since),
            1 => (0..8usize).prop_map(Step::Last),
        ]
    }

    proptest! {
        #[test]
        fn history_is_as_a_list_of_everything_ever_accepted(
            size in 0..6usize,
            steps in proptest::collection::vec(step(), 1..60),
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut history = History::new(Keep { size, ttl: TTL, on_disk: false, delta: false, wildcards: false });
            // The model keeps all there ever was, and says what should be served of it.
            let mut all: Vec<Retained> = Vec::new();
            for step in steps {
                let top = all.len() as u64;
                let served: Vec<u64> = offsets(
                    all.iter().skip(all.len().saturating_sub(size)).filter(|one| one.accepted + TTL > now),
                );
                match step {
                    Step::Push => {
                        all.push(retained(top + 1, now));
                        let _ = history.push(retained(top + 1, now), now);
                    }
                    Step::Wait(secs) => now += Duration::from_secs(secs),
                    Step::Expire(at_most) => {
                        let gone = history.shed_while(at_most, |expiry, _| expiry <= now);
                        prop_assert!(gone.len() <= at_most);
                        prop_assert!(gone.iter().all(|one| one.accepted + TTL <= now));
                    }
                    Step::Since(offset) => {
                        let wanted: Vec<u64> = (offset + 1..=top).collect();
                        let complete = offset <= top && wanted.iter().all(|one| served.contains(one));
                        prop_assert_eq!(since(&history, offset, top, now), complete.then_some(wanted));
                    }
                    Step::Last(count) => {
                        let wanted = &served[served.len().saturating_sub(count)..];
                        prop_assert_eq!(offsets(history.last(count, now)), wanted);
                    }
                }
                prop_assert!(history.weight().publications <= size);
                let entry = 7 + Retained::OVERHEAD_BYTES;
                prop_assert_eq!(history.weight().bytes, history.weight().publications * entry);
            }
        }
    }
}

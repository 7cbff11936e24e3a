//! A topic's ready frames on this worker, in one encoding, and who reads them.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::delay::Delay;
use super::outcome::{Entry, Missed};
use super::segment::{Frame, Segment};
use super::settings::{RulesId, Settings, Tick};
use super::special::Filter;
use crate::hub::Offset;

/// A log: one per (topic, encoding) in use on this worker. A slot number, used again after
/// [`super::Fanout::close_log`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogId(pub u32);

/// The cursor of a member that gets nothing from the log any more (finished, doomed) but has not left it: ahead of
/// every head, so the sweep passes it like one that has everything.
pub(super) const PARKED: u64 = u64::MAX;

/// A member of a log: which connection, and how far it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Member {
    pub(super) slot: u32,
    pub(super) flags: u32,
    /// Log position of the next byte it gets; always at a frame boundary, or [`PARKED`].
    pub(super) cursor: u64,
}

impl Member {
    /// It has a [`super::special::Special`].
    pub(super) const SPECIAL: u32 = 1;
    /// It is sent nothing until released.
    pub(super) const HELD: u32 = 2;

    pub(super) const fn is(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// What a log has while someone is behind its head.
#[derive(Debug, Default)]
pub(super) struct Active {
    pub(super) segments: VecDeque<Segment>,
    /// Members with `cursor < head`, exact: at 0 the frames are freed without looking at anyone.
    pub(super) behind: u32,
    /// The next member the sweep looks at.
    pub(super) position: u32,
    /// Members it still has to look at. A hint; the cursors are the truth.
    pub(super) rest: u32,
    /// Its place in the list of active logs.
    pub(super) listed: u32,
    /// Log position of the first frame that its rules delay, or behind the last that they no longer do.
    pub(super) waits_from: u64,
}

/// A topic's ready frames on this worker, in one encoding. 56 bytes while nobody is behind and one member is there.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Log position behind the last frame. Only grows; log positions are never used again.
    pub(super) head: u64,
    /// The offset of the last publication.
    pub(super) last: Offset,
    pub(super) members: SmallVec<[Member; 1]>,
    pub(super) active: Option<Box<Active>>,
    /// Members whose cursor is [`PARKED`].
    pub(super) parked: u32,
    pub(super) rules: RulesId,
    /// It stands in the ring of logs to sweep. Belongs to the slot: it outlives the log, as the place in the ring does.
    pub(super) queued: bool,
    pub(super) delay: Delay,
}

impl Log {
    /// Bytes of frames it holds.
    pub(super) fn retained_bytes(&self) -> u64 {
        match &self.active {
            Some(active) => active.segments.front().map_or(0, |first| self.head - first.start),
            None => 0,
        }
    }

    /// Members that take publications.
    pub(super) fn takers(&self) -> u32 {
        self.members.len() as u32 - self.parked
    }

    /// Puts a frame behind the last one; the log is active.
    pub(super) fn push(&mut self, entry: &Entry<'_>, tick: Tick, settings: &Settings, spare: &mut Vec<Segment>) {
        let active = self.active.as_mut().expect("invariant: made active before a push");
        let (head, len) = (self.head, entry.frame.len());
        self.head += len as u64;
        self.last = entry.offset;
        if len >= settings.by_reference_bytes {
            active.segments.push_back(Segment::shared(head, entry, tick));
            return;
        }
        let has_room = |last: &Segment| last.has_room(len, settings.segment_bytes);
        if !active.segments.back().is_some_and(has_room) {
            active.segments.push_back(Segment::joined(head, spare.pop()));
        }
        if let Some(last) = active.segments.back_mut() {
            last.join(entry, tick, settings.segment_bytes);
        }
    }

    /// The segments from the one that holds log position `from` on.
    pub(super) fn segments_from(&self, from: u64) -> impl DoubleEndedIterator<Item = &Segment> {
        let segments = self.active.as_ref().map(|active| &active.segments).filter(|_| from < self.head);
        let first = segments.map_or(0, |segments| match segments.back() {
            // The common case: not far behind.
            Some(last) if last.start <= from => segments.len() - 1,
            Some(_) | None => segments.partition_point(|segment| segment.end() <= from),
        });
        segments.into_iter().flat_map(move |segments| segments.range(first..))
    }

    /// The segment that holds log position `at`, which is below the head.
    pub(super) fn segment_at(&self, at: u64) -> &Segment {
        self.segments_from(at).next().expect("invariant: positions between a cursor and the head are retained")
    }

    /// The frames from log position `from` up to `to`, oldest first, or newest first when reversed.
    pub(super) fn frames(&self, from: u64, to: u64) -> impl DoubleEndedIterator<Item = (&Segment, Frame)> {
        self.segments_from(from).flat_map(move |segment| {
            let to = to.clamp(segment.start, segment.end());
            let first = segment.frame_at(from.clamp(segment.start, to));
            let behind = segment.frame_at(to);
            (first..behind).map(move |index| (segment, segment.frame(index)))
        })
    }

    /// What of the frames between two log positions passes `filter`, as one range.
    pub(super) fn wanted(&self, from: u64, to: u64, filter: &Filter) -> Option<Missed> {
        if !filter.is_open() {
            return self
                .frames(from, to)
                .filter(|(_, frame)| filter.wants(frame))
                .fold(None, |all, (_, frame)| Missed::join(all, Some(Missed::one(frame.offset))));
        }
        let mut all = None;
        for segment in self.segments_from(from) {
            if segment.start >= to {
                break;
            }
            let first = segment.frame_at(from.max(segment.start));
            let behind = segment.frame_at(to.min(segment.end()));
            if first < behind {
                let (first_offset, last_offset) = (segment.marks[first].offset, segment.marks[behind - 1].offset);
                let run = Missed { first: first_offset, last: last_offset, count: (behind - first) as u64 };
                all = Missed::join(all, Some(run));
            }
        }
        all
    }

    /// When the first frame at or behind log position `at` was appended; `at` is below the head.
    pub(super) fn tick_at(&self, at: u64) -> Tick {
        let segment = self.segment_at(at);
        segment.marks[segment.frame_at(at)].tick
    }

    /// Frees the segments that every member is past. O(members). Returns what leaves the charge.
    pub(super) fn trim(&mut self) -> usize {
        let Some(active) = &mut self.active else { return 0 };
        let lowest = self.members.iter().map(|member| member.cursor).min().unwrap_or(PARKED).min(self.head);
        let mut freed = 0;
        while active.segments.front().is_some_and(|first| first.end() <= lowest) {
            freed += active.segments.pop_front().map_or(0, |segment| segment.charge_bytes());
        }
        freed
    }

    /// Starts the round of the sweep anew: the members have changed, or there is a new frame.
    pub(super) fn restart_round(&mut self) {
        if let Some(active) = &mut self.active {
            active.rest = self.members.len() as u32;
        }
    }
}

//! What few members of a log have: a join point ahead, an exclusion, something missed, conflated frames, an end.

use std::collections::VecDeque;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::connection::ConnectionId;
use super::ledger::Hold;
use super::log::LogId;
use super::outcome::Missed;
use super::segment::Frame;
use crate::hub::Offset;

/// The end of a member that gets everything to come.
pub(super) const NO_END: u64 = u64::MAX;

/// What few members of a log have. Kept apart, so that a plain member stays 16 bytes.
#[derive(Debug)]
pub(super) struct Special {
    /// Publications up to this offset are not for it: they came with its history.
    pub(super) after: Offset,
    /// Up to this log position there may be frames that exclude it.
    pub(super) excluded_until: u64,
    /// What it missed and was not told of.
    pub(super) missed: Option<Missed>,
    /// Under `latest`, while it is blocked: the newest frame per key, oldest first; they go before the log.
    pub(super) kept: VecDeque<Kept>,
    /// The log position at which its connection was finished: nothing behind it is for it.
    pub(super) end: u64,
}

/// A frame taken out of the log for one member.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) key: u64,
    pub(super) offset: Offset,
    pub(super) frame: Bytes,
    /// The memory it keeps alive.
    pub(super) hold: Hold,
}

impl Kept {
    /// What it counts for against the lag limit, its own administration included: many tiny frames are not free.
    pub(super) fn charge_bytes(&self) -> usize {
        self.frame.len() + size_of::<Self>()
    }
}

impl Default for Special {
    fn default() -> Self {
        Self { after: Offset(0), excluded_until: 0, missed: None, kept: VecDeque::new(), end: NO_END }
    }
}

impl Special {
    /// Whether it makes no difference any more for a member at `cursor` of a log with this head and last offset.
    pub(super) fn is_over(&self, cursor: u64, head: u64, last: Offset) -> bool {
        let joined = self.after == Offset(0) || (cursor == head && last >= self.after);
        joined && self.missed.is_none() && self.kept.is_empty() && self.end == NO_END && self.excluded_until <= cursor
    }

    /// What of conflated frames it has, as one range.
    pub(super) fn kept_range(&self) -> Option<Missed> {
        let (first, last) = (self.kept.front()?, self.kept.back()?);
        Some(Missed { first: first.offset, last: last.offset, count: self.kept.len() as u64 })
    }
}

/// Which frames of a log are for one member.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filter {
    pub(super) me: ConnectionId,
    pub(super) after: Offset,
    pub(super) excluded_until: u64,
}

impl Filter {
    /// Whether all frames pass.
    pub(super) fn is_open(&self) -> bool {
        self.after == Offset(0) && self.excluded_until == 0
    }

    /// Whether `frame` is for the member.
    pub(super) fn wants(&self, frame: &Frame) -> bool {
        // What has no number of its own stands behind the publication whose number it has.
        let is_behind = frame.offset > self.after || (frame.extra.is_unnumbered && frame.offset == self.after);
        is_behind && frame.extra.exclude != Some(self.me)
    }
}

/// The special members of all logs.
#[derive(Debug, Default)]
pub(super) struct Specials(FxHashMap<(u32, u32), Special>);

impl Specials {
    pub(super) fn get(&self, log: LogId, slot: u32) -> Option<&Special> {
        self.0.get(&(log.0, slot))
    }

    pub(super) fn get_mut(&mut self, log: LogId, slot: u32) -> Option<&mut Special> {
        self.0.get_mut(&(log.0, slot))
    }

    /// That of a member, made if it has none. The caller sets the member's flag.
    pub(super) fn entry(&mut self, log: LogId, slot: u32) -> &mut Special {
        self.0.entry((log.0, slot)).or_default()
    }

    pub(super) fn remove(&mut self, log: LogId, slot: u32) -> Option<Special> {
        let special = self.0.remove(&(log.0, slot));
        // After a storm of joins the table must not keep its largest size for good.
        if self.0.len() * 8 < self.0.capacity() && self.0.capacity() > 64 {
            self.0.shrink_to(self.0.len() * 2);
        }
        special
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn iter(&self) -> impl Iterator<Item = (LogId, u32, &Special)> {
        self.0.iter().map(|(&(log, slot), special)| (LogId(log), slot, special))
    }
}

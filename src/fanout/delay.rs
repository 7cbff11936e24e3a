//! Write delays: publications of some topics wait a little for others, so that several go out in one write.
//!
//! A log whose rules have a delay is not put into the ring when it is appended to, but stands here until its moment; a
//! connection that is visited for another reason takes what is pending all the same. The ring and the cursors do not know
//! of delays, and a log that has none never comes here.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::fanout::Fanout;
use super::log::LogId;
use super::settings::Moment;

/// How a log's slot stands to the delayed ones. Belongs to the slot, like its place among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Delay {
    /// It is not among them.
    #[default]
    Nothing,
    /// It is, once: whoever is behind in it will be reached when its moment comes.
    Waiting,
    /// It is, but the log was closed meanwhile: the slot is given back when its moment comes, so that its next owner
    /// does not inherit it.
    Orphaned,
}

/// The logs that wait for their moment. At most one place per slot.
#[derive(Debug, Default)]
pub(super) struct Delayed {
    /// Those appended to since the time was last told.
    pub(super) fresh: Vec<LogId>,
    /// The others, earliest first.
    pub(super) due: BinaryHeap<Reverse<(Moment, u32)>>,
}

impl Fanout {
    /// Whether a log waits for its moment.
    pub fn has_delayed(&self) -> bool {
        !self.delayed.fresh.is_empty() || !self.delayed.due.is_empty()
    }

    /// It is `now`: logs whose delay is over are swept from now on, and the delay of those that were appended to since
    /// the last call begins. Call it between [`Fanout::append`] and [`Fanout::next`]. Returns when to call again at the
    /// latest, if a log waits.
    ///
    /// O(log of those that wait) for each that begins or ends. A log can be due earlier than its newest publication asks
    /// for, never later than its oldest.
    pub fn release_delayed(&mut self, now: Moment) -> Option<Moment> {
        while let Some(log) = self.delayed.fresh.pop() {
            let delay_us = u64::from(self.rules_of(log).write_delay_us);
            self.delayed.due.push(Reverse((Moment(now.0 + delay_us), log.0)));
        }
        while let Some(&Reverse((moment, log))) = self.delayed.due.peek() {
            if moment > now {
                return Some(moment);
            }
            self.delayed.due.pop();
            self.end_delay(LogId(log));
        }
        None
    }

    /// Ends all delays: there is no time to wait, or no memory.
    pub fn release_all_delayed(&mut self) {
        while let Some(log) = self.delayed.fresh.pop() {
            self.end_delay(log);
        }
        while let Some(Reverse((_, log))) = self.delayed.due.pop() {
            self.end_delay(LogId(log));
        }
    }

    fn end_delay(&mut self, log: LogId) {
        let slot = &mut self.logs[log.0];
        match std::mem::take(&mut slot.delay) {
            // Without anyone behind there is no round to start: all have been visited for other reasons.
            Delay::Waiting => self.sweep_log(log),
            Delay::Orphaned => self.logs.give(log.0),
            Delay::Nothing => debug_assert!(false, "only logs that wait have a place"),
        }
    }

    /// `frame_bytes` were appended to a log whose rules have a delay; `was_idle` if nobody was behind before.
    ///
    /// A round that is under way goes on where it is instead of starting anew: those it has passed get the frame when the
    /// delay is over. Under steady publishing the log would never leave the ring otherwise.
    pub(super) fn delay_write(&mut self, log: LogId, frame_bytes: usize, was_idle: bool) {
        let visit_bytes = self.settings.visit_bytes as u64;
        let target = &mut self.logs[log.0];
        let begins = target.delay == Delay::Nothing;
        if begins {
            target.delay = Delay::Waiting;
            self.delayed.fresh.push(log);
        }
        let head = target.head;
        let Some(active) = &mut target.active else { return };
        if begins || was_idle {
            active.waits_from = head - frame_bytes as u64;
        }
        // A visit takes no more than this in one write, so nothing is gained by waiting for more.
        if head - active.waits_from >= visit_bytes {
            active.waits_from = head;
            self.sweep_log(log);
        }
    }

    /// Starts the round of a log anew and puts it into the ring, if someone is behind.
    fn sweep_log(&mut self, log: LogId) {
        if self.logs[log.0].active.is_some() {
            self.logs[log.0].restart_round();
            self.enqueue_log(log);
        }
    }
}

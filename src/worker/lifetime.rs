//! How long one connection may take: to finish a message, to say something, in all.

use rustc_hash::FxHashMap;

use super::connection::Reading;
use super::liveness::elapsed;
use super::worker::{Due, Worker};
use crate::close_reason::CloseReason;
use crate::config::{Limits, Span};
use crate::fanout::ConnectionId;

/// The longest that the wheel is given: what runs longer is looked at again. An entry stays in the wheel when its connection
/// is gone, so with an age of a day it would hold all connections of a day.
const STEP_TICKS: u32 = 600;

/// The times of `[limits]`, in ticks, and since when they run. A connection between two messages has nothing here, unless
/// there is an idle timeout or an age.
#[derive(Debug)]
pub(super) struct Lifetime {
    message: Option<u32>,
    idle: Option<u32>,
    age: Option<u32>,
    /// Messages under way, by connection.
    unfinished: FxHashMap<u32, Unfinished>,
    /// The tick of each connection's last message. Empty without an idle timeout.
    spoke: FxHashMap<u32, u32>,
    /// The tick at which each connection is old. Empty without an age.
    old: FxHashMap<u32, u32>,
}

/// It stays until its deadline is looked at, also if the message was finished long before: so the wheel has one entry for
/// it, however many messages of that connection come in pieces.
#[derive(Debug)]
struct Unfinished {
    id: ConnectionId,
    /// When the message under way began, if one is.
    since: Option<u32>,
}

/// What a look at a time that runs says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Over,
    /// Not before this tick.
    Again(u32),
}

impl Lifetime {
    pub(super) fn new(limits: &Limits) -> Self {
        let ticks = |span: Span| (!span.0.is_zero()).then(|| Worker::ticks(span));
        Self {
            message: ticks(limits.message_timeout),
            idle: ticks(limits.idle_timeout),
            age: ticks(limits.connection_age),
            unfinished: FxHashMap::default(),
            spoke: FxHashMap::default(),
            old: FxHashMap::default(),
        }
    }

    /// Whether a message ever was under way that is not forgotten yet.
    pub(super) fn has_unfinished(&self) -> bool {
        !self.unfinished.is_empty()
    }

    /// Whether it matters when a client last sent a message.
    pub(super) fn notes_messages(&self) -> bool {
        self.idle.is_some()
    }
}

/// Whether what began at `since` has lasted for `limit` ticks.
fn look(since: u32, limit: u32, now: u32) -> Look {
    let passed = elapsed(now, since);
    if passed >= limit { Look::Over } else { Look::Again(now.wrapping_add((limit - passed).min(STEP_TICKS))) }
}

/// `age` give or take a tenth; `roll` gives a number below its argument.
fn spread(age: u32, roll: impl FnOnce(u32) -> u32) -> u32 {
    age - age / 10 + roll(age / 10 * 2 + 1)
}

impl Worker {
    /// A connection was opened.
    pub(super) fn begin_lifetime(&mut self, id: ConnectionId) {
        let tick = self.tick;
        if let Some(age) = self.lifetime.age {
            // A fleet that came together, as after a restart, must not go and come again together.
            let age = spread(age, |limit| self.roll(limit));
            self.lifetime.old.insert(id.index, tick.wrapping_add(age));
            self.wheel.schedule(Due::Age(id), tick.wrapping_add(age.min(STEP_TICKS)));
        }
        // Who only listens cannot say anything.
        if let Some(idle) = self.lifetime.idle
            && self.connection(id).is_some_and(|connection| connection.session.can_speak())
        {
            self.lifetime.spoke.insert(id.index, tick);
            self.wheel.schedule(Due::Idle(id), tick.wrapping_add(idle.min(STEP_TICKS)));
        }
    }

    /// A message came whole.
    pub(super) fn note_spoken(&mut self, id: ConnectionId) {
        if self.lifetime.notes_messages() {
            self.lifetime.spoke.insert(id.index, self.tick);
        }
    }

    /// Input of a connection is used up: in the middle of a message, which may have begun before this input, or not.
    pub(super) fn note_under_way(&mut self, id: ConnectionId, is_under_way: bool, began_before: bool) {
        let Some(limit) = self.lifetime.message else { return };
        let tick = self.tick;
        if !is_under_way {
            if let Some(unfinished) = self.lifetime.unfinished.get_mut(&id.index) {
                unfinished.since = None;
            }
            return;
        }
        let wheel = &mut self.wheel;
        let unfinished = self.lifetime.unfinished.entry(id.index).or_insert_with(|| {
            wheel.schedule(Due::Message(id), tick.wrapping_add(limit.min(STEP_TICKS)));
            Unfinished { id, since: None }
        });
        if !began_before || unfinished.since.is_none() {
            unfinished.since = Some(tick);
        }
    }

    /// A message that was under way may be overdue.
    pub(super) fn check_message(&mut self, id: ConnectionId) {
        let Some(limit) = self.lifetime.message else { return };
        let Some(unfinished) = self.lifetime.unfinished.get(&id.index).filter(|unfinished| unfinished.id == id) else {
            return;
        };
        let since = unfinished.since;
        let reading = self.connection(id).filter(|connection| connection.is_open()).map(|one| one.reading);
        let (Some(since), Some(reading)) = (since, reading) else {
            self.lifetime.unfinished.remove(&id.index);
            return;
        };
        let since = self.heard_until(since, reading);
        match look(since, limit, self.tick) {
            Look::Again(tick) => {
                self.lifetime.unfinished.insert(id.index, Unfinished { id, since: Some(since) });
                self.wheel.schedule(Due::Message(id), tick);
            }
            Look::Over => {
                self.lifetime.unfinished.remove(&id.index);
                self.fail(id, CloseReason::MessageTimeout);
            }
        }
    }

    /// A connection may have been silent for too long.
    pub(super) fn check_idle(&mut self, id: ConnectionId) {
        let Some(limit) = self.lifetime.idle else { return };
        let Some(connection) = self.connection(id).filter(|connection| connection.is_open()) else { return };
        let (reading, is_mid_message) = (connection.reading, connection.decoder.is_mid_message());
        let Some(&since) = self.lifetime.spoke.get(&id.index) else { return };
        // How long it may be in the middle of a message is not decided here.
        let since = if is_mid_message { self.tick } else { self.heard_until(since, reading) };
        match look(since, limit, self.tick) {
            Look::Again(tick) => self.wheel.schedule(Due::Idle(id), tick),
            Look::Over => self.close(id, CloseReason::IdleTimeout),
        }
    }

    /// A connection may be as old as it may become.
    pub(super) fn check_age(&mut self, id: ConnectionId) {
        if !self.connection(id).is_some_and(|connection| connection.is_open()) {
            return;
        }
        let Some(&old) = self.lifetime.old.get(&id.index) else { return };
        match elapsed(old, self.tick) {
            0 => self.close(id, CloseReason::ConnectionAge),
            left => self.wheel.schedule(Due::Age(id), self.tick.wrapping_add(left.min(STEP_TICKS))),
        }
    }

    /// What is timed of a connection that is gone.
    pub(super) fn end_lifetime(&mut self, id: ConnectionId) {
        if self.lifetime.has_unfinished() {
            self.lifetime.unfinished.remove(&id.index);
        }
        if self.lifetime.notes_messages() {
            self.lifetime.spoke.remove(&id.index);
        }
        if self.lifetime.age.is_some() {
            self.lifetime.old.remove(&id.index);
        }
    }

    /// Since when the client itself is what is waited for: while we do not read, it cannot be heard.
    fn heard_until(&self, since: u32, reading: Reading) -> u32 {
        match reading {
            Reading::Polled => since,
            Reading::Queued | Reading::OutboxFull | Reading::Paused | Reading::Throttled | Reading::Awaiting => {
                self.tick
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_over_with_its_last_tick_and_not_before() {
        assert_eq!(look(7, 300, 306), Look::Again(307));
        assert_eq!(look(7, 300, 307), Look::Over);
        assert_eq!(look(u32::MAX, 2, 0), Look::Again(1), "ticks wrap");
        assert_eq!(look(u32::MAX, 2, 1), Look::Over);
        assert_eq!(look(8, 2, 7), Look::Again(9), "a byte may be stamped later than the look");
    }

    #[test]
    fn a_long_time_is_looked_at_in_steps_and_ends_where_it_does() {
        let (since, limit) = (u32::MAX - 100, 86_400 * 10);
        let (mut now, mut looks) = (since, 0);
        while let Look::Again(next) = look(since, limit, now) {
            assert!((1..=STEP_TICKS).contains(&next.wrapping_sub(now)));
            (now, looks) = (next, looks + 1);
        }
        assert_eq!((now, looks), (since.wrapping_add(limit), 1440));
    }

    #[test]
    fn ages_are_spread_by_a_tenth_to_both_sides() {
        for age in [1, 9, 10, 600, 86_400 * 366 * 10] {
            let (youngest, oldest) = (spread(age, |_| 0), spread(age, |limit| limit - 1));
            assert_eq!((youngest, oldest), (age - age / 10, age + age / 10));
        }
    }

    #[test]
    fn zeros_are_no_limits() {
        let limits = Limits { message_timeout: Span::secs(0), ..Limits::default() };
        let lifetime = Lifetime::new(&limits);
        assert_eq!((lifetime.message, lifetime.idle, lifetime.age), (None, None, None));
        let limits = Limits { connection_age: Span::millis(1), ..limits };
        assert_eq!(Lifetime::new(&limits).age, Some(1));
    }
}

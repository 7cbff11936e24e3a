//! Whom to visit next: first those who became writable or are owed a reply, then the logs, round robin.

use super::connection::{Connection, ConnectionId};
use super::delay::Delay;
use super::fanout::Fanout;
use super::log::{LogId, Member};
use super::settings::Tick;

impl Fanout {
    /// Whom to [`Fanout::visit`] next in this sweep. `None` ends the sweep: nobody is left, or it has had its
    /// [`super::Settings::sweep_visits`]; [`Fanout::has_work`] tells which. The next call begins another. Who is named
    /// must be visited, or it waits for the next publication.
    ///
    /// Members at head are passed at about a nanosecond each (bench `sweep/pass_at_head`).
    #[expect(clippy::should_implement_trait, reason = "a sweep goes on after its None")]
    pub fn next(&mut self) -> Option<ConnectionId> {
        if self.sweep_left == 0 {
            self.sweep_left = self.settings.sweep_visits;
            return None;
        }
        let slot = self.next_slot();
        self.sweep_left = if slot.is_some() { self.sweep_left - 1 } else { self.settings.sweep_visits };
        slot.map(|slot| self.id_of(slot))
    }

    /// Makes the sweep reach the members of `log` before all others: a publication waits for room in it.
    pub fn sweep_log_first(&mut self, log: LogId) {
        if self.logs[log.0].active.is_some() {
            self.logs[log.0].restart_round();
            self.urgent = Some(log);
        }
    }

    /// The sink takes bytes again.
    pub fn writable(&mut self, connection: ConnectionId) {
        if self.is_blocked(connection) {
            self.unblock(connection.index);
            self.enqueue_ready(connection.index);
        }
    }

    fn next_slot(&mut self) -> Option<u32> {
        if let Some(log) = self.urgent {
            if let Some(slot) = self.step(log) {
                return Some(slot);
            }
            self.urgent = None;
        }
        while let Some(slot) = self.ready.pop_front() {
            let conn = &mut self.connections[slot];
            conn.flags &= !Connection::READY;
            if conn.is(Connection::LIVE) && !conn.is_blocked() {
                return Some(slot);
            }
        }
        while let Some(&log) = self.ring.front() {
            if self.turn_left == 0 {
                self.ring.rotate_left(1);
                self.turn_left = self.settings.turn_members;
                continue;
            }
            if let Some(slot) = self.step(log) {
                self.turn_left -= 1;
                return Some(slot);
            }
            self.leave_ring();
        }
        None
    }

    /// Whether a log has someone behind who can be written to. Who is found will be visited next; logs without are taken
    /// off the ring, since every join and every leave puts them there. It is asked when memory is short, so delays end.
    pub(super) fn has_someone_to_reach(&mut self) -> bool {
        self.release_all_delayed();
        while let Some(log) = self.urgent.or(self.ring.front().copied()) {
            if let Some(slot) = self.step(log) {
                self.enqueue_ready(slot);
                return true;
            }
            if self.urgent.take().is_none() {
                self.leave_ring();
            }
        }
        false
    }

    /// Takes the front log off the ring.
    fn leave_ring(&mut self) {
        if let Some(log) = self.ring.pop_front() {
            self.logs[log.0].queued = false;
        }
        self.turn_left = self.settings.turn_members;
    }

    /// The next member in the round of `log` who can be written to and is behind. `None`: the round is over.
    ///
    /// Trims at every wrap, and at the end of the round: under steady publishing a round never ends (pitfall 2).
    fn step(&mut self, log: LogId) -> Option<u32> {
        loop {
            let target = &mut self.logs[log.0];
            let active = target.active.as_mut()?;
            let count = target.members.len() as u32;
            if active.position >= count {
                active.position = 0;
                if active.segments.len() > 1 {
                    self.trim(log);
                    continue;
                }
            }
            if active.rest == 0 {
                if active.segments.len() > 1 {
                    self.trim(log);
                }
                return None;
            }
            let from = active.position as usize;
            let until = (active.position + active.rest).min(count) as usize;
            let found = target.members[from..until].iter().position(|member| member.cursor < target.head);
            let passed = found.map_or(until - from, |index| index + 1) as u32;
            active.position += passed;
            active.rest -= passed;
            if let Some(index) = found {
                let member = target.members[from + index];
                if !member.is(Member::HELD) && !self.connections[member.slot].is_blocked() {
                    return Some(member.slot);
                }
            }
        }
    }

    /// Puts a slot among those to visit before the logs. A blocked one waits for [`Fanout::writable`].
    pub(super) fn enqueue_ready(&mut self, slot: u32) {
        let conn = &mut self.connections[slot];
        if !conn.is_blocked() && !conn.is(Connection::READY) {
            conn.flags |= Connection::READY;
            self.ready.push_back(slot);
        }
    }

    /// Puts a log into the ring.
    pub(super) fn enqueue_log(&mut self, log: LogId) {
        let target = &mut self.logs[log.0];
        if !target.queued {
            target.queued = true;
            self.ring.push_back(log);
        }
    }

    /// Puts a log into the ring if someone is behind in it: its members have changed, and the round starts anew
    /// (pitfall 1). One that waits for its moment is swept then.
    pub(super) fn enqueue_active(&mut self, log: LogId) {
        let target = &self.logs[log.0];
        if target.active.is_some() && target.delay == Delay::Nothing {
            self.enqueue_log(log);
        }
    }

    pub(super) fn block(&mut self, slot: u32, tick: Tick) {
        let conn = &mut self.connections[slot];
        if !conn.is_blocked() {
            conn.stall = self.blocked.len() as u32;
            self.blocked.push((slot, tick));
        }
    }

    pub(super) fn unblock(&mut self, slot: u32) {
        let conn = &mut self.connections[slot];
        if conn.is_blocked() {
            let place = std::mem::replace(&mut conn.stall, super::connection::NOT_BLOCKED);
            self.blocked.swap_remove(place as usize);
            if let Some(&(moved, _)) = self.blocked.get(place as usize) {
                self.connections[moved].stall = place;
            }
        }
    }
}

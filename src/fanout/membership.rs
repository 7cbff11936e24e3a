//! Who is there, and who reads which log: connections and logs come and go, members join, wait, and leave.

use bytes::Bytes;
use smallvec::SmallVec;

use super::connection::{Connection, ConnectionId, NOT_BLOCKED, Seat};
use super::delay::Delay;
use super::fanout::Fanout;
use super::log::{LogId, Member, PARKED};
use super::outcome::{Join, Members, Missed, Parted};
use super::settings::RulesId;
use crate::hub::Offset;

impl Fanout {
    /// A new connection.
    pub fn connect(&mut self) -> ConnectionId {
        let slot = self.connections.take();
        self.connections[slot].flags |= Connection::LIVE;
        self.id_of(slot)
    }

    /// A new log without members. `last` is the offset of its topic's last publication: those up to it are not appended.
    pub fn open(&mut self, rules: RulesId, last: Offset) -> LogId {
        debug_assert!(usize::from(rules.0) < self.rules.len());
        let slot = self.logs.take();
        let log = &mut self.logs[slot];
        debug_assert!(log.members.is_empty() && log.active.is_none());
        log.rules = rules;
        log.last = last;
        LogId(slot)
    }

    /// Frees a log; its id will name another one, at once or when its delay is over. Only when it has no members.
    pub fn close_log(&mut self, log: LogId) {
        debug_assert!(self.members(log) == 0);
        if self.members(log) > 0 {
            return;
        }
        match self.logs[log.0].delay {
            Delay::Nothing => self.logs.give(log.0),
            Delay::Waiting | Delay::Orphaned => self.logs[log.0].delay = Delay::Orphaned,
        }
    }

    /// Makes `connection` a member of `log`. A reply queued now, before or after this call, comes before its first
    /// publication. A member already: nothing happens. O(its memberships).
    ///
    /// With [`Join::At`] an offset above the log's last, the publications up to it are filtered out when they are
    /// appended.
    pub fn subscribe(&mut self, log: LogId, connection: ConnectionId, join: Join) {
        let Some(conn) = self.live(connection) else { return };
        if conn.seat_in(log).is_some() {
            return;
        }
        let is_over = conn.is(Connection::FINISHING | Connection::DOOMED | Connection::CUT_OFF);
        let target = &mut self.logs[log.0];
        let at = target.members.len();
        let mut member = Member { slot: connection.index, flags: 0, cursor: target.head };
        if is_over {
            member.cursor = PARKED;
            target.parked += 1;
        } else if join == Join::Held {
            member.flags |= Member::HELD;
            self.held += 1;
        }
        // A quarter more when full: doubling would waste up to 16 bytes per member of a large topic.
        if at == target.members.capacity() {
            target.members.reserve_exact((at / 4).max(3));
        }
        target.members.push(member);
        target.restart_round();
        let last = target.last;
        self.connections[connection.index].seats.push(Seat { log, at: at as u32 });
        if let (Join::At(top), false) = (join, is_over)
            && top > last
        {
            self.special_mut(log, at).after = top;
        }
        self.enqueue_active(log);
    }

    /// Lets a held member go on with the publications after `top`: those up to it came with its history.
    pub fn release(&mut self, log: LogId, connection: ConnectionId, top: Offset) {
        let Some((place, conn)) = self.live(connection).and_then(|conn| Some((conn.seat_in(log)?, conn))) else {
            return;
        };
        let at = conn.seats[place].at as usize;
        let member = &mut self.logs[log.0].members[at];
        if !member.is(Member::HELD) {
            return;
        }
        member.flags &= !Member::HELD;
        self.held -= 1;
        self.special_mut(log, at).after = top;
        self.tidy_special(log, at);
        self.enqueue_ready(connection.index);
    }

    /// Ends a membership: what the connection has not got of this log it will not get, a cut frame's rest excepted.
    pub fn unsubscribe(&mut self, log: LogId, connection: ConnectionId) -> Members {
        if let Some(place) = self.live(connection).and_then(|conn| conn.seat_in(log)) {
            self.leave(connection.index, place);
        }
        Members(self.members(log))
    }

    /// The offset of the last publication of a log.
    pub fn last(&self, log: LogId) -> Offset {
        self.logs[log.0].last
    }

    /// Whether a member has got everything of a log, and so could go on in another one of the same topic. `None` if it is
    /// no member. O(its memberships).
    pub fn is_at_head(&self, log: LogId, connection: ConnectionId) -> Option<bool> {
        let conn = self.live(connection)?;
        let at = conn.seats[conn.seat_in(log)?].at as usize;
        let target = &self.logs[log.0];
        let member = target.members[at];
        Some(member.cursor == target.head && !member.is(Member::HELD | Member::SPECIAL) && conn.owed.is_none())
    }

    /// Whether a frame may be written to it past the fan-out, as the next thing it gets: no frame was cut, nothing is
    /// queued before the topics, and it is not ending.
    pub fn is_clear(&self, connection: ConnectionId) -> bool {
        const ENDING: u32 = Connection::FINISHING | Connection::CLOSE_SENT | Connection::DOOMED | Connection::CUT_OFF;
        self.live(connection).is_some_and(|conn| conn.owed.is_none() && !conn.is_blocked() && !conn.is(ENDING))
    }

    /// Queues `frame` behind what is queued already, before all topics. Never dropped, except behind a close frame.
    /// Never copied.
    pub fn reply(&mut self, connection: ConnectionId, frame: Bytes) {
        let Some(conn) = self.live(connection) else { return };
        if frame.is_empty() || conn.is(Connection::CLOSE_SENT | Connection::CUT_OFF) {
            return;
        }
        let hold = self.hold(&frame);
        let owed = self.owed_mut(connection.index);
        owed.outbox_bytes += frame.len();
        owed.outbox.push_back((frame, hold));
        self.enqueue_ready(connection.index);
    }

    /// What was owed with [`Fanout::owe_sealed`], and is all that the next visit offers.
    pub fn sealed(&self, connection: ConnectionId) -> Option<&Bytes> {
        let owed = self.live(connection)?.owed.as_ref()?;
        owed.sealed.as_ref().map(|(sealed, _)| sealed)
    }

    /// Has `bytes` written as they are, behind what is sealed already and before everything else: what a sink made of
    /// what it took (TLS records of plain frames), or has to say on its own. The order in which they are owed is that in
    /// which they were made, or the peer cannot open them. Copied if some is owed already.
    pub fn owe_sealed(&mut self, connection: ConnectionId, bytes: Bytes) {
        let Some(conn) = self.live(connection) else { return };
        if bytes.is_empty() || conn.is(Connection::CUT_OFF) {
            return;
        }
        let before = self.owed_mut(connection.index).sealed.take();
        let sealed = match before {
            None => bytes,
            Some((before, hold)) => {
                self.ledger.release(hold);
                Bytes::from([&before[..], &bytes[..]].concat())
            }
        };
        let hold = self.hold(&sealed);
        self.owed_mut(connection.index).sealed = Some((sealed, hold));
        self.enqueue_ready(connection.index);
    }

    /// Ends a connection in order: it gets what is pending now, replies still to come, then `close_frame`; no
    /// publication appended later. When all is sent, a visit says [`super::Writer::Finished`]. Again: nothing happens.
    ///
    /// Held memberships get nothing. O(its memberships).
    pub fn finish(&mut self, connection: ConnectionId, close_frame: Option<Bytes>) {
        if !self.start_finishing(connection, close_frame) {
            return;
        }
        let slot = connection.index;
        for place in 0..self.connections[slot].seats.len() {
            let (log, at) = self.seat(slot, place);
            let member = self.logs[log.0].members[at];
            if member.cursor == PARKED {
                continue;
            }
            if member.is(Member::HELD) {
                self.park(log, at);
            } else {
                let head = self.logs[log.0].head;
                self.special_mut(log, at).end = head;
            }
            self.tidy_special(log, at);
        }
    }

    /// Ends a connection at once: publications it has not got are dropped (see [`Parted::missed`]); it gets the rest of
    /// a cut frame, its replies, then `close_frame`. After [`Fanout::finish`] it keeps the close frame of that.
    pub fn finish_now(&mut self, connection: ConnectionId, close_frame: Option<Bytes>) {
        if self.live(connection).is_none() {
            return;
        }
        self.start_finishing(connection, close_frame);
        for place in 0..self.connections[connection.index].seats.len() {
            let (log, at) = self.seat(connection.index, place);
            self.drop_unsent(log, at);
        }
        self.enqueue_ready(connection.index);
    }

    /// Takes a connection away, with all its memberships and all it is owed. Says which logs it has left, and what it
    /// did not get of them. O(its memberships), and a round of the sweep in each log that is active.
    pub fn disconnect(&mut self, connection: ConnectionId) -> SmallVec<[Parted; 2]> {
        let mut parted = SmallVec::new();
        if self.live(connection).is_none() {
            return parted;
        }
        let slot = connection.index;
        let cut = self.connections[slot].owed.as_ref().and_then(|owed| owed.tail.as_ref()?.publication);
        while let Some(place) = self.connections[slot].seats.len().checked_sub(1) {
            let (log, at) = self.seat(slot, place);
            let member = self.logs[log.0].members[at];
            let told = self.special_of(log, &member).and_then(|special| special.missed);
            let cut = cut.filter(|&(of, _, _)| of == log).map(|(_, offset, _)| Missed::one(offset));
            let missed = Missed::join(Missed::join(told, cut), self.unsent(log, at));
            self.leave(slot, place);
            parted.push(Parted { log, left: Members(self.members(log)), missed });
        }
        if cut.is_some() && self.connections[slot].is(Connection::DOOMED) {
            self.losses.disconnect += 1;
        }
        self.drop_owed(slot);
        self.unblock(slot);
        let conn = &mut self.connections[slot];
        *conn = Connection {
            generation: conn.generation.wrapping_add(1),
            flags: conn.flags & Connection::READY,
            turn: 0,
            stall: NOT_BLOCKED,
            owed: None,
            seats: SmallVec::new(),
        };
        self.connections.give(slot);
        parted
    }

    /// What this member is meant to get and has not been given: nothing if it is held, since its start is not known.
    pub(super) fn unsent(&self, log: LogId, at: usize) -> Option<Missed> {
        let member = self.logs[log.0].members[at];
        let kept = self.special_of(log, &member).and_then(|special| special.kept_range());
        if member.cursor == PARKED || member.is(Member::HELD) {
            return kept;
        }
        let waiting = self.logs[log.0].wanted(member.cursor, self.end_of(log, &member), &self.filter(log, &member));
        Missed::join(kept, waiting)
    }

    /// Drops what this member has not been given, remembers it as missed, and parks it. Returns what was dropped.
    pub(super) fn drop_unsent(&mut self, log: LogId, at: usize) -> Option<Missed> {
        let unsent = self.unsent(log, at);
        let member = self.logs[log.0].members[at];
        if unsent.is_some() {
            self.drop_kept(log, member.slot);
            let special = self.special_mut(log, at);
            special.missed = Missed::join(special.missed, unsent);
        }
        self.park(log, at);
        unsent
    }

    pub(super) fn drop_kept(&mut self, log: LogId, slot: u32) {
        if let Some(special) = self.specials.get_mut(log, slot) {
            for kept in special.kept.drain(..) {
                self.ledger.release(kept.hold);
            }
        }
    }

    /// Makes a member plain again if nothing special is left, and parks it if it has reached its end.
    pub(super) fn tidy_special(&mut self, log: LogId, at: usize) {
        let target = &self.logs[log.0];
        let member = target.members[at];
        let Some(special) = self.special_of(log, &member) else { return };
        if member.cursor != PARKED
            && member.cursor >= special.end
            && special.missed.is_none()
            && special.kept.is_empty()
        {
            self.park(log, at);
            self.specials.remove(log, member.slot);
            self.logs[log.0].members[at].flags &= !Member::SPECIAL;
        } else if special.is_over(member.cursor, target.head, target.last) {
            self.specials.remove(log, member.slot);
            self.logs[log.0].members[at].flags &= !Member::SPECIAL;
        }
    }

    /// Whether there is anything left to start.
    fn start_finishing(&mut self, connection: ConnectionId, close_frame: Option<Bytes>) -> bool {
        let Some(conn) = self.live(connection) else { return false };
        if conn.is(Connection::FINISHING) {
            return false;
        }
        let slot = connection.index;
        if let Some(frame) = close_frame.filter(|frame| !frame.is_empty())
            && !self.connections[slot].is(Connection::CUT_OFF)
        {
            self.owed_mut(slot).close = Some(frame);
        }
        self.connections[slot].flags |= Connection::FINISHING;
        self.enqueue_ready(slot);
        true
    }

    /// Ends the membership at `place` among the seats of `slot`. O(seats of the member that moves up).
    fn leave(&mut self, slot: u32, place: usize) {
        let Seat { log, at } = self.connections[slot].seats.swap_remove(place);
        if self.connections[slot].seats.spilled() && self.connections[slot].seats.len() <= 2 {
            self.connections[slot].seats.shrink_to_fit();
        }
        let target = &mut self.logs[log.0];
        let member = target.members.swap_remove(at as usize);
        if let Some(moved) = target.members.get(at as usize) {
            let seats = &mut self.connections[moved.slot].seats;
            let seat = seats.iter_mut().find(|seat| seat.log == log).expect("invariant: every member has its seat");
            seat.at = at;
        }
        let count = target.members.len();
        if target.members.spilled() && count * 2 < target.members.capacity() {
            target.members.grow((count + count / 4).max(1));
        }
        target.restart_round();
        if member.cursor == PARKED {
            target.parked -= 1;
        } else if member.cursor < target.head {
            self.caught_up(log);
        }
        self.held -= u32::from(member.is(Member::HELD));
        if member.is(Member::SPECIAL) {
            self.drop_kept(log, slot);
            self.specials.remove(log, slot);
        }
        self.enqueue_active(log);
    }
}

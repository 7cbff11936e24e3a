//! One worker's fan-out: the structure that its other files fill with life.

use std::collections::VecDeque;

use bytes::Bytes;

use super::connection::{Connection, ConnectionId, Owed, Seat};
use super::delay::Delayed;
use super::ledger::{Hold, Ledger};
use super::log::{Active, Log, LogId, Member, PARKED};
use super::outcome::{Doomed, Losses};
use super::segment::Segment;
use super::settings::{LogRules, Settings, Tick};
use super::slab::Slab;
use super::special::{Filter, NO_END, Special, Specials};
use crate::hub::Offset;

/// Recycled pieces kept at most; each is at most about 1.5 KB.
const SPARE_LIMIT: usize = 64;

/// One worker's topic logs, cursors and outboxes, and the write plan of one turn.
///
/// Pure: bytes and ticks come in, what to write goes to a sink. Connections and logs that are named here but unknown
/// (an old generation, not a member) are nobody: such a call does nothing.
#[derive(Debug)]
pub struct Fanout {
    pub(super) settings: Settings,
    pub(super) rules: Vec<LogRules>,
    pub(super) connections: Slab<Connection>,
    pub(super) logs: Slab<Log>,
    pub(super) specials: Specials,
    /// Slots to visit before any log: writable again, owing replies, or not reached by a capped plan. At most one entry
    /// per slot ([`Connection::READY`]).
    pub(super) ready: VecDeque<u32>,
    /// Logs to sweep, round robin. At most one entry per slot ([`Log::queued`]).
    pub(super) ring: VecDeque<LogId>,
    /// The log to sweep before everything else, since a publication waits for its room.
    pub(super) urgent: Option<LogId>,
    /// Logs that wait for their write delay.
    pub(super) delayed: Delayed,
    /// Members the front log of the ring may still have visited in this turn.
    pub(super) turn_left: u32,
    /// Visits left in this sweep.
    pub(super) sweep_left: u32,
    /// Logs with someone behind.
    pub(super) active: Vec<LogId>,
    /// Slots that are blocked, and since when.
    pub(super) blocked: Vec<(u32, Tick)>,
    /// Members that are held.
    pub(super) held: u32,
    pub(super) doomed: VecDeque<Doomed>,
    pub(super) losses: Losses,
    pub(super) ledger: Ledger,
    #[expect(clippy::vec_box, reason = "it is the boxes that are recycled")]
    pub(super) spare_actives: Vec<Box<Active>>,
    pub(super) spare_segments: Vec<Segment>,
    #[expect(clippy::vec_box, reason = "it is the boxes that are recycled")]
    pub(super) spare_owed: Vec<Box<Owed>>,
}

impl Fanout {
    /// An empty fan-out. [`super::RulesId`]s are indices into `rules`.
    pub fn new(settings: Settings, rules: Vec<LogRules>) -> Self {
        Self {
            settings,
            rules,
            connections: Slab::new(),
            logs: Slab::new(),
            specials: Specials::default(),
            ready: VecDeque::new(),
            ring: VecDeque::new(),
            urgent: None,
            delayed: Delayed::default(),
            turn_left: settings.turn_members,
            sweep_left: settings.sweep_visits,
            active: Vec::new(),
            blocked: Vec::new(),
            held: 0,
            doomed: VecDeque::new(),
            losses: Losses::default(),
            ledger: Ledger::new(settings.by_reference_bytes),
            spare_actives: Vec::new(),
            spare_segments: Vec::new(),
            spare_owed: Vec::new(),
        }
    }

    /// The limits in force.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether this is a connection (and not one that was disconnected).
    pub fn is_live(&self, connection: ConnectionId) -> bool {
        self.live(connection).is_some()
    }

    /// Whether the sink took less than it was offered, and [`Fanout::writable`] was not called since.
    pub fn is_blocked(&self, connection: ConnectionId) -> bool {
        self.live(connection).is_some_and(Connection::is_blocked)
    }

    /// Whether nothing at all waits for this connection. O(its memberships).
    pub fn is_idle(&self, connection: ConnectionId) -> bool {
        self.live(connection).is_none_or(|conn| {
            conn.owed.is_none()
                && conn.seats.iter().all(|seat| {
                    let log = &self.logs[seat.log.0];
                    let member = log.members[seat.at as usize];
                    member.cursor >= log.head && !self.has_special_bytes(seat.log, &member)
                })
        })
    }

    /// Bytes of replies that were queued and are not in the sink's hands, a cut one excepted.
    ///
    /// Replies are never dropped, so the caller bounds this: it stops reading a connection's input over a limit.
    pub fn outbox_bytes(&self, connection: ConnectionId) -> usize {
        self.live(connection).and_then(|conn| conn.owed.as_ref()).map_or(0, |owed| owed.outbox_bytes)
    }

    /// The logs this connection is a member of.
    pub fn logs_of(&self, connection: ConnectionId) -> impl Iterator<Item = LogId> {
        self.live(connection).into_iter().flat_map(|conn| conn.seats.iter().map(|seat| seat.log))
    }

    /// Members of `log`, those that are finishing included.
    pub fn members(&self, log: LogId) -> usize {
        self.logs[log.0].members.len()
    }

    /// Connections that are blocked.
    pub fn slow_consumers(&self) -> usize {
        self.blocked.len()
    }

    /// Bytes that the logs hold, 16 per frame for its mark included.
    pub const fn retained_bytes(&self) -> usize {
        self.ledger.log_bytes()
    }

    /// Everything that counts against [`Settings::outbound_limit_bytes`].
    pub const fn outbound_bytes(&self) -> usize {
        self.ledger.total_bytes()
    }

    /// Whether [`Fanout::next`] may have someone to visit. `true` may turn out wrong, `false` is certain.
    pub fn has_work(&self) -> bool {
        !self.ready.is_empty() || !self.ring.is_empty() || self.urgent.is_some()
    }

    /// The next connection that a policy ends. Close it after the loop that asks, not inside it.
    pub fn doomed(&mut self) -> Option<Doomed> {
        while let Some(doomed) = self.doomed.pop_front() {
            if self.is_live(doomed.connection) {
                return Some(doomed);
            }
        }
        None
    }

    /// What was lost to policies since the last call.
    pub const fn losses(&mut self) -> Losses {
        let losses = self.losses;
        self.losses = Losses { disconnect: 0, skip: 0, latest: 0 };
        losses
    }

    pub(super) fn live(&self, connection: ConnectionId) -> Option<&Connection> {
        let conn = self.connections.get(connection.index)?;
        (conn.generation == connection.generation && conn.is(Connection::LIVE)).then_some(conn)
    }

    pub(super) fn id_of(&self, slot: u32) -> ConnectionId {
        ConnectionId { index: slot, generation: self.connections[slot].generation }
    }

    pub(super) fn rules_of(&self, log: LogId) -> LogRules {
        self.rules[usize::from(self.logs[log.0].rules.0)]
    }

    pub(super) fn seat(&self, slot: u32, place: usize) -> (LogId, usize) {
        let Seat { log, at } = self.connections[slot].seats[place];
        (log, at as usize)
    }

    pub(super) fn special_of(&self, log: LogId, member: &Member) -> Option<&Special> {
        member.is(Member::SPECIAL).then(|| self.specials.get(log, member.slot)).flatten()
    }

    /// The special of a member, made if it has none.
    pub(super) fn special_mut(&mut self, log: LogId, at: usize) -> &mut Special {
        let member = &mut self.logs[log.0].members[at];
        member.flags |= Member::SPECIAL;
        self.specials.entry(log, member.slot)
    }

    /// Which frames are for this member.
    pub(super) fn filter(&self, log: LogId, member: &Member) -> Filter {
        let me = self.id_of(member.slot);
        match self.special_of(log, member) {
            Some(special) => Filter { me, after: special.after, excluded_until: special.excluded_until },
            None => Filter { me, after: Offset(0), excluded_until: 0 },
        }
    }

    /// The log position at which this member has everything.
    pub(super) fn end_of(&self, log: LogId, member: &Member) -> u64 {
        let end = self.special_of(log, member).map_or(NO_END, |special| special.end);
        end.min(self.logs[log.0].head)
    }

    fn has_special_bytes(&self, log: LogId, member: &Member) -> bool {
        member.cursor != PARKED
            && self.special_of(log, member).is_some_and(|special| special.missed.is_some() || !special.kept.is_empty())
    }

    /// What is owed to a slot besides its topics, made if there is nothing yet.
    pub(super) fn owed_mut(&mut self, slot: u32) -> &mut Owed {
        let spare = &mut self.spare_owed;
        self.connections[slot].owed.get_or_insert_with(|| spare.pop().unwrap_or_default())
    }

    /// Recycles what is owed to a slot if it is nothing.
    pub(super) fn tidy_owed(&mut self, slot: u32) {
        let conn = &mut self.connections[slot];
        if conn.owed.as_ref().is_some_and(|owed| owed.is_nothing())
            && let Some(mut owed) = conn.owed.take()
            && self.spare_owed.len() < SPARE_LIMIT
        {
            owed.outbox.shrink_to(16);
            self.spare_owed.push(owed);
        }
    }

    /// Forgets all that is owed to a slot besides its topics.
    pub(super) fn drop_owed(&mut self, slot: u32) {
        if let Some(owed) = &mut self.connections[slot].owed {
            let holds = owed.outbox.drain(..).map(|(_, hold)| hold);
            let sealed = owed.sealed.take().map(|(_, hold)| hold);
            for hold in holds.chain(owed.tail.take().map(|tail| tail.hold)).chain(sealed) {
                self.ledger.release(hold);
            }
            owed.outbox_bytes = 0;
            owed.close = None;
        }
        self.tidy_owed(slot);
    }

    /// Gives a log what it needs while someone is behind.
    pub(super) fn activate(&mut self, log: LogId) {
        if self.logs[log.0].active.is_none() {
            let mut active = self.spare_actives.pop().unwrap_or_default();
            active.listed = self.active.len() as u32;
            self.active.push(log);
            self.logs[log.0].active = Some(active);
        }
    }

    /// Nobody is behind: frees the frames of a log.
    pub(super) fn deactivate(&mut self, log: LogId) {
        let Some(mut active) = self.logs[log.0].active.take() else { return };
        let charge = active.segments.iter().map(|segment| segment.charge_bytes()).sum();
        self.ledger.shrink_logs(charge);
        self.active.swap_remove(active.listed as usize);
        if let Some(&moved) = self.active.get(active.listed as usize)
            && let Some(other) = &mut self.logs[moved.0].active
        {
            other.listed = active.listed;
        }
        if self.spare_segments.len() < SPARE_LIMIT {
            self.spare_segments.extend(active.segments.pop_back().and_then(Segment::recycled));
        }
        if self.spare_actives.len() < SPARE_LIMIT {
            active.segments.clear();
            active.segments.shrink_to(16);
            *active = Active { segments: std::mem::take(&mut active.segments), ..Active::default() };
            self.spare_actives.push(active);
        }
    }

    /// One member of `log` is behind no more.
    pub(super) fn caught_up(&mut self, log: LogId) {
        if let Some(active) = &mut self.logs[log.0].active {
            active.behind -= 1;
            if active.behind == 0 {
                self.deactivate(log);
            }
        }
    }

    /// Moves a member's cursor ahead, to a frame boundary at or before the head.
    pub(super) fn advance(&mut self, log: LogId, at: usize, to: u64) {
        let slot = &mut self.logs[log.0];
        let (member, head) = (&mut slot.members[at], slot.head);
        debug_assert!(member.cursor <= to && to <= head);
        let arrived = member.cursor < head && to == head;
        member.cursor = to;
        if arrived {
            self.caught_up(log);
        }
    }

    /// Takes a member's cursor out of the log: it stays a member and gets nothing more.
    pub(super) fn park(&mut self, log: LogId, at: usize) {
        let slot = &mut self.logs[log.0];
        let member = &mut slot.members[at];
        if member.cursor == PARKED {
            return;
        }
        let was_behind = member.cursor < slot.head;
        member.cursor = PARKED;
        slot.parked += 1;
        if member.is(Member::HELD) {
            member.flags &= !Member::HELD;
            self.held -= 1;
        }
        slot.restart_round();
        if was_behind {
            self.caught_up(log);
        }
    }

    /// Frees what nobody in this log needs any more. O(members).
    pub(super) fn trim(&mut self, log: LogId) {
        let freed = self.logs[log.0].trim();
        self.ledger.shrink_logs(freed);
    }

    pub(super) fn hold(&mut self, memory: &Bytes) -> Hold {
        self.ledger.hold(memory)
    }
}

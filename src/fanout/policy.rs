//! What happens to those who lag: by bytes when a log is full, by age once per tick, by size when the budget is used up.
//!
//! Only a blocked or held member is a laggard. One that the sweep has not reached yet is not (invariant 6).

use std::collections::VecDeque;

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use super::connection::Connection;
use super::fanout::Fanout;
use super::log::{LogId, Member, PARKED};
use super::outcome::{Cause, Doomed, Missed};
use super::settings::{Policy, Tick};
use super::special::{Kept, NO_END};

/// What a laggard has too much of.
#[derive(Debug, Clone, Copy)]
enum Over {
    /// Bytes, with a frame of this size to come.
    Bytes(u64),
    /// Age.
    Age,
}

impl Fanout {
    /// Applies the rules on age, stalled connections, and the budget. Call once per tick; then ask
    /// [`Fanout::doomed`]. O(logs with someone behind), O(members) of those with an old frame.
    pub fn enforce(&mut self, tick: Tick) {
        let mut index = 0;
        // A doom may take logs off the list, putting the last in their place: at worst one waits for the next tick.
        while let Some(&log) = self.active.get(index) {
            self.relieve_age(log, tick);
            if self.active.get(index) == Some(&log) {
                index += 1;
            }
        }
        for index in 0..self.blocked.len() {
            let (slot, since) = self.blocked[index];
            if tick.since(since) > self.settings.stalled_ticks && !self.is_idle(self.id_of(slot)) {
                self.doom(slot, Cause::Stalled);
            }
        }
        if self.outbound_bytes() > self.settings.outbound_limit_bytes {
            self.relieve_budget(0);
        }
    }

    /// Applies the policy of `log` to laggards that a frame of `len` bytes would take over its limit.
    pub(super) fn relieve_log(&mut self, log: LogId, len: u64) {
        let limit = u64::from(self.rules_of(log).lag_bytes);
        for at in 0..self.logs[log.0].members.len() {
            let target = &self.logs[log.0];
            let member = target.members[at];
            if member.cursor < target.head && target.head - member.cursor + len > limit && self.is_laggard(&member) {
                self.act(log, at, Over::Bytes(len));
            }
        }
    }

    fn relieve_age(&mut self, log: LogId, tick: Tick) {
        let limit = self.rules_of(log).lag_ticks;
        let is_old = |target: &super::log::Log, at: u64| tick.since(target.tick_at(at)) > limit;
        let target = &self.logs[log.0];
        let first = target.active.as_ref().and_then(|active| active.segments.front());
        if !first.is_some_and(|first| is_old(target, first.start)) {
            return;
        }
        for at in 0..self.logs[log.0].members.len() {
            let target = &self.logs[log.0];
            let member = target.members[at];
            if member.cursor < target.head && is_old(target, member.cursor) && self.is_laggard(&member) {
                self.act(log, at, Over::Age);
            }
        }
        self.trim(log);
    }

    fn is_laggard(&self, member: &Member) -> bool {
        member.is(Member::HELD) || self.connections[member.slot].is_blocked()
    }

    fn act(&mut self, log: LogId, at: usize, over: Over) {
        let member = self.logs[log.0].members[at];
        let cause = match over {
            Over::Bytes(_) => Cause::Lag(log),
            Over::Age => Cause::Age(log),
        };
        let policy = self.rules_of(log).policy;
        let is_finishing = self.special_of(log, &member).is_some_and(|special| special.end != NO_END);
        // A held member has no start yet, so nothing can be skipped for it.
        if member.is(Member::HELD) || policy == Policy::Disconnect {
            self.doom(member.slot, cause);
            return;
        }
        if is_finishing {
            // There is no newest publication for one that is leaving.
            let dropped = self.drop_unsent(log, at).map_or(0, |missed| missed.count);
            self.count_lost(policy, dropped);
            return;
        }
        match policy {
            Policy::Skip => self.skip(log, at, over),
            Policy::Latest => self.conflate(log, at, cause),
            Policy::Disconnect => {}
        }
    }

    /// Moves a laggard to the newest frame it wants, or to the head if even that is too much.
    fn skip(&mut self, log: LogId, at: usize, over: Over) {
        let limit = u64::from(self.rules_of(log).lag_bytes);
        let target = &self.logs[log.0];
        let (member, head) = (target.members[at], target.head);
        let filter = self.filter(log, &member);
        let newest = target.frames(member.cursor, head).rev().find(|(_, frame)| filter.wants(frame));
        let to = match (newest, over) {
            (Some((_, frame)), Over::Bytes(len)) if head - frame.start + len <= limit => frame.start,
            (Some((_, frame)), Over::Age) => frame.start,
            (Some(_), Over::Bytes(_)) | (None, _) => head,
        };
        if let Some(missed) = target.wanted(member.cursor, to, &filter) {
            self.count_lost(Policy::Skip, missed.count);
            let special = self.special_mut(log, at);
            special.missed = Missed::join(special.missed, Some(missed));
        }
        self.advance(log, at, to);
    }

    /// Takes the newest frame per key out of the log for a laggard, and moves it to the head.
    ///
    /// O(frames it is behind). What it keeps is bounded by the log's limit, or one frame; else it is doomed.
    fn conflate(&mut self, log: LogId, at: usize, cause: Cause) {
        let target = &self.logs[log.0];
        let (member, head) = (target.members[at], target.head);
        let filter = self.filter(log, &member);
        let mut keys = FxHashSet::default();
        let mut newest = Vec::new();
        let mut lost = 0;
        for (segment, frame) in target.frames(member.cursor, head).rev().filter(|(_, frame)| filter.wants(frame)) {
            if keys.insert(frame.extra.key) {
                let (bytes, memory) = (segment.detach(frame.start, frame.end), segment.shared_frame());
                let hold = self.ledger.hold(memory.unwrap_or(&bytes));
                newest.push(Kept { key: frame.extra.key, offset: frame.offset, frame: bytes, hold });
            } else {
                lost += 1;
            }
        }
        let old = std::mem::take(&mut self.special_mut(log, at).kept);
        let mut kept = VecDeque::with_capacity(newest.len());
        for one in old {
            if keys.contains(&one.key) {
                lost += 1;
                self.ledger.release(one.hold);
            } else {
                kept.push_back(one);
            }
        }
        kept.extend(newest.into_iter().rev());
        let (count, charge_bytes) = (kept.len(), kept.iter().map(Kept::charge_bytes).sum::<usize>());
        self.special_mut(log, at).kept = kept;
        self.count_lost(Policy::Latest, lost);
        self.advance(log, at, head);
        self.tidy_special(log, at);
        if count > 1 && charge_bytes > self.rules_of(log).lag_bytes as usize {
            self.doom(member.slot, cause);
        }
    }

    /// Dooms the largest laggards until `len` more bytes fit into the budget. Says whether they do.
    ///
    /// While the sweep has someone to reach, nobody is doomed: that alone may free enough.
    pub(super) fn relieve_budget(&mut self, len: usize) -> bool {
        let limit = self.settings.outbound_limit_bytes;
        if self.has_someone_to_reach() {
            return self.outbound_bytes() + len <= limit;
        }
        let mut laggards: Vec<(usize, u32)> = self.laggards().map(|slot| (self.debt_bytes(slot), slot)).collect();
        laggards.sort_unstable_by(|a, b| b.cmp(a));
        for (debt, slot) in laggards {
            if self.outbound_bytes() + len <= limit {
                break;
            }
            if debt > 0 {
                self.doom_for_budget(slot);
            }
        }
        self.outbound_bytes() + len <= limit || self.outbound_bytes() == 0
    }

    fn laggards(&self) -> impl Iterator<Item = u32> {
        let blocked = self.blocked.iter().map(|&(slot, _)| slot);
        let logs = self.active.iter().filter(|_| self.held > 0);
        let held = logs
            .flat_map(|log| &self.logs[log.0].members)
            .filter(|member| member.is(Member::HELD) && !self.connections[member.slot].is_blocked())
            .map(|member| member.slot);
        blocked.chain(held)
    }

    /// What a laggard keeps from being freed, at most.
    fn debt_bytes(&self, slot: u32) -> usize {
        let conn = &self.connections[slot];
        let owed = conn.owed.as_ref().map_or(0, |owed| {
            let sealed = owed.sealed.as_ref().map_or(0, |(_, hold)| hold.len_bytes());
            sealed + owed.tail.as_ref().map_or(0, |tail| tail.hold.len_bytes()) + owed.outbox_bytes
        });
        let behind = conn.seats.iter().map(|seat| {
            let target = &self.logs[seat.log.0];
            let member = target.members[seat.at as usize];
            let kept = self.special_of(seat.log, &member).map(|special| &special.kept);
            let kept_bytes = kept.map_or(0, |kept| kept.iter().map(|kept| kept.frame.len()).sum());
            kept_bytes + target.head.saturating_sub(member.cursor) as usize
        });
        owed + behind.sum::<usize>()
    }

    /// Ends a connection and frees all it is owed, at once; trims the logs whose oldest frames it kept.
    fn doom_for_budget(&mut self, slot: u32) {
        if self.connections[slot].is(Connection::CUT_OFF) {
            return;
        }
        let seats = self.connections[slot].seats.iter();
        let kept_oldest: SmallVec<[LogId; 2]> = seats
            .filter(|seat| {
                let target = &self.logs[seat.log.0];
                let first = target.active.as_ref().and_then(|active| active.segments.front());
                first.is_some_and(|first| target.members[seat.at as usize].cursor < first.end())
            })
            .map(|seat| seat.log)
            .collect();
        self.doom(slot, Cause::Budget);
        for log in kept_oldest {
            self.trim(log);
        }
    }

    /// Ends a connection: out of its logs, with what it has not got counted as lost.
    fn doom(&mut self, slot: u32, cause: Cause) {
        let is_budget = cause == Cause::Budget;
        if self.connections[slot].is(Connection::CUT_OFF)
            || (self.connections[slot].is(Connection::DOOMED) && !is_budget)
        {
            return;
        }
        self.connections[slot].flags |= Connection::DOOMED;
        let mut missed = None;
        for place in 0..self.connections[slot].seats.len() {
            let (log, at) = self.seat(slot, place);
            let dropped = self.drop_unsent(log, at);
            self.count_lost(Policy::Disconnect, dropped.map_or(0, |missed| missed.count));
            if cause == Cause::Lag(log) || cause == Cause::Age(log) {
                missed = dropped;
            }
        }
        if is_budget {
            self.lose_cut(slot);
            self.drop_owed(slot);
            self.connections[slot].flags |= Connection::CUT_OFF;
        }
        self.doomed.push_back(Doomed { connection: self.id_of(slot), cause, missed });
    }

    /// The publication that was cut will not be completed.
    fn lose_cut(&mut self, slot: u32) {
        let cut = self.connections[slot].owed.as_ref().and_then(|owed| owed.tail.as_ref()?.publication);
        let Some((log, offset, _)) = cut else { return };
        if let Some(place) = self.connections[slot].seat_in(log) {
            let (_, at) = self.seat(slot, place);
            debug_assert!(self.logs[log.0].members[at].cursor == PARKED);
            let special = self.special_mut(log, at);
            special.missed = Missed::join(special.missed, Some(Missed::one(offset)));
        }
        self.count_lost(Policy::Disconnect, 1);
    }

    const fn count_lost(&mut self, policy: Policy, count: u64) {
        match policy {
            Policy::Disconnect => self.losses.disconnect += count,
            Policy::Skip => self.losses.skip += count,
            Policy::Latest => self.losses.latest += count,
        }
    }
}

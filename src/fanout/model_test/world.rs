//! A fan-out and its naive rival, driven by the same random operations.

use bytes::Bytes;

use super::super::connection::Connection;
use super::super::log::Member;
use super::super::{
    Appended, Cause, ConnectionId, Doomed, Entry, Fanout, Join, LogId, LogRules, Missed, Policy, RulesId, Sent,
    Settings, Tick, Writer,
};
use super::frames;
use super::model::{Client, Membership, Queued};
use super::random::Random;
use crate::hub::Offset;

/// What one run is like.
#[derive(Debug, Clone)]
pub(super) struct Climate {
    pub(super) settings: Settings,
    pub(super) rules: Vec<LogRules>,
    pub(super) clients: usize,
    pub(super) logs: usize,
    /// Percent of writes that are short, refused, or find the socket dead.
    pub(super) short: usize,
    pub(super) refused: usize,
    pub(super) largest_frame: usize,
}

#[derive(Debug, Clone, Copy)]
struct Log {
    id: LogId,
    policy: Policy,
    last: u64,
}

/// What happened in a run, to be sure that it tried what it is meant to try.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tried {
    pub(super) operations: u64,
    pub(super) publications: u64,
    pub(super) deliveries: u64,
    pub(super) short_writes: u64,
    pub(super) cuts: u64,
    pub(super) full: u64,
    pub(super) skipped: u64,
    pub(super) conflated: u64,
    pub(super) disconnected: u64,
    pub(super) finished: u64,
    /// By lag, age, stall, budget.
    pub(super) dooms: [u64; 4],
}

impl Tried {
    pub(super) fn add(&mut self, other: &Self) {
        self.publications += other.publications;
        self.deliveries += other.deliveries;
        self.full += other.full;
        self.skipped += other.skipped;
        self.conflated += other.conflated;
        for (all, dooms) in self.dooms.iter_mut().zip(other.dooms) {
            *all += dooms;
        }
    }
}

pub(super) struct World {
    pub(super) climate: Climate,
    pub(super) fanout: Fanout,
    pub(super) tried: Tried,
    random: Random,
    clients: Vec<Client>,
    logs: Vec<Log>,
    tick: Tick,
    /// Publications that policies lost, by the rival's count and by the fan-out's.
    lost: u64,
    lost_said: u64,
}

impl World {
    pub(super) fn new(climate: Climate, seed: u64) -> Self {
        let fanout = Fanout::new(climate.settings, climate.rules.clone());
        Self {
            climate,
            fanout,
            tried: Tried::default(),
            random: Random(seed),
            clients: Vec::new(),
            logs: Vec::new(),
            tick: Tick(0),
            lost: 0,
            lost_said: 0,
        }
    }

    /// One random operation.
    pub(super) fn operate(&mut self) {
        self.tried.operations += 1;
        match self.random.below(100) {
            0..4 => self.connect(),
            4 => self.open_or_close(),
            5..12 => self.subscribe(),
            12..14 => self.release(),
            14 => self.unsubscribe(),
            15..53 => self.publish(),
            53..60 => self.reply(),
            60 if self.random.chance(50) => self.finish(),
            61 if self.random.chance(30) => self.disconnect_someone(),
            60..72 => self.writable(),
            72..76 => self.next_tick(),
            _ => self.sweep(),
        }
        self.close_doomed();
    }

    fn connect(&mut self) {
        if self.clients.len() < self.climate.clients {
            let id = self.fanout.connect();
            assert!(self.clients.iter().all(|client| client.id != id));
            self.clients.push(Client::new(id));
        }
    }

    fn open_or_close(&mut self) {
        if self.logs.len() < self.climate.logs {
            let rules = self.random.below(self.climate.rules.len());
            let last = self.random.below(5) as u64;
            let id = self.fanout.open(RulesId(rules as u16), Offset(last));
            assert!(self.logs.iter().all(|log| log.id != id));
            self.logs.push(Log { id, policy: self.climate.rules[rules].policy, last });
        } else if let Some(place) = self.logs.iter().position(|log| self.fanout.members(log.id) == 0) {
            let log = self.logs.swap_remove(place);
            self.fanout.close_log(log.id);
        }
    }

    fn someone(&mut self) -> Option<usize> {
        (!self.clients.is_empty()).then(|| self.random.below(self.clients.len()))
    }

    fn subscribe(&mut self) {
        let (Some(who), false) = (self.someone(), self.logs.is_empty()) else { return };
        let Log { id: log, policy, last } = self.logs[self.random.below(self.logs.len())];
        let client = &self.clients[who];
        if client.memberships.contains_key(&log.0) {
            return;
        }
        let is_held = self.random.chance(20);
        let ahead = if self.random.chance(30) { self.random.below(4) as u64 } else { 0 };
        let join = if is_held { Join::Held } else { Join::At(Offset(last + ahead)) };
        let (id, ack) = (client.id, client.replies_sent);
        let is_over = client.is_finishing || client.is_doomed;
        let reply_first = self.random.chance(50);
        if reply_first {
            self.reply_to(who);
        }
        self.fanout.subscribe(log, id, join);
        if !reply_first {
            self.reply_to(who);
        }
        self.clients[who].memberships.insert(
            log.0,
            Membership {
                policy,
                queue: Default::default(),
                is_held: is_held && !is_over,
                after: if is_held { 0 } else { last + ahead },
                has_ended: is_over,
                ack,
                is_settled: false,
            },
        );
    }

    fn release(&mut self) {
        let Some(who) = self.someone() else { return };
        let held: Vec<u32> = self.held_by(who);
        let Some(log) = self.random.pick(&held) else { return };
        let last = self.logs.iter().find(|one| one.id.0 == log).unwrap().last;
        let top = (last + 2).saturating_sub(self.random.below(5) as u64);
        self.release_one(who, log, top);
    }

    fn held_by(&self, who: usize) -> Vec<u32> {
        let memberships = self.clients[who].memberships.iter();
        memberships.filter(|(_, one)| one.is_held && !one.has_ended).map(|(&log, _)| log).collect()
    }

    fn release_one(&mut self, who: usize, log: u32, top: u64) {
        let client = &mut self.clients[who];
        if client.is_doomed {
            return;
        }
        let membership = client.memberships.get_mut(&log).unwrap();
        membership.is_held = false;
        membership.after = top;
        membership.queue.retain(|one| one.offset > top);
        self.fanout.release(LogId(log), client.id, Offset(top));
    }

    fn unsubscribe(&mut self) {
        let Some(who) = self.someone() else { return };
        let logs: Vec<u32> = self.clients[who].memberships.keys().copied().collect();
        let Some(log) = self.random.pick(&logs) else { return };
        let log = LogId(log);
        self.settle(who, log);
        let before = self.fanout.members(log);
        let left = self.fanout.unsubscribe(log, self.clients[who].id);
        assert_eq!(left.0 + 1, before);
        self.clients[who].memberships.remove(&log.0);
        self.reply_to(who);
    }

    fn publish(&mut self) {
        if self.logs.is_empty() {
            return;
        }
        let place = self.random.below(self.logs.len());
        let log = self.logs[place].id;
        let offset = self.logs[place].last + 1 + u64::from(self.random.chance(10));
        let len = match self.random.below(20) {
            0 => self.random.below(self.climate.largest_frame),
            1 => self.climate.settings.by_reference_bytes - 1 + self.random.below(3),
            _ => self.random.below(80),
        };
        let frame = frames::publication(log, offset, len);
        let key = if self.random.chance(50) { 0 } else { self.random.below(4) as u64 };
        let exclude = match self.random.below(8) {
            0 => self.someone().map(|who| self.clients[who].id),
            1 => Some(ConnectionId { index: self.random.below(20) as u32, generation: self.random.below(5) as u32 }),
            _ => None,
        };
        let entry = Entry { offset: Offset(offset), frame: &frame, key, exclude };
        let limits = self.climate.settings;
        let is_budgeted = limits.outbound_limit_bytes < Settings::default().outbound_limit_bytes;
        for round in 0.. {
            let appended = self.fanout.append(log, entry, self.tick);
            self.note_dooms();
            if appended == Appended::Ok {
                break;
            }
            self.tried.full += 1;
            assert!(round < 1000, "{log:?} stays full although everyone who can take more was visited");
            let waits = |client: &Client| !client.is_blocked && client.memberships.contains_key(&log.0);
            assert!(is_budgeted || self.clients.iter().any(waits), "{log:?} is full because of laggards only");
            self.fanout.sweep_log_first(log);
            self.sweep();
        }
        self.logs[place].last = offset;
        self.tried.publications += 1;
        for client in &mut self.clients {
            client.published(log, Queued { offset, key }, exclude);
        }
        // Again, as a worker does after another log of the topic was full.
        assert_eq!(self.fanout.append(log, entry, self.tick), Appended::Ok);
        let retained = self.fanout.logs[log.0].retained_bytes();
        let rules = self.fanout.rules_of(log);
        let segments = self.fanout.logs[log.0].active.as_ref().map_or(0, |active| active.segments.len());
        assert!(
            segments <= 1 || retained <= u64::from(rules.lag_bytes) + limits.segment_bytes as u64,
            "{log:?} retains {retained} bytes in {segments} segments"
        );
        assert!(self.fanout.outbound_bytes() <= limits.outbound_limit_bytes || self.has_replies());
    }

    fn has_replies(&self) -> bool {
        self.clients.iter().any(|client| self.fanout.outbox_bytes(client.id) > 0 || !client.tail.is_empty())
    }

    fn reply(&mut self) {
        if let Some(who) = self.someone() {
            for _ in 0..=self.random.below(3) {
                self.reply_to(who);
            }
        }
    }

    fn reply_to(&mut self, who: usize) {
        let client = &mut self.clients[who];
        if self.fanout.connections[client.id.index].is(Connection::CLOSE_SENT) {
            return;
        }
        let len = if self.random.chance(5) { self.climate.largest_frame } else { self.random.below(60) };
        self.fanout.reply(client.id, frames::reply(client.replies_sent, len));
        client.replies_sent += 1;
    }

    fn finish(&mut self) {
        let Some(who) = self.someone() else { return };
        let close = self.random.chance(80).then(frames::close);
        self.finish_one(who, close, false);
    }

    fn finish_one(&mut self, who: usize, close: Option<Bytes>, is_now: bool) {
        let is_now = is_now || self.random.chance(30);
        let id = self.clients[who].id;
        if is_now {
            for log in self.logs_of(who) {
                self.settle(who, log);
            }
        }
        let client = &mut self.clients[who];
        if !client.is_finishing {
            client.is_finishing = true;
            client.has_close = close.is_some();
            for membership in client.memberships.values_mut() {
                if membership.is_held {
                    membership.queue.clear();
                    membership.is_held = false;
                }
                membership.has_ended = true;
            }
        }
        if is_now {
            client.is_cut_short = true;
            self.fanout.finish_now(id, close);
        } else {
            self.fanout.finish(id, close);
        }
    }

    fn logs_of(&self, who: usize) -> Vec<LogId> {
        self.clients[who].memberships.keys().map(|&log| LogId(log)).collect()
    }

    /// Counts what policies have lost of a membership before it ends, by looking at what the fan-out still has for it:
    /// the rest of the queue was skipped or conflated.
    fn settle(&mut self, who: usize, log: LogId) {
        let id = self.clients[who].id;
        let is_doomed = self.fanout.connections[id.index].is(Connection::DOOMED);
        let seat = *self.fanout.connections[id.index].seats.iter().find(|seat| seat.log == log).unwrap();
        let unsent = self.fanout.unsent(log, seat.at as usize).map_or(0, |unsent| unsent.count);
        let membership = self.clients[who].memberships.get_mut(&log.0).unwrap();
        if membership.is_settled {
            return;
        }
        membership.is_settled = true;
        if membership.is_held && !is_doomed {
            return;
        }
        let waiting = if membership.is_held { 0 } else { membership.queue.len() as u64 };
        self.lost += waiting - if is_doomed { 0 } else { unsent };
    }

    fn disconnect_someone(&mut self) {
        if let Some(who) = self.someone() {
            self.disconnect(who);
        }
    }

    fn disconnect(&mut self, who: usize) {
        self.note_dooms();
        for log in self.logs_of(who) {
            self.settle(who, log);
        }
        let client = self.clients.swap_remove(who);
        let conn = &self.fanout.connections[client.id.index];
        self.lost += u64::from(conn.is(Connection::DOOMED) && client.cut.is_some());
        let parted = self.fanout.disconnect(client.id);
        assert!(!self.fanout.is_live(client.id));
        let mut logs: Vec<u32> = parted.iter().map(|parted| parted.log.0).collect();
        logs.sort_unstable();
        assert!(logs.iter().eq(client.memberships.keys()), "it parts with all its logs");
        for parted in parted {
            assert_eq!(parted.left.0, self.fanout.members(parted.log));
            let unseen = client.unseen(parted.log, true);
            if client.memberships[&parted.log.0].policy == Policy::Latest {
                assert!(parted.missed.map_or(0, |missed| missed.count) <= unseen.map_or(0, |unseen| unseen.count));
                // The newest is never conflated away.
                assert_eq!(parted.missed.map(|missed| missed.last), unseen.map(|unseen| unseen.last));
            } else {
                assert_eq!(parted.missed, unseen, "{parted:?} of {client:?}");
            }
        }
        self.tried.disconnected += 1;
    }

    fn writable(&mut self) {
        let blocked: Vec<usize> = (0..self.clients.len()).filter(|&who| self.clients[who].is_blocked).collect();
        if let Some(who) = self.random.pick(&blocked) {
            self.clients[who].is_blocked = false;
            self.fanout.writable(self.clients[who].id);
        }
    }

    fn next_tick(&mut self) {
        self.tick.0 += 1;
        self.fanout.enforce(self.tick);
        self.note_dooms();
    }

    /// The dooms so far have dropped what was waiting; what is published from now on is not for them.
    fn note_dooms(&mut self) {
        for doomed in &self.fanout.doomed {
            let Some(client) = self.clients.iter_mut().find(|client| client.id == doomed.connection) else { continue };
            client.is_doomed = true;
            client.memberships.values_mut().for_each(|membership| membership.has_ended = true);
        }
    }

    fn close_doomed(&mut self) {
        while let Some(Doomed { connection, cause, missed }) = self.fanout.doomed() {
            let who = self.clients.iter().position(|client| client.id == connection).unwrap();
            let (kind, log) = match cause {
                Cause::Lag(log) => (0, Some(log)),
                Cause::Age(log) => (1, Some(log)),
                Cause::Stalled => (2, None),
                Cause::Budget => (3, None),
            };
            self.tried.dooms[kind] += 1;
            let client = &self.clients[who];
            if let Some(log) = log.filter(|log| client.memberships.contains_key(&log.0))
                && client.memberships[&log.0].policy == Policy::Disconnect
            {
                assert_eq!(missed, client.unseen(log, false));
            }
            if cause == Cause::Budget || self.random.chance(50) {
                self.disconnect(who);
            } else {
                self.finish_one(who, Some(frames::close()), true);
            }
        }
    }

    fn sweep(&mut self) {
        for _ in 0..self.random.below(12) {
            let Some(id) = self.fanout.next() else { return };
            self.visit(id, self.climate.short, self.climate.refused);
        }
    }

    fn visit(&mut self, id: ConnectionId, short: usize, refused: usize) {
        let who = self.clients.iter().position(|client| client.id == id).expect("next names the living");
        assert!(!self.clients[who].is_blocked, "nobody blocked is visited");
        let (random, client) = (&mut self.random, &mut self.clients[who]);
        let mut offered = Vec::new();
        let mut taken = 0;
        let mut notice = |log: LogId, missed: Missed| frames::notice(log, missed);
        let limits = self.climate.settings;
        let visited = self.fanout.visit(id, self.tick, &mut notice, |slices| {
            assert!(!slices.is_empty() && slices.len() <= limits.visit_slices);
            assert!(slices.iter().all(|slice| !slice.is_empty()));
            let planned: usize = slices.iter().map(|slice| slice.len()).sum();
            assert!(planned - slices[slices.len() - 1].len() < limits.visit_bytes);
            slices.iter().for_each(|slice| offered.extend_from_slice(slice));
            taken = offered.len();
            let fate = random.below(100);
            if fate < short {
                // Some sinks take whole slices only.
                taken = if random.chance(30) { slices[0].len() } else { random.below(offered.len()) };
                Sent::Wrote(taken)
            } else if fate < short + refused {
                taken = 0;
                if random.chance(3) { Sent::Dead } else { Sent::Blocked }
            } else {
                Sent::Wrote(taken)
            }
        });
        if visited.writer == Writer::Dead {
            self.disconnect(who);
            return;
        }
        let seen = client.take(&offered, taken);
        assert_eq!((visited.publications, visited.bytes), (seen.publications, seen.bytes));
        self.lost += seen.lost;
        self.tried.deliveries += seen.publications;
        self.tried.cuts += u64::from(!client.tail.is_empty());
        self.tried.short_writes += u64::from(taken < offered.len());
        client.is_blocked = taken < offered.len();
        assert_eq!(client.is_blocked, visited.writer == Writer::Blocked);
        if visited.writer == Writer::Finished {
            assert!(client.is_finishing);
            self.tried.finished += 1;
            self.disconnect(who);
        }
    }

    /// Lets everyone read until nothing is left, and checks that nothing is.
    pub(super) fn rest(&mut self) {
        for who in 0..self.clients.len() {
            for log in self.held_by(who) {
                self.release_one(who, log, 0);
            }
            self.clients[who].is_blocked = false;
            self.fanout.writable(self.clients[who].id);
        }
        while self.fanout.has_work() {
            if let Some(id) = self.fanout.next() {
                self.visit(id, 0, 0);
            }
        }
        self.close_doomed();
        assert_eq!(self.fanout.outbound_bytes(), 0, "nothing is kept at rest");
        assert!(self.fanout.active.is_empty() && self.fanout.blocked.is_empty());
        for client in &self.clients {
            assert!(self.fanout.is_idle(client.id));
            assert_eq!(client.replies_seen, client.replies_sent, "all replies came");
            assert!(client.tail.is_empty());
            let gone = client.is_doomed || client.is_cut_short;
            for membership in client.memberships.values() {
                assert!(membership.queue.is_empty() || gone, "{membership:?} did not come");
            }
        }
        // What may be special at rest: a join point ahead.
        for (log, slot, special) in self.fanout.specials.iter() {
            let target = &self.fanout.logs[log.0];
            assert!(special.after > target.last, "{special:?} of {slot} in {log:?}");
            assert!(target.members.iter().any(|member| member.slot == slot && member.is(Member::SPECIAL)));
        }
        self.count_losses();
    }

    /// The end of a run.
    pub(super) fn end(&mut self) {
        self.rest();
        self.leave();
    }

    /// Everyone goes, and all logs are closed: nothing may be left at all.
    pub(super) fn leave(&mut self) {
        while !self.clients.is_empty() {
            self.disconnect(0);
        }
        assert_eq!(self.fanout.specials.len(), 0);
        assert_eq!(self.fanout.held, 0);
        for log in self.logs.drain(..) {
            assert_eq!(self.fanout.members(log.id), 0);
            self.fanout.close_log(log.id);
        }
        self.count_losses();
    }

    fn count_losses(&mut self) {
        let losses = self.fanout.losses();
        self.tried.skipped += losses.skip;
        self.tried.conflated += losses.latest;
        self.lost_said += losses.disconnect + losses.skip + losses.latest;
        assert!(self.lost <= self.lost_said, "{} lost, {} said", self.lost, self.lost_said);
        let open = self.clients.iter().any(|client| client.is_doomed || client.is_finishing);
        if !open {
            assert_eq!(self.lost, self.lost_said, "every loss is counted once");
        }
    }
}

//! A fan-out and its naive rival, driven by the same random operations.

use super::super::connection::Connection;
use super::super::log::Member;
use super::super::{Cause, Doomed, Fanout, LogId, LogRules, Moment, Policy, Settings, Tick};
use super::frames;
use super::model::Client;
use super::random::Random;

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
pub(super) struct Log {
    pub(super) id: LogId,
    pub(super) policy: Policy,
    pub(super) last: u64,
}

/// What happened in a run, to be sure that it tried what it is meant to try.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Tried {
    pub(super) operations: u64,
    pub(super) publications: u64,
    pub(super) deliveries: u64,
    pub(super) short_writes: u64,
    pub(super) cuts: u64,
    /// Writes after which the sink had something sealed left.
    pub(super) sealed: u64,
    pub(super) full: u64,
    pub(super) skipped: u64,
    pub(super) conflated: u64,
    pub(super) disconnected: u64,
    pub(super) finished: u64,
    /// Write delays that were over.
    pub(super) delays: u64,
    /// By lag, age, stall, budget.
    pub(super) dooms: [u64; 4],
}

impl Tried {
    pub(super) fn add(&mut self, other: &Self) {
        self.publications += other.publications;
        self.deliveries += other.deliveries;
        self.full += other.full;
        self.sealed += other.sealed;
        self.skipped += other.skipped;
        self.conflated += other.conflated;
        self.delays += other.delays;
        for (all, dooms) in self.dooms.iter_mut().zip(other.dooms) {
            *all += dooms;
        }
    }
}

pub(super) struct World {
    pub(super) climate: Climate,
    pub(super) fanout: Fanout,
    pub(super) tried: Tried,
    pub(super) random: Random,
    pub(super) clients: Vec<Client>,
    pub(super) logs: Vec<Log>,
    pub(super) tick: Tick,
    pub(super) now: Moment,
    /// Publications that policies lost, by the rival's count and by the fan-out's.
    pub(super) lost: u64,
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
            now: Moment(0),
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
            53..59 => self.reply(),
            59 => self.seal(),
            60 if self.random.chance(50) => self.finish(),
            61 if self.random.chance(30) => self.disconnect_someone(),
            60..72 => self.writable(),
            72..76 => self.next_tick(),
            76..80 => self.let_time_pass(),
            _ => self.sweep(),
        }
        self.close_doomed();
    }

    pub(super) fn logs_of(&self, who: usize) -> Vec<LogId> {
        self.clients[who].memberships.keys().map(|&log| LogId(log)).collect()
    }

    /// Counts what policies have lost of a membership before it ends, by looking at what the fan-out still has for it:
    /// the rest of the queue was skipped or conflated.
    pub(super) fn settle(&mut self, who: usize, log: LogId) {
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

    pub(super) fn disconnect_someone(&mut self) {
        if let Some(who) = self.someone() {
            self.disconnect(who);
        }
    }

    pub(super) fn disconnect(&mut self, who: usize) {
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

    /// The dooms so far have dropped what was waiting; what is published from now on is not for them.
    pub(super) fn note_dooms(&mut self) {
        for doomed in &self.fanout.doomed {
            let Some(client) = self.clients.iter_mut().find(|client| client.id == doomed.connection) else { continue };
            client.is_doomed = true;
            client.memberships.values_mut().for_each(|membership| membership.has_ended = true);
        }
    }

    pub(super) fn close_doomed(&mut self) {
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

    /// Lets everyone read until nothing is left, and checks that nothing is.
    pub(super) fn rest(&mut self) {
        for who in 0..self.clients.len() {
            for log in self.held_by(who) {
                self.release_one(who, log, 0);
            }
            self.clients[who].is_blocked = false;
            self.fanout.writable(self.clients[who].id);
        }
        while self.fanout.has_work() || self.fanout.has_delayed() {
            self.let_time_pass();
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
            assert!(client.tail.is_empty() && client.sealed.is_empty());
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

//! The random operations: each done to the fan-out and told to the rival.

use bytes::Bytes;

use super::super::connection::Connection;
use super::super::{Appended, ConnectionId, Entry, Join, LogId, Missed, Moment, RulesId, Sent, Settings, Writer};
use super::frames;
use super::model::{Client, Membership, Queued};
use super::world::{Log, World};
use crate::hub::Offset;

impl World {
    pub(super) fn connect(&mut self) {
        if self.clients.len() < self.climate.clients {
            let id = self.fanout.connect();
            assert!(self.clients.iter().all(|client| client.id != id));
            self.clients.push(Client::new(id));
        }
    }

    pub(super) fn open_or_close(&mut self) {
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

    pub(super) fn someone(&mut self) -> Option<usize> {
        (!self.clients.is_empty()).then(|| self.random.below(self.clients.len()))
    }

    pub(super) fn subscribe(&mut self) {
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

    pub(super) fn release(&mut self) {
        let Some(who) = self.someone() else { return };
        let held: Vec<u32> = self.held_by(who);
        let Some(log) = self.random.pick(&held) else { return };
        let last = self.logs.iter().find(|one| one.id.0 == log).unwrap().last;
        let top = (last + 2).saturating_sub(self.random.below(5) as u64);
        self.release_one(who, log, top);
    }

    pub(super) fn held_by(&self, who: usize) -> Vec<u32> {
        let memberships = self.clients[who].memberships.iter();
        memberships.filter(|(_, one)| one.is_held && !one.has_ended).map(|(&log, _)| log).collect()
    }

    pub(super) fn release_one(&mut self, who: usize, log: u32, top: u64) {
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

    pub(super) fn unsubscribe(&mut self) {
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

    pub(super) fn publish(&mut self) {
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
        let entry = Entry { offset: Offset(offset), frame: &frame, key, exclude, is_numbered: true };
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

    pub(super) fn has_replies(&self) -> bool {
        self.clients.iter().any(|client| {
            self.fanout.outbox_bytes(client.id) > 0 || !client.tail.is_empty() || !client.sealed.is_empty()
        })
    }

    pub(super) fn reply(&mut self) {
        if let Some(who) = self.someone() {
            for _ in 0..=self.random.below(3) {
                self.reply_to(who);
            }
        }
    }

    pub(super) fn reply_to(&mut self, who: usize) {
        let client = &mut self.clients[who];
        if self.fanout.connections[client.id.index].is(Connection::CLOSE_SENT) {
            return;
        }
        let len = if self.random.chance(5) { self.climate.largest_frame } else { self.random.below(60) };
        self.fanout.reply(client.id, frames::reply(client.replies_sent, len));
        client.replies_sent += 1;
    }

    /// A sink says something of its own.
    pub(super) fn seal(&mut self) {
        if let Some(who) = self.someone() {
            self.seal_for(who);
        }
    }

    fn seal_for(&mut self, who: usize) {
        let client = &mut self.clients[who];
        if self.fanout.connections[client.id.index].is(Connection::CUT_OFF) {
            return;
        }
        let bytes: Vec<u8> = (0..self.random.below(300)).map(|_| self.random.below(256) as u8).collect();
        client.sealed.extend_from_slice(&bytes);
        self.fanout.owe_sealed(client.id, Bytes::from(bytes));
        assert_eq!(self.fanout.sealed(client.id).is_some(), !client.sealed.is_empty());
    }

    pub(super) fn finish(&mut self) {
        let Some(who) = self.someone() else { return };
        let close = self.random.chance(80).then(frames::close);
        self.finish_one(who, close, false);
    }

    pub(super) fn finish_one(&mut self, who: usize, close: Option<Bytes>, is_now: bool) {
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

    pub(super) fn writable(&mut self) {
        let blocked: Vec<usize> = (0..self.clients.len()).filter(|&who| self.clients[who].is_blocked).collect();
        if let Some(who) = self.random.pick(&blocked) {
            self.clients[who].is_blocked = false;
            self.fanout.writable(self.clients[who].id);
        }
    }

    pub(super) fn next_tick(&mut self) {
        self.tick.0 += 1;
        self.fanout.enforce(self.tick);
        self.note_dooms();
    }

    /// Some microseconds, after which the delays that are over have ended.
    pub(super) fn let_time_pass(&mut self) {
        self.now.0 += self.random.below(6) as u64;
        let waiting = self.fanout.delayed.due.len() + self.fanout.delayed.fresh.len();
        let next = self.fanout.release_delayed(self.now);
        self.tried.delays += (waiting - self.fanout.delayed.due.len()) as u64;
        let longest = self.climate.rules.iter().map(|rules| rules.write_delay_us).max().unwrap();
        let latest = Moment(self.now.0 + u64::from(longest));
        assert_eq!(next.is_some(), self.fanout.has_delayed());
        assert!(next.is_none_or(|next| next > self.now && next <= latest), "{next:?} after {:?}", self.now);
    }

    pub(super) fn sweep(&mut self) {
        for _ in 0..self.random.below(12) {
            let Some(id) = self.fanout.next() else { return };
            self.visit(id, self.climate.short, self.climate.refused);
        }
    }

    pub(super) fn visit(&mut self, id: ConnectionId, short: usize, refused: usize) {
        let who = self.clients.iter().position(|client| client.id == id).expect("next names the living");
        assert!(!self.clients[who].is_blocked, "nobody blocked is visited");
        let (random, client) = (&mut self.random, &mut self.clients[who]);
        let mut offered = Vec::new();
        let mut taken = 0;
        let mut is_full = false;
        let is_sealed = !client.sealed.is_empty();
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
            } else if !is_sealed && fate < short + 2 * refused {
                // One that makes records of what it takes, of which the socket took not all.
                is_full = true;
                taken -= random.below(taken + 1);
                Sent::Full(taken)
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
        client.is_blocked = is_full || taken < offered.len();
        assert_eq!(client.is_blocked, visited.writer == Writer::Blocked);
        self.tried.sealed += u64::from(is_full);
        if is_full {
            self.seal_for(who);
        }
        if visited.writer == Writer::Finished {
            assert!(self.clients[who].is_finishing);
            self.tried.finished += 1;
            self.disconnect(who);
        }
    }
}

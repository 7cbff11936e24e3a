//! A fan-out with make-believe sockets, whose traffic is readable text.

use bytes::Bytes;

use super::super::{
    Appended, ConnectionId, Entry, Fanout, Join, LogId, LogRules, Missed, Policy, RulesId, Sent, Settings, Tick,
    Visited, Writer,
};
use crate::hub::Offset;

pub(super) const UNLIMITED: usize = usize::MAX;

/// Rules with a lag limit in bytes, and none in time.
pub(super) fn rules(policy: Policy, lag_bytes: u32) -> LogRules {
    LogRules { policy, lag_bytes, lag_ticks: u32::MAX, write_delay_us: 0 }
}

/// A fan-out with make-believe sockets.
pub(super) struct Stage {
    pub(super) fanout: Fanout,
    pub(super) tick: Tick,
    sockets: Vec<Socket>,
    /// Slices of each write, in order.
    pub(super) writes: Vec<usize>,
}

#[derive(Debug, Default, Clone)]
struct Socket {
    room: usize,
    got: Vec<u8>,
}

impl Stage {
    pub(super) fn new(rules: LogRules) -> Self {
        Self::with(Settings::default(), rules)
    }

    pub(super) fn with(settings: Settings, rules: LogRules) -> Self {
        Self::with_rules(settings, vec![rules])
    }

    /// With rules for several logs; those of [`Stage::log`] have the first.
    pub(super) fn with_rules(settings: Settings, rules: Vec<LogRules>) -> Self {
        Self { fanout: Fanout::new(settings, rules), tick: Tick(0), sockets: Vec::new(), writes: Vec::new() }
    }

    /// A connection whose socket takes everything.
    pub(super) fn connect(&mut self) -> ConnectionId {
        let id = self.fanout.connect();
        self.sockets.resize(self.sockets.len().max(id.index as usize + 1), Socket::default());
        self.sockets[id.index as usize] = Socket { room: UNLIMITED, got: Vec::new() };
        id
    }

    /// A log, and this many members.
    pub(super) fn log(&mut self, members: usize) -> (LogId, Vec<ConnectionId>) {
        self.log_by(RulesId(0), members)
    }

    /// A log with these rules, and this many members.
    pub(super) fn log_by(&mut self, rules: RulesId, members: usize) -> (LogId, Vec<ConnectionId>) {
        let log = self.fanout.open(rules, Offset(0));
        let members: Vec<ConnectionId> = (0..members).map(|_| self.connect()).collect();
        members.iter().for_each(|&member| self.join(log, member));
        (log, members)
    }

    pub(super) fn join(&mut self, log: LogId, member: ConnectionId) {
        let last = self.fanout.logs[log.0].last;
        self.fanout.subscribe(log, member, Join::At(last));
    }

    /// The next publication of a log.
    pub(super) fn offer(&mut self, log: LogId, text: &str) -> Appended {
        self.offer_with(log, text, 0, None)
    }

    pub(super) fn offer_with(&mut self, log: LogId, text: &str, key: u64, exclude: Option<ConnectionId>) -> Appended {
        let offset = Offset(self.fanout.logs[log.0].last.0 + 1);
        let frame = Bytes::copy_from_slice(text.as_bytes());
        self.fanout.append(log, Entry { offset, frame: &frame, key, exclude, is_numbered: true }, self.tick)
    }

    /// One that must be taken.
    pub(super) fn publish(&mut self, log: LogId, text: &str) {
        assert_eq!(self.offer(log, text), Appended::Ok);
    }

    pub(super) fn reply(&mut self, to: ConnectionId, text: &str) {
        self.fanout.reply(to, Bytes::copy_from_slice(text.as_bytes()));
    }

    /// From now on the socket takes this many bytes; if it is blocked it says that it is writable.
    pub(super) fn make_room(&mut self, of: ConnectionId, bytes: usize) {
        self.sockets[of.index as usize].room = bytes;
        if bytes > 0 {
            self.fanout.writable(of);
        }
    }

    /// A connection that is blocked: it has been sent a reply that its socket does not take.
    pub(super) fn block(&mut self, of: ConnectionId) {
        self.make_room(of, 0);
        self.reply(of, "!");
        self.sweep();
        assert!(self.fanout.is_blocked(of));
    }

    /// Visits one connection; notices read `<LOG:FIRST-LAST=COUNT>`.
    pub(super) fn visit(&mut self, id: ConnectionId) -> Visited {
        let socket = &mut self.sockets[id.index as usize];
        let writes = &mut self.writes;
        let mut notice = |log: LogId, missed: Missed| {
            Bytes::from(format!("<{}:{}-{}={}>", log.0, missed.first.0, missed.last.0, missed.count))
        };
        self.fanout.visit(id, self.tick, &mut notice, |slices| {
            writes.push(slices.len());
            if socket.room == 0 {
                return Sent::Blocked;
            }
            let mut taken = 0;
            for slice in slices {
                let part = slice.len().min(socket.room);
                socket.got.extend_from_slice(&slice[..part]);
                socket.room -= if socket.room == UNLIMITED { 0 } else { part };
                taken += part;
            }
            Sent::Wrote(taken)
        })
    }

    /// Visits all there are to visit; those that are finished are disconnected.
    pub(super) fn sweep(&mut self) {
        while self.fanout.has_work() {
            if let Some(id) = self.fanout.next()
                && self.visit(id).writer == Writer::Finished
            {
                self.fanout.disconnect(id);
            }
        }
    }

    /// What a socket has got since the last call.
    pub(super) fn got(&mut self, id: ConnectionId) -> String {
        String::from_utf8(std::mem::take(&mut self.sockets[id.index as usize].got)).expect("test frames are text")
    }
}

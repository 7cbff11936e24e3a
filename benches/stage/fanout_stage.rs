//! A fan-out whose sink takes everything and does nothing with it.

use std::hint::black_box;

use bytes::Bytes;
use fanfare::fanout::{
    Appended, ConnectionId, Entry, Fanout, Join, LogId, LogRules, Missed, Policy, RulesId, Sent, Settings, Tick, Writer,
};
use fanfare::hub::Offset;

/// A fan-out, and the one frame that is published on its logs: 128 bytes of payload and a header.
pub(crate) struct FanoutStage {
    pub(crate) fanout: Fanout,
    frame: Bytes,
    offset: u64,
}

impl FanoutStage {
    /// 128 bytes of payload in a WebSocket frame.
    pub(crate) const FRAME_BYTES: usize = 132;

    pub(crate) fn new(policy: Policy) -> Self {
        let rules = vec![LogRules { policy, ..LogRules::default() }];
        let frame = Bytes::from(vec![7; Self::FRAME_BYTES]);
        Self { fanout: Fanout::new(Settings::default(), rules), frame, offset: 0 }
    }

    /// A log with so many new members, all at head.
    pub(crate) fn log(&mut self, members: usize) -> (LogId, Vec<ConnectionId>) {
        let log = self.fanout.open(RulesId(0), Offset(0));
        let members: Vec<ConnectionId> = (0..members).map(|_| self.fanout.connect()).collect();
        for &member in &members {
            self.fanout.subscribe(log, member, Join::At(Offset(0)));
        }
        (log, members)
    }

    /// One new connection, a member of so many new logs.
    pub(crate) fn member_of(&mut self, logs: usize) -> Vec<LogId> {
        let connection = self.fanout.connect();
        let logs: Vec<LogId> = (0..logs).map(|_| self.fanout.open(RulesId(0), Offset(0))).collect();
        logs.iter().for_each(|&log| self.fanout.subscribe(log, connection, Join::At(Offset(0))));
        logs
    }

    pub(crate) fn append(&mut self, log: LogId) {
        self.offset += 1;
        let entry = Entry { offset: Offset(self.offset), frame: &self.frame, key: 0, exclude: None, is_numbered: true };
        assert_eq!(self.fanout.append(log, entry, Tick(0)), Appended::Ok);
    }

    /// Visits `connection`; `sent` says what becomes of that many bytes.
    pub(crate) fn visit(&mut self, connection: ConnectionId, sent: impl FnOnce(usize) -> Sent) -> Writer {
        let mut notice = |_: LogId, _: Missed| Bytes::new();
        let visited = self.fanout.visit(connection, Tick(0), &mut notice, |slices| {
            sent(black_box(slices).iter().map(|slice| slice.len()).sum())
        });
        visited.writer
    }

    /// Sweeps until nothing is left.
    pub(crate) fn sweep(&mut self) {
        while self.fanout.has_work() {
            if let Some(connection) = self.fanout.next() {
                assert_eq!(self.visit(connection, Sent::Wrote), Writer::Open);
            }
        }
    }
}

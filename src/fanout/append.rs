//! A publication enters a log, if there is room.

use super::connection::ConnectionId;
use super::fanout::Fanout;
use super::log::{LogId, PARKED};
use super::outcome::{Appended, Entry};
use super::segment::charge_bytes;
use super::settings::Tick;

impl Fanout {
    /// Puts a publication into a log, for all its members.
    ///
    /// An offset not above the log's last is one that is in already, and nothing happens: so a publication that goes to
    /// several logs of a topic, one of them full, may simply be appended to all of them again.
    ///
    /// Copies frames below [`super::Settings::by_reference_bytes`]. O(1), and O(members) when the log is over its limit:
    /// then the policy acts on its blocked and held members first, and only members that the sweep has not reached make
    /// it [`Appended::Full`].
    pub fn append(&mut self, log: LogId, entry: Entry<'_>, tick: Tick) -> Appended {
        let len = entry.frame.len();
        let last = self.logs[log.0].last;
        if entry.offset < last || (entry.is_numbered && entry.offset == last) {
            return Appended::Ok;
        }
        if !self.has_room(log, len) || !self.is_within_budget(charge_bytes(&entry)) {
            return Appended::Full;
        }
        // Asked only now: making room may have doomed the last one.
        let target = &mut self.logs[log.0];
        if target.takers() == 0 || len == 0 {
            target.last = entry.offset;
            return Appended::Ok;
        }
        let was_idle = target.active.is_none();
        self.activate(log);
        let target = &mut self.logs[log.0];
        target.push(&entry, tick, &self.settings, &mut self.spare_segments);
        self.ledger.grow_logs(charge_bytes(&entry));
        let takers = target.takers();
        if let Some(active) = &mut target.active {
            active.behind = takers;
        }
        if self.rules_of(log).write_delay_us == 0 {
            self.logs[log.0].restart_round();
            self.enqueue_log(log);
        } else {
            self.delay_write(log, len, was_idle);
        }
        if let Some(excluded) = entry.exclude {
            self.note_exclusion(log, excluded);
        }
        Appended::Ok
    }

    /// Whether a frame of `len` bytes fits into the log by its own rules, the policy having done what it can.
    fn has_room(&mut self, log: LogId, len: usize) -> bool {
        let limit = u64::from(self.rules_of(log).lag_bytes);
        let len = len as u64;
        let retained = self.logs[log.0].retained_bytes();
        if retained == 0 || retained + len <= limit {
            return true;
        }
        self.trim(log);
        if self.logs[log.0].retained_bytes() + len <= limit {
            return true;
        }
        self.relieve_log(log, len);
        self.trim(log);
        // Segments are freed whole, so a member at its limit may keep most of one more.
        let retained = self.logs[log.0].retained_bytes();
        retained == 0 || retained + len <= limit + self.settings.segment_bytes as u64
    }

    /// Whether `bytes` more fit into the worker's budget, the largest laggards having been doomed if need be.
    fn is_within_budget(&mut self, bytes: usize) -> bool {
        self.outbound_bytes() + bytes <= self.settings.outbound_limit_bytes || self.relieve_budget(bytes)
    }

    /// The frame just appended is not for `excluded`: it looks at each frame from now on until it is past this one.
    fn note_exclusion(&mut self, log: LogId, excluded: ConnectionId) {
        let Some((place, conn)) = self.live(excluded).and_then(|conn| Some((conn.seat_in(log)?, conn))) else { return };
        let at = conn.seats[place].at as usize;
        let target = &self.logs[log.0];
        let head = target.head;
        if target.members[at].cursor != PARKED {
            self.special_mut(log, at).excluded_until = head;
        }
    }
}

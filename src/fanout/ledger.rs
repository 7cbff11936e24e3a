//! What this worker's outbound bytes come to.

use bytes::Bytes;
use rustc_hash::FxHashMap;

/// A piece of memory that is kept alive: to be given back to the ledger once.
#[derive(Debug)]
#[must_use]
pub(super) struct Hold {
    at: usize,
    len_bytes: usize,
}

impl Hold {
    /// A hold on nothing.
    pub(super) const NOTHING: Self = Self { at: 0, len_bytes: 0 };

    /// The size of that memory.
    pub(super) const fn len_bytes(&self) -> usize {
        self.len_bytes
    }
}

#[derive(Debug)]
struct Pin {
    holds: u32,
    len_bytes: usize,
}

/// What this worker's outbound bytes come to: logs with their marks, conflated frames, cut frames, outboxes.
///
/// A large frame that many connections are in the middle of is one piece of memory, and counted once: 1,000 readers
/// of a 1 MiB frame owe 1 MiB together, not 1 GB.
#[derive(Debug)]
pub(super) struct Ledger {
    by_reference_bytes: usize,
    logs: usize,
    held: usize,
    pins: FxHashMap<usize, Pin>,
}

impl Ledger {
    pub(super) fn new(by_reference_bytes: usize) -> Self {
        Self { by_reference_bytes, logs: 0, held: 0, pins: FxHashMap::default() }
    }

    /// All of it, in bytes.
    pub(super) const fn total_bytes(&self) -> usize {
        self.logs + self.held
    }

    /// That of the logs.
    pub(super) const fn log_bytes(&self) -> usize {
        self.logs
    }

    pub(super) const fn grow_logs(&mut self, charge_bytes: usize) {
        self.logs += charge_bytes;
    }

    pub(super) const fn shrink_logs(&mut self, charge_bytes: usize) {
        self.logs -= charge_bytes;
    }

    /// Counts `memory`, an allocation or a stable piece of one that stays alive as long as the hold.
    pub(super) fn hold(&mut self, memory: &Bytes) -> Hold {
        let (at, len_bytes) = (memory.as_ptr().addr(), memory.len());
        if len_bytes < self.by_reference_bytes {
            self.held += len_bytes;
            return Hold { at: 0, len_bytes };
        }
        let pin = self.pins.entry(at).or_insert(Pin { holds: 0, len_bytes });
        if pin.holds == 0 {
            self.held += len_bytes;
        }
        pin.holds += 1;
        Hold { at, len_bytes }
    }

    /// Takes a hold back.
    pub(super) fn release(&mut self, hold: Hold) {
        if hold.at == 0 {
            self.held -= hold.len_bytes;
            return;
        }
        let pin = self.pins.get_mut(&hold.at).expect("invariant: every hold has its pin");
        pin.holds -= 1;
        if pin.holds == 0 {
            self.held -= pin.len_bytes;
            self.pins.remove(&hold.at);
        }
    }

    #[cfg(test)]
    pub(super) fn pins(&self) -> usize {
        self.pins.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_frame_held_by_many_is_counted_once() {
        let mut ledger = Ledger::new(100);
        let frame = Bytes::from(vec![0; 1000]);
        let holds: Vec<Hold> = (0..50).map(|_| ledger.hold(&frame)).collect();
        assert_eq!(ledger.total_bytes(), 1000);
        for hold in holds {
            assert_eq!(ledger.total_bytes(), 1000);
            ledger.release(hold);
        }
        assert_eq!((ledger.total_bytes(), ledger.pins()), (0, 0));
    }

    #[test]
    fn small_frames_are_counted_each_without_a_table() {
        let mut ledger = Ledger::new(100);
        let frame = Bytes::from(vec![0; 99]);
        let (one, two) = (ledger.hold(&frame), ledger.hold(&frame));
        assert_eq!((ledger.total_bytes(), ledger.pins()), (198, 0));
        ledger.release(one);
        ledger.release(two);
        assert_eq!(ledger.total_bytes(), 0);
    }
}

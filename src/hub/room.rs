//! How full a mailbox is, and when to tell those who wait for room.

use crossbeam_utils::CachePadded;

use super::sync::{AtomicU64, Ordering, fence};

/// Nobody waits for room.
const NOBODY: u64 = u64::MAX;
/// `used` holds a count of letters above this many bits of bytes.
const BYTE_BITS: u32 = 40;
const LETTER: u64 = 1 << BYTE_BITS;
const BYTES: u64 = LETTER - 1;
/// The highest limit and the highest charge that is counted: their sum fits in the bits for bytes.
const MOST_BYTES: u64 = LETTER / 2 - 1;

/// Whether there was room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Reserved {
    /// The charge is counted; the letter may be pushed.
    Yes,
    /// Nothing was counted; when there is room, it is told.
    No,
}

/// Whether those who wait for room are to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Tell {
    /// Room was made, and somebody was refused before.
    Now,
    /// Nobody waits, or there is not room enough.
    Nobody,
}

/// The charges of one mailbox.
///
/// A letter is counted from its reservation until it leaves the queue, its bytes until they are released. Whoever was
/// refused is told when the mailbox is at most half full (or as empty as its letter needs), not at the first free byte:
/// else every release would wake every waiter. No telling is lost: a refusal leaves its mark before it looks a second
/// time, a release makes room before it looks for the mark.
#[derive(Debug)]
pub(super) struct Room {
    used: CachePadded<AtomicU64>,
    /// Those who were refused are told when this many bytes or fewer are used.
    roomy_at: AtomicU64,
    limit_bytes: u64,
    limit_letters: u64,
}

impl Room {
    pub(super) fn new(limit_bytes: usize, limit_letters: usize) -> Self {
        Self {
            used: CachePadded::new(AtomicU64::new(0)),
            roomy_at: AtomicU64::new(NOBODY),
            limit_bytes: counted(limit_bytes),
            limit_letters: limit_letters as u64,
        }
    }

    /// Counts a letter of `charge_bytes`, if it fits. One that is larger than the whole limit fits when nothing is used.
    pub(super) fn reserve(&self, charge_bytes: usize) -> Reserved {
        let charge = counted(charge_bytes);
        if self.try_reserve(charge) == Reserved::Yes {
            return Reserved::Yes;
        }
        self.roomy_at.fetch_min(self.half().min(self.limit_bytes.saturating_sub(charge)), Ordering::AcqRel);
        fence(Ordering::SeqCst);
        self.try_reserve(charge)
    }

    /// Takes a reservation back.
    pub(super) fn cancel(&self, charge_bytes: usize) -> Tell {
        self.give_back(LETTER + counted(charge_bytes))
    }

    /// A letter left the queue; its bytes are still in use.
    pub(super) fn letter_left(&self) {
        // The room that this makes is told of by the release that must follow.
        self.used.fetch_sub(LETTER, Ordering::AcqRel);
    }

    /// Bytes of letters that left the queue before are no longer in use.
    pub(super) fn release(&self, charge_bytes: usize) -> Tell {
        self.give_back(counted(charge_bytes))
    }

    /// Somebody who was refused now waits to be told. `Now`: there is room already.
    pub(super) fn wait(&self) -> Tell {
        self.roomy_at.fetch_min(self.half(), Ordering::AcqRel);
        fence(Ordering::SeqCst);
        self.tell()
    }

    fn try_reserve(&self, charge: u64) -> Reserved {
        let take = |used: u64| {
            let bytes = used & BYTES;
            let fits = used >> BYTE_BITS < self.limit_letters && (bytes == 0 || bytes + charge <= self.limit_bytes);
            fits.then_some(used + LETTER + charge)
        };
        match self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, take) {
            Ok(_) => Reserved::Yes,
            Err(_) => Reserved::No,
        }
    }

    fn give_back(&self, amount: u64) -> Tell {
        let before = self.used.fetch_sub(amount, Ordering::AcqRel);
        debug_assert!(before & BYTES >= amount & BYTES, "more is given back than was reserved");
        fence(Ordering::SeqCst);
        self.tell()
    }

    fn tell(&self) -> Tell {
        let roomy_at = self.roomy_at.load(Ordering::Relaxed);
        if roomy_at == NOBODY {
            return Tell::Nobody;
        }
        let used = self.used.load(Ordering::Relaxed);
        let few_letters = used >> BYTE_BITS <= self.limit_letters / 2;
        if used & BYTES <= roomy_at && few_letters && self.roomy_at.swap(NOBODY, Ordering::AcqRel) != NOBODY {
            Tell::Now
        } else {
            Tell::Nobody
        }
    }

    fn half(&self) -> u64 {
        self.limit_bytes / 2
    }
}

fn counted(bytes: usize) -> u64 {
    (bytes as u64).min(MOST_BYTES)
}

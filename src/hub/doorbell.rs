//! Whether a worker sleeps, and who wakes it.

use std::fmt;

use crossbeam_utils::CachePadded;

use super::sync::{AtomicU8, Ordering, fence};

/// The worker looks at its inputs again before it sleeps, by itself.
const AWAKE: u8 = 0;
/// The worker sleeps, or has one look at its mailbox left before it does.
const ASLEEP: u8 = 1;
/// Somebody rang since the worker last looked.
const RUNG: u8 = 2;

/// The bell at a worker's bed: rung by anyone, answered by the worker.
///
/// No ring is lost. One side writes its work and then reads the state, the worker writes the state and then reads the
/// work; with a sequentially consistent fence between the two steps on both sides, at least one sees the other.
pub(super) struct Doorbell {
    state: CachePadded<AtomicU8>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl Doorbell {
    /// A bell at the bed of a worker that is awake; `wake` ends its sleep (an eventfd write).
    pub(super) fn new(wake: Box<dyn Fn() + Send + Sync>) -> Self {
        Self { state: CachePadded::new(AtomicU8::new(AWAKE)), wake }
    }

    /// What stands between pushing work and [`Doorbell::ring_if_asleep`]; one is enough for many bells.
    pub(super) fn after_push() {
        fence(Ordering::SeqCst);
    }

    /// Wakes the worker if it sleeps. For work that [`Doorbell::go_to_sleep`] looks at: nothing is written while the
    /// worker is awake.
    pub(super) fn ring_if_asleep(&self) {
        if self.state.load(Ordering::Relaxed) == ASLEEP
            && self.state.compare_exchange(ASLEEP, RUNG, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        {
            (self.wake)();
        }
    }

    /// Wakes the worker if it sleeps, else keeps it from the next sleep. For work that lies elsewhere.
    pub(super) fn ring(&self) {
        fence(Ordering::SeqCst);
        // A ring not answered yet stands for this one, too; the worker reads the work after it swaps the state.
        if self.state.load(Ordering::Relaxed) != RUNG && self.state.swap(RUNG, Ordering::AcqRel) == ASLEEP {
            (self.wake)();
        }
    }

    /// Whether the worker may sleep now: nobody rang since it was last told to wake, and, looked at after everyone can
    /// see that it goes to sleep, there is no work.
    #[must_use]
    pub(super) fn go_to_sleep(&self, has_work: impl FnOnce() -> bool) -> bool {
        if self.state.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            self.get_up();
            return false;
        }
        fence(Ordering::SeqCst);
        if has_work() {
            self.get_up();
            return false;
        }
        true
    }

    /// Marks the worker awake. What was done before a ring that this answers is visible afterwards.
    pub(super) fn get_up(&self) {
        self.state.swap(AWAKE, Ordering::AcqRel);
        fence(Ordering::SeqCst);
    }
}

impl fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doorbell").field("state", &self.state).finish_non_exhaustive()
    }
}

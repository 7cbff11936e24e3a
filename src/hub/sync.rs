//! The primitives of the concurrent part of this station, in one place so that the model check can swap them.
//!
//! `hub/model.rs` compiles the same source files a second time over primitives that a checker schedules; nothing else
//! than what stands here may be used in those files to talk between threads.

use std::sync::PoisonError;
pub(super) use std::sync::{Mutex, MutexGuard};

pub(super) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

/// Locks, also after a panic of another holder: every critical section here leaves its data whole at each step, and one
/// broken connection must not stop a topic for all.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A bounded queue, many pushers, one popper. Lock-free.
#[derive(Debug)]
pub(super) struct Queue<T> {
    sender: crossbeam_channel::Sender<T>,
    receiver: crossbeam_channel::Receiver<T>,
}

impl<T> Queue<T> {
    pub(super) fn bounded(limit: usize) -> Self {
        let (sender, receiver) = crossbeam_channel::bounded(limit);
        Self { sender, receiver }
    }

    /// Whether `item` found a place.
    #[must_use]
    pub(super) fn push(&self, item: T) -> bool {
        self.sender.try_send(item).is_ok()
    }

    pub(super) fn pop(&self) -> Option<T> {
        self.receiver.try_recv().ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.receiver.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.receiver.len()
    }
}

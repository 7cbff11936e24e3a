//! A letter that shows that every mailbox is being read.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A publication to nobody that shows that every mailbox is being read.
#[derive(Debug)]
pub struct Canary {
    /// Workers that have not seen it yet.
    pub missing: AtomicUsize,
    /// Told when none is missing.
    pub done: Notify,
}

impl Canary {
    /// A canary for this many workers.
    pub fn new(workers: usize) -> Self {
        Self { missing: AtomicUsize::new(workers), done: Notify::new() }
    }

    /// Called by each worker that finds it. The last one tells [`Canary::done`], which remembers it for one waiter.
    pub fn seen(&self) {
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }
}

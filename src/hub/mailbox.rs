//! The bounded input of a worker.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::publication::Publication;

/// A worker's number, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u16);

/// What a worker finds in its mailbox.
#[derive(Debug)]
pub enum Letter {
    /// A publication on a topic it is interested in.
    Publication(Arc<Publication>),
    /// A readiness check: to be answered with [`Canary::seen`].
    Canary(Arc<Canary>),
}

/// A publication to nobody that shows that every mailbox is being read.
#[derive(Debug)]
pub struct Canary {
    /// Workers that have not seen it yet.
    pub missing: AtomicUsize,
    /// Told when none is missing.
    pub done: tokio::sync::Notify,
}

/// The bounded input of one worker: many publishers push, the worker pops.
#[derive(Debug)]
pub struct Mailbox {}

impl Mailbox {
    /// A mailbox for `limit_bytes` of charges; `wake` makes the parked worker look again (an eventfd write).
    pub fn new(limit_bytes: usize, wake: Box<dyn Fn() + Send + Sync>) -> Self {
        let _ = (limit_bytes, wake);
        unimplemented!()
    }
    /// The next letter; its charge is held until [`Mailbox::release`]. Worker only.
    pub fn pop(&self) -> Option<Letter> {
        unimplemented!()
    }
    /// Gives back the charge of a letter whose work is done, and tells waiting publishers. Worker only.
    pub fn release(&self, charge_bytes: usize) {
        let _ = charge_bytes;
        unimplemented!()
    }
    /// Whether the worker may sleep: marks it asleep, then looks once more. `false`: there is work. Worker only.
    #[must_use]
    pub fn park(&self) -> bool {
        unimplemented!()
    }
    /// Marks the worker awake again after sleep. Worker only.
    pub fn unpark(&self) {
        unimplemented!()
    }
    /// Makes the worker look up, at most once while it is awake.
    pub fn wake(&self) {
        unimplemented!()
    }
    /// Letters waiting, for the metric.
    pub fn depth(&self) -> usize {
        unimplemented!()
    }
    /// Resolves (once enabled) when room was made; for publishers over HTTP.
    pub fn room(&self) -> &tokio::sync::Notify {
        unimplemented!()
    }
    /// Wakes `worker` when room was made; for workers with paused publishers.
    pub fn wake_when_roomy(&self, worker: &Arc<Mailbox>) {
        let _ = worker;
        unimplemented!()
    }
}

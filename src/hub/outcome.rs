//! What became of a draft.

use super::position::Position;
use super::publication::Draft;
use super::worker_set::WorkerId;
use crate::refusal::Refusal;

/// What an accepted publication is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Where it stands.
    pub position: Position,
    /// Subscribers on this node when it was accepted.
    pub receivers: usize,
}

/// A queue that a publication passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// The mailbox of a worker.
    Mailbox(WorkerId),
    /// What waits for the disk.
    Disk,
}

/// Where an outcome goes that is not known at once. Dropped without being called, the outcome is unknown: the publication
/// may have been accepted.
pub type Done = Box<dyn FnOnce(Outcome) + Send>;

/// What became of a draft.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// It has its offset, is in the history, and is queued on every interested worker.
    Accepted(Receipt),
    /// A queue on its way has no room; nothing happened. Try again when it has.
    Full {
        /// The draft, given back.
        draft: Draft,
        /// What to wait for: see [`super::Hub::room`] and [`super::Hub::wake_when_roomy`].
        queue: Queue,
    },
    /// It was refused and will be refused again.
    Refused(Refusal),
}

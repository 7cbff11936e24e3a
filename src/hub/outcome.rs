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

/// What became of a draft.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// It has its offset, is in the history, and is queued on every interested worker.
    Accepted(Receipt),
    /// `worker`'s mailbox has no room; nothing happened. Try again when it has.
    Full {
        /// The draft, given back.
        draft: Draft,
        /// Whose mailbox to wait for.
        worker: WorkerId,
    },
    /// It was refused and will be refused again.
    Refused(Refusal),
}

//! Where a subscriber wants to start, and what it gets for it.

use super::history::Retained;
use super::position::Position;

/// Where a subscriber wants to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the next publication.
    Now,
    /// After this position.
    Since(Position),
    /// After this position, if no more than so many publications were missed; else nothing was asked for but a gap.
    SinceWithin(Position, usize),
    /// With at most this many of the last publications.
    Last(usize),
}

/// Whether a subscriber got everything since its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// It did not ask.
    NotAsked,
    /// Everything since its position is in the replay (nothing, if it missed nothing).
    Complete,
    /// Something is gone (other epoch, or older than history): the replay is empty.
    Gap,
}

/// What a subscriber is told on joining.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The last position at the moment of joining: the replay ends here, live publications come after it.
    pub top: Position,
    /// Publications to send first, oldest first.
    pub replay: Vec<Retained>,
    /// Whether that is everything it asked for.
    pub recovery: Recovery,
}

//! What a run connects to: a place, and the language spoken there.

use crate::server::place::Place;
use crate::wire::dialect::{Dialect, Envelope};

/// A server as its clients see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Where it listens.
    pub(crate) place: Place,
    /// What it speaks.
    pub(crate) dialect: Dialect,
}

impl Endpoint {
    /// A fanfare, or a floor, at `place`.
    pub(crate) fn topics(place: Place) -> Self {
        Self { place, dialect: Dialect::Topics(Envelope::Plain) }
    }
}

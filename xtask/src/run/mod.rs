//! How a command is run: announced, timed, bounded ([`Step`]); and how a run of several is summed up ([`Report`]).
//!
//! Imports nothing of this crate.

mod report;
mod step;
mod tally;

pub(crate) use report::Report;
pub(crate) use step::{Finished, Step};
pub(crate) use tally::Tally;

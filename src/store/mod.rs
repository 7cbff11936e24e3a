//! History on disk: what outlives the process.
//!
//! Reading order: `entry` (what is kept), `chunk` (entries as bytes, pure) and `filling` (as many as fit), `ledger` (the tables
//! and what stands in them), `store` (opening, appending, cleaning, closing), `reading` and `kept` (what was there at opening),
//! `failure`. `crashes` tests the
//! whole on a disk that loses and damages what it was given.
//! Everything here blocks on the disk, and nothing here knows a lock or a thread: whoever owns the [`Store`] does.
//! Imports of `hub` only what a publication's place is made of.
//!
//! The store is one file of redb, in which a commit is whole or not there. Entries lie in it in the order in which they
//! came, many to a chunk, and not under a key each: a commit so writes what is new and little else, however many topics it
//! touches. What history has let go stays until [`Store::clean`] comes by from the oldest end and carries what is still
//! kept to the newest.

mod chunk;
#[cfg(test)]
mod crashes;
mod entry;
mod failure;
#[cfg(test)]
mod faulty_disk;
mod filling;
mod kept;
mod ledger;
mod reading;
#[expect(clippy::module_inception, reason = "the store is the noun of this station")]
mod store;

#[cfg(fuzzing)]
pub use chunk::fuzz;
pub use entry::{Entry, Key, Record};
pub use failure::{Failure, OpenError};
pub use kept::{Kept, KeptTopic, Stopped};
pub use store::{Cleaned, Store, SyncMode};

//! One worker's topic logs, cursors and outboxes: what is written next, to whom, and what happens to those who lag.
//!
//! Per (topic, encoding) there is one log of ready frames, which exists only while someone is behind. A member is a
//! cursor in it: 16 bytes, so a laggard costs a number and not a queue. When the sweep reaches a connection it takes all
//! that connection has pending, over all its topics, in one write.
//!
//! Pure: no sockets, no tasks, no clock. A worker's turn looks like this:
//!
//! 1. [`Fanout::append`] what is in the mailbox. [`Appended::Full`]: keep it, [`Fanout::sweep_log_first`], go on with 3.
//!    If a log waits for its write delay, [`Fanout::release_delayed`].
//! 2. [`Fanout::reply`], [`Fanout::writable`], [`Fanout::subscribe`] and so on, as input comes.
//! 3. `while let Some(connection) = fanout.next()`: [`Fanout::visit`] with a sink that sends.
//! 4. [`Fanout::enforce`] once per tick; then close those [`Fanout::doomed`] names.
//!
//! Order on a connection: the rest of a cut frame, replies, topics; the close frame last. Order in a topic: that of the
//! offsets. Nothing is promised between topics.
//!
//! Reading order: `settings`, `outcome` (the vocabulary), `segment`, `log`, `connection`, `special`, `ledger`, `fanout` (the
//! structure), `membership`, `append`, `delay`, `sweep`, `plan`, `visit`, `policy`; then `tests`, and `model_test` with its naive rival.
//! Imports `hub` for its offsets only.

mod append;
mod connection;
mod delay;
#[expect(clippy::module_inception, reason = "the fan-out is the noun of this station")]
mod fanout;
mod ledger;
mod log;
mod membership;
mod outcome;
mod plan;
mod policy;
mod remains;
mod segment;
mod settings;
mod slab;
mod special;
mod sweep;
mod visit;

#[cfg(any(test, fuzzing))]
#[expect(clippy::unwrap_used, reason = "a test, also where a fuzzer runs it")]
mod model_test;
#[cfg(test)]
mod tests;

pub use connection::ConnectionId;
pub use fanout::Fanout;
pub use log::LogId;
#[cfg(fuzzing)]
pub use model_test::fuzz;
pub use outcome::{Appended, Cause, Doomed, Entry, Join, Losses, Members, Missed, Parted, Sent, Visited, Writer};
pub use remains::Remains;
pub use settings::{LogRules, Moment, Policy, RulesId, Settings, Tick};

//! What the harness can do to a server, a file each.
//!
//! `fanout` is the full one, `compare` and `ramp` repeat it. The others are about subscribers who come, go, hang or do
//! nothing; each has settings, which are its command line and its scenario file, and a report.

pub(crate) mod churn;
pub(crate) mod command;
pub(crate) mod compare;
pub(crate) mod fanout;
pub(crate) mod idle;
pub(crate) mod liveness;
pub(crate) mod pong;
pub(crate) mod ramp;
pub(crate) mod restart;
pub(crate) mod settings;
pub(crate) mod slow;
pub(crate) mod storm;
mod streams;
pub(crate) mod subscriptions;

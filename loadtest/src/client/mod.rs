//! The generator: one thread that connects, reads and publishes. No async runtime, no allocation per message.
//!
//! Two ways to drive it: `runs::fanout` with its ledger, where everybody is there from beginning to end, and a `crowd`,
//! whose members come and go.

pub(crate) mod connector;
pub(crate) mod crowd;
pub(crate) mod descriptors;
pub(crate) mod dialer;
pub(crate) mod poller;
pub(crate) mod probe;
pub(crate) mod publisher;
pub(crate) mod request;
pub(crate) mod subscriber;
pub(crate) mod tickets;

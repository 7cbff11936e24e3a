//! The generator: one thread that connects, reads and publishes. No async runtime, no allocation per message.

pub(crate) mod connector;
pub(crate) mod descriptors;
pub(crate) mod poller;
pub(crate) mod publisher;
pub(crate) mod subscriber;

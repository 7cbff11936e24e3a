//! Topics: who is interested, what is kept, and in which order everyone sees it.
//!
//! Reading order: [`position`], [`topic_name`], [`publication`], [`history`], [`interest`], [`topic`] (the sequencer),
//! [`mailbox`] (where a publication leaves for a worker), [`registry`], and [`hub`], the door to all of it.
//! Imports `protocol` (to encode a publication once), `config` and `refusal`; never a socket or a session.

#[expect(clippy::module_inception, reason = "the hub is the noun of this station")]
mod hub;
mod mailbox;
mod position;
mod publication;
mod topic;
mod topic_name;

pub use hub::{Census, Hub, Joined, Outcome, Receipt, Recovery, Start};
pub use mailbox::{Canary, Letter, Mailbox, WorkerId};
pub use position::{Epoch, Offset, ParsePositionError, Position};
pub use publication::{Draft, Kind, Publication, Retained};
pub use topic::{Topic, TopicId};
pub use topic_name::{BadTopicName, TopicName};

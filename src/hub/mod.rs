//! Topics: who is interested, what is kept, and in which order everyone sees it.
//!
//! Reading order: `position`, `topic_name`, `publication`, `history`, `worker_set` (the interest), `topic` (the
//! sequencer), `mailbox` with `room` and `doorbell` (where a publication leaves for a worker), `registry`, `budget` and
//! `idle` (what goes when), and `hub`, the door to all of it. `promises` tests the whole (`naive` is its rival), `model` its
//! concurrency.
//! Imports `protocol` (to encode a publication once), `engine`, `config` and `refusal`; never a socket or a session.

mod budget;
mod canary;
mod directory;
mod doorbell;
mod doorman;
mod extras;
mod history;
#[expect(clippy::module_inception, reason = "the hub is the noun of this station")]
mod hub;
mod idempotency;
mod idempotency_key;
mod idle;
mod joined;
mod kind;
mod mailbox;
#[cfg(test)]
mod mailbox_limits;
mod member;
#[cfg(test)]
#[expect(
    clippy::duplicate_mod,
    unreachable_pub,
    dead_code,
    reason = "the same files a second time, for the model check, which does not use all that is in them"
)]
mod model;
#[cfg(any(test, fuzzing))]
mod naive;
mod node;
mod outcome;
mod position;
mod presence;
#[cfg(test)]
mod promises;
mod publication;
mod registry;
mod room;
mod rules;
mod sessions;
mod sync;
mod topic;
mod topic_name;
mod wildcard;
mod worker_set;

pub use canary::Canary;
pub use directory::{Directory, Entered, Whereabouts};
pub use doorman::{Doorman, Notice};
pub use extras::{Extras, Version};
pub use history::Retained;
pub(crate) use hub::wall_micros;
pub use hub::{Census, Hub};
pub use idempotency::{Claim, Idempotency, Turn};
pub use idempotency_key::IdempotencyKey;
pub use joined::{Joined, Recovery, Start};
pub use kind::Kind;
pub use mailbox::{Letter, Mailbox};
pub use member::{ClientId, Member};
#[cfg(fuzzing)]
pub use naive::fuzz;
pub(crate) use node::Node;
pub use outcome::{Done, Outcome, Queue, Receipt};
pub use position::{Epoch, Offset, ParsePositionError, Position};
pub use presence::{Attending, Presence, Roll};
pub use publication::{Draft, Publication, Purpose};
pub use sessions::{NotTaken, Registered, SessionKey, Sessions, Waiting};
pub use topic::{Topic, TopicId};
pub use topic_name::{BadTopicName, TopicName};
pub use wildcard::Matched;
pub use worker_set::WorkerId;

//! What a client may do, and what it gets. Pure: messages and `now` come in, effects go out.
//!
//! An [`Opening`] is what the handshake decided; it becomes a [`Session`], which is a few bytes, because a hundred
//! thousand of them sit idle. What an endpoint of the configuration does is compiled once into a [`Behaviour`].
//! Imports `hub` (names, drafts), `protocol` and `ws`; never a socket, a task or the clock.

mod admission;
mod behaviour;
mod client;
mod opening;
pub mod permission;
#[expect(clippy::module_inception, reason = "the session is the noun of this station")]
mod session;
mod subscribed;

pub use admission::Admission;
pub use behaviour::{Behaviour, CompileError};
pub use client::{Client, Expiry, Refresher, Stage, Subscription, TokenMark};
pub use opening::{Opening, StreamTopics};
pub use session::{Effect, Effects, Session};
pub use subscribed::{Grant, Overrides, Shown, Subscribed, Wish, filled};

//! Where topics live beyond this process.
//!
//! An engine decides at which position a publication stands. There is one today, `memory`: the topic itself decides,
//! in its critical section, and the answer is there at once.
//!
//! A remote engine (Redis, NATS) will be a second variant of [`Engine`]. `Hub::publish` then hands it the draft and the
//! `done`, and returns. The engine chooses epoch and offset elsewhere, and what comes back to this node, its own
//! publications and those of other nodes alike, goes through the push half of the topic's critical section
//! (`Topic::place`: history, interest, mailboxes), with the position given instead of counted. Local delivery so has one
//! path and one order, and a full mailbox pauses the engine's reader as it pauses any publisher. Sessions, protocols and
//! workers see positions and outcomes, and never which engine it is.

pub(crate) mod memory;

/// Where topics live beyond this process.
///
/// An enum and no trait object: with the memory engine a publish costs one predictable branch here, no call through a
/// table, no future and no allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// Nowhere: the topics of this process are all there is.
    Memory,
}

//! What every topic of this node reaches.

use std::sync::Arc;

use super::budget::Budget;
use super::history::Keep;
use super::idle::Idle;
use super::mailbox::Mailbox;

/// What every topic of this node reaches: the workers, the bound on all history, the list of topics to free.
///
/// Locks are taken in this order: a shard of the registry, [`Budget`]'s turn, a topic, then the leaves (the entries of
/// [`Budget`] and of [`Idle`], a mailbox's waiters), of which one never holds two.
#[derive(Debug)]
pub(crate) struct Node {
    /// By [`super::WorkerId::index`].
    pub(super) mailboxes: Vec<Arc<Mailbox>>,
    /// What topics keep, by [`super::Topic::rules`]: here once, and not in each of them.
    pub(super) keeps: Vec<Keep>,
    pub(super) budget: Budget,
    pub(super) idle: Idle,
}

impl Node {
    pub(super) fn new(mailboxes: Vec<Arc<Mailbox>>, keeps: Vec<Keep>, history_limit_bytes: usize) -> Self {
        Self { mailboxes, keeps, budget: Budget::new(history_limit_bytes), idle: Idle::default() }
    }
}

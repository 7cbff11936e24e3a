//! What the backend may answer.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::failure::Failure;
use super::payload::Payload;

/// How a call went.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer<R> {
    /// The backend agrees.
    Result(R),
    /// The client's command is answered with this error.
    Error(Refused),
    /// The client is disconnected.
    Disconnect(Ended),
    /// There is no answer. The client is told [`Failure::refused`]; what is about to expire should be given a while.
    Failed(Failure),
}

/// An error for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Its code: 400 to 1999 are the application's.
    pub code: u32,
    /// What people read.
    pub message: String,
    /// Whether the client may try again.
    pub temporary: bool,
}

/// The end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The code: 4000 to 4499 and 4500 to 4999 are the application's; after the latter the client stays away.
    pub code: u16,
    /// What people read; at most [`Ended::REASON_BYTES`].
    pub reason: String,
}

impl Ended {
    /// What fits a close frame beside its code (RFC 6455, section 5.5.1).
    pub const REASON_BYTES: usize = 123;
}

/// Who a client is, and what it gets.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConnectResult {
    /// Its user; empty for nobody in particular.
    pub user: String,
    /// When the connection ends unless it is refreshed, in seconds since the Unix epoch.
    pub expire_at: Option<u64>,
    /// Shown to others, in presence and with publications.
    pub info: Option<Payload>,
    /// Answered to the client's `connect`.
    pub data: Option<Payload>,
    /// Topics that the server subscribes it to.
    pub channels: Vec<String>,
    /// The same, with more to say about each.
    pub subs: BTreeMap<String, SubscribeResult>,
    /// Sent along with later calls about this connection, never shown to a client. JSON.
    pub meta: Option<Bytes>,
}

/// Whether a connection goes on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RefreshResult {
    /// It does not.
    pub expired: bool,
    /// Until when, in seconds since the Unix epoch; `None`: it no longer expires.
    pub expire_at: Option<u64>,
    /// Replaces [`ConnectResult::info`].
    pub info: Option<Payload>,
    /// Replaces [`ConnectResult::meta`].
    pub meta: Option<Bytes>,
}

/// A subscription, and what it gets.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SubscribeResult {
    /// When it ends unless it is refreshed, in seconds since the Unix epoch.
    pub expire_at: Option<u64>,
    /// Shown to others in this topic, beside the info of the connection.
    pub info: Option<Payload>,
    /// Answered to the client's `subscribe`.
    pub data: Option<Payload>,
    /// What is different from the topic's rules for this subscription.
    pub overridden: Override,
}

/// What is different from a topic's rules for one subscription; `None`: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Override {
    /// Whether it takes part in presence.
    pub presence: Option<bool>,
    /// Whether its coming and going is told.
    pub join_leave: Option<bool>,
    /// Whether it is recovered without having asked.
    pub force_recovery: Option<bool>,
    /// Whether its position is watched without having asked.
    pub force_positioning: Option<bool>,
    /// Whether it is told of others' coming and going without having asked.
    pub force_push_join_leave: Option<bool>,
}

/// What is published.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PublishResult {
    /// Instead of what the client sent.
    pub data: Option<Payload>,
    /// Whether it is left out of the topic's history.
    pub skip_history: bool,
}

/// Whether a subscription goes on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SubRefreshResult {
    /// It does not.
    pub expired: bool,
    /// Until when, in seconds since the Unix epoch; `None`: it no longer expires.
    pub expire_at: Option<u64>,
    /// Replaces [`SubscribeResult::info`].
    pub info: Option<Payload>,
}

/// What a method answers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RpcResult {
    /// For the client.
    pub data: Option<Payload>,
}

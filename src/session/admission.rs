//! Who a client turned out to be.

use bytes::Bytes;

use super::client::{Expiry, TokenMark};
use super::subscribed::Grant;
use crate::hub::TopicName;

/// Who a client turned out to be: by its token, by what the application's backend says, or nobody in particular.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// Its user; empty if it is anonymous.
    pub user: Box<str>,
    /// Shown to others. Empty if nothing.
    pub info: Bytes,
    /// For the application alone. Empty if nothing.
    pub meta: Bytes,
    /// When its time is over unless it is refreshed.
    pub expires: Option<Expiry>,
    /// Its token, for who revokes tokens.
    pub token: Option<Box<TokenMark>>,
    /// What the server subscribes it to.
    pub subscriptions: Vec<(TopicName, Grant)>,
    /// For the client.
    pub data: Option<Bytes>,
}

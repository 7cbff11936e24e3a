//! What a client is told when it subscribes, and how kept publications look to it.

use bytes::Bytes;

use super::client::Expiry;
use crate::hub::{Epoch, Offset, Retained};
use crate::protocol::centrifuge::{ClaimedEpoch, ClientInfo, Data, Publication, SubscribeResult};

/// What a client wishes when it subscribes.
#[derive(Debug, Clone, Default)]
pub struct Wish {
    /// To be brought what it missed since this position.
    pub recover: Option<(ClaimedEpoch, Offset)>,
    /// To recover later.
    pub recoverable: bool,
    /// To have its position watched.
    pub positioned: bool,
    /// To be told who comes and goes.
    pub join_leave: bool,
    /// To get deltas.
    pub delta: bool,
    /// An error instead of a subscription that has not recovered.
    pub refuses_unrecovered: bool,
}

/// What the application allows, beside what the topic's rules say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// Shown to others on this topic. Empty if nothing.
    pub info: Bytes,
    /// For the client.
    pub data: Option<Bytes>,
    /// When the subscription is over unless it is refreshed.
    pub expires: Option<Expiry>,
    /// What differs from the topic's rules.
    pub overrides: Overrides,
}

/// What differs from a topic's rules for one subscription.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Whether it is in the topic's presence.
    pub presence: Option<bool>,
    /// Whether others are told that it comes and goes.
    pub join_leave: Option<bool>,
    /// Whether it recovers without asking for it.
    pub force_recovery: Option<bool>,
    /// Whether its position is watched without its asking for it.
    pub force_positioning: Option<bool>,
    /// Whether it is told of others without asking for it.
    pub force_push_join_leave: Option<bool>,
}

/// A subscription that was made.
#[derive(Debug)]
pub struct Subscribed {
    /// Seconds until the client has to bring a new token.
    pub ttl_s: Option<u32>,
    /// It may recover later.
    pub recoverable: bool,
    /// Its position is watched.
    pub positioned: bool,
    /// Where the topic stands; if `recovered`, where the client said that it stands.
    pub epoch: Epoch,
    /// The same.
    pub offset: Offset,
    /// It wanted to recover.
    pub was_recovering: bool,
    /// `missed` is all that it missed.
    pub recovered: bool,
    /// What it missed, oldest first.
    pub missed: Shown,
    /// It gets deltas.
    pub delta: bool,
    /// From the application.
    pub data: Option<Bytes>,
}

impl Subscribed {
    /// What it missed, as it is told; the subject of [`Subscribed::result`].
    pub fn publications(&self) -> Vec<Publication<'_>> {
        self.missed.publications(self.delta)
    }

    /// What the client is told. Without a position to come back to, none is told.
    pub fn result<'a>(&'a self, publications: &'a [Publication<'a>]) -> SubscribeResult<'a> {
        let has_position = self.recoverable || self.positioned;
        SubscribeResult {
            ttl_s: self.ttl_s,
            recoverable: self.recoverable,
            epoch: has_position.then_some(self.epoch),
            publications,
            recovered: self.recovered,
            offset: if has_position { self.offset } else { Offset(0) },
            positioned: self.positioned,
            data: self.data.as_deref(),
            was_recovering: self.was_recovering,
            delta: self.delta,
        }
    }
}

/// Kept publications, to be shown to clients.
#[derive(Debug, Default)]
pub struct Shown {
    kept: Vec<Retained>,
    /// The connections of their publishers as text, by place; empty where nobody is told.
    publishers: Vec<String>,
}

impl Shown {
    /// In the order in which they are to be told.
    pub fn new(kept: Vec<Retained>) -> Self {
        let publisher = |one: &Retained| {
            let extras = one.extras.as_ref()?;
            extras.publisher.as_ref().map(|publisher| publisher.client.to_string())
        };
        let publishers = kept.iter().map(|one| publisher(one).unwrap_or_default()).collect();
        Self { kept, publishers }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// As the protocol shows them; `whole` where deltas were promised.
    pub fn publications(&self, whole: bool) -> Vec<Publication<'_>> {
        self.kept.iter().zip(&self.publishers).map(|(kept, publisher)| shown(kept, publisher, whole)).collect()
    }
}

fn shown<'a>(kept: &'a Retained, publisher: &'a str, whole: bool) -> Publication<'a> {
    let data = if whole { Data::Full(&kept.payload) } else { Data::Value(&kept.payload) };
    let extras = kept.extras.as_deref();
    let info = extras.and_then(|extras| extras.publisher.as_deref()).map(|member| ClientInfo {
        user: &member.user,
        client: publisher,
        connection_info: filled(&member.connection_info),
        channel_info: filled(&member.topic_info),
    });
    let tags = extras.map_or(&[][..], |extras| &extras.tags);
    Publication { info, offset: kept.offset, tags, ..Publication::new(data) }
}

/// `None` for nothing.
pub fn filled(info: &Bytes) -> Option<&[u8]> {
    (!info.is_empty()).then_some(&info[..])
}

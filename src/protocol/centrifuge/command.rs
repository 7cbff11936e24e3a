//! What a client asks for.

use std::borrow::Cow;

use serde::Deserialize;

use super::filter::{BadFilter, Filter};
use super::json_field;
use crate::hub::{Epoch, Offset};

/// One command of a client: what it wants, and the id that the reply has to carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command<'a> {
    /// Chosen by the client, above 0; 0 with [`Method::Pong`], and with [`Method::Send`] if the client left it out.
    pub id: u32,
    /// What it wants.
    pub method: Method<'a>,
}

/// What a client wants, in the order that decides if a command names two things: the first is done.
///
/// Payloads (`data`) are slices of the frame: the text of a JSON value, or raw bytes in Protobuf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method<'a> {
    /// To be let in. The first command of a connection, once.
    Connect(Connect<'a>),
    /// To get a channel.
    Subscribe(Subscribe<'a>),
    /// To get it no more.
    Unsubscribe(Unsubscribe<'a>),
    /// To give a payload to a channel.
    Publish(Publish<'a>),
    /// Who is in a channel.
    Presence(Presence<'a>),
    /// How many are in a channel.
    PresenceStats(Presence<'a>),
    /// What a channel keeps, or only where it stands.
    History(History<'a>),
    /// To call a procedure of the backend.
    Rpc(Rpc<'a>),
    /// To tell the backend something, without a reply.
    Send(Send<'a>),
    /// To stay connected with a new token.
    Refresh(Refresh<'a>),
    /// To stay subscribed with a new token.
    SubRefresh(SubRefresh<'a>),
    /// In the schema, sent by no SDK and answered by no server.
    Ping,
    /// The answer to the server's ping: an empty command.
    Pong,
}

/// The position that a client claims to have seen belongs to this epoch.
///
/// Epochs travel as text. Whatever is not one that this server writes can match none of its streams: it came from
/// another server, or is the `_` by which SDKs say that their state was invalidated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ClaimedEpoch {
    /// Left out: the epoch is not to be compared.
    #[default]
    Any,
    /// This one.
    Of(Epoch),
    /// None of ours.
    Foreign,
}

impl ClaimedEpoch {
    /// What the text of an epoch claims.
    pub fn new(text: &str) -> Self {
        if text.is_empty() {
            return Self::Any;
        }
        // As the server writes it and no other way: `parse` alone would take "+7" and "007" too.
        match text.parse() {
            Ok(epoch) if itoa::Buffer::new().format(epoch) == text => Self::Of(Epoch(epoch)),
            Ok(_) | Err(_) => Self::Foreign,
        }
    }

    /// Whether a stream of `epoch` can be meant.
    pub fn allows(self, epoch: Epoch) -> bool {
        match self {
            Self::Any => true,
            Self::Of(claimed) => claimed == epoch,
            Self::Foreign => false,
        }
    }
}

/// To be let in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Connect<'a> {
    /// The token of the connection; empty for an anonymous client.
    #[serde(borrow, deserialize_with = "json_field::text")]
    pub token: Cow<'a, str>,
    /// For the backend that lets clients in.
    #[serde(borrow, deserialize_with = "json_field::data")]
    pub data: Option<&'a [u8]>,
    /// Where the client stands in channels that the server subscribed it to, in the order sent; a channel named twice
    /// stands here twice. [`Subscribe::channel`] is empty in them.
    #[serde(borrow, deserialize_with = "json_field::objects")]
    pub subs: Vec<(Cow<'a, str>, Subscribe<'a>)>,
    /// Which SDK it is.
    #[serde(borrow, deserialize_with = "json_field::text")]
    pub name: Cow<'a, str>,
    /// Its version.
    #[serde(borrow, deserialize_with = "json_field::text")]
    pub version: Cow<'a, str>,
    /// Headers that a browser cannot put on a WebSocket.
    #[serde(borrow, deserialize_with = "json_field::texts_by_name")]
    pub headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// What the connection could do, as bits; none is known here.
    #[serde(deserialize_with = "json_field::or_default")]
    pub flag: i64,
}

/// To get a channel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Subscribe<'a> {
    /// The channel; empty is a violation of the protocol.
    #[serde(borrow, deserialize_with = "json_field::text")]
    pub channel: Cow<'a, str>,
    /// The token of the subscription; empty if there is none.
    #[serde(borrow, deserialize_with = "json_field::text")]
    pub token: Cow<'a, str>,
    /// Whether publications behind `epoch` and `offset` are to be brought.
    #[serde(deserialize_with = "json_field::or_default")]
    pub recover: bool,
    /// The epoch of `offset`.
    #[serde(deserialize_with = "json_field::epoch")]
    pub epoch: ClaimedEpoch,
    /// The last publication seen.
    #[serde(deserialize_with = "json_field::offset")]
    pub offset: Offset,
    /// For the backend that lets subscribers in.
    #[serde(borrow, deserialize_with = "json_field::data")]
    pub data: Option<&'a [u8]>,
    /// The client wishes the server to watch its position.
    #[serde(deserialize_with = "json_field::or_default")]
    pub positioned: bool,
    /// The client wishes to recover later.
    #[serde(deserialize_with = "json_field::or_default")]
    pub recoverable: bool,
    /// The client wishes to be told who comes and goes.
    #[serde(deserialize_with = "json_field::or_default")]
    pub join_leave: bool,
    /// The kind of delta it can apply; empty for none. See [`Subscribe::takes_fossil`].
    #[serde(borrow, deserialize_with = "json_field::text")]
    pub delta: Cow<'a, str>,
    /// Which publications it wants, if not all; a filter that is none is to be answered by
    /// [`ErrorCode::BadRequest`](super::ErrorCode::BadRequest).
    #[serde(deserialize_with = "json_field::filter")]
    pub tf: Option<Result<Filter, BadFilter>>,
    /// What the subscription could do, as bits: [`Subscribe::NUMERIC_CHANNELS`], [`Subscribe::REFUSE_UNRECOVERABLE`].
    #[serde(deserialize_with = "json_field::or_default")]
    pub flag: i64,
    /// The kind of subscription: 0 is a stream; maps (1 to 3) and shared polls (4) are not spoken here.
    #[serde(rename = "type", deserialize_with = "json_field::or_default")]
    pub kind: i32,
}

impl Subscribe<'_> {
    /// The client understands pushes with a number in place of the channel. Set by all SDKs; may be ignored.
    pub const NUMERIC_CHANNELS: i64 = 1;
    /// A recovery that fails is to be answered by an error and not by a subscription without recovery.
    pub const REFUSE_UNRECOVERABLE: i64 = 2;

    /// Whether the client can apply fossil deltas.
    pub fn takes_fossil(&self) -> bool {
        self.delta == "fossil"
    }
}

/// To get a channel no more.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Unsubscribe<'a> {
    /// The channel, subscribed to or not.
    #[serde(borrow, deserialize_with = "json_field::text")]
    pub channel: Cow<'a, str>,
}

/// To give a payload to a channel.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Publish<'a> {
    /// The channel; empty is a violation of the protocol.
    #[serde(borrow, deserialize_with = "json_field::text")]
    pub channel: Cow<'a, str>,
    /// The payload; `null` is one, and left out is none.
    #[serde(borrow, deserialize_with = "json_field::data")]
    pub data: Option<&'a [u8]>,
    /// 0 for a stream; maps (1) are not spoken here.
    #[serde(rename = "type", deserialize_with = "json_field::or_default")]
    pub kind: i32,
}

/// Who is in a channel, or how many.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Presence<'a> {
    /// The channel.
    #[serde(borrow, deserialize_with = "json_field::text")]
    pub channel: Cow<'a, str>,
}

/// What a channel keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct History<'a> {
    /// The channel.
    #[serde(borrow, deserialize_with = "json_field::text")]
    pub channel: Cow<'a, str>,
    /// How many at most; 0 asks only where the channel stands, below 0 for as many as the server gives.
    #[serde(deserialize_with = "json_field::or_default")]
    pub limit: i32,
    /// From here on, without the publication that is there; from either end if left out.
    #[serde(deserialize_with = "json_field::object")]
    pub since: Option<Since>,
    /// From the newest to the oldest.
    #[serde(deserialize_with = "json_field::or_default")]
    pub reverse: bool,
}

/// A position that a client names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Since {
    /// The number.
    #[serde(deserialize_with = "json_field::offset")]
    pub offset: Offset,
    /// Its epoch.
    #[serde(deserialize_with = "json_field::epoch")]
    pub epoch: ClaimedEpoch,
}

/// To call a procedure of the backend.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Rpc<'a> {
    /// What it is called with.
    #[serde(borrow, deserialize_with = "json_field::data")]
    pub data: Option<&'a [u8]>,
    /// Its name, which may be empty.
    #[serde(borrow, deserialize_with = "json_field::text")]
    pub method: Cow<'a, str>,
}

/// To tell the backend something.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Send<'a> {
    /// What it is told.
    #[serde(borrow, deserialize_with = "json_field::data")]
    pub data: Option<&'a [u8]>,
}

/// To stay connected.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Refresh<'a> {
    /// The new token.
    #[serde(borrow, deserialize_with = "json_field::text")]
    pub token: Cow<'a, str>,
}

/// To stay subscribed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct SubRefresh<'a> {
    /// The channel.
    #[serde(borrow, deserialize_with = "json_field::text")]
    pub channel: Cow<'a, str>,
    /// The new token.
    #[serde(borrow, deserialize_with = "json_field::text")]
    pub token: Cow<'a, str>,
    /// 0 for a new token; the tracking of a shared poll (1, 2) is not spoken here.
    #[serde(rename = "type", deserialize_with = "json_field::or_default")]
    pub kind: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_ours_only_as_we_write_it() {
        assert_eq!(ClaimedEpoch::new(""), ClaimedEpoch::Any);
        assert_eq!(ClaimedEpoch::new("7"), ClaimedEpoch::Of(Epoch(7)));
        assert_eq!(ClaimedEpoch::new("18446744073709551615"), ClaimedEpoch::Of(Epoch(u64::MAX)));
        for foreign in ["_", "DsbHCAzy", "07", "+7", " 7", "7.0", "-1", "18446744073709551616"] {
            assert_eq!(ClaimedEpoch::new(foreign), ClaimedEpoch::Foreign, "{foreign}");
        }
    }

    #[test]
    fn only_a_foreign_or_another_epoch_excludes_a_stream() {
        assert!(ClaimedEpoch::Any.allows(Epoch(7)));
        assert!(ClaimedEpoch::Of(Epoch(7)).allows(Epoch(7)));
        assert!(!ClaimedEpoch::Of(Epoch(8)).allows(Epoch(7)));
        assert!(!ClaimedEpoch::Foreign.allows(Epoch(7)));
    }
}

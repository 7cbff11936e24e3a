//! What a client gets for what it asked.

use super::message_writer::{MessageWriter, push_message};
use super::publication::{ClientInfo, Publication};
use super::transport::Format;
use crate::hub::{Epoch, Offset};

/// The answer to one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply<'a> {
    /// It was not done. The errors of the protocol are those of [`ErrorCode`](super::ErrorCode), backends have others.
    Error {
        /// Not 0.
        code: u32,
        /// Says it to people.
        message: &'a str,
        /// Whether the SDK is to try again.
        temporary: bool,
    },
    /// The client is let in.
    Connect(ConnectResult<'a>),
    /// The client has the channel.
    Subscribe(SubscribeResult<'a>),
    /// It has it no more.
    Unsubscribe,
    /// It was published.
    Publish,
    /// Who is in the channel, by the id of the client.
    Presence(&'a [ClientInfo<'a>]),
    /// How many are in the channel.
    PresenceStats {
        /// Connections.
        client_count: u32,
        /// Different users among them.
        user_count: u32,
    },
    /// What the channel keeps.
    History(HistoryResult<'a>),
    /// What the procedure returned.
    Rpc {
        /// The value.
        data: Option<&'a [u8]>,
    },
    /// The connection lives on.
    Refresh {
        /// Seconds until the next token is due; `None` for never.
        ttl_s: Option<u32>,
    },
    /// The subscription lives on.
    SubRefresh {
        /// Seconds until the next token is due; `None` for never.
        ttl_s: Option<u32>,
    },
}

/// The client is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectResult<'a> {
    /// The id of the connection, which is not empty.
    pub client: &'a str,
    /// The server's version.
    pub version: &'a str,
    /// Seconds until the client has to bring a new token; `None` if it need not.
    pub ttl_s: Option<u32>,
    /// From the backend.
    pub data: Option<&'a [u8]>,
    /// What the server subscribed the client to, by channel.
    pub subs: &'a [(&'a str, SubscribeResult<'a>)],
    /// Seconds between the pings of the server; 0 for none.
    pub ping_s: u32,
    /// Whether the client has to answer them.
    pub pong: bool,
    /// The secret of the connection, where commands come beside a stream.
    pub session: &'a str,
    /// The node that has it.
    pub node: &'a str,
    /// What time it is at the server, in milliseconds since 1970; 0 is not told.
    pub time_ms: u64,
}

/// The client has the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubscribeResult<'a> {
    /// Seconds until the client has to bring a new token; `None` if it need not.
    pub ttl_s: Option<u32>,
    /// The client may recover later.
    pub recoverable: bool,
    /// The epoch of the stream; `None` in a channel without one.
    pub epoch: Option<Epoch>,
    /// What was missed, from the oldest to the newest.
    pub publications: &'a [Publication<'a>],
    /// `publications` are all that was missed.
    pub recovered: bool,
    /// Where the stream stands; if `recovered`, where the client said that it stands.
    pub offset: Offset,
    /// The server watches the client's position.
    pub positioned: bool,
    /// From the backend.
    pub data: Option<&'a [u8]>,
    /// The client wanted to recover.
    pub was_recovering: bool,
    /// Publications come as deltas.
    pub delta: bool,
}

/// What a channel keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HistoryResult<'a> {
    /// In the order asked for.
    pub publications: &'a [Publication<'a>],
    /// The epoch of the stream.
    pub epoch: Option<Epoch>,
    /// Where the stream stands.
    pub offset: Offset,
}

/// Appends one reply: a JSON object without a line break, or a Protobuf message with its length before it.
pub fn push_reply(out: &mut Vec<u8>, format: Format, id: u32, reply: &Reply<'_>) {
    push_message(out, format, |fields| {
        fields.number("id", 1, id.into());
        reply.write(fields);
    });
}

/// Appends the server's ping, an empty reply.
pub fn push_ping(out: &mut Vec<u8>, format: Format) {
    push_message(out, format, |_| {});
}

impl Reply<'_> {
    /// An empty result stands there all the same: SDKs look into it.
    fn write(&self, fields: &mut MessageWriter<'_>) {
        match self {
            Self::Error { code, message, temporary } => fields.message("error", 2, |fields| {
                fields.keep_number("code", 1, (*code).into());
                fields.keep_text("message", 2, message);
                fields.flag("temporary", 3, *temporary);
            }),
            Self::Connect(result) => fields.message("connect", 5, |fields| result.write_reply(fields)),
            Self::Subscribe(result) => fields.message("subscribe", 6, |fields| result.write(fields)),
            Self::Unsubscribe => fields.message("unsubscribe", 7, |_| {}),
            Self::Publish => fields.message("publish", 8, |_| {}),
            Self::Presence(clients) => fields.message("presence", 9, |fields| {
                let by_client = clients.iter().map(|info| (info.client, info));
                fields.messages("presence", 1, by_client, ClientInfo::write);
            }),
            Self::PresenceStats { client_count, user_count } => fields.message("presence_stats", 10, |fields| {
                fields.keep_number("num_clients", 1, (*client_count).into());
                fields.keep_number("num_users", 2, (*user_count).into());
            }),
            Self::History(result) => fields.message("history", 11, |fields| result.write(fields)),
            Self::Rpc { data } => fields.message("rpc", 13, |fields| fields.payload("data", 1, *data)),
            Self::Refresh { ttl_s } => fields.message("refresh", 14, |fields| write_expiry(*ttl_s, 3, fields)),
            Self::SubRefresh { ttl_s } => fields.message("sub_refresh", 15, |fields| write_expiry(*ttl_s, 1, fields)),
        }
    }
}

impl ConnectResult<'_> {
    fn write_reply(&self, fields: &mut MessageWriter<'_>) {
        fields.text("client", 1, self.client);
        fields.text("version", 2, self.version);
        write_expiry(self.ttl_s, 3, fields);
        fields.payload("data", 5, self.data);
        self.write_subs(6, fields);
        self.write_liveness(fields);
    }

    /// The same with other numbers, as the schema has it.
    pub(super) fn write_push(&self, fields: &mut MessageWriter<'_>) {
        fields.text("client", 1, self.client);
        fields.text("version", 2, self.version);
        fields.payload("data", 3, self.data);
        self.write_subs(4, fields);
        write_expiry(self.ttl_s, 5, fields);
        self.write_liveness(fields);
    }

    fn write_subs(&self, number: u32, fields: &mut MessageWriter<'_>) {
        if !self.subs.is_empty() {
            let by_channel = self.subs.iter().map(|(channel, result)| (*channel, result));
            fields.messages("subs", number, by_channel, SubscribeResult::write);
        }
    }

    fn write_liveness(&self, fields: &mut MessageWriter<'_>) {
        fields.number("ping", 7, self.ping_s.into());
        fields.flag("pong", 8, self.pong);
        fields.text("session", 9, self.session);
        fields.text("node", 10, self.node);
        fields.number("time", 11, self.time_ms);
    }
}

impl SubscribeResult<'_> {
    fn write(&self, fields: &mut MessageWriter<'_>) {
        write_expiry(self.ttl_s, 1, fields);
        fields.flag("recoverable", 3, self.recoverable);
        fields.epoch("epoch", 6, self.epoch);
        if !self.publications.is_empty() {
            fields.keep_publications("publications", 7, self.publications);
        }
        fields.flag("recovered", 8, self.recovered);
        fields.number("offset", 9, self.offset.0);
        fields.flag("positioned", 10, self.positioned);
        fields.payload("data", 11, self.data);
        fields.flag("was_recovering", 12, self.was_recovering);
        fields.flag("delta", 13, self.delta);
    }
}

impl HistoryResult<'_> {
    fn write(&self, fields: &mut MessageWriter<'_>) {
        fields.keep_publications("publications", 1, self.publications);
        match self.epoch {
            Some(_) => fields.epoch("epoch", 2, self.epoch),
            None => fields.keep_text("epoch", 2, ""),
        }
        fields.keep_number("offset", 3, self.offset.0);
    }
}

/// `expires` in the field `number` and `ttl` in the next. SDKs take the second for granted where the first is set.
pub(super) fn write_expiry(ttl_s: Option<u32>, number: u32, fields: &mut MessageWriter<'_>) {
    if let Some(ttl_s) = ttl_s {
        fields.flag("expires", number, true);
        fields.keep_number("ttl", number + 1, ttl_s.into());
    }
}

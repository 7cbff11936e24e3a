//! Why a connection ended: one closed table.

use crate::protocol::centrifuge::DisconnectCode;

/// Why the hub ended a connection, or saw it end.
///
/// Codes below 3000 are those of RFC 6455 §7.4.1; 4000 to 4999 are ours (§7.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The client closed; its close frame was answered.
    ClientClosed,
    /// The socket ended without a close frame (EOF or reset).
    Gone,
    /// The server drains; clients should reconnect.
    ServerDraining,
    /// RFC 6455 was violated; the text names the rule.
    Protocol(&'static str),
    /// Text that is not UTF-8.
    InvalidUtf8,
    /// A compressed message that is not a whole DEFLATE stream.
    InvalidDeflate,
    /// A message over `limits.message`.
    MessageTooBig,
    /// A message of more frames than `limits.fragments`.
    TooManyFragments,
    /// More messages per second than `limits.message_rate`, with `limits.over_rate` at `close`.
    MessageRate,
    /// More bytes per second than `limits.byte_rate`, with `limits.over_rate` at `close`.
    ByteRate,
    /// More pings and pongs per second than `limits.control_rate`.
    ControlRate,
    /// A message that took longer than `limits.message_timeout`.
    MessageTimeout,
    /// No message from the client for `limits.idle_timeout`.
    IdleTimeout,
    /// The connection was open for `limits.connection_age`.
    ConnectionAge,
    /// The topic's rules do not let this client publish.
    PublishNotAllowed,
    /// The session's code panicked; only this connection is affected.
    InternalError,
    /// The worker of this connection panicked and started again; clients should reconnect.
    WorkerRestarted,
    /// The subscriber lagged over its topic's limit under the `disconnect` policy.
    SlowConsumer,
    /// A ping was not answered within `liveness.pong_timeout`.
    NoPong,
    /// A limit of the server keeps the client from what it asked for; it may try again later.
    Overloaded,
    /// The close handshake was not finished within its deadline.
    CloseTimeout,
    /// A client of the Centrifuge protocol, for a reason of that protocol.
    Client(DisconnectCode),
    /// The application wanted it so, with a code of its own.
    Ordered,
}

impl CloseReason {
    /// The close code sent to the client, or that stands for the end in logs when nothing could be sent.
    pub const fn code(self) -> u16 {
        match self {
            Self::ClientClosed => 1000,
            Self::Gone => 1006,
            Self::ServerDraining => 1001,
            Self::Protocol(_) => 1002,
            Self::InvalidUtf8 => 1007,
            // Data that is not what its message says it is (RFC 6455 §7.4.1); RFC 7692 names no code.
            Self::InvalidDeflate => 1007,
            Self::MessageTooBig => 1009,
            Self::TooManyFragments => 1008,
            Self::MessageRate => 1008,
            Self::ByteRate => 1008,
            Self::ControlRate => 1008,
            // Not 1008, after which well-behaved clients do not come back: a network that stalled is not their fault.
            Self::MessageTimeout => 4012,
            Self::IdleTimeout => 4010,
            Self::ConnectionAge => 4011,
            Self::PublishNotAllowed => 1008,
            Self::InternalError => 1011,
            // "Service restart" of the IANA registry of close codes.
            Self::WorkerRestarted => 1012,
            Self::SlowConsumer => 4008,
            Self::NoPong => 4009,
            Self::Overloaded => 1013,
            Self::CloseTimeout => 1006,
            Self::Client(code) => code.code(),
            // Its own code is sent; this one stands for it in the log.
            Self::Ordered => 3503,
        }
    }

    /// The reason text of the close frame, at most 123 bytes.
    pub const fn text(self) -> &'static str {
        match self {
            Self::ClientClosed => "",
            Self::Gone => "connection lost",
            Self::ServerDraining => "server is restarting, please reconnect",
            Self::Protocol(rule) => rule,
            Self::InvalidUtf8 => "text is not valid UTF-8",
            Self::InvalidDeflate => "compressed data is not valid DEFLATE",
            Self::MessageTooBig => "message is over the size limit",
            Self::TooManyFragments => "message has too many fragments",
            Self::MessageRate => "message rate is over the limit",
            Self::ByteRate => "byte rate is over the limit",
            Self::ControlRate => "ping and pong rate is over the limit",
            Self::MessageTimeout => "message was not finished in time",
            Self::IdleTimeout => "no message for too long",
            Self::ConnectionAge => "connection is old: please reconnect",
            Self::PublishNotAllowed => "publish-not-allowed",
            Self::InternalError => "internal error",
            Self::WorkerRestarted => "a part of the server has restarted, please reconnect",
            Self::SlowConsumer => "slow consumer: reconnect and resume",
            Self::NoPong => "no pong",
            Self::Overloaded => "server is at a limit, try again later",
            Self::CloseTimeout => "close handshake timed out",
            Self::Client(code) => code.reason(),
            Self::Ordered => "force disconnect",
        }
    }

    /// The value of the metric label `reason`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ClientClosed => "client_closed",
            Self::Gone => "gone",
            Self::ServerDraining => "draining",
            Self::Protocol(_) => "protocol_error",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidDeflate => "invalid_deflate",
            Self::MessageTooBig => "message_too_big",
            Self::TooManyFragments => "too_many_fragments",
            Self::MessageRate => "message_rate",
            Self::ByteRate => "byte_rate",
            Self::ControlRate => "control_rate",
            Self::MessageTimeout => "message_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::ConnectionAge => "connection_age",
            Self::PublishNotAllowed => "publish_not_allowed",
            Self::InternalError => "internal_error",
            Self::WorkerRestarted => "worker_restarted",
            Self::SlowConsumer => "slow_consumer",
            Self::NoPong => "no_pong",
            Self::Overloaded => "overloaded",
            Self::CloseTimeout => "close_timeout",
            Self::Client(code) => client_label(code),
            Self::Ordered => "ordered",
        }
    }

    /// One of every reason, in the order of [`CloseReason::index`].
    pub const ALL: [Self; 22 + DisconnectCode::ALL.len()] = [
        Self::ClientClosed,
        Self::Gone,
        Self::ServerDraining,
        Self::Protocol(""),
        Self::InvalidUtf8,
        Self::MessageTooBig,
        Self::PublishNotAllowed,
        Self::InternalError,
        Self::SlowConsumer,
        Self::NoPong,
        Self::CloseTimeout,
        Self::Overloaded,
        Self::InvalidDeflate,
        Self::TooManyFragments,
        Self::MessageRate,
        Self::ByteRate,
        Self::ControlRate,
        Self::MessageTimeout,
        Self::IdleTimeout,
        Self::ConnectionAge,
        Self::WorkerRestarted,
        Self::Ordered,
        Self::Client(DisconnectCode::Shutdown),
        Self::Client(DisconnectCode::Internal),
        Self::Client(DisconnectCode::ConnectionExpired),
        Self::Client(DisconnectCode::SubscriptionExpired),
        Self::Client(DisconnectCode::Slow),
        Self::Client(DisconnectCode::WriteError),
        Self::Client(DisconnectCode::InsufficientState),
        Self::Client(DisconnectCode::ForceReconnect),
        Self::Client(DisconnectCode::NoPong),
        Self::Client(DisconnectCode::TooManyRequests),
        Self::Client(DisconnectCode::StateInvalidated),
        Self::Client(DisconnectCode::InvalidToken),
        Self::Client(DisconnectCode::BadRequest),
        Self::Client(DisconnectCode::Stale),
        Self::Client(DisconnectCode::ForceDisconnect),
        Self::Client(DisconnectCode::ConnectionLimit),
        Self::Client(DisconnectCode::ChannelLimit),
        Self::Client(DisconnectCode::InappropriateProtocol),
        Self::Client(DisconnectCode::PermissionDenied),
        Self::Client(DisconnectCode::NotAvailable),
        Self::Client(DisconnectCode::TooManyErrors),
    ];

    /// What a client of the Centrifuge protocol is told instead, where that has a code of its own for it.
    pub const fn for_client(self) -> Option<DisconnectCode> {
        match self {
            Self::ServerDraining => Some(DisconnectCode::Shutdown),
            Self::MessageRate | Self::ByteRate | Self::ControlRate | Self::Overloaded => {
                Some(DisconnectCode::TooManyRequests)
            }
            Self::MessageTimeout | Self::IdleTimeout | Self::ConnectionAge => Some(DisconnectCode::ForceReconnect),
            Self::InternalError | Self::WorkerRestarted => Some(DisconnectCode::Internal),
            Self::SlowConsumer => Some(DisconnectCode::Slow),
            Self::NoPong => Some(DisconnectCode::NoPong),
            Self::PublishNotAllowed => Some(DisconnectCode::PermissionDenied),
            Self::Client(code) => Some(code),
            Self::Ordered => Some(DisconnectCode::ForceDisconnect),
            // What is wrong with the WebSocket itself is said in its own words.
            Self::ClientClosed
            | Self::Gone
            | Self::Protocol(_)
            | Self::InvalidUtf8
            | Self::InvalidDeflate
            | Self::MessageTooBig
            | Self::TooManyFragments
            | Self::CloseTimeout => None,
        }
    }

    /// The place of this reason in [`CloseReason::ALL`], for counters.
    pub const fn index(self) -> usize {
        match self {
            Self::ClientClosed => 0,
            Self::Gone => 1,
            Self::ServerDraining => 2,
            Self::Protocol(_) => 3,
            Self::InvalidUtf8 => 4,
            Self::MessageTooBig => 5,
            Self::PublishNotAllowed => 6,
            Self::InternalError => 7,
            Self::SlowConsumer => 8,
            Self::NoPong => 9,
            Self::CloseTimeout => 10,
            Self::Overloaded => 11,
            Self::InvalidDeflate => 12,
            Self::TooManyFragments => 13,
            Self::MessageRate => 14,
            Self::ByteRate => 15,
            Self::ControlRate => 16,
            Self::MessageTimeout => 17,
            Self::IdleTimeout => 18,
            Self::ConnectionAge => 19,
            Self::WorkerRestarted => 20,
            Self::Ordered => 21,
            Self::Client(code) => 22 + code as usize,
        }
    }
}

/// The value of the metric label `reason` for a code of the Centrifuge protocol.
const fn client_label(code: DisconnectCode) -> &'static str {
    match code {
        DisconnectCode::Shutdown => "client_shutdown",
        DisconnectCode::Internal => "client_internal",
        DisconnectCode::ConnectionExpired => "client_connection_expired",
        DisconnectCode::SubscriptionExpired => "client_subscription_expired",
        DisconnectCode::Slow => "client_slow",
        DisconnectCode::WriteError => "client_write_error",
        DisconnectCode::InsufficientState => "client_insufficient_state",
        DisconnectCode::ForceReconnect => "client_force_reconnect",
        DisconnectCode::NoPong => "client_no_pong",
        DisconnectCode::TooManyRequests => "client_too_many_requests",
        DisconnectCode::StateInvalidated => "client_state_invalidated",
        DisconnectCode::InvalidToken => "client_invalid_token",
        DisconnectCode::BadRequest => "client_bad_request",
        DisconnectCode::Stale => "client_stale",
        DisconnectCode::ForceDisconnect => "client_force_disconnect",
        DisconnectCode::ConnectionLimit => "client_connection_limit",
        DisconnectCode::ChannelLimit => "client_channel_limit",
        DisconnectCode::InappropriateProtocol => "client_inappropriate_protocol",
        DisconnectCode::PermissionDenied => "client_permission_denied",
        DisconnectCode::NotAvailable => "client_not_available",
        DisconnectCode::TooManyErrors => "client_too_many_errors",
    }
}

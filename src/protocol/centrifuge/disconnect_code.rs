//! Why the server ended a connection: the closed table of the protocol.

use super::push::Push;

/// Why the server ended a connection. The code of the WebSocket's close frame, or of the last push where there is none.
///
/// SDKs connect again unless [`DisconnectCode::is_terminal`]. Backends have 4000 to 4499 for reasons to connect again, and
/// 4500 to 4999 for reasons not to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DisconnectCode {
    /// The server stops.
    Shutdown,
    /// The server failed.
    Internal,
    /// The token of the connection was not renewed in time.
    ConnectionExpired,
    /// The token of a subscription that the server made was not renewed in time.
    SubscriptionExpired,
    /// The client does not read as fast as it is written to.
    Slow,
    /// A write failed or took too long.
    WriteError,
    /// The client missed something in a channel that the server subscribed it to.
    InsufficientState,
    /// The operator wants the client to connect again.
    ForceReconnect,
    /// The client did not answer a ping.
    NoPong,
    /// The client asks too often.
    TooManyRequests,
    /// What the client knows is void: it forgets its token and its positions.
    StateInvalidated,
    /// The token is not one, or for somebody else.
    InvalidToken,
    /// The client violated the protocol.
    BadRequest,
    /// The client did not ask to be let in in time.
    Stale,
    /// The operator wants the client gone.
    ForceDisconnect,
    /// The user has too many connections.
    ConnectionLimit,
    /// The connection has too many channels.
    ChannelLimit,
    /// What is published cannot be told in the client's format.
    InappropriateProtocol,
    /// The client may not do that.
    PermissionDenied,
    /// The server does not do that.
    NotAvailable,
    /// The client got too many errors.
    TooManyErrors,
}

impl DisconnectCode {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::Shutdown,
        Self::Internal,
        Self::ConnectionExpired,
        Self::SubscriptionExpired,
        Self::Slow,
        Self::WriteError,
        Self::InsufficientState,
        Self::ForceReconnect,
        Self::NoPong,
        Self::TooManyRequests,
        Self::StateInvalidated,
        Self::InvalidToken,
        Self::BadRequest,
        Self::Stale,
        Self::ForceDisconnect,
        Self::ConnectionLimit,
        Self::ChannelLimit,
        Self::InappropriateProtocol,
        Self::PermissionDenied,
        Self::NotAvailable,
        Self::TooManyErrors,
    ];

    /// Its number.
    pub const fn code(self) -> u16 {
        match self {
            Self::Shutdown => 3001,
            Self::Internal => 3004,
            Self::ConnectionExpired => 3005,
            Self::SubscriptionExpired => 3006,
            Self::Slow => 3008,
            Self::WriteError => 3009,
            Self::InsufficientState => 3010,
            Self::ForceReconnect => 3011,
            Self::NoPong => 3012,
            Self::TooManyRequests => 3013,
            Self::StateInvalidated => 3014,
            Self::InvalidToken => 3500,
            Self::BadRequest => 3501,
            Self::Stale => 3502,
            Self::ForceDisconnect => 3503,
            Self::ConnectionLimit => 3504,
            Self::ChannelLimit => 3505,
            Self::InappropriateProtocol => 3506,
            Self::PermissionDenied => 3507,
            Self::NotAvailable => 3508,
            Self::TooManyErrors => 3509,
        }
    }

    /// What the close frame, or the push, says.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Internal => "internal server error",
            Self::ConnectionExpired => "connection expired",
            Self::SubscriptionExpired => "subscription expired",
            Self::Slow => "slow",
            Self::WriteError => "write error",
            Self::InsufficientState => "insufficient state",
            Self::ForceReconnect => "force reconnect",
            Self::NoPong => "no pong",
            Self::TooManyRequests => "too many requests",
            Self::StateInvalidated => "state invalidated",
            Self::InvalidToken => "invalid token",
            Self::BadRequest => "bad request",
            Self::Stale => "stale",
            Self::ForceDisconnect => "force disconnect",
            Self::ConnectionLimit => "connection limit",
            Self::ChannelLimit => "channel limit",
            Self::InappropriateProtocol => "inappropriate protocol",
            Self::PermissionDenied => "permission denied",
            Self::NotAvailable => "not available",
            Self::TooManyErrors => "too many errors",
        }
    }

    /// Whether SDKs leave it at that; else they connect again.
    pub const fn is_terminal(self) -> bool {
        matches!(self.code(), 3500..=3999 | 4500..=4999)
    }
}

impl From<DisconnectCode> for Push<'_> {
    fn from(disconnect: DisconnectCode) -> Self {
        Self::Disconnect { code: disconnect.code().into(), reason: disconnect.reason() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::close::REASON_LIMIT_BYTES;

    #[test]
    fn codes_rise_and_reasons_fit_a_close_frame() {
        assert!(DisconnectCode::ALL.is_sorted_by_key(|reason| reason.code()));
        assert!(DisconnectCode::ALL.iter().all(|reason| reason.reason().len() <= REASON_LIMIT_BYTES));
    }

    #[test]
    fn sdks_come_back_after_what_was_not_their_fault() {
        let terminal = DisconnectCode::ALL.into_iter().filter(|reason| reason.is_terminal()).count();
        assert_eq!(terminal, 10);
        assert!(!DisconnectCode::Shutdown.is_terminal());
        assert!(DisconnectCode::BadRequest.is_terminal());
    }
}

//! Why a command was not done: the closed table of the protocol.

use super::reply::Reply;

/// Why a command was not done. Applications have the codes from 400 to 1999 for their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// The server failed; the SDK tries again.
    Internal,
    /// The client is not who it would have to be.
    Unauthorized,
    /// The channel belongs to no namespace.
    UnknownChannel,
    /// The client may not do that.
    PermissionDenied,
    /// The backend knows no such procedure.
    MethodNotFound,
    /// The client has the channel already.
    AlreadySubscribed,
    /// A limit of the server.
    LimitExceeded,
    /// The command makes no sense.
    BadRequest,
    /// The server, or the channel, does not do that.
    NotAvailable,
    /// The token is too old; the SDK gets a new one and tries again.
    TokenExpired,
    /// The connection or subscription is too old.
    Expired,
    /// The client asks too often; the SDK tries again.
    TooManyRequests,
    /// The position is of another epoch, or too old.
    UnrecoverablePosition,
    /// Two paginations of a map at once; the SDK tries again.
    ConcurrentPagination,
}

impl ErrorCode {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Internal,
        Self::Unauthorized,
        Self::UnknownChannel,
        Self::PermissionDenied,
        Self::MethodNotFound,
        Self::AlreadySubscribed,
        Self::LimitExceeded,
        Self::BadRequest,
        Self::NotAvailable,
        Self::TokenExpired,
        Self::Expired,
        Self::TooManyRequests,
        Self::UnrecoverablePosition,
        Self::ConcurrentPagination,
    ];

    /// Its number.
    pub const fn code(self) -> u32 {
        match self {
            Self::Internal => 100,
            Self::Unauthorized => 101,
            Self::UnknownChannel => 102,
            Self::PermissionDenied => 103,
            Self::MethodNotFound => 104,
            Self::AlreadySubscribed => 105,
            Self::LimitExceeded => 106,
            Self::BadRequest => 107,
            Self::NotAvailable => 108,
            Self::TokenExpired => 109,
            Self::Expired => 110,
            Self::TooManyRequests => 111,
            Self::UnrecoverablePosition => 112,
            Self::ConcurrentPagination => 113,
        }
    }

    /// What the reply says.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Internal => "internal server error",
            Self::Unauthorized => "unauthorized",
            Self::UnknownChannel => "unknown channel",
            Self::PermissionDenied => "permission denied",
            Self::MethodNotFound => "method not found",
            Self::AlreadySubscribed => "already subscribed",
            Self::LimitExceeded => "limit exceeded",
            Self::BadRequest => "bad request",
            Self::NotAvailable => "not available",
            Self::TokenExpired => "token expired",
            Self::Expired => "expired",
            Self::TooManyRequests => "too many requests",
            Self::UnrecoverablePosition => "unrecoverable position",
            Self::ConcurrentPagination => "concurrent pagination",
        }
    }

    /// Whether SDKs try again by themselves.
    pub const fn temporary(self) -> bool {
        match self {
            Self::Internal | Self::TooManyRequests | Self::ConcurrentPagination => true,
            Self::Unauthorized
            | Self::UnknownChannel
            | Self::PermissionDenied
            | Self::MethodNotFound
            | Self::AlreadySubscribed
            | Self::LimitExceeded
            | Self::BadRequest
            | Self::NotAvailable
            | Self::TokenExpired
            | Self::Expired
            | Self::UnrecoverablePosition => false,
        }
    }
}

impl From<ErrorCode> for Reply<'_> {
    fn from(error: ErrorCode) -> Self {
        Self::Error { code: error.code(), message: error.text(), temporary: error.temporary() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_follow_one_another() {
        assert!(ErrorCode::ALL.iter().map(|error| error.code()).eq(100..114));
    }
}

//! Why something was not done: one catalogue, the same in logs, metrics, answers and `fanfare explain`.

use hyper::StatusCode;

/// A stable code for something that was refused. Never renamed once released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The `Origin` header is not allowed here (403).
    OriginRefused,
    /// A WebSocket handshake header is missing or wrong (400).
    BadHandshake,
    /// `Sec-WebSocket-Version` is not 13 (426).
    BadWebSocketVersion,
    /// Nothing is served at this path (404).
    UnknownPath,
    /// The path exists, the method is not served there (405).
    MethodNotAllowed,
    /// The topic name is empty, too long, not UTF-8, or has control characters (400).
    BadTopicName,
    /// A query parameter or header value cannot be understood (400).
    BadParameter,
    /// The body cannot be understood (400).
    BadBody,
    /// The body is over `limits.message` (413).
    BodyTooLarge,
    /// The API key is missing or unknown (401).
    UnknownKey,
    /// The topic's rules do not let this publisher publish (403).
    PublishNotAllowed,
    /// A worker's mailbox stayed full for `limits.publish_wait` (503, Retry-After).
    Overloaded,
    /// The server is draining (503).
    Draining,
    /// `limits.connections` is reached (503).
    TooManyConnections,
    /// `limits.topics` is reached (503).
    TooManyTopics,
    /// A JSON message of an endpoint with a template is not what it asks for.
    BadMessage,
    /// The path is a WebSocket endpoint and the request is plain HTTP (426).
    UpgradeRequired,
    /// The request's body did not arrive in time (408).
    BodyTimeout,
    /// Something failed on the server's side; the log says what (500).
    InternalError,
}

impl Refusal {
    /// Every refusal there is, in the order of the documentation.
    pub const ALL: &'static [Self] = &[
        Self::OriginRefused,
        Self::BadHandshake,
        Self::BadWebSocketVersion,
        Self::UnknownPath,
        Self::MethodNotAllowed,
        Self::BadTopicName,
        Self::BadParameter,
        Self::BadBody,
        Self::BodyTooLarge,
        Self::UnknownKey,
        Self::PublishNotAllowed,
        Self::Overloaded,
        Self::Draining,
        Self::TooManyConnections,
        Self::TooManyTopics,
        Self::BadMessage,
        Self::UpgradeRequired,
        Self::BodyTimeout,
        Self::InternalError,
    ];

    /// The stable code: kebab case, as in `fanfare explain CODE` and the metric label.
    pub const fn code(self) -> &'static str {
        match self {
            Self::OriginRefused => "origin-refused",
            Self::BadHandshake => "bad-handshake",
            Self::BadWebSocketVersion => "bad-websocket-version",
            Self::UnknownPath => "unknown-path",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::BadTopicName => "bad-topic-name",
            Self::BadParameter => "bad-parameter",
            Self::BadBody => "bad-body",
            Self::BodyTooLarge => "body-too-large",
            Self::UnknownKey => "unknown-key",
            Self::PublishNotAllowed => "publish-not-allowed",
            Self::Overloaded => "overloaded",
            Self::Draining => "draining",
            Self::TooManyConnections => "too-many-connections",
            Self::TooManyTopics => "too-many-topics",
            Self::BadMessage => "bad-message",
            Self::UpgradeRequired => "upgrade-required",
            Self::BodyTimeout => "body-timeout",
            Self::InternalError => "internal-error",
        }
    }

    /// The HTTP status that carries it.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::OriginRefused | Self::PublishNotAllowed => StatusCode::FORBIDDEN,
            Self::BadHandshake | Self::BadTopicName | Self::BadParameter | Self::BadBody | Self::BadMessage => {
                StatusCode::BAD_REQUEST
            }
            Self::BadWebSocketVersion | Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnknownKey => StatusCode::UNAUTHORIZED,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Overloaded | Self::Draining | Self::TooManyConnections | Self::TooManyTopics => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    /// The place of this refusal in [`Refusal::ALL`], for counters.
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|&one| one == self).expect("invariant: ALL lists every refusal")
    }
}

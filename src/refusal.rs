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
    /// Commands are for a connection of another node (404).
    UnknownNode,
    /// A client without a WebSocket has as many commands waiting as it may (429, Retry-After).
    TooManyCommands,
    /// The topic's rules do not let this publisher publish (403).
    PublishNotAllowed,
    /// The topic's rules want to know who subscribes, and `/topics` does not ask (403).
    SubscribeNotAllowed,
    /// The topic is a wildcard: nothing is published on it, and it is subscribed to alone (400).
    Wildcard,
    /// A worker's mailbox stayed full for `limits.publish_wait` (503, Retry-After).
    Overloaded,
    /// The server is draining (503).
    Draining,
    /// `limits.connections` is reached (503).
    TooManyConnections,
    /// `limits.connections_per_address` is reached (429).
    TooManyFromAddress,
    /// `limits.handshakes_per_address` is used up (429).
    TooManyHandshakes,
    /// A TLS handshake that failed. Its client is told by an alert.
    TlsFailed,
    /// A connection that does not begin with the PROXY header its listener wants. It is closed.
    BadProxyHeader,
    /// The topic is kept on disk, and the disk does not take anything (503).
    HistoryUnavailable,
    /// `limits.topics` is reached (503).
    TooManyTopics,
    /// A JSON message of an endpoint with a template is not what it asks for.
    BadMessage,
    /// The path is a WebSocket endpoint and the request is plain HTTP (426).
    UpgradeRequired,
    /// The request's body did not arrive in time (408).
    BodyTimeout,
    /// A token that is over (401).
    TokenExpired,
    /// A token that cannot be read (401).
    TokenMalformed,
    /// A token whose key or algorithm is not one of ours (401).
    TokenKeyUnknown,
    /// A token that its key did not sign (401).
    TokenSignature,
    /// A token for another audience, user, topic or connection (401).
    TokenNotForThis,
    /// A token that is not valid yet (401).
    TokenNotYet,
    /// A token whose key could not be fetched (503).
    TokenKeysUnreachable,
    /// A token that was revoked (401).
    TokenRevoked,
    /// A user who is blocked (403).
    UserBlocked,
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
        Self::UnknownNode,
        Self::TooManyCommands,
        Self::PublishNotAllowed,
        Self::SubscribeNotAllowed,
        Self::Wildcard,
        Self::Overloaded,
        Self::Draining,
        Self::TooManyConnections,
        Self::TooManyFromAddress,
        Self::TooManyHandshakes,
        Self::TlsFailed,
        Self::BadProxyHeader,
        Self::HistoryUnavailable,
        Self::TooManyTopics,
        Self::BadMessage,
        Self::UpgradeRequired,
        Self::BodyTimeout,
        Self::TokenExpired,
        Self::TokenMalformed,
        Self::TokenKeyUnknown,
        Self::TokenSignature,
        Self::TokenNotForThis,
        Self::TokenNotYet,
        Self::TokenKeysUnreachable,
        Self::TokenRevoked,
        Self::UserBlocked,
        Self::InternalError,
    ];

    /// Those that are about who a client is, which `fanfare_auth_failures_total` counts.
    pub const OF_IDENTITY: &'static [Self] = &[
        Self::TokenExpired,
        Self::TokenMalformed,
        Self::TokenKeyUnknown,
        Self::TokenSignature,
        Self::TokenNotForThis,
        Self::TokenNotYet,
        Self::TokenKeysUnreachable,
        Self::TokenRevoked,
        Self::UserBlocked,
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
            Self::UnknownNode => "unknown-node",
            Self::TooManyCommands => "too-many-commands",
            Self::PublishNotAllowed => "publish-not-allowed",
            Self::SubscribeNotAllowed => "subscribe-not-allowed",
            Self::Wildcard => "wildcard",
            Self::Overloaded => "overloaded",
            Self::Draining => "draining",
            Self::TooManyConnections => "too-many-connections",
            Self::TooManyFromAddress => "too-many-from-address",
            Self::TooManyHandshakes => "too-many-handshakes",
            Self::TlsFailed => "tls-failed",
            Self::BadProxyHeader => "bad-proxy-header",
            Self::HistoryUnavailable => "history-unavailable",
            Self::TooManyTopics => "too-many-topics",
            Self::BadMessage => "bad-message",
            Self::UpgradeRequired => "upgrade-required",
            Self::BodyTimeout => "body-timeout",
            Self::TokenExpired => "token-expired",
            Self::TokenMalformed => "token-malformed",
            Self::TokenKeyUnknown => "token-key-unknown",
            Self::TokenSignature => "token-signature",
            Self::TokenNotForThis => "token-not-for-this",
            Self::TokenNotYet => "token-not-yet",
            Self::TokenKeysUnreachable => "token-keys-unreachable",
            Self::TokenRevoked => "token-revoked",
            Self::UserBlocked => "user-blocked",
            Self::InternalError => "internal-error",
        }
    }

    /// The HTTP status that carries it.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::OriginRefused | Self::PublishNotAllowed | Self::SubscribeNotAllowed | Self::UserBlocked => {
                StatusCode::FORBIDDEN
            }
            Self::BadHandshake
            | Self::BadTopicName
            | Self::Wildcard
            | Self::BadParameter
            | Self::BadBody
            | Self::BadMessage
            | Self::TlsFailed
            | Self::BadProxyHeader => StatusCode::BAD_REQUEST,
            Self::TooManyFromAddress | Self::TooManyHandshakes | Self::TooManyCommands => StatusCode::TOO_MANY_REQUESTS,
            Self::BadWebSocketVersion | Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::UnknownPath | Self::UnknownNode => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnknownKey
            | Self::TokenExpired
            | Self::TokenMalformed
            | Self::TokenKeyUnknown
            | Self::TokenSignature
            | Self::TokenNotForThis
            | Self::TokenNotYet
            | Self::TokenRevoked => StatusCode::UNAUTHORIZED,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::InternalError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Overloaded
            | Self::Draining
            | Self::TooManyConnections
            | Self::HistoryUnavailable
            | Self::TooManyTopics
            | Self::TokenKeysUnreachable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// For how long its client should wait before it tries again, in seconds: the `Retry-After` header of 429 and 503.
    pub const fn retry_after_seconds(self) -> Option<u64> {
        match self {
            Self::Overloaded | Self::TooManyCommands => Some(1),
            Self::HistoryUnavailable => Some(2),
            Self::Draining | Self::TooManyConnections | Self::TooManyHandshakes | Self::TokenKeysUnreachable => Some(5),
            Self::TooManyFromAddress => Some(10),
            // Topics are freed when their history has expired: nothing that a quick retry could see.
            Self::TooManyTopics => Some(30),
            Self::OriginRefused
            | Self::BadHandshake
            | Self::BadWebSocketVersion
            | Self::UnknownPath
            | Self::MethodNotAllowed
            | Self::BadTopicName
            | Self::BadParameter
            | Self::BadBody
            | Self::BodyTooLarge
            | Self::UnknownKey
            | Self::UnknownNode
            | Self::PublishNotAllowed
            | Self::SubscribeNotAllowed
            | Self::Wildcard
            | Self::TlsFailed
            | Self::BadProxyHeader
            | Self::BadMessage
            | Self::UpgradeRequired
            | Self::BodyTimeout
            | Self::TokenExpired
            | Self::TokenMalformed
            | Self::TokenKeyUnknown
            | Self::TokenSignature
            | Self::TokenNotForThis
            | Self::TokenNotYet
            | Self::TokenRevoked
            | Self::UserBlocked
            | Self::InternalError => None,
        }
    }

    /// What happened, for clients: short, and nothing that helps an attacker.
    pub const fn summary(self) -> &'static str {
        match self {
            Self::OriginRefused => "this origin may not connect here",
            Self::BadHandshake => "not a WebSocket handshake",
            Self::BadWebSocketVersion => "only WebSocket version 13 is served",
            Self::UnknownPath => "nothing is served at this path",
            Self::MethodNotAllowed => "this method is not served at this path",
            Self::BadTopicName => "not a topic name",
            Self::BadParameter => "a parameter cannot be understood",
            Self::BadBody => "the body cannot be understood",
            Self::BodyTooLarge => "the body is over the size limit",
            Self::UnknownKey => "the API key is missing or unknown",
            Self::UnknownNode => "the stream is on another node",
            Self::TooManyCommands => "too many commands of this session wait",
            Self::PublishNotAllowed => "publishing to this topic is not allowed",
            Self::SubscribeNotAllowed => "subscribing to this topic is not allowed here",
            Self::Wildcard => "a wildcard stands for many topics",
            Self::Overloaded => "the hub is overloaded, try again later",
            Self::Draining => "the hub is stopping",
            Self::TooManyConnections => "the hub has too many connections",
            Self::TooManyFromAddress => "too many connections from this address",
            Self::TooManyHandshakes => "this address connects too often",
            Self::TlsFailed => "the TLS handshake failed",
            Self::BadProxyHeader => "no PROXY header of a trusted proxy",
            Self::HistoryUnavailable => "this topic cannot be written to disk now, try again later",
            Self::TooManyTopics => "the hub has too many topics",
            Self::BadMessage => "not a message that this endpoint takes",
            Self::UpgradeRequired => "this path is for WebSocket clients",
            Self::BodyTimeout => "the body did not arrive in time",
            Self::TokenExpired => "the token is expired",
            Self::TokenMalformed => "the token is not valid",
            Self::TokenKeyUnknown => "the token is not valid",
            Self::TokenSignature => "the token is not valid",
            Self::TokenNotForThis => "the token is not for this",
            Self::TokenNotYet => "the token is not valid yet",
            Self::TokenKeysUnreachable => "the token cannot be checked now, try again later",
            Self::TokenRevoked => "the token is revoked",
            Self::UserBlocked => "this user is blocked",
            Self::InternalError => "something failed in the hub",
        }
    }

    /// Why it happens, in a sentence, for the operator.
    pub const fn cause(self) -> &'static str {
        match self {
            Self::OriginRefused => {
                "A web page tried to connect whose origin, which the log has, is neither the hub's own host nor in \
                 `server.origins` (or the endpoint's `origins`)."
            }
            Self::BadHandshake => {
                "A header that a WebSocket handshake needs (`Upgrade`, `Connection`, `Sec-WebSocket-Key`) is \
                 missing or wrong; `detail` names it."
            }
            Self::BadWebSocketVersion => {
                "`Sec-WebSocket-Version` is not 13, the only version that became a standard (RFC 6455)."
            }
            Self::UnknownPath => "Neither the hub itself nor an entry of `[[endpoints]]` or `[[pages]]` has this path.",
            Self::MethodNotAllowed => {
                "The path exists, but not for this method; the `Allow` header of the answer lists those that it \
                 has."
            }
            Self::BadTopicName => {
                "A topic name has 1 to 255 bytes of UTF-8 without control characters, or fewer if `limits.topic_name` \
                 says so, and is one that `name_regex` of its `[[topics]]` entry allows; `detail` says what is wrong \
                 with this one."
            }
            Self::BadParameter => "A query parameter or a header has a value that it cannot have; `detail` names it.",
            Self::BadBody => {
                "The body is not what this method takes, such as JSON with the fields of the API; `detail` says \
                 where it went wrong."
            }
            Self::BodyTooLarge => "The body has more bytes than `limits.message` allows.",
            Self::UnknownKey => {
                "The request has no `X-API-Key` header, or a key that is neither in `api.keys` nor in \
                 `api.keys_file`."
            }
            Self::UnknownNode => {
                "A client without a WebSocket sent commands to `/emulation` whose stream is on another node, or on this one \
                 before it was started anew."
            }
            Self::TooManyCommands => {
                "A client without a WebSocket sends commands to `/emulation` faster than `limits.message_rate` or \
                 `limits.byte_rate` lets them through, or than there is room for what it publishes."
            }
            Self::PublishNotAllowed => {
                "The rules of the topic (`publish` of the first `[[topics]]` entry whose pattern matches) do not \
                 let this publisher publish; without an entry only the API may."
            }
            Self::SubscribeNotAllowed => {
                "The topic is not for everyone: its rules (`subscribe`, `read_history`, `user_limited`, or the hook \
                 `subscribe`) or a `$` before its name ask who the client is, and `/topics` does not."
            }
            Self::Wildcard => {
                "The topic's rules have `wildcards`, and its name ends with `.*`, `:*` or `/*`: it stands for all topics of \
                 that prefix, so nothing is published on it, and it does not go with other topics on one `/topics` connection."
            }
            Self::Overloaded => {
                "A worker's mailbox (`limits.mailbox`) stayed full for `limits.publish_wait`: more is published \
                 than is delivered."
            }
            Self::Draining => "The hub got SIGTERM or SIGINT, and takes nothing new while it delivers what it has.",
            Self::TooManyConnections => "`limits.connections` are open.",
            Self::TooManyFromAddress => {
                "One client address (an IPv4 address, or the first 64 bits of one of IPv6) has \
                 `limits.connections_per_address` open."
            }
            Self::TooManyHandshakes => {
                "One client address began more connections than `limits.handshakes_per_address` a second, after a burst \
                 of five seconds' worth."
            }
            Self::TlsFailed => {
                "A TLS handshake ended without a connection: no version, cipher or protocol in common, a certificate that \
                 one side does not take, plain HTTP on a TLS port, or a client that went away."
            }
            Self::BadProxyHeader => {
                "The listener has `proxy_protocol`, and a connection came from an address that is not in its \
                 `trusted_proxies`, or did not begin with a PROXY header."
            }
            Self::HistoryUnavailable => {
                "The topic has `history = { store = \"disk\" }`, and the file of `history.path` cannot be written, because the \
                 disk is full or fails; the log says what it said, and topics in memory go on."
            }
            Self::TooManyTopics => "`limits.topics` are in memory; a topic stays while it has subscribers or history.",
            Self::BadMessage => {
                "The endpoint takes JSON objects whose `fields` are texts, and this message is none; the answer \
                 says what is missing, and only its sender gets it."
            }
            Self::UpgradeRequired => "The path is a WebSocket endpoint, and the request is plain HTTP.",
            Self::BodyTimeout => "The request announced a body that did not arrive within its deadline.",
            Self::TokenExpired => "The token's `exp` is over.",
            Self::TokenMalformed => {
                "The token is not three parts of base64url with JSON in them, or a claim in it is of the wrong kind; the log says which."
            }
            Self::TokenKeyUnknown => {
                "No key of `tokens.keys` or `tokens.jwks_url` has the id (`kid`) and the algorithm (`alg`) that the token names, or there is no key at all; `none` is never an algorithm."
            }
            Self::TokenSignature => {
                "The key that the token names did not make its signature, because it was signed with another secret or key, or changed on its way."
            }
            Self::TokenNotForThis => {
                "The token's `aud` or `iss` is not `tokens.audience` or `tokens.issuer`, or a subscription token is for another user, topic or connection; the log says which."
            }
            Self::TokenNotYet => "The token's `nbf` is in the future.",
            Self::TokenKeysUnreachable => {
                "The token names a key that is not known yet, and `tokens.jwks_url` could not be fetched."
            }
            Self::TokenRevoked => {
                "The token holds, but it was revoked, or all tokens that its user was given before a time."
            }
            Self::UserBlocked => "The token holds, but its user was blocked.",
            Self::InternalError => {
                "Something failed that is not the client's fault, such as a file that could not be read; the log \
                 has it at `error`."
            }
        }
    }

    /// What to do about it, for the operator.
    pub const fn fix(self) -> &'static str {
        match self {
            Self::OriginRefused => {
                "Add the origin to `server.origins` exactly as the log shows it, without a path. Behind a proxy, \
                 pass the `Host` header on, so that the hub's own pages are known as such."
            }
            Self::BadHandshake => {
                "Usually a proxy in between drops it: in nginx, set `proxy_http_version 1.1` and pass `Upgrade` \
                 and `Connection` on. Otherwise the client is not a WebSocket client."
            }
            Self::BadWebSocketVersion => "Update the client; every version but 13 is a draft from before 2011.",
            Self::UnknownPath => {
                "Look for a missing or superfluous `/` at the end: `/socket` and `/socket/` are two paths. \
                 `fanfare check` lists what is served."
            }
            Self::MethodNotAllowed => "Use one of them: `POST` to publish, `GET` to read or to connect.",
            Self::BadTopicName => {
                "Percent-encode the name in the URL (`encodeURIComponent` in JavaScript): a `/` in it is written \
                 `%2F`."
            }
            Self::BadParameter => {
                "Correct the value. A position (`since`, `Last-Event-ID`) is `EPOCH:OFFSET`, exactly as the hub \
                 gave it. A WebSocket on several topics (`also`) needs `format=json`."
            }
            Self::BadBody => "Correct the body, and send `Content-Type: application/json` with JSON.",
            Self::BodyTooLarge => {
                "Publish a reference to large content instead of the content, or raise `limits.message` (and then \
                 `slow_consumer.lag`, which must not be smaller)."
            }
            Self::UnknownKey => {
                "Send `X-API-Key` with one of the configured keys. Without any configured key nothing is accepted: \
                 add one to `api.keys`."
            }
            Self::UnknownNode => {
                "After a restart nothing: the SDK connects again. With several nodes behind one address, have the load balancer \
                 send all requests of a client to the same one."
            }
            Self::TooManyCommands => {
                "Send less, or raise the rates of `[limits]`; what was taken before is done all the same."
            }
            Self::PublishNotAllowed => {
                "Publish with an API key, or set `publish = \"subscribers\"` or `\"anyone\"` for the topic."
            }
            Self::SubscribeNotAllowed => {
                "Use an SDK of the Centrifuge protocol, with a token; read the history over `/api/history` with a key."
            }
            Self::Wildcard => "Publish on the topic itself; give the wildcard a connection of its own.",
            Self::Overloaded => {
                "Try again after `Retry-After` seconds. If it lasts: publish less, give the hub more cores \
                 (`server.workers`), or allow a longer queue with `limits.mailbox`."
            }
            Self::Draining => "Try again: at another node at once, at this one after its restart.",
            Self::TooManyConnections => {
                "Raise `limits.connections`, and the descriptor limit with it (`ulimit -n`, `LimitNOFILE=`), or \
                 add a node."
            }
            Self::TooManyFromAddress => {
                "Many people behind one address (an office, a mobile network) need a higher limit. Behind a proxy, list it \
                 in the listener's `trusted_proxies`, or all clients count as one."
            }
            Self::TooManyHandshakes => {
                "Look for a client that reconnects without a pause. If it is a proxy, list it in the listener's \
                 `trusted_proxies`."
            }
            Self::TlsFailed => {
                "The log has the reason at `debug`. Usual ones: a client that does not know the certificate's authority \
                 (is the whole chain in the file?), one without a certificate where `client_ca` asks for it, and a listener whose `acme` has \
                 no certificate yet."
            }
            Self::BadProxyHeader => {
                "Switch the header on in the proxy (`send-proxy-v2` in HAProxy, `proxy_protocol on` in nginx's stream), \
                 and list the proxy's address in `trusted_proxies`."
            }
            Self::HistoryUnavailable => {
                "Make room on the disk, or mend it: the hub tries again every second and goes on by itself, without a restart \
                 and without a gap."
            }
            Self::TooManyTopics => {
                "Raise `limits.topics`, shorten `history.ttl`, or look for a client that makes up topic names."
            }
            Self::BadMessage => "Send what the answer shows, or change `fields` or `template` of the endpoint.",
            Self::UpgradeRequired => {
                "Connect with a WebSocket client (`new WebSocket(\"ws://…\")`). If it was one, a proxy in between \
                 dropped its `Upgrade` header."
            }
            Self::BodyTimeout => {
                "Look for a client that sends a larger `Content-Length` than it has bytes, or for a stalled \
                 connection in between."
            }
            Self::TokenExpired => {
                "Let the client fetch a new one: official SDKs do so by themselves if they have `getToken`. If new tokens are expired, compare the clocks of the two machines."
            }
            Self::TokenMalformed => "Look at it with `fanfare token inspect TOKEN`.",
            Self::TokenKeyUnknown => {
                "Compare with `fanfare token inspect TOKEN`, which lists what the hub has; add the key to `tokens.keys` with the algorithm that signs."
            }
            Self::TokenSignature => {
                "Compare the secret on both sides, byte by byte: a file's last line end does not count, spaces do, and base64 is not decoded. `fanfare token create` makes one that this hub takes."
            }
            Self::TokenNotForThis => {
                "Make tokens with the audience and issuer of this hub, or change `tokens.audience` and `tokens.issuer`."
            }
            Self::TokenNotYet => "Compare the clocks of the two machines, or set `tokens.leeway` to a few seconds.",
            Self::TokenKeysUnreachable => {
                "Look for the cause in the log, and fetch `tokens.jwks_url` from the hub's machine. Keys that were fetched before stay in use meanwhile."
            }
            Self::TokenRevoked => "Let the client fetch a new one, if its user should have one.",
            Self::UserBlocked => "Take the block back, if it was a mistake.",
            Self::InternalError => {
                "Look into the log at the time of the answer. If it names nothing that you can mend, it is a bug \
                 worth reporting."
            }
        }
    }

    /// The refusal with this [`Refusal::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|refusal| refusal.code() == code)
    }

    /// The place of this refusal in [`Refusal::ALL`], for counters.
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|&one| one == self).expect("invariant: ALL lists every refusal")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_listed_once_and_found_by_its_code() {
        for (index, refusal) in Refusal::ALL.iter().enumerate() {
            assert_eq!(refusal.index(), index);
            assert_eq!(Refusal::from_code(refusal.code()), Some(*refusal));
        }
        assert_eq!(Refusal::from_code("origin_refused"), None);
    }

    #[test]
    fn codes_are_kebab_case_and_texts_are_of_their_length() {
        for refusal in Refusal::ALL {
            let code = refusal.code();
            assert!(code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{code}");
            // Also fits a close frame, which has 123 bytes for it.
            assert!(refusal.summary().len() <= 80 && !refusal.summary().ends_with('.'), "{code}");
            let cause = refusal.cause();
            assert!(cause.ends_with('.') && !cause.contains(". "), "{code}: {cause}");
            assert!(refusal.fix().ends_with('.'), "{code}");
        }
    }

    #[test]
    fn every_key_that_a_text_names_exists() {
        let all = include_str!("../config/fanfare.toml");
        for refusal in Refusal::ALL {
            for quoted in refusal.cause().split('`').chain(refusal.fix().split('`')) {
                if let Some((section @ ("server" | "limits" | "api" | "tokens"), key)) = quoted.split_once('.') {
                    let listed = all.lines().any(|line| line.trim_start_matches('#').starts_with(&format!("{key} =")));
                    assert!(listed, "{section}.{key} of {}", refusal.code());
                }
            }
        }
    }
}

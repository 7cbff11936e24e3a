//! The close codes of WebSocket connections, explained.

use crate::close_reason::CloseReason;
use crate::protocol::centrifuge::DisconnectCode;

/// Why a connection ends for `reason`, and what to do about it.
pub(super) fn explanation(reason: CloseReason) -> (&'static str, &'static str) {
    match reason {
        CloseReason::ClientClosed => ("The client closed the connection.", "Nothing: this is how it should end."),
        CloseReason::Gone => (
            "The connection ended without a close handshake: a crash, a lost network, a proxy that gave up.",
            "Reconnect, with a delay that grows. If it happens after the same silent time to everyone, a proxy in between \
             closes idle connections: set liveness.ping_interval below its timeout.",
        ),
        CloseReason::ServerDraining => (
            "The hub is stopping or restarting, and delivered what it had accepted.",
            "Reconnect after a random delay of a few seconds, with the last position where nothing may be lost.",
        ),
        CloseReason::Protocol(_) => (
            "The client sent bytes that WebSocket (RFC 6455) does not allow; the reason names the rule.",
            "Update the client's library. Home-made clients often forget to mask what they send.",
        ),
        CloseReason::InvalidUtf8 => {
            ("A text message, or a close reason, was not UTF-8.", "Send bytes that are not text as binary messages.")
        }
        CloseReason::InvalidDeflate => (
            "A compressed message (permessage-deflate) could not be inflated.",
            "Update the client's library: it must compress each message on its own, as client_no_context_takeover in the \
             answer to its handshake says.",
        ),
        CloseReason::MessageTooBig => (
            "A message had more bytes than limits.message, counted over all its fragments, and inflated if it was \
             compressed.",
            "Send smaller messages, or raise limits.message.",
        ),
        CloseReason::TooManyFragments => (
            "A message came in more frames than limits.fragments. Its bytes are within limits.message: with frames of few bytes, or none, a message could go on for ever.",
            "Send larger fragments, or messages whole. Raise limits.fragments if the client cannot be changed.",
        ),
        CloseReason::MessageRate => (
            "The client sent more messages than limits.message_rate lets one connection send, with limits.over_rate = \"close\".",
            "Send fewer messages, or several in one. limits.over_rate = \"pause\" makes such a client wait instead.",
        ),
        CloseReason::ByteRate => (
            "The client sent more bytes, headers of frames included, than limits.byte_rate lets one connection send, with limits.over_rate = \"close\".",
            "Send less. limits.over_rate = \"pause\" makes such a client wait instead.",
        ),
        CloseReason::ControlRate => (
            "The client sent more pings and pongs than limits.control_rate lets one connection send; each ping costs the hub a pong.",
            "Ping every few seconds: the hub itself pings whoever is silent. Raise limits.control_rate if the client measures with pings.",
        ),
        CloseReason::MessageTimeout => (
            "The client began a message, or the header of a frame, and did not finish it within limits.message_timeout.",
            "Send smaller messages over slow networks, or raise limits.message_timeout.",
        ),
        CloseReason::IdleTimeout => (
            "The client sent no message for limits.idle_timeout; pings and pongs are none.",
            "Reconnect when there is something to say, or send something now and then. Clients that only listen need idle_timeout = \"0s\".",
        ),
        CloseReason::ConnectionAge => (
            "The connection was open for limits.connection_age, give or take a tenth; everything published until then was delivered.",
            "Reconnect at once, with the last position where nothing may be lost: clients of other ages reconnect at other times.",
        ),
        CloseReason::PublishNotAllowed => (
            "The client published on a topic whose rules do not let subscribers publish.",
            "Set publish = \"subscribers\" for the topic, or publish over the API with a key.",
        ),
        CloseReason::InternalError => (
            "The code that served this connection failed; no other connection is affected.",
            "Look for a panic in the log, and report it: it is a bug.",
        ),
        CloseReason::WorkerRestarted => (
            "One of the hub's workers failed and started again; its connections were closed, those of others were not.",
            "Reconnect after a random delay of a few seconds, with the last position where nothing may be lost. Look for \
             a panic in the log, and report it: it is a bug.",
        ),
        CloseReason::SlowConsumer => (
            "More was published than this client read: it lagged over its topic's slow_consumer limit.",
            "Reconnect with the last position, and history brings what was missed. If it happens often: read faster, \
             publish less, raise slow_consumer.lag, or use the policy \"skip\" or \"latest\".",
        ),
        CloseReason::NoPong => (
            "A ping was not answered within liveness.pong_timeout: the client or its network is gone.",
            "Reconnect. If it happens to healthy clients, something keeps them from reading: look for code that blocks \
             the thread of the connection.",
        ),
        CloseReason::Overloaded => (
            "A limit of the server, such as limits.topics, keeps the client from what it asked for.",
            "Reconnect after a growing delay. If it lasts, the log names the limit: raise it, or add a node.",
        ),
        CloseReason::CloseTimeout => (
            "The client did not finish the close handshake within limits.close_timeout.",
            "Nothing, if it is rare: the client was probably gone.",
        ),
        CloseReason::Client(code) => client_explanation(code),
        CloseReason::Ordered => (
            "The application asked for it over the server API, or answered a hook so; the code and the reason are its own.",
            "Look into the application. Codes from 4500 to 4999, and 3500 to 3999, tell SDKs to stay away; others to come back.",
        ),
    }
}

/// The same for the codes of the Centrifuge protocol.
fn client_explanation(code: DisconnectCode) -> (&'static str, &'static str) {
    match code {
        DisconnectCode::Shutdown => (
            "The hub is stopping or restarting, and delivered what it had accepted.",
            "Nothing: the SDK reconnects and recovers.",
        ),
        DisconnectCode::Internal => (
            "The hub, or the application's backend behind a hook, failed.",
            "Nothing: the SDK reconnects. If it lasts, look into the log.",
        ),
        DisconnectCode::ConnectionExpired => (
            "The client's time was over and no new token came within centrifuge.refresh_grace, or the application ended it.",
            "Give the SDK a function that gets a new token (getToken).",
        ),
        DisconnectCode::SubscriptionExpired => (
            "The time of a subscription that the server made was over.",
            "Nothing: the SDK reconnects, and gets its subscriptions anew.",
        ),
        DisconnectCode::Slow => (
            "More was published than this client read: it lagged over its topic's slow_consumer limit.",
            "Nothing: the SDK reconnects and recovers. If it happens often: publish less, or raise slow_consumer.lag.",
        ),
        DisconnectCode::WriteError => ("A write to the client failed.", "Nothing: the SDK reconnects."),
        DisconnectCode::InsufficientState => {
            ("The client's position in a topic was found to be wrong.", "Nothing: the SDK reconnects and recovers.")
        }
        DisconnectCode::ForceReconnect => (
            "A limit of time is over for this connection: limits.connection_age, idle_timeout or message_timeout.",
            "Nothing: the SDK reconnects.",
        ),
        DisconnectCode::NoPong => (
            "A ping was not answered within liveness.pong_timeout: the client or its network is gone.",
            "Nothing: the SDK reconnects. If it happens to healthy clients, look for code that blocks their thread.",
        ),
        DisconnectCode::TooManyRequests => {
            ("The client is over a limit, such as limits.message_rate.", "Send less; the SDK reconnects.")
        }
        DisconnectCode::StateInvalidated => {
            ("What the client knows is void.", "Nothing: the SDK forgets its token and positions, and reconnects.")
        }
        DisconnectCode::InvalidToken => (
            "The token is not one that this hub accepts, or is for another user or topic.",
            "fanfare token inspect TOKEN says why. Compare the keys of [tokens] with those the application signs with.",
        ),
        DisconnectCode::BadRequest => (
            "The client violated the protocol, or came without a token while centrifuge.anonymous is false.",
            "Use an official SDK, with a token; the log at level debug says what was wrong.",
        ),
        DisconnectCode::Stale => (
            "The client did not say who it is within centrifuge.connect_timeout.",
            "Use an official SDK. Slow networks may need a longer time.",
        ),
        DisconnectCode::ForceDisconnect => {
            ("The application asked for it over the server API.", "Nothing: it was meant so, and the SDK stays away.")
        }
        DisconnectCode::ConnectionLimit => {
            ("The client's user has limits.connections_per_user connections open.", "Close some, or raise the limit.")
        }
        DisconnectCode::ChannelLimit => {
            ("The connection has limits.subscriptions topics.", "Subscribe to fewer, or raise the limit.")
        }
        DisconnectCode::InappropriateProtocol => {
            ("Something cannot be told in the client's format.", "Use the Protobuf variant of the SDK.")
        }
        DisconnectCode::PermissionDenied => ("The client may not do that.", "Look at the rules of the topic."),
        DisconnectCode::NotAvailable => {
            ("The client sent a message (send) that no one receives.", "Use rpc with a hook, or publish.")
        }
        DisconnectCode::TooManyErrors => ("The client got too many errors.", "Mend the client."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_reason_is_explained_in_sentences() {
        for reason in CloseReason::ALL {
            let (cause, fix) = explanation(reason);
            assert!(cause.ends_with('.') && fix.ends_with('.'), "{reason:?}");
        }
    }
}

//! The close codes of WebSocket connections, explained.

use crate::close_reason::CloseReason;

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

//! The pure state of one client on its connection.

use bytes::Bytes;
use smallvec::SmallVec;

use super::behaviour::Behaviour;
use crate::close_reason::CloseReason;
use crate::hub::{Draft, Kind};
use crate::protocol::centrifuge::Envelope;
use crate::protocol::{self, Encoding, Notice, Shape};
use crate::refusal::Refusal;
use crate::ws::{self, Message};

/// The pure state of one client on its connection: four bytes, since most of them are idle most of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// On `/topics/{topic}`.
    Topic {
        /// How publications look.
        encoding: Encoding,
        /// Whether its messages are published.
        may_publish: bool,
    },
    /// On a configured endpoint.
    Endpoint {
        /// Its place in the configuration.
        index: u16,
    },
    /// A stream of Server-Sent Events: it says nothing.
    Stream {
        /// How publications look.
        encoding: Encoding,
    },
    /// A client of the Centrifuge protocol. What there is to know of it is a [`super::Client`], beside its connection.
    Client {
        /// How what it gets looks.
        shape: Shape,
        /// Whether it is pinged by WebSocket, and not by the protocol.
        frame_pings: bool,
    },
}

/// What a message makes happen.
#[derive(Debug, Clone)]
pub enum Effect {
    /// These bytes go to this client, behind what it is owed already.
    Reply(Bytes),
    /// What it sent is refused, which is counted, and it is told so with this frame.
    Refuse(Refusal, Bytes),
    /// This is published on the session's topic.
    Publish(Draft),
    /// The connection is closed from our side, for this reason.
    Close(CloseReason),
    /// The client closed: answer with this close frame and end.
    Closed(Bytes),
}

/// What one message makes happen, in order. Two at most: a reply and a publication.
pub type Effects = SmallVec<[Effect; 2]>;

impl Session {
    /// The message that makes a session panic, in tests: nothing a client can send is known to.
    #[cfg(test)]
    pub(crate) const PANIC: &[u8] = b"panic, please";

    /// What `message` makes happen. `behaviours` are those of the configuration, by index.
    ///
    /// # Panics
    /// If the session's endpoint is not in `behaviours`.
    pub fn receive(self, message: &Message<'_>, behaviours: &[Behaviour]) -> Effects {
        let mut effects = Effects::new();
        let (kind, payload) = match message {
            Message::Text(text) => (Kind::Text, text.as_bytes()),
            Message::Binary(bytes) => (Kind::Binary, *bytes),
            Message::Ping(payload) => {
                effects.push(Effect::Reply(ws::frame::pong(payload)));
                return effects;
            }
            Message::Pong(_) => return effects,
            Message::Close(code) => {
                // RFC 6455 §5.5.1: the answer typically echoes the status code received.
                effects.push(Effect::Closed(match code {
                    Some((code, _)) => ws::frame::close(*code, ""),
                    None => ws::frame::close_without_code(),
                }));
                return effects;
            }
        };
        #[cfg(test)]
        assert!(payload != Self::PANIC, "a test asks for this panic");
        match self {
            Self::Topic { may_publish: true, .. } => effects.push(Effect::Publish(Draft::new(kind, payload))),
            Self::Topic { encoding: Encoding::Plain, may_publish: false } => {
                effects.push(Effect::Close(CloseReason::PublishNotAllowed));
            }
            Self::Topic { encoding, may_publish: false } => {
                let refusal = Refusal::PublishNotAllowed;
                let error = protocol::error_json(refusal.code(), refusal.summary());
                effects.push(Effect::Refuse(refusal, protocol::notice(encoding, Notice::Error, &error)));
            }
            Self::Endpoint { index } => behaviours[usize::from(index)].receive(kind, payload, &mut effects),
            // The bytes of a stream's client are never decoded; what a client of the Centrifuge protocol says takes more than
            // is known here.
            Self::Stream { .. } | Self::Client { .. } => {}
        }
        effects
    }

    /// How publications look to this client.
    pub fn encoding(self) -> Encoding {
        match self {
            Self::Topic { encoding, .. } | Self::Stream { encoding } => encoding,
            Self::Endpoint { .. } => Encoding::Plain,
            Self::Client { shape, .. } => Encoding::Centrifuge(shape),
        }
    }

    /// Whether it speaks WebSocket (else it gets the body of a response).
    pub fn is_websocket(self) -> bool {
        match self {
            Self::Topic { .. } | Self::Endpoint { .. } => true,
            Self::Stream { .. } => false,
            Self::Client { shape, .. } => shape.delimiting().is_none(),
        }
    }

    /// Whether its client can say anything once it is in.
    pub fn can_speak(self) -> bool {
        match self {
            Self::Topic { .. } | Self::Endpoint { .. } => true,
            Self::Stream { .. } => false,
            Self::Client { shape, .. } => match shape.envelope() {
                Envelope::Wrapped => true,
                Envelope::Bare => false,
            },
        }
    }

    /// Whether its client is to be heard from when it is pinged.
    pub fn answers_pings(self) -> bool {
        match self {
            Self::Topic { .. } | Self::Endpoint { .. } => true,
            Self::Stream { .. } => false,
            Self::Client { shape, frame_pings } => match shape.envelope() {
                Envelope::Wrapped => true,
                Envelope::Bare => frame_pings,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(effects: Effects) -> Effect {
        assert_eq!(effects.len(), 1, "{effects:?}");
        effects.into_iter().next().unwrap()
    }

    #[test]
    fn a_ping_is_answered_with_its_payload() {
        let session = Session::Topic { encoding: Encoding::Plain, may_publish: false };
        let Effect::Reply(frame) = only(session.receive(&Message::Ping(b"abc"), &[])) else { panic!("not a reply") };
        assert_eq!(&frame[..], b"\x8a\x03abc");
    }

    #[test]
    fn a_close_is_answered_with_the_same_code() {
        let session = Session::Topic { encoding: Encoding::Plain, may_publish: false };
        let effect = only(session.receive(&Message::Close(Some((1000, "bye"))), &[]));
        let Effect::Closed(frame) = effect else { panic!("not closed: {effect:?}") };
        assert_eq!(&frame[..], b"\x88\x02\x03\xe8");
    }

    #[test]
    fn what_a_client_sends_is_published_as_what_it_was() {
        let session = Session::Topic { encoding: Encoding::Plain, may_publish: true };
        let Effect::Publish(draft) = only(session.receive(&Message::Binary(b"\0\xff"), &[])) else { panic!() };
        assert_eq!((draft.kind(), &draft.payload()[..]), (Kind::Binary, &b"\0\xff"[..]));
    }

    #[test]
    fn a_client_that_may_not_publish_is_told_in_json_and_closed_on_a_plain_socket() {
        let json = Session::Topic { encoding: Encoding::Json, may_publish: false };
        let Effect::Refuse(Refusal::PublishNotAllowed, frame) = only(json.receive(&Message::Text("x"), &[])) else {
            panic!()
        };
        assert!(String::from_utf8_lossy(&frame).contains("publish-not-allowed"));
        let plain = Session::Topic { encoding: Encoding::Plain, may_publish: false };
        let effect = only(plain.receive(&Message::Text("x"), &[]));
        assert!(matches!(effect, Effect::Close(CloseReason::PublishNotAllowed)), "{effect:?}");
    }
}

//! The closed list of the languages, and what each must be able to do.

use serde::{Deserialize, Serialize};

use super::pusher::App;
use super::template::Template;
use super::{centrifuge, json, pusher};
use crate::wire::frame::{self, Opcode};
use crate::wire::stamp::{Format, Payloads, Stamp};

/// Room for what stands around a payload in one message, in bytes.
const ENVELOPE_LIMIT_BYTES: usize = 1024;

/// Servers that join several publications into one message send at most this much in one, in bytes.
const JOINED_LIMIT_BYTES: usize = 4 << 20;

/// The language of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// fanfare, and the floors: `/topics/{topic}`, more topics by `?also=`.
    Topics(Envelope),
    /// Any hub with one topic per URL: what a client sends there comes to everybody there, itself included.
    Template(Template),
    /// The Centrifuge protocol in JSON, at this path.
    Centrifuge(String),
    /// The Pusher Channels protocol, version 7.
    Pusher(App),
}

/// What stands around a payload on `/topics/{topic}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Envelope {
    /// Nothing. The only one for binary payloads, and only for one topic per connection.
    Plain,
    /// `{"topic":…,"epoch":…,"offset":…,"data":…}`.
    Json,
}

/// What a message says. Borrows from the message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// A publication, and the topic the server gives for it, if this language tells.
    Publication {
        /// As it stands in the message.
        topic: Option<&'a [u8]>,
        /// As it was published, if the server changed nothing.
        payload: &'a [u8],
    },
    /// Wants this text message as an answer.
    Ping(&'static str),
    /// The server knows this client now: topics can be joined.
    Established,
    /// One more topic is joined.
    Joined,
    /// Acknowledgements, notices, news of others.
    Other,
    /// The server refused something, in these words.
    Refused(&'a [u8]),
}

/// A message that is not of this language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotUnderstood;

impl Dialect {
    /// Its name in reports.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Topics(Envelope::Plain) => "plain",
            Self::Topics(Envelope::Json) => "json",
            Self::Template(_) => "template",
            Self::Centrifuge(_) => "centrifuge",
            Self::Pusher(_) => "pusher",
        }
    }

    /// Whether payloads stand in JSON strings, so that only text can be sent.
    pub(crate) fn is_textual(&self) -> bool {
        match self {
            Self::Topics(Envelope::Json) | Self::Centrifuge(_) | Self::Pusher(_) => true,
            Self::Topics(Envelope::Plain) | Self::Template(_) => false,
        }
    }

    /// The kind of message a publication in `format` comes in.
    pub(crate) fn opcode(&self, format: Format) -> Opcode {
        match format {
            Format::Binary if !self.is_textual() => Opcode::Binary,
            Format::Binary | Format::Text => Opcode::Text,
        }
    }

    /// The longest message of a run with payloads of `payload_bytes`.
    pub(crate) fn message_limit_bytes(&self, payload_bytes: usize) -> usize {
        let one = payload_bytes + ENVELOPE_LIMIT_BYTES;
        match self {
            Self::Topics(Envelope::Plain) | Self::Template(_) => payload_bytes,
            Self::Topics(Envelope::Json) | Self::Pusher(_) => one,
            Self::Centrifuge(_) => one.max(JOINED_LIMIT_BYTES),
        }
    }

    /// What to ask for in the handshake of a connection that will be on `topics`, of which there is at least one.
    pub(crate) fn path(&self, topics: &[String]) -> String {
        match self {
            Self::Topics(envelope) => json::path(*envelope, topics),
            Self::Template(template) => template.path(topics.first().map_or("", String::as_str)),
            Self::Centrifuge(path) => path.clone(),
            Self::Pusher(app) => app.path(),
        }
    }

    /// How many [`Event::Joined`] a connection waits for before it is on all of `topics`; none if the handshake does it.
    pub(crate) fn joins_awaited(&self, topics: &[String]) -> usize {
        match self {
            Self::Topics(_) | Self::Template(_) => 0,
            Self::Centrifuge(_) | Self::Pusher(_) => topics.len(),
        }
    }

    /// Appends the frames that a client sends right behind the handshake.
    pub(crate) fn greet(&self, topics: &[String], out: &mut Vec<u8>) {
        match self {
            Self::Topics(_) | Self::Template(_) | Self::Pusher(_) => {}
            Self::Centrifuge(_) => centrifuge::greet(topics, out),
        }
    }

    /// Appends the frames that a client sends when it was [`Event::Established`].
    pub(crate) fn join(&self, topics: &[String], out: &mut Vec<u8>) {
        match self {
            Self::Topics(_) | Self::Template(_) | Self::Centrifuge(_) => {}
            Self::Pusher(_) => pusher::join(topics, out),
        }
    }

    /// Shows `visit` everything that `message` says.
    pub(crate) fn read<'a>(&self, message: &'a [u8], mut visit: impl FnMut(Event<'a>)) -> Result<(), NotUnderstood> {
        match self {
            Self::Topics(Envelope::Plain) | Self::Template(_) => {
                visit(Event::Publication { topic: None, payload: message });
                Ok(())
            }
            Self::Topics(Envelope::Json) => json::read(message).map(visit),
            Self::Centrifuge(_) => centrifuge::read(message, visit),
            Self::Pusher(_) => pusher::read(message).map(visit),
        }
    }

    /// Appends the frame that publishes `stamp` on `topic`. Not for languages that publish over HTTP alone.
    pub(crate) fn publish(&self, topic: &str, stamp: &Stamp, payloads: &Payloads, out: &mut Vec<u8>) {
        // Never zero, so that the server has to unmask as it would for a browser.
        let key = (stamp.sequence as u32).wrapping_mul(0x9e37_79b9) | 0x0101_0101;
        match self {
            Self::Topics(_) | Self::Template(_) | Self::Pusher(_) => {
                let opcode = match payloads.format() {
                    Format::Binary => Opcode::Binary,
                    Format::Text => Opcode::Text,
                };
                frame::write_masked(out, opcode, key.to_be_bytes(), payloads.size(), |out| payloads.write(stamp, out));
            }
            Self::Centrifuge(_) => centrifuge::publish(topic, stamp, payloads, key.to_be_bytes(), out),
        }
    }

    /// Appends the HTTP request that publishes `stamp` on `topic`, at `unix_s` seconds since 1970.
    pub(crate) fn post(
        &self,
        authority: &str,
        topic: &str,
        stamp: &Stamp,
        payloads: &Payloads,
        unix_s: u64,
        out: &mut Vec<u8>,
    ) {
        match self {
            Self::Topics(_) | Self::Template(_) | Self::Centrifuge(_) => {
                json::post(authority, topic, stamp, payloads, out);
            }
            Self::Pusher(app) => app.post(authority, topic, stamp, payloads, unix_s, out),
        }
    }

    /// Whether publications go over HTTP only, over WebSockets only, or as one likes.
    pub(crate) fn publishing(&self) -> Publishing {
        match self {
            Self::Topics(_) => Publishing::Either,
            Self::Template(_) | Self::Centrifuge(_) => Publishing::WebSocket,
            Self::Pusher(_) => Publishing::Http,
        }
    }
}

/// Over what a language can publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Publishing {
    /// Frames and requests.
    Either,
    /// Frames on a subscriber's connection.
    WebSocket,
    /// Requests.
    Http,
}

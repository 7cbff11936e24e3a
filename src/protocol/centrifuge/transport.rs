//! How replies and pushes travel: as a WebSocket message, as lines of a response, or as events.

use bytes::Bytes;

use super::super::headed::Headed;
use super::super::sse::{CHUNK_HEADER_BYTES, Delimiting, chunk_header};
use super::publication::publication_bytes;
use super::push::{Envelope, Push, push_push};
use super::reply::{Reply, push_ping, push_reply};
use crate::ws::OpCode;
use crate::ws::frame::{FrameHeader, HEADER_LIMIT_BYTES};

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// One object each.
    Json,
    /// Each with its length before it.
    Protobuf,
}

/// What carries messages to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A WebSocket: text messages of JSON lines, or binary messages of Protobuf.
    WebSocket(Format),
    /// The body of a response: JSON lines, or Protobuf.
    HttpStream(Format, Delimiting),
    /// Server-Sent Events, which can carry only text.
    EventStream(Delimiting),
}

impl Transport {
    /// How messages are written on it.
    pub const fn format(self) -> Format {
        match self {
            Self::WebSocket(format) | Self::HttpStream(format, _) => format,
            Self::EventStream(_) => Format::Json,
        }
    }

    /// What the body of a response begins with, before anything is known: browsers then take the stream for open.
    pub const fn opening(self) -> &'static [u8] {
        match self {
            Self::EventStream(Delimiting::Chunked) => b"2\r\n\r\n\r\n",
            Self::EventStream(Delimiting::UntilClose) => b"\r\n",
            Self::WebSocket(_) | Self::HttpStream(..) => b"",
        }
    }

    /// What stands before each message.
    const fn head(self) -> &'static [u8] {
        match self {
            Self::EventStream(_) => b"data: ",
            Self::WebSocket(_) | Self::HttpStream(..) => b"",
        }
    }

    /// What stands behind each message. JSON has no line breaks of its own, so one event is one line.
    const fn tail(self) -> &'static [u8] {
        match self {
            Self::EventStream(_) => b"\n\n",
            Self::HttpStream(Format::Json, _) => b"\n",
            Self::WebSocket(_) | Self::HttpStream(Format::Protobuf, _) => b"",
        }
    }

    /// What stands between two messages.
    const fn separator(self) -> &'static [u8] {
        match self {
            Self::WebSocket(Format::Json) => b"\n",
            Self::WebSocket(Format::Protobuf) | Self::HttpStream(..) | Self::EventStream(_) => b"",
        }
    }
}

/// Replies and pushes on their way into one WebSocket frame, or one piece of a response body.
#[derive(Debug)]
pub struct Batch {
    transport: Transport,
    headed: Headed,
}

impl Batch {
    /// An empty batch with room for about `body_bytes`, which may grow beyond. One allocation if that is right.
    pub fn new(transport: Transport, body_bytes: usize) -> Self {
        let header_bytes = match transport {
            Transport::WebSocket(_) => HEADER_LIMIT_BYTES,
            Transport::HttpStream(..) | Transport::EventStream(_) => CHUNK_HEADER_BYTES,
        };
        Self { transport, headed: Headed::new(header_bytes, body_bytes) }
    }

    /// One push by itself: for a publication, the frame that all subscribers of a transport share.
    pub fn of_push(transport: Transport, envelope: Envelope, channel: &str, push: &Push<'_>) -> Bytes {
        let push_bytes = match push {
            Push::Publication(publication) => publication_bytes(publication),
            Push::Join(_)
            | Push::Leave(_)
            | Push::Unsubscribe { .. }
            | Push::Subscribe { .. }
            | Push::Message { .. }
            | Push::Refresh { .. }
            | Push::Disconnect { .. }
            | Push::Connect(_) => 256,
        };
        let mut batch = Self::new(transport, channel.len() + push_bytes);
        batch.push(envelope, channel, push);
        batch.finish()
    }

    /// Adds a reply.
    pub fn reply(&mut self, id: u32, reply: &Reply<'_>) {
        self.message(|out, format| push_reply(out, format, id, reply));
    }

    /// Adds a push.
    pub fn push(&mut self, envelope: Envelope, channel: &str, push: &Push<'_>) {
        self.message(|out, format| push_push(out, format, envelope, channel, push));
    }

    /// Adds the server's ping.
    pub fn ping(&mut self) {
        self.message(push_ping);
    }

    /// Bytes so far, without a header.
    pub fn body_bytes(&self) -> usize {
        self.headed.body_bytes()
    }

    /// The frame, or the piece; nothing if nothing was added. One HTTP/1.1 chunk if the body is chunked, so that a stream can
    /// be cut between any two.
    pub fn finish(mut self) -> Bytes {
        if self.body_bytes() == 0 {
            return Bytes::new();
        }
        match self.transport {
            Transport::WebSocket(format) => {
                let opcode = match format {
                    Format::Json => OpCode::Text,
                    Format::Protobuf => OpCode::Binary,
                };
                let header = FrameHeader::new(opcode, self.body_bytes());
                self.headed.finish(header.as_bytes())
            }
            Transport::HttpStream(_, Delimiting::UntilClose) | Transport::EventStream(Delimiting::UntilClose) => {
                self.headed.finish(b"")
            }
            Transport::HttpStream(_, Delimiting::Chunked) | Transport::EventStream(Delimiting::Chunked) => {
                let mut room = [0; CHUNK_HEADER_BYTES];
                let header = chunk_header(self.body_bytes(), &mut room);
                self.headed.body().extend_from_slice(b"\r\n");
                self.headed.finish(header)
            }
        }
    }

    fn message(&mut self, write: impl FnOnce(&mut Vec<u8>, Format)) {
        let separator = if self.body_bytes() == 0 { b"" } else { self.transport.separator() };
        let out = self.headed.body();
        out.extend_from_slice(separator);
        out.extend_from_slice(self.transport.head());
        write(out, self.transport.format());
        out.extend_from_slice(self.transport.tail());
    }
}

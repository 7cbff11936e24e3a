//! Server-Sent Events (WHATWG HTML, "Server-sent events"): publications, comments and the retry line, ready for a body.
//!
//! What a browser gives back from `data` has its line breaks as `\n`: the format cannot carry `\r` and `\r\n` apart.
//! An empty payload is one empty `data:` line and reaches `onmessage` with empty data.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::json::{Body, base64_bytes, publication_json, push_base64};
use crate::hub::{Kind, Position};

/// How the body of an event stream is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delimiting {
    /// It ends with the connection (HTTP/1.0).
    UntilClose,
    /// Every piece is one finished HTTP/1.1 chunk, so that a stream can be cut between any two.
    Chunked,
}

/// What ends a chunked body: the last chunk, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// One publication: `id: EPOCH:OFFSET` and a `data:` line per line of the payload.
///
/// Binary payloads come as `event: binary` with base64 data; text as the default event, which `onmessage` gets.
pub fn publication(delimiting: Delimiting, position: Position, kind: Kind, payload: &[u8]) -> Bytes {
    match Body::new(kind, payload) {
        Body::Text(text) => {
            let mut event = Event::new(text.len() + text.len() / 16);
            event.id(position);
            event.data(text);
            event.finish(delimiting)
        }
        Body::Binary(bytes) => {
            let mut event = Event::new(base64_bytes(bytes.len()));
            event.id(position);
            event.name("binary");
            event.base64(bytes);
            event.finish(delimiting)
        }
    }
}

/// One publication on a stream of several topics: its JSON with topic and position, under the id of the whole stream.
///
/// The id is all that a browser brings back, so it holds the stream's position in each of its topics.
pub fn topic_publication(
    delimiting: Delimiting,
    stream_id: &str,
    topic: &str,
    position: Position,
    kind: Kind,
    payload: &[u8],
) -> Bytes {
    let json = publication_json(topic, position, kind, payload);
    let mut event = Event::new(stream_id.len() + json.len());
    event.field("id", stream_id);
    event.field("data", &json);
    event.finish(delimiting)
}

/// An id without an event: a browser remembers it and calls nobody, so that it can resume before its first event.
pub fn position(delimiting: Delimiting, stream_id: &str) -> Bytes {
    let mut event = Event::new(stream_id.len());
    event.field("id", stream_id);
    event.finish(delimiting)
}

/// An event without an id; `name` is `None` for the default one, else has no line break.
pub fn event(delimiting: Delimiting, name: Option<&str>, data: &str) -> Bytes {
    let mut event = Event::new(data.len());
    if let Some(name) = name {
        event.name(name);
    }
    event.data(data);
    event.finish(delimiting)
}

/// A comment, which clients ignore: shows proxies and the kernel that the stream lives.
pub fn comment(delimiting: Delimiting, text: &str) -> Bytes {
    let mut event = Event::new(text.len());
    for line in lines(text) {
        event.field("", line);
    }
    event.finish(delimiting)
}

/// The time after which a client reconnects; whole milliseconds. The caller adds jitter per client.
pub fn retry(delimiting: Delimiting, after: Duration) -> Bytes {
    let mut event = Event::new(0);
    event.number("retry", after.as_millis());
    event.finish(delimiting)
}

/// The lines of a text as the event stream grammar sees them: `\n`, `\r\n` and `\r` each end one, so a text with n ends
/// has n + 1 lines.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.bytes().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            rest = None;
            return Some(text);
        };
        let behind = if text[end..].starts_with("\r\n") { end + 2 } else { end + 1 };
        rest = Some(&text[behind..]);
        Some(&text[..end])
    })
}

/// An event being written.
struct Event(String);

impl Event {
    /// More than id, event name and the ends of lines take.
    const ENVELOPE_BYTES: usize = 80;

    fn new(data_bytes: usize) -> Self {
        Self(String::with_capacity(Self::ENVELOPE_BYTES + data_bytes))
    }

    fn id(&mut self, position: Position) {
        writeln!(self.0, "id: {position}").expect("invariant: a String takes all");
    }

    fn number(&mut self, name: &str, number: u128) {
        writeln!(self.0, "{name}: {number}").expect("invariant: a String takes all");
    }

    fn name(&mut self, name: &str) {
        debug_assert!(!name.contains(['\n', '\r']), "event names are ours");
        self.field("event", name);
    }

    fn data(&mut self, data: &str) {
        for line in lines(data) {
            self.field("data", line);
        }
    }

    fn base64(&mut self, bytes: &[u8]) {
        self.0.push_str("data: ");
        push_base64(&mut self.0, bytes);
        self.0.push('\n');
    }

    /// The space behind the colon is taken off by the client, so one at the start of `line` survives.
    fn field(&mut self, name: &str, line: &str) {
        self.0.push_str(name);
        self.0.push_str(": ");
        self.0.push_str(line);
        self.0.push('\n');
    }

    fn finish(mut self, delimiting: Delimiting) -> Bytes {
        self.0.push('\n');
        match delimiting {
            Delimiting::UntilClose => Bytes::from(self.0),
            Delimiting::Chunked => chunk(self.0.as_bytes()),
        }
    }
}

/// One HTTP/1.1 chunk (RFC 9112 §7.1).
fn chunk(body: &[u8]) -> Bytes {
    debug_assert!(!body.is_empty(), "an empty chunk would end the body");
    let size = format!("{:x}\r\n", body.len());
    let mut chunk = BytesMut::with_capacity(size.len() + body.len() + 2);
    chunk.extend_from_slice(size.as_bytes());
    chunk.extend_from_slice(body);
    chunk.extend_from_slice(b"\r\n");
    chunk.freeze()
}

#[cfg(test)]
pub(super) mod reader;
#[cfg(test)]
mod tests;

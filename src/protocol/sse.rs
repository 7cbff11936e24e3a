//! Server-Sent Events (WHATWG HTML, "Server-sent events"): publications, comments and the retry line, ready for a body.
//!
//! What a browser gives back from `data` has its line breaks as `\n`: the format cannot carry `\r` and `\r\n` apart.
//! An empty payload is one empty `data:` line and reaches `onmessage` with empty data.

use std::time::Duration;

use bytes::Bytes;

use super::headed::Headed;
use super::json::{Body, base64_bytes, publication_bytes, push_base64, push_publication};
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
/// The id is all that a browser brings back, so it holds the stream's position in each of its topics. Without one the
/// browser keeps the last it had.
pub fn topic_publication(
    delimiting: Delimiting,
    stream_id: Option<&str>,
    topic: &str,
    position: Position,
    kind: Kind,
    payload: &[u8],
) -> Bytes {
    let id_bytes = stream_id.map_or(0, str::len);
    let mut event = Event::new(id_bytes + publication_bytes(topic, kind, payload));
    if let Some(id) = stream_id {
        event.field("id", id);
    }
    event.publication(topic, position, kind, payload);
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
    event.number("retry", u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
    event.finish(delimiting)
}

/// The lines of a text as the event stream grammar sees them: `\n`, `\r\n` and `\r` each end one, so a text with n ends
/// has n + 1 lines.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = memchr::memchr2(b'\n', b'\r', text.as_bytes()) else {
            rest = None;
            return Some(text);
        };
        let behind = if text[end..].starts_with("\r\n") { end + 2 } else { end + 1 };
        rest = Some(&text[behind..]);
        Some(&text[..end])
    })
}

/// An event being written, behind room for the size of its chunk.
struct Event(Headed);

impl Event {
    /// More than id, event name and the ends of lines take.
    const ENVELOPE_BYTES: usize = 80;

    fn new(data_bytes: usize) -> Self {
        Self(Headed::new(CHUNK_HEADER_BYTES, Self::ENVELOPE_BYTES + data_bytes))
    }

    fn push(&mut self, bytes: &[u8]) {
        self.0.body().extend_from_slice(bytes);
    }

    fn id(&mut self, position: Position) {
        // As `Position` is displayed; a test holds that.
        let mut number = itoa::Buffer::new();
        self.push(b"id: ");
        self.push(number.format(position.epoch.0).as_bytes());
        self.push(b":");
        self.push(number.format(position.offset.0).as_bytes());
        self.push(b"\n");
    }

    fn number(&mut self, name: &str, number: u64) {
        self.field(name, itoa::Buffer::new().format(number));
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
        self.push(b"data: ");
        push_base64(self.0.body(), bytes);
        self.push(b"\n");
    }

    /// JSON has no line breaks, so it is one line.
    fn publication(&mut self, topic: &str, position: Position, kind: Kind, payload: &[u8]) {
        self.push(b"data: ");
        push_publication(self.0.body(), topic, position, kind, payload);
        self.push(b"\n");
    }

    /// The space behind the colon is taken off by the client, so one at the start of `line` survives.
    fn field(&mut self, name: &str, line: &str) {
        self.push(name.as_bytes());
        self.push(b": ");
        self.push(line.as_bytes());
        self.push(b"\n");
    }

    fn finish(mut self, delimiting: Delimiting) -> Bytes {
        self.push(b"\n");
        match delimiting {
            Delimiting::UntilClose => self.0.finish(b""),
            Delimiting::Chunked => {
                let mut header = [0; CHUNK_HEADER_BYTES];
                let size = chunk_header(self.0.body_bytes(), &mut header);
                self.push(b"\r\n");
                self.0.finish(size)
            }
        }
    }
}

/// The digits of a size in hexadecimal, and the end of the line.
pub(super) const CHUNK_HEADER_BYTES: usize = 16 + 2;

/// What stands before `body_bytes` of an HTTP/1.1 chunk (RFC 9112 §7.1), at the end of `room`.
pub(super) fn chunk_header(body_bytes: usize, room: &mut [u8; CHUNK_HEADER_BYTES]) -> &[u8] {
    debug_assert!(body_bytes > 0, "an empty chunk would end the body");
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut at = CHUNK_HEADER_BYTES - 2;
    room[at..].copy_from_slice(b"\r\n");
    let mut left = body_bytes;
    while left > 0 {
        at -= 1;
        room[at] = DIGITS[left & 15];
        left >>= 4;
    }
    &room[at..]
}

#[cfg(test)]
pub(super) mod reader;
#[cfg(test)]
mod tests;

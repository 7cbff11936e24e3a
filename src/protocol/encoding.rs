//! The wire encodings of a publication.

use bytes::Bytes;

use super::json::publication_json;
use super::plain::plain_frame;
use super::sse::{self, Delimiting};
use crate::hub::{Kind, Position};
use crate::ws::frame;

/// How a publication looks on a socket. One log of ready frames exists per (worker, topic, encoding) in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// A WebSocket frame with the payload as it is.
    Plain,
    /// A WebSocket text frame with `{"topic","epoch","offset","data"}`.
    Json,
    /// A Server-Sent Event on a body that ends with the connection (HTTP/1.0 clients).
    Sse,
    /// A Server-Sent Event as one finished HTTP/1.1 chunk.
    SseChunked,
    /// A Server-Sent Event whose data is the JSON of [`Encoding::Json`], for a stream of several topics, on a body that
    /// ends with the connection.
    SseTopic,
    /// The same as one finished HTTP/1.1 chunk.
    SseTopicChunked,
}

impl Encoding {
    /// How many there are.
    pub const COUNT: usize = 6;

    /// Every encoding, in the order of [`Encoding::index`].
    pub const ALL: [Self; Self::COUNT] =
        [Self::Plain, Self::Json, Self::Sse, Self::SseChunked, Self::SseTopic, Self::SseTopicChunked];

    /// Its place in arrays of [`Encoding::COUNT`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// How the body of its event stream is delimited; `None` on a WebSocket.
    pub const fn delimiting(self) -> Option<Delimiting> {
        match self {
            Self::Plain | Self::Json => None,
            Self::Sse | Self::SseTopic => Some(Delimiting::UntilClose),
            Self::SseChunked | Self::SseTopicChunked => Some(Delimiting::Chunked),
        }
    }
}

/// The ready bytes of one publication. Copies the payload once; text is checked once more to be UTF-8.
///
/// With several topics on one event stream no `id:` is sent: the id is the only thing a browser brings back, and one
/// position cannot tell where it stood in each topic. Such a client resumes with the positions in the data.
pub fn encode(encoding: Encoding, topic: &str, position: Position, kind: Kind, payload: &[u8]) -> Bytes {
    match encoding {
        Encoding::Plain => plain_frame(kind, payload),
        Encoding::Json => frame::text(&publication_json(topic, position, kind, payload)),
        Encoding::Sse => sse::publication(Delimiting::UntilClose, position, kind, payload),
        Encoding::SseChunked => sse::publication(Delimiting::Chunked, position, kind, payload),
        Encoding::SseTopic => {
            sse::event(Delimiting::UntilClose, None, &publication_json(topic, position, kind, payload))
        }
        Encoding::SseTopicChunked => {
            sse::event(Delimiting::Chunked, None, &publication_json(topic, position, kind, payload))
        }
    }
}

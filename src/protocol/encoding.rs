//! The wire encodings of a publication.

use bytes::Bytes;

use super::plain::plain_frame;
use crate::hub::{Kind, Position};

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
}

impl Encoding {
    /// How many there are.
    pub const COUNT: usize = 4;

    /// Its place in arrays of [`Encoding::COUNT`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// The ready bytes of one publication.
pub fn encode(encoding: Encoding, topic: &str, position: Position, kind: Kind, payload: &[u8]) -> Bytes {
    match encoding {
        Encoding::Plain => plain_frame(kind, payload),
        Encoding::Json | Encoding::Sse | Encoding::SseChunked => {
            let _ = (topic, position);
            unimplemented!()
        }
    }
}

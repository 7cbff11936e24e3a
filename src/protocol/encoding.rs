//! The wire encodings of a publication.

use bytes::Bytes;

use super::content::{About, Content};
use super::headed::Headed;
use super::json::{publication_bytes, push_publication};
use super::plain::plain_frame;
use super::shape::{Deltas, Shape};
use super::shaped;
use super::sse::{self, Delimiting};
use crate::hub::{Kind, Position};
use crate::ws::frame::{FrameHeader, HEADER_LIMIT_BYTES};
use crate::ws::{Deflation, OpCode};

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
    /// A push of the Centrifuge protocol.
    Centrifuge(Shape),
    /// The message of [`Encoding::Plain`], compressed if it is large enough and becomes smaller.
    PlainDeflate(Deflation),
    /// The message of [`Encoding::Json`], compressed if it is large enough and becomes smaller.
    JsonDeflate(Deflation),
    /// The message of [`Encoding::Centrifuge`], compressed if it is large enough and becomes smaller.
    CentrifugeDeflate(Shape, Deflation),
}

impl Encoding {
    /// Those that compress nothing and are not of the Centrifuge protocol.
    pub const UNCOMPRESSED: [Self; 6] =
        [Self::Plain, Self::Json, Self::Sse, Self::SseChunked, Self::SseTopic, Self::SseTopicChunked];

    /// The same, compressed like that. Response bodies stay as they are: the extension is one of WebSockets.
    pub const fn deflated(self, how: Deflation) -> Self {
        match self {
            Self::Plain | Self::PlainDeflate(_) => Self::PlainDeflate(how),
            Self::Json | Self::JsonDeflate(_) => Self::JsonDeflate(how),
            Self::Centrifuge(shape) | Self::CentrifugeDeflate(shape, _) => match shape.delimiting() {
                None => Self::CentrifugeDeflate(shape, how),
                Some(_) => Self::Centrifuge(shape),
            },
            Self::Sse | Self::SseChunked | Self::SseTopic | Self::SseTopicChunked => self,
        }
    }

    /// The same without compression.
    pub const fn uncompressed(self) -> Self {
        match self {
            Self::PlainDeflate(_) => Self::Plain,
            Self::JsonDeflate(_) => Self::Json,
            Self::CentrifugeDeflate(shape, _) => Self::Centrifuge(shape),
            Self::Plain
            | Self::Json
            | Self::Sse
            | Self::SseChunked
            | Self::SseTopic
            | Self::SseTopicChunked
            | Self::Centrifuge(_) => self,
        }
    }

    /// How it compresses; `None` if it does not.
    pub const fn deflation(self) -> Option<Deflation> {
        match self {
            Self::PlainDeflate(how) | Self::JsonDeflate(how) | Self::CentrifugeDeflate(_, how) => Some(how),
            Self::Plain
            | Self::Json
            | Self::Sse
            | Self::SseChunked
            | Self::SseTopic
            | Self::SseTopicChunked
            | Self::Centrifuge(_) => None,
        }
    }

    /// How the body it goes into is delimited; `None` on a WebSocket.
    pub const fn delimiting(self) -> Option<Delimiting> {
        match self {
            Self::Plain | Self::Json | Self::PlainDeflate(_) | Self::JsonDeflate(_) => None,
            Self::Sse | Self::SseTopic => Some(Delimiting::UntilClose),
            Self::SseChunked | Self::SseTopicChunked => Some(Delimiting::Chunked),
            Self::Centrifuge(shape) | Self::CentrifugeDeflate(shape, _) => shape.delimiting(),
        }
    }

    /// That of a subscriber that was promised deltas, once it has a publication. `None` if it was not, or gets them already.
    pub const fn settled(self) -> Option<Self> {
        match self {
            Self::Centrifuge(shape) => match shape.deltas() {
                Deltas::Fresh => Some(Self::Centrifuge(shape.with_deltas(Deltas::Going))),
                Deltas::Off | Deltas::Going => None,
            },
            Self::CentrifugeDeflate(shape, how) => match shape.deltas() {
                Deltas::Fresh => Some(Self::CentrifugeDeflate(shape.with_deltas(Deltas::Going), how)),
                Deltas::Off | Deltas::Going => None,
            },
            Self::Plain
            | Self::Json
            | Self::Sse
            | Self::SseChunked
            | Self::SseTopic
            | Self::SseTopicChunked
            | Self::PlainDeflate(_)
            | Self::JsonDeflate(_) => None,
        }
    }

    /// Its shape, if it is one of the Centrifuge protocol.
    pub const fn shape(self) -> Option<Shape> {
        match self {
            Self::Centrifuge(shape) | Self::CentrifugeDeflate(shape, _) => Some(shape),
            Self::Plain
            | Self::Json
            | Self::Sse
            | Self::SseChunked
            | Self::SseTopic
            | Self::SseTopicChunked
            | Self::PlainDeflate(_)
            | Self::JsonDeflate(_) => None,
        }
    }
}

/// The ready bytes of one publication. Copies the payload once; text is checked once more to be UTF-8.
///
/// A stream of several topics gets no id here, because one position cannot tell where it stands in each topic: its frames
/// are made by [`sse::topic_publication`]. Nor is anything compressed: that takes a [`crate::ws::Deflater`], and the frame
/// without compression is one that every subscriber takes.
///
/// Empty if there is nothing to say in this encoding: who came and went is told in the Centrifuge protocol only.
pub fn encode(encoding: Encoding, content: &Content<'_>) -> Bytes {
    let Content { topic, position, about, .. } = *content;
    if let Encoding::Centrifuge(shape) | Encoding::CentrifugeDeflate(shape, _) = encoding {
        return shaped::frame(shape, content);
    }
    let About::Publication { kind, payload, .. } = about else { return Bytes::new() };
    match encoding {
        Encoding::Plain | Encoding::PlainDeflate(_) => plain_frame(kind, payload),
        Encoding::Json | Encoding::JsonDeflate(_) => json_frame(topic, position, kind, payload),
        Encoding::Sse => sse::publication(Delimiting::UntilClose, position, kind, payload),
        Encoding::SseChunked => sse::publication(Delimiting::Chunked, position, kind, payload),
        Encoding::SseTopic => sse::topic_publication(Delimiting::UntilClose, None, topic, position, kind, payload),
        Encoding::SseTopicChunked => sse::topic_publication(Delimiting::Chunked, None, topic, position, kind, payload),
        Encoding::Centrifuge(_) | Encoding::CentrifugeDeflate(..) => unreachable!("invariant: returned above"),
    }
}

fn json_frame(topic: &str, position: Position, kind: Kind, payload: &[u8]) -> Bytes {
    let mut frame = Headed::new(HEADER_LIMIT_BYTES, publication_bytes(topic, kind, payload));
    push_publication(frame.body(), topic, position, kind, payload);
    let header = FrameHeader::new(OpCode::Text, frame.body_bytes());
    frame.finish(header.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::{Epoch, Offset};
    use crate::protocol::sse::reader::{dechunk, read};
    use crate::ws::{Thresholds, Window};

    const POSITION: Position = Position { epoch: Epoch(7), offset: Offset(42) };
    const LINE: &str = r#"{"topic":"news","epoch":"7","offset":42,"data":"a\nb"}"#;

    fn encoded(encoding: Encoding) -> Bytes {
        encode(encoding, &Content::plain("news", POSITION, Kind::Text, b"a\nb"))
    }

    fn deflations() -> impl Iterator<Item = Deflation> {
        let mut thresholds = Thresholds::default();
        let thresholds = [1, 2].map(|bytes| thresholds.enter(bytes).unwrap());
        Window::ALL.into_iter().flat_map(move |window| thresholds.map(|threshold| Deflation { window, threshold }))
    }

    #[test]
    fn compressing_an_encoding_and_leaving_it_again_gives_the_same_one() {
        let shapes = Shape::all().map(Encoding::Centrifuge);
        for encoding in Encoding::UNCOMPRESSED.into_iter().chain(shapes) {
            assert_eq!(encoding.deflation(), None);
            for how in deflations() {
                let deflated = encoding.deflated(how);
                assert_eq!(deflated.uncompressed(), encoding);
                assert_eq!(deflated.delimiting(), encoding.delimiting());
                assert_eq!(deflated.deflation(), encoding.delimiting().is_none().then_some(how));
                assert_eq!(encoded(deflated), encoded(encoding));
            }
        }
    }

    #[test]
    fn plain_is_the_payload_in_a_frame() {
        assert_eq!(encoded(Encoding::Plain), "\u{81}\u{3}a\nb".chars().map(|c| c as u8).collect::<Vec<u8>>());
    }

    #[test]
    fn json_is_a_text_message_even_for_a_binary_payload() {
        let frame = encoded(Encoding::Json);
        assert_eq!((frame[0], &frame[2..]), (0x81, LINE.as_bytes()));
        assert_eq!(encode(Encoding::Json, &Content::plain("news", POSITION, Kind::Binary, b"\xff"))[0], 0x81);
    }

    #[test]
    fn an_event_stream_of_one_topic_carries_the_id_to_resume_at() {
        let events = read(&encoded(Encoding::Sse)).events;
        assert_eq!((events[0].data.as_str(), events[0].last_id.as_str()), ("a\nb", "7:42"));
    }

    #[test]
    fn an_event_stream_of_several_topics_tells_the_topic_in_a_default_event_without_an_id() {
        let events = read(&encoded(Encoding::SseTopic)).events;
        assert_eq!(
            (events[0].name.as_str(), events[0].data.as_str(), events[0].last_id.as_str()),
            ("message", LINE, "")
        );
    }

    #[test]
    fn the_chunked_encodings_are_one_chunk_of_the_others() {
        for (plain, chunked) in [(Encoding::Sse, Encoding::SseChunked), (Encoding::SseTopic, Encoding::SseTopicChunked)]
        {
            assert_eq!(dechunk(&encoded(chunked)), [encoded(plain).to_vec()]);
        }
    }
}

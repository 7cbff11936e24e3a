//! What the hub itself tells a subscriber, in band: what was missed, whether recovery worked, what went wrong.

use bytes::Bytes;
use serde::Serialize;

use super::encoding::Encoding;
use super::json::EpochText;
use super::sse;
use crate::hub::{Epoch, Offset, Position};
use crate::ws::frame;

/// What a notice is about; the event name on an event stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Notice {
    /// Publications were skipped: [`missed_json`].
    Missed,
    /// The answer to a client that came back with a position: [`recovered_json`].
    Recovered,
    /// Something that the client sent was refused: [`error_json`].
    Error,
}

impl Notice {
    /// The event name on an event stream.
    ///
    /// Errors are called `refused` there: `error` is what browsers call a lost connection, and a listener could not tell
    /// one from the other.
    pub const fn event_name(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::Recovered => "recovered",
            Self::Error => "refused",
        }
    }
}

/// `json` as a notice: a text message on a WebSocket, a named event without an id on an event stream, so that it does
/// not change where a browser resumes.
pub fn notice(encoding: Encoding, about: Notice, json: &str) -> Bytes {
    match encoding.delimiting() {
        None => frame::text(json),
        Some(delimiting) => sse::event(delimiting, Some(about.event_name()), json),
    }
}

/// `{"missed":{"topic":..,"epoch":"..","from":N,"to":N,"count":N}}`: the publications from offset `first` to `last` were
/// not delivered, `count` of them.
pub fn missed_json(topic: &str, epoch: Epoch, first: Offset, last: Offset, count: u64) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        missed: Missed<'a>,
    }
    #[derive(Serialize)]
    struct Missed<'a> {
        topic: &'a str,
        epoch: EpochText,
        from: u64,
        to: u64,
        count: u64,
    }
    json(&Line { missed: Missed { topic, epoch: EpochText(epoch), from: first.0, to: last.0, count } })
}

/// `{"topic":..,"epoch":"..","offset":N,"recovered":BOOL}`: whether what follows `position` continues exactly where the
/// client was.
pub fn recovered_json(topic: &str, position: Position, recovered: bool) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        topic: &'a str,
        epoch: EpochText,
        offset: u64,
        recovered: bool,
    }
    json(&Line { topic, epoch: EpochText(position.epoch), offset: position.offset.0, recovered })
}

/// `{"error":{"code":..,"message":..}}`.
pub fn error_json(code: &str, message: &str) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        error: Error<'a>,
    }
    #[derive(Serialize)]
    struct Error<'a> {
        code: &'a str,
        message: &'a str,
    }
    json(&Line { error: Error { code, message } })
}

fn json(line: &impl Serialize) -> String {
    serde_json::to_string(line).expect("invariant: strings, numbers and booleans always serialize")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::protocol::sse::reader::{dechunk, read};

    const POSITION: Position = Position { epoch: Epoch(7), offset: Offset(42) };

    #[test]
    fn a_missed_notice_names_the_topic_and_the_offsets() {
        let line: Value = serde_json::from_str(&missed_json("a \"b\"", Epoch(7), Offset(3), Offset(9), 7)).unwrap();
        let missed = json!({ "topic": "a \"b\"", "epoch": "7", "from": 3, "to": 9, "count": 7 });
        assert_eq!(line, json!({ "missed": missed }));
    }

    #[test]
    fn a_recovered_notice_says_where_and_whether() {
        let line = recovered_json("news", POSITION, false);
        assert_eq!(line, r#"{"topic":"news","epoch":"7","offset":42,"recovered":false}"#);
        assert!(recovered_json("news", POSITION, true).ends_with(r#""recovered":true}"#));
    }

    #[test]
    fn an_error_notice_has_a_code_and_a_message() {
        assert_eq!(error_json("bad-message", "no"), r#"{"error":{"code":"bad-message","message":"no"}}"#);
    }

    #[test]
    fn a_notice_is_a_text_message_on_a_websocket() {
        for encoding in [Encoding::Plain, Encoding::Json] {
            assert_eq!(notice(encoding, Notice::Missed, "{}")[..], [0x81, 2, b'{', b'}']);
        }
    }

    #[test]
    fn a_notice_is_a_named_event_without_an_id_on_an_event_stream() {
        for about in [Notice::Missed, Notice::Recovered, Notice::Error] {
            for encoding in [Encoding::Sse, Encoding::SseTopic] {
                let events = read(&notice(encoding, about, "{}")).events;
                assert_eq!((events[0].name.as_str(), events[0].data.as_str()), (about.event_name(), "{}"));
                assert_eq!(events[0].last_id, "");
            }
            for encoding in [Encoding::SseChunked, Encoding::SseTopicChunked] {
                assert_eq!(dechunk(&notice(encoding, about, "{}")), [notice(Encoding::Sse, about, "{}").to_vec()]);
            }
        }
    }

    #[test]
    fn no_notice_is_named_like_an_event_that_browsers_fire_themselves() {
        for about in [Notice::Missed, Notice::Recovered, Notice::Error] {
            assert!(!["open", "error", "message", "binary"].contains(&about.event_name()));
        }
    }
}

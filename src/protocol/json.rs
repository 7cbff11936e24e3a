//! A publication with its topic and position as one line of JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Serialize, Serializer};

use crate::hub::{Epoch, Kind, Position};

/// `{"topic":..,"epoch":"..","offset":N,"data":".."}`; a binary payload stands as `"base64":".."` instead of `data`.
///
/// The epoch is a string because clients only hand it back. The offset is a number: exact in JavaScript up to 2^53,
/// which a topic with a million publications per second reaches after 285 years. Never has a line break in it.
pub(super) fn publication_json(topic: &str, position: Position, kind: Kind, payload: &[u8]) -> String {
    let body = Body::new(kind, payload);
    let (data, base64) = match body {
        Body::Text(text) => (Some(text), None),
        Body::Binary(bytes) => (None, Some(Base64(bytes))),
    };
    let line = Line { topic, epoch: EpochText(position.epoch), offset: position.offset.0, data, base64 };
    // Escapes and base64 take more; that is rare or known, and the vector grows then.
    let mut json = Vec::with_capacity(ENVELOPE_BYTES + topic.len() + body.expected_bytes());
    serde_json::to_writer(&mut json, &line).expect("invariant: strings and numbers always serialize");
    String::from_utf8(json).expect("invariant: serde_json writes UTF-8")
}

/// More than keys, quotes, epoch and offset take.
const ENVELOPE_BYTES: usize = 96;

/// How a payload is told in a text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body<'a> {
    /// As it is.
    Text(&'a str),
    /// In base64.
    Binary(&'a [u8]),
}

impl<'a> Body<'a> {
    /// The body of a payload. Text that is not UTF-8, which no publisher gets past the hub, would be told as binary
    /// rather than changed.
    pub(super) fn new(kind: Kind, payload: &'a [u8]) -> Self {
        match kind {
            Kind::Text => simdutf8::basic::from_utf8(payload).map_or(Self::Binary(payload), Self::Text),
            Kind::Binary => Self::Binary(payload),
        }
    }

    fn expected_bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len() + text.len() / 16,
            Self::Binary(bytes) => base64_bytes(bytes.len()),
        }
    }
}

/// The size of `plain_bytes` in base64 with padding.
pub(super) fn base64_bytes(plain_bytes: usize) -> usize {
    plain_bytes.div_ceil(3) * 4
}

/// Appends `bytes` in base64 (RFC 4648 §4, padded).
pub(super) fn push_base64(out: &mut String, bytes: &[u8]) {
    BASE64.encode_string(bytes, out);
}

#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    epoch: EpochText,
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<Base64<'a>>,
}

/// An epoch as a JSON string.
#[derive(Debug, Clone, Copy)]
pub(super) struct EpochText(pub(super) Epoch);

impl Serialize for EpochText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.0)
    }
}

struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::hub::Offset;

    const POSITION: Position = Position { epoch: Epoch(7), offset: Offset(42) };

    #[test]
    fn a_text_payload_is_a_json_string_beside_its_topic_and_position() {
        let line = publication_json("news", POSITION, Kind::Text, b"say \"hi\"\n");
        assert_eq!(line, r#"{"topic":"news","epoch":"7","offset":42,"data":"say \"hi\"\n"}"#);
    }

    #[test]
    fn a_binary_payload_is_base64_under_a_key_of_its_own() {
        let line = publication_json("news", POSITION, Kind::Binary, &[0xff, 0x00]);
        assert_eq!(line, r#"{"topic":"news","epoch":"7","offset":42,"base64":"/wA="}"#);
    }

    #[test]
    fn text_that_is_not_utf8_is_told_as_binary_and_not_changed() {
        assert_eq!(Body::new(Kind::Text, b"\xff"), Body::Binary(b"\xff"));
    }

    #[test]
    fn the_epoch_is_a_string_even_where_javascript_could_not_hold_it() {
        let position = Position { epoch: Epoch(u64::MAX), offset: Offset(1) };
        let line: Value = serde_json::from_str(&publication_json("t", position, Kind::Text, b"")).unwrap();
        assert_eq!(line["epoch"], json!("18446744073709551615"));
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_one_line_of_json(
            topic in "\\PC{1,20}",
            epoch in any::<u64>(),
            offset in any::<u64>(),
            text in vec(any::<char>(), 0..100).prop_map(String::from_iter),
        ) {
            let position = Position { epoch: Epoch(epoch), offset: Offset(offset) };
            let line = publication_json(&topic, position, Kind::Text, text.as_bytes());
            prop_assert!(!line.contains(['\n', '\r']));
            let read: Value = serde_json::from_str(&line).unwrap();
            let expected = json!({ "topic": topic, "epoch": epoch.to_string(), "offset": offset, "data": text });
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn any_bytes_come_back_from_base64(payload in vec(any::<u8>(), 0..200)) {
            let line = publication_json("t", POSITION, Kind::Binary, &payload);
            let read: Value = serde_json::from_str(&line).unwrap();
            let base64 = read["base64"].as_str().unwrap();
            prop_assert_eq!(base64.len(), base64_bytes(payload.len()));
            prop_assert_eq!(BASE64.decode(base64).unwrap(), payload);
            prop_assert_eq!(&read["data"], &Value::Null);
        }
    }
}

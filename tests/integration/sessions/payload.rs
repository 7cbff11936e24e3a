//! Payloads that differ from each other, and what clients are to see of them.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a payload is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// JSON that is no longer than a delta to it.
    Short,
    /// JSON like the one before, and long.
    Long,
    /// JSON with line breaks.
    Lined,
    /// Text that is not JSON.
    Text,
    /// Not even text.
    Bytes,
}

/// One payload, as it was published.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Payload {
    pub(super) shape: Shape,
    pub(super) bytes: Vec<u8>,
    number: u64,
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.shape, self.number)
    }
}

impl Payload {
    /// The payload with this number: no other one of its story has it.
    pub(super) fn new(shape: Shape, number: u64) -> Self {
        let bytes = match shape {
            Shape::Short => format!("{{\"n\":{number}}}").into_bytes(),
            Shape::Long => {
                let words = "naïve words, again and again; ".repeat(6);
                format!("{{\"text\":\"{words}\", \"n\":{number},\"end\":\"{words}\"}}").into_bytes()
            }
            Shape::Lined => format!("{{\n  \"n\": {number}\n}}").into_bytes(),
            Shape::Text => format!("número {number}, {}", "as text ".repeat(9)).into_bytes(),
            Shape::Bytes => [&[0xff; 40][..], &number.to_be_bytes(), &[0xfe; 40]].concat(),
        };
        Self { shape, bytes, number }
    }

    /// Whether a JSON command can carry it.
    pub(super) fn is_json(&self) -> bool {
        matches!(self.shape, Shape::Short | Shape::Long | Shape::Lined)
    }

    /// As a field of the server API.
    pub(super) fn api_field(&self) -> String {
        match std::str::from_utf8(&self.bytes) {
            Ok(text) if self.is_json() => format!("\"data\":{text}"),
            Ok(_) | Err(_) => format!("\"b64data\":\"{}\"", STANDARD.encode(&self.bytes)),
        }
    }

    /// Asserts that `json`, which a JSON client has in hand, is this payload: JSON byte for byte, all else as a string. Where
    /// it is not `whole`, line breaks between tokens are left out.
    #[track_caller]
    pub(super) fn assert_json(&self, json: &[u8], whole: bool) {
        let json = std::str::from_utf8(json).expect("JSON is UTF-8");
        let string = |expected: &str| assert_eq!(serde_json::from_str::<String>(json).unwrap(), expected);
        match self.shape {
            Shape::Lined if !whole => assert_eq!(json, format!("{{\"n\":{}}}", self.number)),
            Shape::Short | Shape::Long | Shape::Lined => assert_eq!(json.as_bytes(), self.bytes, "{json}"),
            Shape::Text => string(std::str::from_utf8(&self.bytes).unwrap()),
            Shape::Bytes => string(&STANDARD.encode(&self.bytes)),
        }
    }
}

//! A publication with its topic and position as one line of JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Serialize, Serializer};

use crate::hub::{Epoch, Kind, Position};

/// More than keys, quotes, epoch and offset take.
const ENVELOPE_BYTES: usize = 96;

/// The bytes that [`push_publication`] appends, if nothing is escaped.
pub(super) fn publication_bytes(topic: &str, kind: Kind, payload: &[u8]) -> usize {
    let body = match kind {
        Kind::Text => payload.len() + payload.len() / 16,
        Kind::Binary => base64_bytes(payload.len()),
    };
    ENVELOPE_BYTES + topic.len() + body
}

/// Appends `{"topic":..,"epoch":"..","offset":N,"data":".."}`; a binary payload stands as `"base64":".."` instead of
/// `data`.
///
/// The epoch is a string because clients only hand it back. The offset is a number: exact in JavaScript up to 2^53,
/// which a topic with a million publications per second reaches after 285 years. Never has a line break in it.
///
/// Written by hand because it is made for each publication: the same bytes by `serde_json` are half as many instructions
/// again (`cargo xtask instructions`), and a test holds both to be the same.
pub(super) fn push_publication(out: &mut Vec<u8>, topic: &str, position: Position, kind: Kind, payload: &[u8]) {
    let mut number = itoa::Buffer::new();
    out.extend_from_slice(b"{\"topic\":");
    push_string(out, topic);
    out.extend_from_slice(b",\"epoch\":\"");
    out.extend_from_slice(number.format(position.epoch.0).as_bytes());
    out.extend_from_slice(b"\",\"offset\":");
    out.extend_from_slice(number.format(position.offset.0).as_bytes());
    match Body::new(kind, payload) {
        Body::Text(text) => {
            out.extend_from_slice(b",\"data\":");
            push_string(out, text);
        }
        Body::Binary(bytes) => {
            out.extend_from_slice(b",\"base64\":\"");
            push_base64(out, bytes);
            out.push(b'"');
        }
    }
    out.push(b'}');
}

/// Appends `text` as a JSON string (RFC 8259 §7): what must be escaped is, and nothing else.
pub(super) fn push_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = first_special(rest) {
        let (plain, behind) = rest.split_at(at);
        out.extend_from_slice(plain);
        push_escaped(out, behind[0]);
        rest = &behind[1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// The first byte that cannot stand in a JSON string as it is: a quote, a backslash, a control character.
fn first_special(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let found = special_bits(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(at * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let behind = bytes.len() - rest.len();
    rest.iter().position(|&b| b < 0x20 || b == b'"' || b == b'\\').map(|at| behind + at)
}

/// The top bit of bytes of `word` that are special. The lowest bit that is set is right; above it, carries may set others
/// ("Bit Twiddling Hacks", Anderson: determine if a word has a byte less than n).
fn special_bits(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const TOPS: u64 = ONES << 7;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
    (below(word, 0x20) | below(quote, 1) | below(backslash, 1)) & TOPS
}

#[cold]
fn push_escaped(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        _ => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            let (high, low) = (DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]);
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

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
}

/// The size of `plain_bytes` in base64 with padding.
pub(super) fn base64_bytes(plain_bytes: usize) -> usize {
    plain_bytes.div_ceil(3) * 4
}

/// Appends `bytes` in base64 (RFC 4648 §4, padded).
pub(super) fn push_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + base64_bytes(bytes.len()), 0);
    BASE64.encode_slice(bytes, &mut out[start..]).expect("invariant: there is room for just that");
}

/// An epoch as a JSON string.
#[derive(Debug, Clone, Copy)]
pub(super) struct EpochText(pub(super) Epoch);

impl Serialize for EpochText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.0)
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

    fn publication_json(topic: &str, position: Position, kind: Kind, payload: &[u8]) -> String {
        let mut json = b"before ".to_vec();
        push_publication(&mut json, topic, position, kind, payload);
        String::from_utf8(json).unwrap().strip_prefix("before ").unwrap().to_owned()
    }

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

    #[test]
    fn every_byte_is_found_special_or_not_at_every_place() {
        for byte in 0..=u8::MAX {
            for at in 0..20 {
                for filler in [b'a', 0x20, 0x7f, 0x80, 0xff, b'#', b'!', b'[', b']'] {
                    let mut bytes = [filler; 20];
                    bytes[at] = byte;
                    let special = byte < 0x20 || byte == b'"' || byte == b'\\';
                    assert_eq!(first_special(&bytes), special.then_some(at), "{byte:#x} at {at} among {filler:#x}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn strings_are_escaped_as_serde_json_escapes_them(
            text in vec(prop_oneof![any::<char>(), prop::char::range('\0', '\u{80}'), Just('"'), Just('\\')], 0..60)
                .prop_map(String::from_iter),
        ) {
            let mut json = Vec::new();
            push_string(&mut json, &text);
            prop_assert_eq!(String::from_utf8(json).unwrap(), serde_json::to_string(&text).unwrap());
        }

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

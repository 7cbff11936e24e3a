//! A payload inside JSON.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::super::json::{base64_bytes, push_base64, push_string};

/// What stands in JSON for a payload. Publishers may give any bytes, and one that gives no JSON must not cost the
/// subscribers that speak JSON their connection (Centrifugo closes them with 3506).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form<'a> {
    /// JSON, embedded as it is.
    Json(&'a str),
    /// Text that is not JSON, as a JSON string.
    Text(&'a str),
    /// Not UTF-8, as a JSON string in base64.
    Binary(&'a [u8]),
}

impl<'a> Form<'a> {
    /// Reads the payload once, for being UTF-8 and JSON. The walk over nested values is a loop, not a recursion.
    fn of(payload: &'a [u8]) -> Self {
        match simdutf8::basic::from_utf8(payload) {
            Ok(text) if serde_json::from_str::<IgnoredAny>(text).is_ok() => Self::Json(text),
            Ok(text) => Self::Text(text),
            Err(_) => Self::Binary(payload),
        }
    }
}

/// The JSON text that a payload is told as, with its own line breaks: the payload itself if it is JSON, else a string.
///
/// This is what a JSON client of a channel with deltas has in hand afterwards, and so the base of the next delta.
pub fn json_text(payload: &[u8]) -> Cow<'_, [u8]> {
    match Form::of(payload) {
        Form::Json(text) => Cow::Borrowed(text.as_bytes()),
        Form::Text(text) => {
            let mut json = Vec::with_capacity(value_bytes(payload));
            push_string(&mut json, text);
            Cow::Owned(json)
        }
        Form::Binary(bytes) => {
            let mut json = Vec::with_capacity(base64_bytes(bytes.len()) + 2);
            push_base64_string(&mut json, bytes);
            Cow::Owned(json)
        }
    }
}

/// About the bytes that [`push_value`] appends; more only for binary payloads and many escapes.
pub(super) fn value_bytes(payload: &[u8]) -> usize {
    payload.len() + payload.len() / 16 + 2
}

/// Appends a payload as a JSON value. Never has a line break in it: SDKs split frames there.
pub(super) fn push_value(out: &mut Vec<u8>, payload: &[u8]) {
    match Form::of(payload) {
        // Strings cannot hold line breaks as they are, so these are between the tokens of a value that was set in lines.
        Form::Json(text) if memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_some() => push_compact(out, text),
        Form::Json(text) => out.extend_from_slice(text.as_bytes()),
        Form::Text(text) => push_string(out, text),
        Form::Binary(bytes) => push_base64_string(out, bytes),
    }
}

/// Appends a payload as a JSON string that holds its [`json_text`].
pub(super) fn push_text_as_string(out: &mut Vec<u8>, payload: &[u8]) {
    push_string(out, std::str::from_utf8(&json_text(payload)).expect("invariant: JSON is UTF-8"));
}

/// Appends a delta as a JSON string.
pub(super) fn push_delta(out: &mut Vec<u8>, delta: &[u8]) {
    let text = String::from_utf8_lossy(delta);
    debug_assert!(matches!(text, Cow::Borrowed(_)), "a delta between JSON texts is cut at characters");
    push_string(out, &text);
}

fn push_base64_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    push_base64(out, bytes);
    out.push(b'"');
}

/// Appends JSON without the white space between its tokens, none of which needs it to be apart from the next.
fn push_compact(out: &mut Vec<u8>, json: &str) {
    let mut is_in_string = false;
    let mut is_escaped = false;
    for &byte in json.as_bytes() {
        if is_in_string {
            is_in_string = byte != b'"' || is_escaped;
            is_escaped = byte == b'\\' && !is_escaped;
        } else if byte.is_ascii_whitespace() {
            continue;
        } else {
            is_in_string = byte == b'"';
        }
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn value(payload: &[u8]) -> String {
        let mut json = Vec::new();
        push_value(&mut json, payload);
        String::from_utf8(json).unwrap()
    }

    fn full(payload: &[u8]) -> String {
        let mut json = Vec::new();
        push_text_as_string(&mut json, payload);
        serde_json::from_slice(&json).unwrap()
    }

    #[test]
    fn json_is_embedded_as_it_is() {
        for json in [r#"{"a": 1.10}"#, "null", " [1] ", r#""x""#, "1e400", r#""\ud800""#] {
            assert_eq!(value(json.as_bytes()), json);
        }
    }

    #[test]
    fn text_that_is_not_json_becomes_a_string() {
        for text in ["", "hello", "{", "1 2", "{\"a\":1}x", "01", "'a'", "\u{feff}1", "nul"] {
            assert_eq!(value(text.as_bytes()), serde_json::to_string(text).unwrap());
        }
    }

    #[test]
    fn binary_becomes_a_string_in_base64() {
        assert_eq!(value(&[0xff, 0]), r#""/wA=""#);
    }

    #[test]
    fn json_set_in_lines_is_compacted_outside_its_strings() {
        assert_eq!(value(b"{\r\n  \"a b\\\\\" : [ 1,\n\t\"\\\" \\n\" ]\n}\n"), r#"{"a b\\":[1,"\" \n"]}"#);
        assert_eq!(value(b"1\n"), "1");
    }

    #[test]
    fn values_nested_however_deep_are_walked_without_recursion() {
        let deep = ["[".repeat(200_000), "]".repeat(200_000)].concat();
        assert_eq!(value(deep.as_bytes()), deep);
        assert!(value(&deep.as_bytes()[1..]).starts_with('"'), "unbalanced");
    }

    #[test]
    fn a_full_payload_beside_deltas_is_a_string_that_a_client_can_parse() {
        assert_eq!(full(b"{\n\"a\":1}"), "{\n\"a\":1}");
        assert_eq!(full(b"hello"), r#""hello""#);
        assert_eq!(full(&[0xff, 0]), r#""/wA=""#);
    }

    proptest! {
        #[test]
        fn any_payload_is_one_line_of_json_that_means_the_same(payload in prop_oneof![
            any::<Vec<u8>>(),
            "[ \\[\\]\\{\\}\",:0-9a\\\\\n\r]{0,12}".prop_map(String::into_bytes),
            any::<(Vec<String>, i64)>().prop_map(|value| serde_json::to_vec_pretty(&value).unwrap()),
        ]) {
            let line = value(&payload);
            prop_assert!(!line.contains(['\n', '\r']));
            let read: Value = serde_json::from_str(&line).unwrap();
            if let Ok(json) = serde_json::from_slice::<Value>(&payload) {
                prop_assert_eq!(&read, &json);
            } else if let Ok(text) = std::str::from_utf8(&payload) {
                prop_assert_eq!(&read, &Value::from(text));
            }
            prop_assert_eq!(serde_json::from_slice::<Value>(&json_text(&payload)).unwrap(), read);
            prop_assert_eq!(full(&payload).into_bytes(), json_text(&payload).into_owned());
        }
    }
}

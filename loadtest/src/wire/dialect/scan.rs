//! Reads the few forms of JSON that come once per delivery, without parsing all of it.

/// The content of the JSON string at the front of `bytes`, and what stands behind it.
///
/// `None` if there is no string, or one with an escape in it: nothing this harness publishes needs any.
pub(super) fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let bytes = bytes.strip_prefix(b"\"")?;
    let end = bytes.iter().position(|&byte| byte == b'"' || byte == b'\\')?;
    let (content, rest) = bytes.split_at(end);
    Some((content, rest.strip_prefix(b"\"")?))
}

/// What stands behind the whole number at the front of `bytes`.
pub(super) fn behind_number(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit())?;
    (end > 0).then(|| &bytes[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_ends_at_its_quote_and_one_with_escapes_is_left_to_a_parser() {
        assert_eq!(string(br#""ab",1"#), Some((&b"ab"[..], &b",1"[..])));
        assert_eq!(string(br#""""#), Some((&b""[..], &b""[..])));
        for bytes in [&br#""a\"b""#[..], br#""ab"#, b"ab", b"", b"1"] {
            assert_eq!(string(bytes), None);
        }
    }

    #[test]
    fn a_number_has_a_digit_and_an_end() {
        assert_eq!(behind_number(b"42,x"), Some(&b",x"[..]));
        for bytes in [&b"42"[..], b",", b"-1,", b""] {
            assert_eq!(behind_number(bytes), None);
        }
    }
}

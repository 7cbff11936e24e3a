//! The payload of a close frame (RFC 6455 §5.5.1, §7.4).

use fastwebsockets::CloseCode;

use super::violation::{Violation, rule};

/// The longest reason, in bytes: a control frame's 125 less the code.
pub const REASON_LIMIT_BYTES: usize = 123;

/// Whether `code` may stand in a close frame: 1000 to 1003, 1007 to 1014, and 3000 to 4999.
///
/// 1004, 1005, 1006 and 1015 must not be sent, the rest below 3000 is not assigned (IANA registry, 2026).
pub fn is_sendable(code: u16) -> bool {
    // fastwebsockets does not know 1014 (bad gateway), which IANA lists beside 1012 and 1013.
    code == 1014 || CloseCode::from(code).is_allowed()
}

/// The code and reason of an unmasked close payload; `None` if it is empty.
pub(super) fn parse(payload: &[u8]) -> Result<Option<(u16, &str)>, Violation> {
    match payload {
        [] => Ok(None),
        [_] => Err(Violation::Protocol(rule::CLOSE_OF_ONE_BYTE)),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !is_sendable(code) {
                return Err(Violation::Protocol(rule::CLOSE_CODE));
            }
            let reason = simdutf8::basic::from_utf8(reason).map_err(|_| Violation::InvalidUtf8)?;
            Ok(Some((code, reason)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_only(code: u16) -> Result<Option<(u16, &'static str)>, Violation> {
        parse(&code.to_be_bytes())
            .map(|parsed| parsed.map(|(code, reason)| (code, if reason.is_empty() { "" } else { "?" })))
    }

    #[test]
    fn assigned_registered_and_private_codes_are_accepted() {
        for code in (1000..=1003).chain(1007..=1014).chain(3000..=4999) {
            assert_eq!(code_only(code), Ok(Some((code, ""))));
        }
    }

    #[test]
    fn every_other_code_breaks_the_protocol() {
        let rest = (0..=999).chain(1004..=1006).chain(1015..=2999).chain(5000..=u16::MAX);
        for code in rest {
            assert_eq!(code_only(code), Err(Violation::Protocol(rule::CLOSE_CODE)), "{code}");
        }
    }

    #[test]
    fn an_empty_payload_has_no_code() {
        assert_eq!(parse(b""), Ok(None));
    }

    #[test]
    fn half_a_code_breaks_the_protocol() {
        assert_eq!(parse(b"\x03"), Err(Violation::Protocol(rule::CLOSE_OF_ONE_BYTE)));
    }

    #[test]
    fn a_reason_is_utf8() {
        assert_eq!(parse(b"\x03\xe8caf\xc3\xa9"), Ok(Some((1000, "café"))));
        assert_eq!(parse(b"\x03\xe8caf\xc3"), Err(Violation::InvalidUtf8));
    }
}

//! How a client broke RFC 6455 or RFC 7692.

use crate::close_reason::CloseReason;

/// Why the bytes of a client cannot be accepted. The connection is to be closed; the decoder has let go of its buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A rule of the framing, which the text names: close code 1002.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// A text message or a close reason is not UTF-8: close code 1007.
    #[error("text is not valid UTF-8")]
    InvalidUtf8,
    /// A compressed message is not a whole DEFLATE stream: close code 1007.
    #[error("compressed data is not valid DEFLATE")]
    InvalidDeflate,
    /// A message is over the limit, inflated or not: close code 1009. Nothing of the frame that would go over it was
    /// buffered, and nothing inflated beyond it.
    #[error("message is over the size limit")]
    MessageTooBig,
    /// A message has more frames than the limit: close code 1008. The frame over it was not taken in.
    #[error("message has too many fragments")]
    TooManyFragments,
}

impl From<Violation> for CloseReason {
    fn from(violation: Violation) -> Self {
        match violation {
            Violation::Protocol(rule) => Self::Protocol(rule),
            Violation::InvalidUtf8 => Self::InvalidUtf8,
            Violation::InvalidDeflate => Self::InvalidDeflate,
            Violation::MessageTooBig => Self::MessageTooBig,
            Violation::TooManyFragments => Self::TooManyFragments,
        }
    }
}

/// The rules that a client can break, as the reason of the close frame tells them.
pub(super) mod rule {
    pub(in crate::ws) const RESERVED_BITS: &str = "reserved bits must be 0";
    pub(in crate::ws) const COMPRESSED_BIT: &str = "RSV1 stands on the first frame of a data message only";
    pub(in crate::ws) const RESERVED_OPCODE: &str = "opcode is reserved";
    pub(in crate::ws) const UNMASKED: &str = "client frames must be masked";
    pub(in crate::ws) const FRAGMENTED_CONTROL: &str = "control frames must not be fragmented";
    pub(in crate::ws) const LONG_CONTROL: &str = "control frames carry at most 125 bytes";
    pub(in crate::ws) const NOTHING_TO_CONTINUE: &str = "continuation without a message to continue";
    pub(in crate::ws) const MESSAGE_NOT_FINISHED: &str = "new message inside a fragmented message";
    pub(in crate::ws) const LENGTH_NOT_MINIMAL: &str = "length is not in its shortest form";
    pub(in crate::ws) const LENGTH_OVER_63_BITS: &str = "length is over 63 bits";
    pub(in crate::ws) const CLOSE_OF_ONE_BYTE: &str = "close payload of 1 byte";
    pub(in crate::ws) const CLOSE_CODE: &str = "close code must not be sent";

    #[cfg(test)]
    pub(in crate::ws) const ALL: [&str; 12] = [
        RESERVED_BITS,
        COMPRESSED_BIT,
        RESERVED_OPCODE,
        UNMASKED,
        FRAGMENTED_CONTROL,
        LONG_CONTROL,
        NOTHING_TO_CONTINUE,
        MESSAGE_NOT_FINISHED,
        LENGTH_NOT_MINIMAL,
        LENGTH_OVER_63_BITS,
        CLOSE_OF_ONE_BYTE,
        CLOSE_CODE,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::close::REASON_LIMIT_BYTES;

    #[test]
    fn every_violation_closes_with_the_code_of_the_rfc() {
        assert_eq!(CloseReason::from(Violation::Protocol(rule::UNMASKED)).code(), 1002);
        assert_eq!(CloseReason::from(Violation::InvalidUtf8).code(), 1007);
        assert_eq!(CloseReason::from(Violation::InvalidDeflate).code(), 1007);
        assert_eq!(CloseReason::from(Violation::MessageTooBig).code(), 1009);
        assert_eq!(CloseReason::from(Violation::TooManyFragments).code(), 1008);
    }

    #[test]
    fn the_close_reason_tells_which_rule_was_broken_and_fits_its_frame() {
        for rule in rule::ALL {
            let reason = CloseReason::from(Violation::Protocol(rule));
            assert_eq!(reason.text(), rule);
            assert!((1..=REASON_LIMIT_BYTES).contains(&rule.len()), "{rule}");
        }
    }
}

//! The plain encoding: the payload as it is, in one WebSocket frame.

use bytes::Bytes;

use crate::hub::Kind;
use crate::ws::{OpCode, frame};

/// `payload` in one unmasked final frame; copies it once. The payload is the end of the frame.
pub fn plain_frame(kind: Kind, payload: &[u8]) -> Bytes {
    let opcode = match kind {
        Kind::Text => OpCode::Text,
        Kind::Binary => OpCode::Binary,
    };
    frame::frame(opcode, payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text_and_binary_stays_binary() {
        assert_eq!(plain_frame(Kind::Text, b"hi")[..], [0x81, 2, b'h', b'i']);
        assert_eq!(plain_frame(Kind::Binary, b"hi")[..], [0x82, 2, b'h', b'i']);
    }
}

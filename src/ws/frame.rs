//! Server frames, ready for a socket: one allocation each, never masked (RFC 6455 §5.1).

use bytes::{Bytes, BytesMut};
use fastwebsockets::OpCode;

use super::close::REASON_LIMIT_BYTES;
use super::header::CONTROL_LIMIT_BYTES;

/// The longest header of a server frame: 2 bytes and 8 of length.
pub const HEADER_LIMIT_BYTES: usize = 10;

/// The last frame of its message.
const FIN: u8 = 0x80;

/// The message is compressed.
pub(super) const RSV1: u8 = 0x40;

/// The header of a final frame with `payload_bytes` of payload, in the shortest form.
#[derive(Debug, Clone, Copy)]
pub struct FrameHeader {
    bytes: [u8; HEADER_LIMIT_BYTES],
    len: u8,
}

impl FrameHeader {
    /// The header of a final, uncompressed frame.
    pub const fn new(opcode: OpCode, payload_bytes: usize) -> Self {
        Self::with_first_byte(FIN | opcode as u8, payload_bytes)
    }

    /// The header of a final frame with a compressed message (RFC 7692 §6).
    pub(super) const fn compressed(opcode: u8, payload_bytes: usize) -> Self {
        Self::with_first_byte(FIN | RSV1 | opcode, payload_bytes)
    }

    const fn with_first_byte(first: u8, payload_bytes: usize) -> Self {
        let mut bytes = [0; HEADER_LIMIT_BYTES];
        bytes[0] = first;
        let long = (payload_bytes as u64).to_be_bytes();
        let len = if payload_bytes <= 125 {
            bytes[1] = long[7];
            2
        } else if payload_bytes <= u16::MAX as usize {
            bytes[1] = 126;
            bytes[2] = long[6];
            bytes[3] = long[7];
            4
        } else {
            bytes[1] = 127;
            let mut at = 0;
            while at < 8 {
                bytes[2 + at] = long[at];
                at += 1;
            }
            10
        };
        Self { bytes, len }
    }

    /// Its bytes: 2, 4 or 10.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The payload of a whole frame of the server, which is never masked. Compressed, if the frame is.
pub fn payload(frame: &[u8]) -> &[u8] {
    let header_bytes = match frame.get(1) {
        Some(127) => 10,
        Some(126) => 4,
        _ => 2,
    };
    frame.get(header_bytes..).unwrap_or_default()
}

/// `payload` in one final frame; copies it once.
pub fn frame(opcode: OpCode, payload: &[u8]) -> Bytes {
    let header = FrameHeader::new(opcode, payload.len());
    let mut bytes = BytesMut::with_capacity(header.as_bytes().len() + payload.len());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(payload);
    bytes.freeze()
}

/// A text message.
pub fn text(payload: &str) -> Bytes {
    frame(OpCode::Text, payload.as_bytes())
}

/// A binary message.
pub fn binary(payload: &[u8]) -> Bytes {
    frame(OpCode::Binary, payload)
}

/// A ping without a payload: the same two bytes for everyone.
pub static PING: [u8; 2] = [0x80 | OpCode::Ping as u8, 0];

/// A ping; of a longer payload only the first 125 bytes are sent.
pub fn ping(payload: &[u8]) -> Bytes {
    control(OpCode::Ping, payload)
}

/// A pong; of a longer payload only the first 125 bytes are sent, but what a ping carried always fits.
pub fn pong(payload: &[u8]) -> Bytes {
    control(OpCode::Pong, payload)
}

/// A close frame. A reason over 123 bytes is cut at the end of its last character that fits.
pub fn close(code: u16, reason: &str) -> Bytes {
    let mut payload = [0; CONTROL_LIMIT_BYTES];
    let reason = &reason.as_bytes()[..reason.floor_char_boundary(REASON_LIMIT_BYTES)];
    payload[..2].copy_from_slice(&code.to_be_bytes());
    payload[2..2 + reason.len()].copy_from_slice(reason);
    frame(OpCode::Close, &payload[..2 + reason.len()])
}

/// A close frame without a code: the answer to one without.
pub fn close_without_code() -> Bytes {
    frame(OpCode::Close, b"")
}

fn control(opcode: OpCode, payload: &[u8]) -> Bytes {
    frame(opcode, &payload[..payload.len().min(CONTROL_LIMIT_BYTES)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_takes_its_shortest_form() {
        for (payload_bytes, header) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (65_535, &[0x82, 126, 255, 255]),
            (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let payload = vec![7; payload_bytes];
            let frame = binary(&payload);
            assert_eq!(&frame[..header.len()], header);
            assert_eq!(super::payload(&frame), payload);
        }
    }

    #[test]
    fn a_frame_has_the_opcode_of_its_maker_and_is_final() {
        assert_eq!(text("é")[..], [0x81, 2, 0xc3, 0xa9]);
        assert_eq!(ping(b"?")[..], [0x89, 1, b'?']);
        assert_eq!(pong(b"!")[..], [0x8a, 1, b'!']);
        assert_eq!(close(1001, "bye")[..], [0x88, 5, 0x03, 0xe9, b'b', b'y', b'e']);
        assert_eq!(close_without_code()[..], [0x88, 0]);
    }

    #[test]
    fn control_frames_never_carry_more_than_125_bytes() {
        assert_eq!(ping(&[1; 125]).len(), 127);
        assert_eq!(ping(&[1; 126]).len(), 127);
        assert_eq!(pong(&[1; 4000])[1], 125);
    }

    #[test]
    fn a_close_reason_is_cut_between_characters() {
        let fits = "x".repeat(123);
        assert_eq!(&close(4000, &fits)[4..], fits.as_bytes());
        // 61 characters of two bytes are 122: the 62nd would need bytes 123 and 124.
        let cut = close(4000, &"é".repeat(80));
        assert_eq!(cut[1], 124);
        assert_eq!(&cut[4..], "é".repeat(61).as_bytes());
    }
}

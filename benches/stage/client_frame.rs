//! What a client sends, and reading it.

use std::hint::black_box;

use fanfare::ws::{Decoder, Message, MessageLimits, OpCode, frame};

/// The largest message that [`decode`] takes.
const LIMITS: MessageLimits = MessageLimits { bytes: 64 * 1024, fragments: 4096 };

/// A whole client frame with `payload_bytes` of ASCII; masked with zeros, which costs as much to take off as any mask and
/// leaves the buffer as it is, so that it can be decoded again and again.
pub(crate) fn client_frame(opcode: OpCode, payload_bytes: usize) -> Vec<u8> {
    let mut bytes = frame::FrameHeader::new(opcode, payload_bytes).as_bytes().to_vec();
    bytes[1] |= 0x80;
    bytes.extend_from_slice(&[0; 4]);
    bytes.resize(bytes.len() + payload_bytes, b'x');
    bytes
}

/// Decodes all of `input` in reads of `read_bytes`; gives the payload bytes seen.
pub(crate) fn decode(decoder: &mut Decoder, input: &mut [u8], read_bytes: usize) -> usize {
    let mut seen = 0;
    for read in input.chunks_mut(read_bytes) {
        let mut at = 0;
        loop {
            let step = decoder.next(&mut read[at..], LIMITS, None).expect("the frames are valid");
            at += step.consumed;
            match step.message {
                Some(Message::Text(text)) => seen += black_box(text).len(),
                Some(Message::Binary(bytes)) => seen += black_box(bytes).len(),
                Some(Message::Ping(_) | Message::Pong(_) | Message::Close(_)) => {}
                None => break,
            }
        }
    }
    seen
}

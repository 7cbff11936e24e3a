//! Any bytes, decoded whole and in pieces: the same outcome, no panic, no more memory than the limit.
#![no_main]

use fanfare::ws::{Decoder, Message, MessageLimits, Violation};
use libfuzzer_sys::fuzz_target;

/// More than the bookkeeping of an unfinished frame takes.
const BOOKKEEPING_BYTES: usize = 512;

fn decode(input: &[u8], sizes: &[u8], limit: usize) -> (Vec<String>, Option<Violation>) {
    let mut decoder = Decoder::new();
    let mut got = Vec::new();
    let mut sizes = sizes.iter().cycle();
    let mut rest = input;
    while !rest.is_empty() {
        let size = sizes.next().map_or(rest.len(), |&size| usize::from(size).clamp(1, rest.len()));
        let (piece, behind) = rest.split_at(size);
        let mut piece = piece.to_vec();
        let mut at = 0;
        loop {
            match decoder.next(&mut piece[at..], MessageLimits::of_bytes(limit), None) {
                Err(violation) => return (got, Some(violation)),
                Ok(step) => {
                    at += step.consumed;
                    let Some(message) = step.message else { break };
                    match message {
                        Message::Text(text) => assert!(text.len() <= limit),
                        Message::Binary(bytes) => assert!(bytes.len() <= limit),
                        Message::Ping(bytes) | Message::Pong(bytes) => assert!(bytes.len() <= 125),
                        Message::Close(close) => assert!(close.is_none_or(|(_, reason)| reason.len() <= 123)),
                    }
                    got.push(format!("{message:?}"));
                }
            }
        }
        assert_eq!(at, piece.len());
        assert!(decoder.buffered_bytes() <= limit + BOOKKEEPING_BYTES);
        assert_eq!(decoder.buffered_bytes() > 0, decoder.is_mid_message());
        rest = behind;
    }
    (got, None)
}

fuzz_target!(|data: (u16, Vec<u8>, &[u8])| {
    let (limit, sizes, input) = data;
    let limit = usize::from(limit);
    let whole = decode(input, &[], limit);
    assert_eq!(decode(input, &sizes, limit), whole);
    assert_eq!(decode(input, &[1], limit), whole);
});

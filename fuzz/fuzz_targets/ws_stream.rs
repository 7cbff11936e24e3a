//! Frames with random headers but consistent lengths and masks: gets deeper than bytes alone do.
#![no_main]

use fanfare::ws::{Decoder, MessageLimits, Violation};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// Few fragments, so that both limits are met.
const LIMITS: MessageLimits = MessageLimits { bytes: 1024, fragments: 3 };

#[derive(Debug, Arbitrary)]
struct Frame {
    first: u8,
    mask: [u8; 4],
    payload: Vec<u8>,
    /// Unless 0, the length is written in a longer form than it needs.
    longer: u8,
}

fn write(frame: &Frame, wire: &mut Vec<u8>) {
    // Mostly without reserved bits, so that more than one frame passes.
    wire.push(if frame.first & 0x70 == 0x70 { frame.first } else { frame.first & 0x8f });
    let len = frame.payload.len();
    match (len, frame.longer) {
        (0..=125, 0..=250) => wire.push(0x80 | len as u8),
        (0..=0xffff, 0..=253) => {
            wire.push(0x80 | 126);
            wire.extend((len as u16).to_be_bytes());
        }
        _ => {
            wire.push(0x80 | 127);
            wire.extend((len as u64).to_be_bytes());
        }
    }
    wire.extend(frame.mask);
    wire.extend(frame.payload.iter().zip(frame.mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

fn decode(wire: &[u8], mut cut: impl FnMut(usize) -> usize) -> (Vec<String>, Option<Violation>) {
    let mut decoder = Decoder::new();
    let mut got = Vec::new();
    let mut rest = wire;
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(cut(rest.len()).clamp(1, rest.len()));
        let mut piece = piece.to_vec();
        let mut at = 0;
        loop {
            match decoder.next(&mut piece[at..], LIMITS, None) {
                Err(violation) => return (got, Some(violation)),
                Ok(step) => {
                    at += step.consumed;
                    let Some(message) = step.message else { break };
                    got.push(format!("{message:?}"));
                }
            }
        }
        rest = behind;
    }
    (got, None)
}

fuzz_target!(|data: (Vec<Frame>, Vec<u8>)| {
    let (frames, sizes) = data;
    let mut wire = Vec::new();
    frames.iter().for_each(|frame| write(frame, &mut wire));
    let whole = decode(&wire, |rest| rest);
    let mut sizes = sizes.iter().cycle();
    assert_eq!(decode(&wire, |rest| sizes.next().map_or(rest, |&size| usize::from(size))), whole);
    assert_eq!(decode(&wire, |_| 1), whole);
});

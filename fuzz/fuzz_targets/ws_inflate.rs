//! Any payload of a compressed message, whole and in fragments: the same outcome, no panic, never over the limit; and
//! whatever the hub compresses itself comes back.
#![no_main]

use fanfare::ws::{Decoder, Deflater, Inflater, Message, MessageLimits, Thresholds, Violation, Window, frame};
use libfuzzer_sys::fuzz_target;

/// An unmasked client frame would be refused; a mask of zeros changes nothing.
fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u64).to_be_bytes();
    let mut bytes = vec![first];
    match payload.len() {
        0..=125 => bytes.push(0x80 | length[7]),
        126..=0xffff => bytes.extend([0x80 | 126, length[6], length[7]]),
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend(length);
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

fn decode(mut wire: Vec<u8>, piece: usize, limit: usize, inflater: &mut Inflater) -> Result<Vec<u8>, Violation> {
    let mut decoder = Decoder::new();
    let mut got = Vec::new();
    for piece in wire.chunks_mut(piece.max(1)) {
        let mut at = 0;
        loop {
            let step = decoder.next(&mut piece[at..], MessageLimits::of_bytes(limit), Some(inflater))?;
            at += step.consumed;
            match step.message {
                None => break,
                Some(Message::Binary(bytes)) => {
                    assert!(bytes.len() <= limit);
                    got.extend_from_slice(bytes);
                }
                Some(other) => panic!("{other:?}"),
            }
        }
    }
    Ok(got)
}

fuzz_target!(|data: (u16, u8, u8, &[u8])| {
    let (limit, piece, cut, payload) = data;
    let limit = usize::from(limit);
    let mut inflater = Inflater::new();
    let whole = decode(client_frame(0xc2, payload), usize::MAX, limit, &mut inflater);
    assert_eq!(decode(client_frame(0xc2, payload), usize::from(piece), limit, &mut inflater), whole);
    let (front, back) = payload.split_at(usize::from(cut).min(payload.len()));
    let fragments = [client_frame(0x42, front), client_frame(0x80, back)].concat();
    assert_eq!(decode(fragments, usize::from(piece), limit, &mut inflater), whole);

    let mut deflater = Deflater::new(piece % 10, Thresholds::default());
    for window in Window::ALL {
        let Some(deflated) = deflater.deflate(window, &frame::binary(payload)) else { continue };
        let header_bytes = match deflated[1] {
            127 => 10,
            126 => 4,
            _ => 2,
        };
        assert!(deflated.len() - header_bytes < payload.len());
        let again = client_frame(0xc2, &deflated[header_bytes..]);
        assert_eq!(decode(again, usize::MAX, payload.len(), &mut inflater).as_deref(), Ok(payload));
    }
});

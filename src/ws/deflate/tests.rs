//! The compressor, its windows read by an inflater that knows how far back each copy refers.

use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::ws::frame;
use crate::ws::inflate::Inflater;

fn deflater(level: u8) -> Deflater {
    Deflater::new(level, Thresholds::default())
}

fn inflated(deflated: &[u8]) -> Vec<u8> {
    let mut inflater = Inflater::new();
    inflater.inflate(payload(deflated), 1 << 24).unwrap();
    inflater.message().to_vec()
}

/// Readings as a sensor would send them: `count` objects.
fn json(count: usize) -> String {
    let mut text = String::from("[");
    let mut noise = 7_u64;
    for at in 0..count {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (id, value, minute) = (noise >> 32, noise >> 20 & 127, noise >> 40 & 31);
        write!(text, "{{\"id\":{id},\"at\":\"2026-11-27T16:{minute:02}Z\",\"value\":{value},\"n\":{at}}},").unwrap();
    }
    text
}

#[test]
fn a_compressed_frame_is_one_final_frame_with_rsv1_and_its_opcode() {
    let text = json(10);
    for (plain, first) in [(frame::text(&text), 0xc1), (frame::binary(text.as_bytes()), 0xc2)] {
        let deflated = deflater(6).deflate(Window::Bits15, &plain).unwrap();
        assert_eq!(deflated[0], first);
        assert!(deflated.len() < plain.len());
        assert!(!deflated.ends_with(&TAIL));
        assert_eq!(inflated(&deflated), text.as_bytes());
    }
}

#[test]
fn the_header_is_as_long_as_the_compressed_payload_needs() {
    let mut deflater = deflater(6);
    for (count, length) in [(10_000, 127), (100, 126), (2, 110)] {
        let deflated = deflater.deflate(Window::Bits15, &frame::text(&json(count))).unwrap();
        match length {
            127 => assert_eq!((deflated[1], payload(&deflated).len() > 65_535), (127, true)),
            126 => assert_eq!(deflated[1], 126),
            _ => assert_eq!(usize::from(deflated[1]), deflated.len() - 2),
        }
    }
}

#[test]
fn what_would_not_become_smaller_is_left_as_it_is() {
    let mut deflater = deflater(6);
    assert!(deflater.deflate(Window::Bits15, &frame::binary(&[b'a'; 256])).is_some());
    let tally = deflater.take_tally();
    assert!(tally.in_bytes == 256 && tally.out_bytes < 20, "{tally:?}");

    assert_eq!(deflater.deflate(Window::Bits15, &frame::binary(&noise(1, 5000))), None);
    assert_eq!(deflater.take_tally(), Tally { in_bytes: 5000, out_bytes: 5000 });
}

#[test]
fn subscribers_have_it_each_from_their_own_threshold_on() {
    let mut thresholds = Thresholds::default();
    let [low, high] = [256, 1024].map(|bytes| thresholds.enter(bytes).unwrap());
    let deflater = Deflater::new(6, thresholds);
    for (bytes, taken) in [(255, [false; 2]), (256, [true, false]), (1023, [true, false]), (1024, [true; 2])] {
        assert_eq!([low, high].map(|threshold| deflater.takes(threshold, bytes)), taken, "{bytes}");
    }
}

fn noise(seed: u32, count: usize) -> Vec<u8> {
    let mut noise = seed;
    let next = |_| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (noise >> 24) as u8
    };
    (0..count).map(next).collect()
}

#[test]
fn what_was_compressed_in_vain_leaves_nothing_behind() {
    for level in [1, 3, 9] {
        for window in Window::ALL {
            let mut deflater = deflater(level);
            let text = frame::text(&json(50));
            let expected = deflater.deflate(window, &text).unwrap();
            for seed in 0..300 {
                let count = 100 + 97 * seed as usize % 3000;
                assert_eq!(deflater.deflate(window, &frame::binary(&noise(seed, count))), None);
            }
            assert!(deflater.streams[window.index()].is_some(), "it ended in a panic");
            assert_eq!(deflater.deflate(window, &text), Some(expected));
        }
    }
}

#[test]
fn an_empty_payload_is_never_compressed() {
    let mut thresholds = Thresholds::default();
    let zero = thresholds.enter(0).unwrap();
    let mut deflater = Deflater::new(6, thresholds);
    assert!(!deflater.takes(zero, 0));
    assert_eq!(deflater.deflate(Window::Bits15, &frame::text("")), None);
}

#[test]
fn the_room_of_a_large_frame_is_given_back() {
    let mut deflater = deflater(1);
    deflater.deflate(Window::Bits15, &frame::binary(&vec![0; 1 << 20])).unwrap();
    assert_eq!(deflater.room.capacity(), 0);
    deflater.deflate(Window::Bits15, &frame::binary(&[0; 1000])).unwrap();
    assert!((1000..=KEPT_BYTES).contains(&deflater.room.len()));
}

#[test]
fn no_copy_refers_further_back_than_its_window() {
    // Repetitions at every distance that a window of 15 bits would use.
    let mut far = json(60).into_bytes();
    far.extend(json(700).into_bytes());
    far.extend(json(60).into_bytes());
    for level in 1..=9 {
        for window in Window::ALL {
            let deflated = deflater(level).deflate(window, &frame::binary(&far)).unwrap();
            let (bytes, furthest) = reference::inflate(payload(&deflated));
            assert_eq!(bytes, far);
            assert!(furthest <= 1 << window.bits(), "level {level}: {furthest} in {} bits", window.bits());
        }
    }
    let deflated = deflater(6).deflate(Window::Bits15, &frame::binary(&far)).unwrap();
    assert!(reference::inflate(payload(&deflated)).1 > 4096, "the test would not see a window that is too large");
}

/// Bytes with and without repetitions, near and far.
fn payloads() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        vec(any::<u8>(), 0..300),
        (any::<u8>(), 0..2000_usize).prop_map(|(byte, count)| vec![byte; count]),
        (0..40_usize).prop_map(|count| json(count).into_bytes()),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_payload_compressed_then_inflated_is_itself_and_stays_in_its_window(
        payloads in vec(payloads(), 1..4),
        window in select(Window::ALL.to_vec()),
        level in 0..=12_u8,
    ) {
        let mut one = deflater(level);
        for original in payloads {
            let plain = frame::binary(&original);
            let deflated = one.deflate(window, &plain);
            // A deflater that did something else before makes the same of it.
            prop_assert_eq!(&deflater(level).deflate(window, &plain), &deflated);
            if let Some(deflated) = deflated {
                prop_assert!(deflated.len() < plain.len());
                prop_assert_eq!(&inflated(&deflated), &original);
                let (bytes, furthest) = reference::inflate(payload(&deflated));
                prop_assert_eq!(&bytes, &original);
                prop_assert!(furthest <= 1 << window.bits());
            }
        }
    }
}

/// RFC 1951 read as slowly as it is written, by nobody who had a part in the compressor.
mod reference {
    struct Bits<'a> {
        bytes: &'a [u8],
        at: usize,
    }

    impl Bits<'_> {
        fn take(&mut self, count: usize) -> usize {
            let bits = (0..count).map(|place| {
                let at = self.at + place;
                usize::from(self.bytes[at / 8] >> (at % 8) & 1) << place
            });
            let value = bits.sum();
            self.at += count;
            value
        }

        /// The next symbol of a code given by the lengths of its symbols (§3.2.2).
        fn symbol(&mut self, lengths: &[usize]) -> usize {
            let (mut code, mut first, mut length) = (0, 0, 0);
            loop {
                length += 1;
                code |= self.take(1);
                let here: Vec<usize> = (0..lengths.len()).filter(|&symbol| lengths[symbol] == length).collect();
                if let Some(&symbol) = here.get(code.wrapping_sub(first)) {
                    return symbol;
                }
                first = (first + here.len()) << 1;
                code <<= 1;
            }
        }
    }

    /// What a message holds, and the largest distance of a copy in it.
    pub(super) fn inflate(message: &[u8]) -> (Vec<u8>, usize) {
        let stream = [message, &[0, 0, 0xff, 0xff]].concat();
        let mut bits = Bits { bytes: &stream, at: 0 };
        let (mut out, mut furthest) = (Vec::new(), 0);
        while bits.at.div_ceil(8) < stream.len() {
            let is_last = bits.take(1) == 1;
            match bits.take(2) {
                0 => {
                    bits.at = bits.at.next_multiple_of(8);
                    let count = bits.take(16);
                    assert_eq!(bits.take(16), count ^ 0xffff);
                    out.extend_from_slice(&stream[bits.at / 8..][..count]);
                    bits.at += 8 * count;
                }
                1 => {
                    let lengths: Vec<usize> = (0..288)
                        .map(|symbol| match symbol {
                            0..144 => 8,
                            144..256 => 9,
                            256..280 => 7,
                            _ => 8,
                        })
                        .collect();
                    block(&mut bits, &lengths, &[5; 30], &mut out, &mut furthest);
                }
                2 => {
                    let (literals, distances) = codes(&mut bits);
                    block(&mut bits, &literals, &distances, &mut out, &mut furthest);
                }
                _ => panic!("no such block"),
            }
            assert!(!is_last, "the compressor ends with a flush");
        }
        (out, furthest)
    }

    /// The codes of a block (§3.2.7).
    fn codes(bits: &mut Bits<'_>) -> (Vec<usize>, Vec<usize>) {
        let (literals, distances, count) = (257 + bits.take(5), 1 + bits.take(5), 4 + bits.take(4));
        let mut of_lengths = [0; 19];
        for place in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15].into_iter().take(count) {
            of_lengths[place] = bits.take(3);
        }
        let mut lengths = Vec::new();
        while lengths.len() < literals + distances {
            match bits.symbol(&of_lengths) {
                16 => {
                    let last = *lengths.last().unwrap();
                    lengths.extend(vec![last; 3 + bits.take(2)]);
                }
                17 => lengths.extend(vec![0; 3 + bits.take(3)]),
                18 => lengths.extend(vec![0; 11 + bits.take(7)]),
                length => lengths.push(length),
            }
        }
        let behind = lengths.split_off(literals);
        (lengths, behind)
    }

    /// Literals and copies up to the end of a block (§3.2.5).
    fn block(bits: &mut Bits<'_>, literals: &[usize], distances: &[usize], out: &mut Vec<u8>, furthest: &mut usize) {
        loop {
            let length = match bits.symbol(literals) {
                symbol @ 0..256 => {
                    out.push(symbol as u8);
                    continue;
                }
                256 => return,
                symbol @ 257..265 => symbol - 254,
                285 => 258,
                symbol => {
                    let extra = (symbol - 261) / 4;
                    3 + ((4 + (symbol - 261) % 4) << extra) + bits.take(extra)
                }
            };
            let distance = match bits.symbol(distances) {
                symbol @ 0..4 => symbol + 1,
                symbol => {
                    let extra = symbol / 2 - 1;
                    1 + ((2 + symbol % 2) << extra) + bits.take(extra)
                }
            };
            *furthest = distance.max(*furthest);
            for _ in 0..length {
                out.push(out[out.len() - distance]);
            }
        }
    }
}

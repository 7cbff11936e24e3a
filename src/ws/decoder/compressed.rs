//! Compressed messages: the rules of RSV1, fragments, limits, any split.

use flate2::{Compress, Compression, FlushCompress};
use proptest::collection::vec;
use proptest::prelude::*;

use super::tests::{Got, client_frame, feed, feed_inflating, masked};
use super::*;
use crate::ws::violation::rule;

const LIMIT: usize = 10_000;

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() * 2 + 100);
    Compress::new(Compression::new(6), false).compress_vec(bytes, &mut out, FlushCompress::Sync).unwrap();
    out.truncate(out.len() - 4);
    out
}

/// Decodes `wire` cut into pieces of the given sizes (the last size again and again), and checks the memory bound.
fn decode_in_pieces(wire: &[u8], sizes: &[usize], limit: usize) -> (Vec<Got>, Result<(), Violation>) {
    let (mut decoder, mut inflater) = (Decoder::new(), Inflater::new());
    let mut got = Vec::new();
    let mut sizes = sizes.iter().copied();
    let mut size = usize::MAX;
    let mut rest = wire;
    while !rest.is_empty() {
        size = sizes.next().unwrap_or(size).max(1);
        let (piece, behind) = rest.split_at(size.min(rest.len()));
        let end = feed_inflating(&mut decoder, Some(&mut inflater), piece, limit, &mut got);
        assert!(decoder.buffered_bytes() <= size_of::<Partial>() + crate::ws::inflate::wire_limit(limit));
        assert_eq!(decoder.buffered_bytes() > 0, decoder.is_mid_message(), "only what is unfinished takes memory");
        if end.is_err() {
            assert_eq!(decoder.buffered_bytes(), 0);
            return (got, end);
        }
        rest = behind;
    }
    (got, Ok(()))
}

fn decode(wire: &[u8]) -> (Vec<Got>, Result<(), Violation>) {
    let whole = decode_in_pieces(wire, &[usize::MAX], LIMIT);
    assert_eq!(decode_in_pieces(wire, &[1], LIMIT), whole);
    for at in 1..wire.len().min(200) {
        assert_eq!(decode_in_pieces(wire, &[at, usize::MAX], LIMIT), whole, "split at {at}");
    }
    whole
}

fn text(text: &str) -> Got {
    Got::Text(text.to_owned())
}

#[test]
fn a_compressed_message_comes_out_inflated_between_others_that_are_not() {
    let input = [
        masked(0xc1, deflated("héllo".as_bytes())),
        masked(0x81, "plain"),
        masked(0xc2, deflated(&[0, 255])),
        masked(0xc1, [0]),
    ]
    .concat();
    assert_eq!(decode(&input), (vec![text("héllo"), text("plain"), Got::Binary(vec![0, 255]), text("")], Ok(())));
}

#[test]
fn fragments_are_inflated_together_and_controls_may_come_between() {
    let payload = deflated(b"in three fragments, in three fragments");
    let input = [
        masked(0x41, &payload[..3]),
        masked(0x89, "ping"),
        masked(0x00, []),
        masked(0x80, &payload[3..]),
        masked(0x82, "behind"),
    ]
    .concat();
    let expected =
        [Got::Ping(b"ping".to_vec()), text("in three fragments, in three fragments"), Got::Binary(b"behind".to_vec())];
    assert_eq!(decode(&input), (expected.to_vec(), Ok(())));
}

#[test]
fn rsv1_stands_on_the_first_frame_of_a_data_message_only() {
    let violation = Err(Violation::Protocol(rule::COMPRESSED_BIT));
    for control in [0xc8, 0xc9, 0xca] {
        assert_eq!(decode(&masked(control, "")), (vec![], violation));
    }
    for continuation in [0xc0, 0x40] {
        assert_eq!(decode(&masked(continuation, "")), (vec![], violation), "also if there is nothing to continue");
        for first in [0x42, 0x02] {
            let input = [masked(first, deflated(b"x")), masked(continuation, "")].concat();
            assert_eq!(decode(&input), (vec![], violation));
        }
    }
}

#[test]
fn the_other_reserved_bits_stay_reserved() {
    for first in [0xa1, 0x91, 0xe1, 0xd1, 0xf1] {
        assert_eq!(decode(&masked(first, "x")), (vec![], Err(Violation::Protocol(rule::RESERVED_BITS))));
    }
}

#[test]
fn without_an_agreement_rsv1_is_a_reserved_bit() {
    let mut got = Vec::new();
    let end = feed(&mut Decoder::new(), &masked(0xc1, deflated(b"x")), LIMIT, &mut got);
    assert_eq!((got, end), (vec![], Err(Violation::Protocol(rule::RESERVED_BITS))));
}

#[test]
fn the_limit_is_one_of_inflated_bytes() {
    let fits = masked(0xc2, deflated(&vec![b'a'; LIMIT]));
    assert_eq!(decode_in_pieces(&fits, &[usize::MAX], LIMIT), (vec![Got::Binary(vec![b'a'; LIMIT])], Ok(())));
    for size in [LIMIT + 1, 1 << 24] {
        let bomb = masked(0xc2, deflated(&vec![b'a'; size]));
        assert_eq!(decode_in_pieces(&bomb, &[usize::MAX], LIMIT), (vec![], Err(Violation::MessageTooBig)));
        assert_eq!(decode_in_pieces(&bomb, &[7], LIMIT), (vec![], Err(Violation::MessageTooBig)));
    }
}

#[test]
fn what_was_compressed_in_vain_may_be_a_little_longer_than_the_limit_but_no_more() {
    // A block without compression has 5 bytes more than it holds.
    let stored = |size: u16| {
        let length = size.to_le_bytes();
        let header = [0, length[0], length[1], !length[0], !length[1]];
        [&header[..], &vec![b'a'; usize::from(size)], &[0]].concat()
    };
    let limit = LIMIT as u16;
    assert_eq!(decode_in_pieces(&masked(0xc2, stored(limit)), &[usize::MAX], LIMIT).1, Ok(()));
    assert_eq!(
        decode_in_pieces(&masked(0xc2, stored(limit + 1)), &[usize::MAX], LIMIT).1,
        Err(Violation::MessageTooBig)
    );
    // Far beyond it the header alone is refused, whatever it would inflate to.
    let wire_limit = crate::ws::inflate::wire_limit(LIMIT);
    let header = |first, size: usize| client_frame(first, [0; 4], &vec![0; size])[..8].to_vec();
    assert_eq!(decode_in_pieces(&header(0xc2, wire_limit), &[usize::MAX], LIMIT), (vec![], Ok(())));
    for first in [0xc2, 0x42] {
        let over = header(first, wire_limit + 1);
        assert_eq!(decode_in_pieces(&over, &[usize::MAX], LIMIT), (vec![], Err(Violation::MessageTooBig)));
    }
    let fragments = [masked(0x42, vec![0; wire_limit - 1]), masked(0x80, [0, 0])].concat();
    assert_eq!(decode_in_pieces(&fragments, &[usize::MAX], LIMIT), (vec![], Err(Violation::MessageTooBig)));
    // An uncompressed message has no such room.
    assert_eq!(
        decode_in_pieces(&header(0x82, LIMIT + 1), &[usize::MAX], LIMIT),
        (vec![], Err(Violation::MessageTooBig))
    );
}

#[test]
fn text_is_judged_when_it_is_inflated_and_fragments_may_end_inside_a_character() {
    let payload = deflated("🦀".repeat(30).as_bytes());
    let input = [masked(0x41, &payload[..2]), masked(0x80, &payload[2..])].concat();
    assert_eq!(decode(&input), (vec![text(&"🦀".repeat(30))], Ok(())));
    assert_eq!(decode(&masked(0xc1, deflated(b"caf\xc3"))), (vec![], Err(Violation::InvalidUtf8)));
    let input = [masked(0x41, deflated(b"\xff")), masked(0x80, "")].concat();
    assert_eq!(decode(&input), (vec![], Err(Violation::InvalidUtf8)));
    assert_eq!(decode(&masked(0xc2, deflated(b"\xff"))), (vec![Got::Binary(vec![0xff])], Ok(())));
}

#[test]
fn data_that_cannot_be_inflated_is_refused() {
    assert_eq!(decode(&masked(0xc1, [0xff, 0xff])), (vec![], Err(Violation::InvalidDeflate)));
    let cut = deflated(b"a message, cut");
    assert_eq!(decode(&masked(0xc1, &cut[..cut.len() - 3])), (vec![], Err(Violation::InvalidDeflate)));
}

#[test]
fn two_connections_whose_pieces_alternate_share_an_inflater() {
    let mut inflater = Inflater::new();
    let (mut decoders, mut got) = ([Decoder::new(), Decoder::new()], [Vec::new(), Vec::new()]);
    let wires = ["left, left, left", "right, right, right"].map(|text| {
        let payload = deflated(text.as_bytes());
        [masked(0x41, &payload[..4]), masked(0x80, &payload[4..])].concat()
    });
    for at in 0..wires[1].len() {
        for side in [0, 1] {
            if let Some(byte) = wires[side].get(at) {
                feed_inflating(&mut decoders[side], Some(&mut inflater), &[*byte], LIMIT, &mut got[side]).unwrap();
            }
        }
    }
    assert_eq!(got, [vec![text("left, left, left")], vec![text("right, right, right")]]);
}

/// Messages, each with whether it is compressed, how it is cut, and whether a ping comes between.
type Sent = (Vec<u8>, bool, Vec<prop::sample::Index>, bool);

fn on_the_wire(sent: &[Sent]) -> (Vec<u8>, Vec<Got>) {
    let (mut wire, mut expected) = (Vec::new(), Vec::new());
    for (message, is_compressed, cuts, ping) in sent {
        let payload = if *is_compressed { deflated(message) } else { message.clone() };
        let mut edges: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
        edges.extend([0, payload.len()]);
        edges.sort_unstable();
        let last = edges.len() - 2;
        for (at, edge) in edges.windows(2).enumerate() {
            if at > 0 && *ping {
                wire.extend(masked(0x89, "?"));
                expected.push(Got::Ping(b"?".to_vec()));
            }
            let opcode = if at == 0 { 0x02 | if *is_compressed { 0x40 } else { 0 } } else { 0 };
            wire.extend(masked(opcode | if at == last { 0x80 } else { 0 }, &payload[edge[0]..edge[1]]));
        }
        expected.push(Got::Binary(message.clone()));
    }
    (wire, expected)
}

fn sent() -> impl Strategy<Value = Vec<Sent>> {
    let message = (vec(any::<u8>(), 0..60), 1..8_usize).prop_map(|(piece, count)| piece.repeat(count));
    vec((message, any::<bool>(), vec(any::<prop::sample::Index>(), 0..4), any::<bool>()), 1..5)
}

proptest! {
    #[test]
    fn messages_come_out_the_same_however_they_are_split(sent in sent(), sizes in vec(1..200_usize, 1..20)) {
        let (wire, expected) = on_the_wire(&sent);
        let expected = (expected, Ok(()));
        for sizes in [&[usize::MAX][..], &[1], &sizes] {
            prop_assert_eq!(decode_in_pieces(&wire, sizes, LIMIT), expected.clone());
        }
    }

    #[test]
    fn with_one_byte_changed_they_fail_or_decode_the_same_however_they_are_split(
        sent in sent(),
        at in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
        sizes in vec(1..40_usize, 1..10),
        limit in prop_oneof![Just(LIMIT), 0..400_usize],
    ) {
        let (mut wire, _) = on_the_wire(&sent);
        let at = at.index(wire.len());
        wire[at] ^= flip;
        let whole = decode_in_pieces(&wire, &[usize::MAX], limit);
        prop_assert_eq!(&decode_in_pieces(&wire, &[1], limit), &whole);
        prop_assert_eq!(&decode_in_pieces(&wire, &sizes, limit), &whole);
    }
}

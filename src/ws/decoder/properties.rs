//! The decoder under random sequences, splits and garbage.

use proptest::collection::vec;
use proptest::prelude::*;

use super::tests::{Got, client_frame, feed};
use super::*;

/// What a client sends: messages with how they are cut into fragments, and controls that come between.
#[derive(Debug, Clone)]
enum Sent {
    /// Whole, or in fragments at these cuts, with a control frame before each but the first.
    Data {
        message: Got,
        cuts: Vec<prop::sample::Index>,
        between: Vec<Got>,
    },
    Control(Got),
}

fn control() -> impl Strategy<Value = Got> {
    prop_oneof![vec(any::<u8>(), 0..=125).prop_map(Got::Ping), vec(any::<u8>(), 0..=125).prop_map(Got::Pong)]
}

fn close() -> impl Strategy<Value = Got> {
    let code = prop_oneof![1000..=1003_u16, 1007..=1014_u16, 3000..=4999_u16];
    prop_oneof![Just(Got::Close(None)), (code, "\\PC{0,30}").prop_map(|payload| Got::Close(Some(payload)))]
}

fn sent() -> impl Strategy<Value = Sent> {
    let message = prop_oneof![
        "\\PC{0,40}".prop_map(Got::Text),
        vec(any::<char>(), 0..80).prop_map(|chars| Got::Text(chars.into_iter().collect())),
        vec(any::<u8>(), 0..400).prop_map(Got::Binary),
    ];
    prop_oneof![
        3 => (message, vec(any::<prop::sample::Index>(), 0..4), vec(control(), 0..4))
            .prop_map(|(message, cuts, between)| Sent::Data { message, cuts, between }),
        1 => control().prop_map(Sent::Control),
    ]
}

/// The bytes of `sent`, and what has to come out, in order.
fn on_the_wire(sent: &[Sent], masks: &[[u8; 4]]) -> (Vec<u8>, Vec<Got>) {
    let mut masks = masks.iter().cycle().copied();
    let mut mask = move || masks.next().unwrap_or_default();
    let mut wire = Vec::new();
    let mut expected = Vec::new();
    for one in sent {
        match one {
            Sent::Control(message) => {
                wire.extend(whole(message, mask()));
                expected.push(message.clone());
            }
            Sent::Data { message, cuts, between } => {
                let (opcode, payload) = match message {
                    Got::Text(text) => (0x1, text.as_bytes()),
                    Got::Binary(bytes) => (0x2, bytes.as_slice()),
                    Got::Ping(_) | Got::Pong(_) | Got::Close(_) => unreachable!("not data"),
                };
                let mut edges: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
                edges.extend([0, payload.len()]);
                edges.sort_unstable();
                let last = edges.len() - 2;
                for (at, edge) in edges.windows(2).enumerate() {
                    if at > 0
                        && let Some(control) = between.get(at - 1)
                    {
                        wire.extend(whole(control, mask()));
                        expected.push(control.clone());
                    }
                    let first = if at == 0 { opcode } else { 0 } | if at == last { 0x80 } else { 0 };
                    wire.extend(client_frame(first, mask(), &payload[edge[0]..edge[1]]));
                }
                expected.push(message.clone());
            }
        }
    }
    (wire, expected)
}

fn whole(message: &Got, mask: [u8; 4]) -> Vec<u8> {
    match message {
        Got::Text(text) => client_frame(0x81, mask, text.as_bytes()),
        Got::Binary(bytes) => client_frame(0x82, mask, bytes),
        Got::Ping(bytes) => client_frame(0x89, mask, bytes),
        Got::Pong(bytes) => client_frame(0x8a, mask, bytes),
        Got::Close(None) => client_frame(0x88, mask, b""),
        Got::Close(Some((code, reason))) => {
            client_frame(0x88, mask, &[&code.to_be_bytes()[..], reason.as_bytes()].concat())
        }
    }
}

/// Decodes `wire` cut into pieces of the given sizes (the last size again and again), and checks the memory bound.
fn decode_in_pieces(wire: &[u8], sizes: &[usize], limit: usize) -> (Vec<Got>, Result<(), Violation>) {
    let mut decoder = Decoder::new();
    let mut got = Vec::new();
    let mut sizes = sizes.iter().copied();
    let mut size = usize::MAX;
    let mut rest = wire;
    while !rest.is_empty() {
        size = sizes.next().unwrap_or(size).max(1);
        let (piece, behind) = rest.split_at(size.min(rest.len()));
        let end = feed(&mut decoder, piece, limit, &mut got);
        assert!(decoder.buffered_bytes() <= size_of::<Partial>() + limit);
        assert_eq!(decoder.buffered_bytes() > 0, decoder.is_mid_message(), "only what is unfinished takes memory");
        if end.is_err() {
            return (got, end);
        }
        rest = behind;
    }
    (got, Ok(()))
}

proptest! {
    #[test]
    fn valid_messages_come_out_the_same_however_they_are_split(
        sent in vec(sent(), 1..6),
        last in prop::option::of(close()),
        masks in vec(any::<[u8; 4]>(), 1..5),
        sizes in vec(1..200_usize, 1..20),
    ) {
        let sent: Vec<Sent> = sent.into_iter().chain(last.map(Sent::Control)).collect();
        let (wire, expected) = on_the_wire(&sent, &masks);
        let expected = (expected, Ok(()));
        prop_assert_eq!(decode_in_pieces(&wire, &[usize::MAX], 1000), expected.clone());
        prop_assert_eq!(decode_in_pieces(&wire, &[1], 1000), expected.clone());
        prop_assert_eq!(decode_in_pieces(&wire, &sizes, 1000), expected.clone());
        for at in 1..wire.len() {
            prop_assert_eq!(decode_in_pieces(&wire, &[at, usize::MAX], 1000), expected.clone(), "split at {}", at);
        }
    }

    #[test]
    fn what_looks_like_a_lone_pong_decodes_as_one_and_every_whole_pong_looks_like_one(
        payload in vec(any::<u8>(), 0..=125),
        mask in any::<[u8; 4]>(),
        first in prop_oneof![Just(0x8a), any::<u8>()],
        second in prop_oneof![0x80..=0xfd_u8, any::<u8>()],
        rest in vec(any::<u8>(), 0..140),
        exact in any::<bool>(),
    ) {
        let pong = client_frame(0x8a, mask, &payload);
        prop_assert!(Decoder::new().is_lone_pong(&pong));
        prop_assert!(!Decoder::new().is_lone_pong(&[&pong[..], &[0]].concat()), "more than that");
        prop_assert!(!Decoder::new().is_lone_pong(&pong[..pong.len() - 1]), "less than that");

        let mut rest = rest;
        if exact {
            rest.resize(4 + usize::from(second & 0x7f), 0);
        }
        let bytes = [&[first, second][..], &rest].concat();
        if Decoder::new().is_lone_pong(&bytes) {
            let (got, end) = decode_in_pieces(&bytes, &[usize::MAX], 0);
            prop_assert_eq!(end, Ok(()));
            prop_assert!(matches!(got[..], [Got::Pong(_)]), "{:?}", got);
        }
    }

    #[test]
    fn garbage_never_panics_never_goes_over_the_limit_and_fails_the_same_however_it_is_split(
        garbage in vec(any::<u8>(), 0..300),
        sizes in vec(1..40_usize, 1..10),
        limit in 0..200_usize,
    ) {
        let whole = decode_in_pieces(&garbage, &[usize::MAX], limit);
        prop_assert_eq!(&decode_in_pieces(&garbage, &[1], limit), &whole);
        prop_assert_eq!(&decode_in_pieces(&garbage, &sizes, limit), &whole);
    }

    #[test]
    fn a_valid_stream_with_one_byte_changed_fails_or_decodes_the_same_however_it_is_split(
        sent in vec(sent(), 1..4),
        at in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
        sizes in vec(1..40_usize, 1..10),
    ) {
        let (mut wire, _) = on_the_wire(&sent, &[[1, 2, 3, 4]]);
        let at = at.index(wire.len());
        wire[at] ^= flip;
        let whole = decode_in_pieces(&wire, &[usize::MAX], 1000);
        prop_assert_eq!(&decode_in_pieces(&wire, &[1], 1000), &whole);
        prop_assert_eq!(&decode_in_pieces(&wire, &sizes, 1000), &whole);
    }

    #[test]
    fn text_in_fragments_is_judged_as_the_standard_library_judges_it_whole(
        payload in prop_oneof![
            vec(any::<u8>(), 0..12),
            // Mostly bytes that begin, continue or break a character.
            vec(prop::sample::select(&b"a\x80\xbf\xc2\xdf\xe0\xa0\xed\x9f\xef\xf0\x90\xf4\x8f\xff"[..]), 0..12),
            vec(any::<char>(), 0..6).prop_map(|chars| chars.into_iter().collect::<String>().into_bytes()),
        ],
        cuts in vec(any::<prop::sample::Index>(), 0..4),
        sizes in vec(1..8_usize, 1..10),
    ) {
        // Built by hand: `on_the_wire` takes only text that is valid.
        let mut edges: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
        edges.extend([0, payload.len()]);
        edges.sort_unstable();
        let last = edges.len() - 2;
        let wire: Vec<u8> = edges.windows(2).enumerate().flat_map(|(at, edge)| {
            let first = u8::from(at == 0) | if at == last { 0x80 } else { 0 };
            client_frame(first, [9, 8, 7, 6], &payload[edge[0]..edge[1]])
        }).collect();
        let expected = match std::str::from_utf8(&payload) {
            Ok(text) => (vec![Got::Text(text.to_owned())], Ok(())),
            Err(_) => (vec![], Err(Violation::InvalidUtf8)),
        };
        prop_assert_eq!(decode_in_pieces(&wire, &[usize::MAX], 1000), expected.clone());
        prop_assert_eq!(decode_in_pieces(&wire, &sizes, 1000), expected);
    }
}

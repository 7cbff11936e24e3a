//! Every rule of the decoder as a sentence.

use super::*;
use crate::ws::violation::rule;

const LIMIT: usize = 64 * 1024;
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A message that outlives the decoder's loan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Got {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Message<'_>> for Got {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(text.to_owned()),
            Message::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Message::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Message::Pong(bytes) => Self::Pong(bytes.to_vec()),
            Message::Close(payload) => Self::Close(payload.map(|(code, reason)| (code, reason.to_owned()))),
        }
    }
}

/// Feeds `input` as the worker does, and collects what comes out.
pub(super) fn feed(decoder: &mut Decoder, input: &[u8], limit: usize, got: &mut Vec<Got>) -> Result<(), Violation> {
    feed_inflating(decoder, None, input, limit, got)
}

/// The same on a connection that agreed on compression, if there is an inflater.
pub(super) fn feed_inflating(
    decoder: &mut Decoder,
    mut inflater: Option<&mut Inflater>,
    input: &[u8],
    limit: usize,
    got: &mut Vec<Got>,
) -> Result<(), Violation> {
    let mut scratch = input.to_vec();
    let mut at = 0;
    loop {
        let step = decoder.next(&mut scratch[at..], MessageLimits::of_bytes(limit), inflater.as_deref_mut())?;
        at += step.consumed;
        let Some(message) = step.message else { break };
        got.push(message.into());
    }
    assert_eq!(at, input.len(), "without a message the input is used up");
    Ok(())
}

#[test]
fn in_the_middle_of_a_frame_nothing_is_a_lone_pong() {
    let pong = client_frame(0x8a, [1, 2, 3, 4], b"");
    let mut decoder = Decoder::new();
    let mut got = Vec::new();
    feed(&mut decoder, &client_frame(0x82, [0; 4], b"12345678")[..7], LIMIT, &mut got).unwrap();
    assert!(!decoder.is_lone_pong(&pong), "it may be the payload that is missing");
    assert!(Decoder::new().is_lone_pong(&pong));
}

fn decode(input: &[u8]) -> (Vec<Got>, Result<(), Violation>) {
    let mut got = Vec::new();
    let end = feed(&mut Decoder::new(), input, LIMIT, &mut got);
    (got, end)
}

/// A client frame; `first` is its first byte.
pub(super) fn client_frame(first: u8, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

pub(super) fn masked(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    client_frame(first, MASK, payload.as_ref())
}

fn text(payload: &str) -> Got {
    Got::Text(payload.to_owned())
}

fn refused_for(input: &[u8], rule: &'static str) {
    assert_eq!(decode(input), (vec![], Err(Violation::Protocol(rule))));
    // One byte at a time it is the same, and no byte beyond the one that shows it is needed.
    let mut decoder = Decoder::new();
    let mut got = Vec::new();
    let end = input.iter().try_for_each(|&byte| feed(&mut decoder, &[byte], LIMIT, &mut got));
    assert_eq!((got, end), (vec![], Err(Violation::Protocol(rule))));
    assert_eq!(decoder.buffered_bytes(), 0);
}

#[test]
fn the_masked_hello_of_the_rfc_is_a_text_message() {
    // RFC 6455 §5.7.
    let frame = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(decode(&frame), (vec![text("Hello")], Ok(())));
}

#[test]
fn text_stays_text_and_binary_stays_binary() {
    let input = [masked(0x81, "é"), masked(0x82, [0xff, 0x00])].concat();
    assert_eq!(decode(&input), (vec![text("é"), Got::Binary(vec![0xff, 0x00])], Ok(())));
}

#[test]
fn every_length_form_is_read_at_its_edges() {
    for len in [0, 1, 125, 126, 127, 65_535, 65_536] {
        let payload: Vec<u8> = (0..len).map(|at| at as u8).collect();
        assert_eq!(decode(&masked(0x82, &payload)), (vec![Got::Binary(payload)], Ok(())));
    }
}

#[test]
fn fragments_are_one_message() {
    let input = [masked(0x01, "a"), masked(0x00, ""), masked(0x00, "b"), masked(0x80, "c")].concat();
    assert_eq!(decode(&input), (vec![text("abc")], Ok(())));
}

#[test]
fn control_frames_between_fragments_are_delivered_at_once() {
    let mut decoder = Decoder::new();
    let mut got = Vec::new();
    feed(&mut decoder, &[masked(0x01, "a"), masked(0x89, "ping")].concat(), LIMIT, &mut got).unwrap();
    assert_eq!(got, [Got::Ping(b"ping".to_vec())]);
    assert!(decoder.is_mid_message());
    feed(&mut decoder, &[masked(0x8a, "pong"), masked(0x80, "b")].concat(), LIMIT, &mut got).unwrap();
    assert_eq!(got[1..], [Got::Pong(b"pong".to_vec()), text("ab")]);
    assert!(!decoder.is_mid_message());
}

#[test]
fn a_close_inside_a_fragmented_message_is_delivered() {
    let input = [masked(0x01, "a"), masked(0x88, b"\x03\xe8")].concat();
    assert_eq!(decode(&input), (vec![Got::Close(Some((1000, String::new())))], Ok(())));
}

#[test]
fn a_close_frame_may_be_empty_or_have_a_code_and_a_reason() {
    assert_eq!(decode(&masked(0x88, "")), (vec![Got::Close(None)], Ok(())));
    let with_reason = masked(0x88, b"\x0f\xa0bye");
    assert_eq!(decode(&with_reason), (vec![Got::Close(Some((4000, "bye".to_owned())))], Ok(())));
}

#[test]
fn a_whole_message_is_lent_from_the_input_and_nothing_behind_it_is_touched() {
    let mut input = [masked(0x81, "Hello"), masked(0x81, "again")].concat();
    let before = input.clone();
    let mut decoder = Decoder::new();
    let range = input.as_ptr_range();
    let step = decoder.next(&mut input, MessageLimits::of_bytes(LIMIT), None).unwrap();
    let Some(Message::Text(message)) = step.message else { panic!("{step:?}") };
    assert!(range.contains(&message.as_ptr()));
    assert_eq!((message, step.consumed), ("Hello", 11));
    assert_eq!(decoder.buffered_bytes(), 0);
    assert_eq!(input[11..], before[11..]);
}

#[test]
fn an_idle_decoder_is_one_pointer_and_holds_nothing() {
    assert!(size_of::<Decoder>() <= 16);
    let decoder = Decoder::new();
    assert_eq!((decoder.buffered_bytes(), decoder.is_mid_message()), (0, false));
}

#[test]
fn the_buffer_of_a_cut_message_is_freed_once_it_was_taken() {
    let mut decoder = Decoder::new();
    let mut frame = masked(0x82, [7; 1000]);
    let mut behind = frame.split_off(600);
    assert_eq!(
        decoder.next(&mut frame, MessageLimits::of_bytes(LIMIT), None),
        Ok(Step { consumed: 600, message: None })
    );
    assert!(decoder.is_mid_message() && decoder.buffered_bytes() > 592);
    let step = decoder.next(&mut behind, MessageLimits::of_bytes(LIMIT), None).unwrap();
    assert_eq!(step, Step { consumed: 408, message: Some(Message::Binary(&[7; 1000])) });
    assert!(!decoder.is_mid_message());
    assert_eq!(decoder.next(&mut [], MessageLimits::of_bytes(LIMIT), None), Ok(Step { consumed: 0, message: None }));
    assert_eq!(decoder.buffered_bytes(), 0);
}

#[test]
fn a_header_that_claims_much_takes_no_memory_before_its_bytes_come() {
    let mut decoder = Decoder::new();
    let frame = masked(0x82, [7; LIMIT]);
    let mut got = Vec::new();
    let mut most = 0;
    for (fed, byte) in frame.iter().enumerate() {
        feed(&mut decoder, &[*byte], LIMIT, &mut got).unwrap();
        let allowed = size_of::<Partial>() + (2 * fed).clamp(64, LIMIT);
        assert!(decoder.buffered_bytes() <= allowed, "{} held after {fed} bytes", decoder.buffered_bytes());
        most = most.max(decoder.buffered_bytes());
    }
    assert_eq!(got, [Got::Binary(vec![7; LIMIT])]);
    assert_eq!(most, size_of::<Partial>() + LIMIT, "it had to be buffered in the end");
}

#[test]
fn an_unmasked_frame_is_refused() {
    refused_for(&[0x81, 0x05], rule::UNMASKED);
    refused_for(&[0x89, 0x00], rule::UNMASKED);
}

#[test]
fn each_reserved_bit_is_refused_with_the_first_byte() {
    for bit in [0x40, 0x20, 0x10] {
        refused_for(&[0x81 | bit], rule::RESERVED_BITS);
    }
}

#[test]
fn reserved_opcodes_are_refused_with_the_first_byte() {
    for opcode in (0x3..=0x7).chain(0xb..=0xf) {
        refused_for(&[0x80 | opcode], rule::RESERVED_OPCODE);
    }
}

#[test]
fn a_fragmented_control_frame_is_refused() {
    for opcode in [0x8, 0x9, 0xa] {
        refused_for(&[opcode], rule::FRAGMENTED_CONTROL);
    }
}

#[test]
fn a_control_frame_has_125_bytes_and_not_126() {
    assert_eq!(decode(&masked(0x89, [b'x'; 125])), (vec![Got::Ping(vec![b'x'; 125])], Ok(())));
    refused_for(&[0x89, 0x80 | 126], rule::LONG_CONTROL);
    refused_for(&[0x88, 0x80 | 127], rule::LONG_CONTROL);
}

#[test]
fn a_continuation_needs_a_message() {
    refused_for(&[0x80], rule::NOTHING_TO_CONTINUE);
    refused_for(&[0x00], rule::NOTHING_TO_CONTINUE);
    let after_a_whole_one = [masked(0x81, "a"), vec![0x80]].concat();
    assert_eq!(decode(&after_a_whole_one), (vec![text("a")], Err(Violation::Protocol(rule::NOTHING_TO_CONTINUE))));
    let after_the_last = [masked(0x01, "a"), masked(0x80, "b"), vec![0x00]].concat();
    assert_eq!(decode(&after_the_last), (vec![text("ab")], Err(Violation::Protocol(rule::NOTHING_TO_CONTINUE))));
}

#[test]
fn a_message_does_not_start_inside_another() {
    for first in [0x81, 0x01, 0x82, 0x02] {
        refused_for(&[masked(0x01, "a"), vec![first]].concat(), rule::MESSAGE_NOT_FINISHED);
    }
}

#[test]
fn a_length_is_in_its_shortest_form() {
    refused_for(&[0x82, 0x80 | 126, 0, 125], rule::LENGTH_NOT_MINIMAL);
    refused_for(&[0x82, 0x80 | 127, 0, 0, 0, 0, 0, 0, 255, 255], rule::LENGTH_NOT_MINIMAL);
}

#[test]
fn the_top_bit_of_a_length_is_not_set() {
    refused_for(&[0x82, 0x80 | 127, 0x80, 0, 0, 0, 0, 1, 0, 0], rule::LENGTH_OVER_63_BITS);
}

#[test]
fn a_close_payload_of_one_byte_is_refused_by_its_header() {
    refused_for(&[0x88, 0x81], rule::CLOSE_OF_ONE_BYTE);
}

#[test]
fn a_close_code_that_must_not_be_sent_is_refused() {
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        refused_for(&masked(0x88, code.to_be_bytes()), rule::CLOSE_CODE);
    }
}

#[test]
fn a_close_reason_that_is_not_utf8_is_refused() {
    let input = masked(0x88, b"\x03\xe8\xce\xba\xff");
    assert_eq!(decode(&input), (vec![], Err(Violation::InvalidUtf8)));
    let mut decoder = Decoder::new();
    let mut got = Vec::new();
    let end = input.iter().try_for_each(|&byte| feed(&mut decoder, &[byte], LIMIT, &mut got));
    assert_eq!((got, end, decoder.buffered_bytes()), (vec![], Err(Violation::InvalidUtf8), 0));
}

#[test]
fn text_that_is_not_utf8_is_refused_and_binary_is_not_looked_at() {
    assert_eq!(decode(&masked(0x81, b"ab\xff")), (vec![], Err(Violation::InvalidUtf8)));
    assert_eq!(decode(&masked(0x82, b"ab\xff")), (vec![Got::Binary(b"ab\xff".to_vec())], Ok(())));
}

#[test]
fn a_character_may_be_split_over_fragments() {
    let kosme = "κόσμε".as_bytes();
    for at in 0..=kosme.len() {
        let input = [masked(0x01, &kosme[..at]), masked(0x89, ""), masked(0x80, &kosme[at..])].concat();
        assert_eq!(decode(&input), (vec![Got::Ping(vec![]), text("κόσμε")], Ok(())), "split at {at}");
    }
}

#[test]
fn text_does_not_end_inside_a_character() {
    assert_eq!(decode(&masked(0x81, b"a\xce")), (vec![], Err(Violation::InvalidUtf8)));
    let fragmented = [masked(0x01, b"a\xce"), masked(0x80, "")].concat();
    assert_eq!(decode(&fragmented), (vec![], Err(Violation::InvalidUtf8)));
}

#[test]
fn bad_text_is_refused_with_the_byte_that_shows_it_although_the_frame_goes_on() {
    // As in Autobahn 6.4: F4 90 is over U+10FFFF, ED A0 a surrogate, C0 and FF never occur, 'a' ends E2 82 early.
    for (good, bad) in [(&b"\xce\xba\xf4"[..], 0x90), (b"\xed", 0xa0), (b"", 0xc0), (b"ok", 0xff), (b"\xe2\x82", b'a')]
    {
        let payload = [good, &[bad], b"more to come"].concat();
        for first in [0x81, 0x01] {
            let frame = masked(first, &payload);
            let shown_at = 6 + good.len();
            let mut decoder = Decoder::new();
            let mut got = Vec::new();
            assert_eq!(feed(&mut decoder, &frame[..shown_at], LIMIT, &mut got), Ok(()));
            assert_eq!(feed(&mut decoder, &frame[shown_at..=shown_at], LIMIT, &mut got), Err(Violation::InvalidUtf8));
            assert_eq!((got.len(), decoder.buffered_bytes()), (0, 0));
        }
    }
}

#[test]
fn a_message_of_the_limit_passes_and_one_byte_more_does_not() {
    let mut got = Vec::new();
    assert_eq!(feed(&mut Decoder::new(), &masked(0x82, [1; 300]), 300, &mut got), Ok(()));
    assert_eq!(got, [Got::Binary(vec![1; 300])]);
    assert_eq!(feed(&mut Decoder::new(), &masked(0x82, [1; 301]), 300, &mut got), Err(Violation::MessageTooBig));
}

#[test]
fn a_frame_over_the_limit_is_refused_by_its_length_alone() {
    let header = [0x82, 0x80 | 127, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    let mut decoder = Decoder::new();
    assert_eq!(feed(&mut decoder, &header[..9], LIMIT, &mut Vec::new()), Ok(()));
    assert_eq!(feed(&mut decoder, &header[9..], LIMIT, &mut Vec::new()), Err(Violation::MessageTooBig));
    assert_eq!(decoder.buffered_bytes(), 0);
}

#[test]
fn the_limit_counts_all_fragments() {
    let start = [masked(0x02, [1; 200]), masked(0x00, [2; 50])].concat();
    let mut got = Vec::new();
    let fits = [start.clone(), masked(0x80, [3; 50])].concat();
    assert_eq!(feed(&mut Decoder::new(), &fits, 300, &mut got), Ok(()));
    assert_eq!(got.len(), 1);
    // The header of the last fragment is enough.
    let over = [start, vec![0x80, 0x80 | 51]].concat();
    assert_eq!(feed(&mut Decoder::new(), &over, 300, &mut got), Err(Violation::MessageTooBig));
}

#[test]
fn a_fragmented_message_never_holds_more_than_the_limit() {
    let mut decoder = Decoder::new();
    let mut got = Vec::new();
    for _ in 0..100 {
        let first = if decoder.is_mid_message() { 0x00 } else { 0x02 };
        feed(&mut decoder, &masked(first, [1; 10]), 1000, &mut got).unwrap();
        assert!(decoder.buffered_bytes() <= size_of::<Partial>() + 1000);
    }
    assert_eq!(feed(&mut decoder, &masked(0x00, [1; 1]), 1000, &mut got), Err(Violation::MessageTooBig));
}

#[test]
fn control_frames_do_not_count_towards_the_limit() {
    let input = [masked(0x02, [1; 10]), masked(0x89, [2; 125]), masked(0x80, "")].concat();
    let mut got = Vec::new();
    assert_eq!(feed(&mut Decoder::new(), &input, 10, &mut got), Ok(()));
    assert_eq!(got, [Got::Ping(vec![2; 125]), Got::Binary(vec![1; 10])]);
}

/// A message of `fragments` empty frames, cut into pieces of `piece` bytes.
fn of_empty_fragments(fragments: usize, most: u32, piece: usize) -> Result<usize, Violation> {
    let empty = |first| client_frame(first, [1, 2, 3, 4], b"");
    let mut wire = empty(if fragments == 1 { 0x82 } else { 0x02 });
    for at in 1..fragments {
        // A ping between two of them is none of them.
        wire.extend(empty(0x89));
        wire.extend(empty(if at + 1 == fragments { 0x80 } else { 0x00 }));
    }
    let (mut decoder, mut messages) = (Decoder::new(), 0);
    let limits = MessageLimits { bytes: LIMIT, fragments: most };
    for piece in wire.chunks_mut(piece) {
        let mut at = 0;
        loop {
            let step = match decoder.next(&mut piece[at..], limits, None) {
                Ok(step) => step,
                Err(violation) => {
                    assert_eq!(decoder.buffered_bytes(), 0);
                    return Err(violation);
                }
            };
            at += step.consumed;
            match step.message {
                Some(Message::Binary(bytes)) => messages += usize::from(bytes.is_empty()),
                Some(_) => {}
                None => break,
            }
        }
    }
    Ok(messages)
}

#[test]
fn a_message_has_as_many_fragments_as_the_limit_and_not_one_more_even_if_they_are_empty() {
    for piece in [1, 5, usize::MAX] {
        for most in [1, 2, 7] {
            assert_eq!(of_empty_fragments(most as usize, most, piece), Ok(1), "{most} in pieces of {piece}");
            let over = of_empty_fragments(most as usize + 1, most, piece);
            assert_eq!(over, Err(Violation::TooManyFragments), "{most} and one in pieces of {piece}");
        }
    }
}

#[test]
fn the_fragments_of_each_message_are_counted_anew() {
    let limits = MessageLimits { bytes: LIMIT, fragments: 2 };
    let (mut decoder, mut messages) = (Decoder::new(), 0);
    for _ in 0..3 {
        for first in [0x01, 0x80] {
            let mut frame = client_frame(first, [1, 2, 3, 4], b"x");
            messages += usize::from(decoder.next(&mut frame, limits, None).unwrap().message.is_some());
        }
    }
    assert_eq!(messages, 3);
}

//! The inflater with what senders make, what they should not, and what is made to hurt.

use flate2::{Compress, Compression, FlushCompress};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 64 * 1024;

fn inflate(payload: &[u8], limit: usize) -> Result<Vec<u8>, Violation> {
    let mut inflater = Inflater::new();
    inflater.inflate(payload, limit)?;
    Ok(inflater.message().to_vec())
}

/// The stream of `bytes` up to `flush`, complete.
fn stream(bytes: &[u8], level: u32, flush: FlushCompress) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() * 2 + 100);
    Compress::new(Compression::new(level), false).compress_vec(bytes, &mut out, flush).unwrap();
    out
}

/// `bytes` as a message of a sender that does it as the RFC describes it.
fn deflated(bytes: &[u8]) -> Vec<u8> {
    stream(bytes, 6, FlushCompress::Sync).strip_suffix(&TAIL).unwrap().to_vec()
}

#[test]
fn the_examples_of_the_rfc_are_hello() {
    // RFC 7692 §7.2.3.1, §7.2.3.3 (a block without compression), §7.2.3.4 (a final block), §7.2.3.5 (two blocks).
    for hello in [
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
    ] {
        assert_eq!(inflate(hello, LIMIT), Ok(b"Hello".to_vec()), "{hello:x?}");
    }
}

#[test]
fn an_empty_message_is_one_byte_or_none() {
    assert_eq!(deflated(b""), [0]);
    assert_eq!(inflate(&[0], LIMIT), Ok(vec![]));
    assert_eq!(inflate(&[], LIMIT), Ok(vec![]));
}

#[test]
fn a_final_block_may_stand_anywhere_with_or_without_padding() {
    let ended = stream(b"one", 6, FlushCompress::Finish);
    assert_eq!(inflate(&ended, LIMIT), Ok(b"one".to_vec()));
    assert_eq!(inflate(&[&ended[..], &[0]].concat(), LIMIT), Ok(b"one".to_vec()));
    assert_eq!(inflate(&[&ended[..], &deflated(b"two")].concat(), LIMIT), Ok(b"onetwo".to_vec()));
}

#[test]
fn a_message_may_have_the_limit_and_not_a_byte_more() {
    for size in [0, 1, 100, 1000, LIMIT] {
        let message = deflated(&vec![b'a'; size]);
        assert_eq!(inflate(&message, size).map(|bytes| bytes.len()), Ok(size));
        if size > 0 {
            assert_eq!(inflate(&message, size - 1), Err(Violation::MessageTooBig));
        }
    }
}

#[test]
fn a_bomb_costs_no_more_than_the_limit() {
    let bomb = deflated(&vec![0; 64 << 20]);
    assert!(bomb.len() < 100_000);
    let mut inflater = Inflater::new();
    for payload in [&bomb[..], &bomb[..bomb.len() / 2]] {
        assert_eq!(inflater.inflate(payload, LIMIT), Err(Violation::MessageTooBig));
        assert_eq!(inflater.message.capacity(), 0, "given back at once");
    }
    // And on the way there no more is taken either.
    inflater.message = Vec::new();
    assert_eq!(inflater.run(&bomb, LIMIT), Err(Violation::MessageTooBig));
    assert!(inflater.message.capacity() <= LIMIT + 1, "{}", inflater.message.capacity());
    inflater.let_go();
    assert_eq!(inflater.inflate(&deflated(b"after it"), LIMIT), Ok(()));
    assert_eq!(inflater.message(), b"after it");
}

#[test]
fn what_is_no_stream_or_not_a_whole_one_is_refused() {
    let whole = deflated(b"a message of some length, of some length, of some length");
    for wrong in [
        &[0xff][..],
        &[0x06],
        // A block without compression whose length does not agree with itself.
        &[0x00, 0x05, 0x00, 0x00, 0x00],
        // A copy from before the message: no window is kept.
        &[0x02, 0x01, 0x00],
        &whole[..whole.len() - 1],
        &whole[..whole.len() / 2],
        &[&whole[..], &[0xff]].concat(),
    ] {
        assert_eq!(inflate(wrong, LIMIT), Err(Violation::InvalidDeflate), "{wrong:x?}");
    }
}

#[test]
fn each_message_begins_with_an_empty_window() {
    let mut sender = Compress::new(Compression::new(6), false);
    let mut message = |text: &[u8]| {
        let mut out = Vec::with_capacity(500);
        sender.compress_vec(text, &mut out, FlushCompress::Sync).unwrap();
        out.truncate(out.len() - TAIL.len());
        out
    };
    let (first, second) =
        (message(b"said once, said twice, said thrice"), message(b"said once, said twice, said thrice"));
    let mut inflater = Inflater::new();
    inflater.inflate(&first, LIMIT).unwrap();
    assert_eq!(inflater.inflate(&second, LIMIT), Err(Violation::InvalidDeflate), "its sender kept the window");
    inflater.inflate(&first, LIMIT).unwrap();
    assert_eq!(inflater.message(), b"said once, said twice, said thrice");
}

#[test]
fn the_room_of_a_large_message_is_given_back_and_that_of_a_usual_one_kept() {
    let mut inflater = Inflater::new();
    inflater.inflate(&deflated(&vec![b'x'; 1 << 20]), 1 << 20).unwrap();
    inflater.let_go();
    assert_eq!(inflater.message.capacity(), 0);
    inflater.inflate(&deflated(&[b'x'; 1000]), 1 << 20).unwrap();
    inflater.let_go();
    assert!((1..=KEPT_BYTES).contains(&inflater.message.capacity()));
}

#[test]
fn what_does_not_compress_fits_on_the_wire_at_every_level() {
    let mut noise = 1_u32;
    let random: Vec<u8> = (0..LIMIT)
        .map(|_| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        })
        .collect();
    for level in 0..=9 {
        let message = stream(&random, level, FlushCompress::Sync);
        assert!(message.len() <= wire_limit(LIMIT), "{}", message.len());
        assert_eq!(inflate(message.strip_suffix(&TAIL).unwrap(), LIMIT), Ok(random.clone()));
    }
}

proptest! {
    #[test]
    fn any_message_comes_back_however_its_sender_compressed_it(
        pieces in vec((vec(any::<u8>(), 0..200), 0..30_usize), 0..6),
        level in 0..=9_u32,
        is_final in any::<bool>(),
    ) {
        let bytes: Vec<u8> = pieces.into_iter().flat_map(|(piece, count)| piece.repeat(count)).collect();
        let message = if is_final {
            [stream(&bytes, level, FlushCompress::Finish), vec![0]].concat()
        } else {
            stream(&bytes, level, FlushCompress::Sync).strip_suffix(&TAIL).unwrap().to_vec()
        };
        prop_assert_eq!(inflate(&message, bytes.len()), Ok(bytes.clone()));
        if !bytes.is_empty() {
            prop_assert_eq!(inflate(&message, bytes.len() - 1), Err(Violation::MessageTooBig));
        }
    }

    #[test]
    fn garbage_never_panics_and_never_becomes_more_than_the_limit(
        garbage in vec(any::<u8>(), 0..300),
        limit in 0..2000_usize,
    ) {
        let mut inflater = Inflater::new();
        let inflated = inflater.inflate(&garbage, limit);
        prop_assert!(inflater.message.capacity() <= limit + 1);
        if inflated.is_ok() {
            prop_assert!(inflater.message().len() <= limit);
        }
    }
}

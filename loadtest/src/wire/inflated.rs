//! Compressed messages, inflated once however many subscribers get the same bytes. Pure.
//!
//! All subscribers of a topic get the same frame: the generator, which shares the machine with the server it measures,
//! compares it with one it has inflated already. What differs in a single byte is inflated.

use std::fmt;

use flate2::{Decompress, FlushDecompress};
use serde::Serialize;

/// Frames that are remembered: more than are in flight at once. A power of two.
const SLOTS: usize = 256;

/// Compressed bytes of frames and the message behind them are remembered up to this size.
const REMEMBERED_BYTES: usize = 256 * 1024;

/// What came compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Tally {
    /// Messages.
    pub(crate) messages: u64,
    /// Their bytes on the wire, without frame headers.
    pub(crate) wire_bytes: u64,
    /// Their bytes inflated.
    pub(crate) message_bytes: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |bytes: u64| bytes as f64 / self.messages.max(1) as f64;
        write!(
            f,
            "{} deliveries: {:.0} B of {:.0} B each ({:.3})",
            self.messages,
            each(self.wire_bytes),
            each(self.message_bytes),
            self.wire_bytes as f64 / self.message_bytes.max(1) as f64
        )
    }
}

/// Inflates messages of which each begins with an empty window.
pub(crate) struct Inflated {
    limit_bytes: usize,
    stream: Decompress,
    slots: Vec<Slot>,
    tally: Tally,
}

#[derive(Debug, Default)]
struct Slot {
    compressed: Vec<u8>,
    message: Vec<u8>,
}

impl Inflated {
    /// Messages of at most `limit_bytes`.
    pub(crate) fn new(limit_bytes: usize) -> Self {
        let slots = (0..SLOTS).map(|_| Slot::default()).collect();
        Self { limit_bytes, stream: Decompress::new(false), slots, tally: Tally::default() }
    }

    /// The message that `compressed` is; `None` if it is not a whole one of at most the limit.
    pub(crate) fn message(&mut self, compressed: &[u8]) -> Option<&[u8]> {
        let slot = &mut self.slots[hash(compressed) as usize % SLOTS];
        if slot.compressed.is_empty() || slot.compressed != compressed {
            slot.compressed.clear();
            inflate(&mut self.stream, compressed, &mut slot.message, self.limit_bytes)?;
            if compressed.len() + slot.message.len() <= REMEMBERED_BYTES {
                slot.compressed.extend_from_slice(compressed);
            }
        }
        self.tally.messages += 1;
        self.tally.wire_bytes += compressed.len() as u64;
        self.tally.message_bytes += slot.message.len() as u64;
        Some(&slot.message)
    }

    /// What came so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
    }
}

/// RFC 7692 §7.2.2, with a final block behind it by which a stream that was cut is known.
fn inflate(stream: &mut Decompress, compressed: &[u8], message: &mut Vec<u8>, limit_bytes: usize) -> Option<()> {
    message.clear();
    message.reserve_exact(limit_bytes + 1);
    stream.reset(false);
    for part in [compressed, &[0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff]] {
        let before = stream.total_in();
        stream.decompress_vec(part, message, FlushDecompress::None).ok()?;
        if stream.total_in() - before != part.len() as u64 || message.len() > limit_bytes {
            return None;
        }
    }
    // At the end of a stream nothing more is taken.
    let before = stream.total_in();
    let _ended = stream.decompress_vec(&[0], message, FlushDecompress::None);
    (stream.total_in() == before).then_some(())
}

/// Of all bytes, eight at a time: frames of one run differ anywhere.
fn hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = bytes.len() as u64;
    for word in words {
        hash = (hash.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    for &byte in rest {
        hash = (hash.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() + 100);
        Compress::new(Compression::new(6), false).compress_vec(bytes, &mut out, FlushCompress::Sync).unwrap();
        out.truncate(out.len() - 4);
        out
    }

    #[test]
    fn a_message_is_the_same_the_first_and_the_second_time() {
        let mut inflated = Inflated::new(1000);
        let messages: Vec<String> = (0..600).map(|number| format!("message {number} ").repeat(20)).collect();
        for _ in 0..2 {
            for message in &messages {
                assert_eq!(inflated.message(&deflated(message.as_bytes())), Some(message.as_bytes()));
            }
        }
        assert_eq!(inflated.tally().messages, 1200);
        assert!(inflated.tally().wire_bytes < inflated.tally().message_bytes / 4);
    }

    #[test]
    fn a_changed_byte_is_never_taken_for_what_was_seen() {
        let mut inflated = Inflated::new(1000);
        let message = b"to be changed, to be changed, to be changed";
        let sent = deflated(message);
        assert_eq!(inflated.message(&sent), Some(&message[..]));
        for at in 0..sent.len() {
            let mut changed = sent.clone();
            changed[at] ^= 0x10;
            assert_ne!(inflated.message(&changed), Some(&message[..]), "byte {at}");
        }
    }

    #[test]
    fn what_is_cut_or_too_large_is_no_message() {
        let mut inflated = Inflated::new(1000);
        let sent = deflated(&[b'x'; 1000]);
        assert_eq!(inflated.message(&sent[..sent.len() - 1]), None);
        assert_eq!(inflated.message(&deflated(&[b'x'; 1001])), None);
        assert_eq!(inflated.message(&sent).map(<[u8]>::len), Some(1000));
    }
}

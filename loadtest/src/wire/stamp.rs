//! What a payload says about itself, so that every delivery can be verified: who published it, where, as which one in
//! sequence, and when it was meant to be sent. Pure.

use std::fmt;

use super::filler::Filler;

/// Bytes of a stamp in a binary payload.
const BINARY_BYTES: usize = 32;

/// Filler is compared with a pattern that starts at a different place for every sequence number, so that two payloads
/// mixed up by a server do not look alike. A prime, so that window sizes do not divide it.
const FILLER_SHIFTS: usize = 61;

/// The identity of one publication of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Index of the topic in this run.
    pub(crate) topic: u32,
    /// Index of the publisher among those of its topic.
    pub(crate) publisher: u32,
    /// Position in the sequence of this publisher, from 0, without gaps.
    pub(crate) sequence: u64,
    /// When the publication was due, in ns of the shared monotonic clock; not when it could be written.
    pub(crate) intended_ns: u64,
}

/// How payloads travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Binary messages with a binary stamp of 32 bytes.
    Binary,
    /// Text messages; the stamp is 64 hexadecimal digits.
    Text,
}

impl Format {
    /// Bytes the stamp takes: the smallest payload.
    pub(crate) const fn stamp_bytes(self) -> usize {
        match self {
            Self::Binary => BINARY_BYTES,
            Self::Text => 2 * BINARY_BYTES,
        }
    }
}

/// Why a payload is not one of ours, unharmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It belongs to another run, or to someone else who publishes on the same topic.
    Foreign,
    /// It is of this run, but its length or its bytes are not those that were sent.
    Altered,
}

/// Makes and checks the payloads of one run.
#[derive(Debug, Clone)]
pub(crate) struct Payloads {
    run: u64,
    format: Format,
    /// `size - stamp` pattern bytes plus room for the shifts.
    filler: Vec<u8>,
    size: usize,
}

/// The asked payload size has no room for the stamp.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooSmall {
    /// The smallest size that works, in bytes.
    pub(crate) minimum: usize,
}

impl fmt::Display for TooSmall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a payload needs at least {} bytes for the stamp that verifies it", self.minimum)
    }
}

impl std::error::Error for TooSmall {}

impl Payloads {
    /// Payloads of exactly `size` bytes for the run `run`, of letters.
    pub(crate) fn new(run: u64, format: Format, size: usize) -> Result<Self, TooSmall> {
        Self::of(run, format, size, Filler::Letters)
    }

    /// The same with another filler behind the stamp.
    pub(crate) fn of(run: u64, format: Format, size: usize, filler: Filler) -> Result<Self, TooSmall> {
        let minimum = format.stamp_bytes();
        if size < minimum {
            return Err(TooSmall { minimum });
        }
        let filler = filler.bytes(run, size - minimum + FILLER_SHIFTS);
        Ok(Self { run, format, filler, size })
    }

    /// Bytes of each payload.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// How they travel.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Appends the payload of `stamp` to `out`.
    pub(crate) fn write(&self, stamp: &Stamp, out: &mut Vec<u8>) {
        let bytes = self.encode(stamp);
        match self.format {
            Format::Binary => out.extend_from_slice(&bytes),
            Format::Text => {
                for byte in bytes {
                    out.push(HEX[usize::from(byte >> 4)]);
                    out.push(HEX[usize::from(byte & 15)]);
                }
            }
        }
        out.extend_from_slice(self.filler_of(stamp.sequence));
    }

    /// Reads the stamp of `payload`, after comparing every byte with what was sent.
    ///
    /// The intended time is the only field that cannot be checked here; the ledger compares it with what it noted.
    /// Cost: one comparison of the payload, no allocation.
    pub(crate) fn check(&self, payload: &[u8]) -> Result<Stamp, Wrong> {
        let Some((head, filler)) = payload.split_at_checked(self.format.stamp_bytes()) else {
            return Err(Wrong::Foreign);
        };
        let mut bytes = [0; BINARY_BYTES];
        match self.format {
            Format::Binary => bytes.copy_from_slice(head),
            Format::Text => {
                for (byte, digits) in bytes.iter_mut().zip(head.chunks_exact(2)) {
                    *byte = nibble(digits[0]).ok_or(Wrong::Foreign)? << 4 | nibble(digits[1]).ok_or(Wrong::Foreign)?;
                }
            }
        }
        if word(&bytes, 0) != self.run {
            return Err(Wrong::Foreign);
        }
        let ids = word(&bytes, 1);
        let stamp = Stamp {
            topic: (ids >> 32) as u32,
            publisher: ids as u32,
            sequence: word(&bytes, 2),
            intended_ns: word(&bytes, 3),
        };
        if filler == self.filler_of(stamp.sequence) { Ok(stamp) } else { Err(Wrong::Altered) }
    }

    fn encode(&self, stamp: &Stamp) -> [u8; BINARY_BYTES] {
        let words =
            [self.run, u64::from(stamp.topic) << 32 | u64::from(stamp.publisher), stamp.sequence, stamp.intended_ns];
        let mut bytes = [0; BINARY_BYTES];
        for (slot, word) in bytes.chunks_exact_mut(8).zip(words) {
            slot.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    fn filler_of(&self, sequence: u64) -> &[u8] {
        let start = (sequence % FILLER_SHIFTS as u64) as usize;
        &self.filler[start..start + self.size - self.format.stamp_bytes()]
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn word(bytes: &[u8; BINARY_BYTES], index: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[index * 8..index * 8 + 8]);
    u64::from_be_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { topic: 7, publisher: 3, sequence: 1_000_003, intended_ns: 9_876_543_210 };

    fn written(payloads: &Payloads, stamp: &Stamp) -> Vec<u8> {
        let mut out = Vec::new();
        payloads.write(stamp, &mut out);
        out
    }

    #[test]
    fn a_payload_comes_back_as_its_stamp_in_both_formats_and_at_the_smallest_size() {
        for format in [Format::Binary, Format::Text] {
            for size in [format.stamp_bytes(), format.stamp_bytes() + 1, 4096] {
                let payloads = Payloads::new(42, format, size).unwrap();
                let bytes = written(&payloads, &STAMP);
                assert_eq!(bytes.len(), size);
                assert_eq!(payloads.check(&bytes), Ok(STAMP));
            }
        }
    }

    #[test]
    fn a_text_payload_is_printable_ascii() {
        let payloads = Payloads::new(42, Format::Text, 200).unwrap();
        assert!(written(&payloads, &STAMP).iter().all(u8::is_ascii_graphic));
    }

    #[test]
    fn no_changed_byte_passes_for_the_payload_that_was_sent() {
        for format in [Format::Binary, Format::Text] {
            let payloads = Payloads::new(42, format, 160).unwrap();
            let sent = written(&payloads, &STAMP);
            for at in 0..sent.len() {
                let mut bytes = sent.clone();
                bytes[at] ^= 1;
                assert_ne!(payloads.check(&bytes), Ok(STAMP), "{format:?} byte {at}");
            }
        }
    }

    #[test]
    fn a_cut_or_lengthened_payload_is_altered() {
        let payloads = Payloads::new(42, Format::Binary, 64).unwrap();
        let mut bytes = written(&payloads, &STAMP);
        assert_eq!(payloads.check(&bytes[..63]), Err(Wrong::Altered));
        bytes.push(b'a');
        assert_eq!(payloads.check(&bytes), Err(Wrong::Altered));
    }

    #[test]
    fn a_payload_of_another_run_is_foreign() {
        let bytes = written(&Payloads::new(41, Format::Binary, 64).unwrap(), &STAMP);
        assert_eq!(Payloads::new(42, Format::Binary, 64).unwrap().check(&bytes), Err(Wrong::Foreign));
        assert_eq!(Payloads::new(42, Format::Binary, 64).unwrap().check(b"hello"), Err(Wrong::Foreign));
    }

    #[test]
    fn a_size_without_room_for_the_stamp_is_refused() {
        assert_eq!(Payloads::new(1, Format::Text, 63).unwrap_err(), TooSmall { minimum: 64 });
    }
}

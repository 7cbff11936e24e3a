//! Where the blocks of a payload stand, to find them again in the next one.

use std::ops::Range;

/// Bytes of a block, as in Fossil: more than a copy costs in payloads of a usual length, so that matches are worth it.
const BLOCK_BYTES: usize = 16;

/// Blocks with the same hash that are looked at for one place. Bounds the time on payloads that repeat themselves.
const CHAIN_LIMIT: usize = 16;

/// No block.
const NONE: u32 = u32::MAX;

/// The blocks of a base by their hash: 4 to 8 bytes for each 16 of the base, and 4 more.
pub(super) struct Blocks<'a> {
    base: &'a [u8],
    /// The first block of each hash.
    first: Vec<u32>,
    /// The next block with the same hash, by block.
    next: Vec<u32>,
}

/// Equal bytes in both payloads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) target: Range<usize>,
    /// Where they begin in the base.
    pub(super) base_start: usize,
}

impl<'a> Blocks<'a> {
    pub(super) fn new(base: &'a [u8]) -> Self {
        let (blocks, _) = base.as_chunks();
        let mut first = vec![NONE; blocks.len().next_power_of_two()];
        let mut next = vec![NONE; blocks.len()];
        // From the last to the first, so that chains are in the order of the base.
        for (number, block) in blocks.iter().enumerate().rev() {
            let slot = Hash::of(block).slot(first.len());
            next[number] = first[slot];
            first[slot] = number as u32;
        }
        Self { base, first, next }
    }

    /// The first match around a block that stands in `target` at `at` or behind it, extended forwards, and backwards but not
    /// to before `start`.
    ///
    /// Takes time in proportion to the bytes it walks over and to the length of the match.
    pub(super) fn next_match(&self, target: &[u8], start: usize, mut at: usize) -> Option<Match> {
        let mut hash = Hash::of(target.get(at..)?.first_chunk()?);
        loop {
            if let Some(longest) = self.longest_match(hash, target, start, at) {
                return Some(longest);
            }
            hash.roll(target[at], *target.get(at + BLOCK_BYTES)?);
            at += 1;
        }
    }

    /// The longest match around the block at `at`. Since it is taken, looking at the others, which are no longer and few,
    /// costs no more than so many times its length.
    fn longest_match(&self, hash: Hash, target: &[u8], start: usize, at: usize) -> Option<Match> {
        let mut longest: Option<Match> = None;
        let mut number = self.first[hash.slot(self.first.len())];
        for _ in 0..CHAIN_LIMIT {
            if number == NONE {
                break;
            }
            let base_at = number as usize * BLOCK_BYTES;
            let forwards = equal_bytes(self.base[base_at..].iter(), target[at..].iter());
            if forwards >= BLOCK_BYTES {
                let backwards = equal_bytes(self.base[..base_at].iter().rev(), target[start..at].iter().rev());
                if longest.as_ref().is_none_or(|longest| longest.target.len() < backwards + forwards) {
                    let target = at - backwards..at + forwards;
                    longest = Some(Match { target, base_start: base_at - backwards });
                }
            }
            number = self.next[number as usize];
        }
        longest
    }
}

fn equal_bytes<'a>(left: impl Iterator<Item = &'a u8>, right: impl Iterator<Item = &'a u8>) -> usize {
    left.zip(right).take_while(|(left, right)| left == right).count()
}

/// A polynomial over the bytes of a block, which can be moved by one byte at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hash(u32);

impl Hash {
    const FACTOR: u32 = 0x0100_0193;
    /// What the first byte of a block counts.
    const HIGHEST: u32 = Self::FACTOR.wrapping_pow(BLOCK_BYTES as u32 - 1);

    fn of(block: &[u8; BLOCK_BYTES]) -> Self {
        Self(block.iter().fold(0, |hash, byte| hash.wrapping_mul(Self::FACTOR).wrapping_add(u32::from(*byte))))
    }

    /// From the block that begins with `first` to the one that ends with `last`, one byte on.
    fn roll(&mut self, first: u8, last: u8) {
        let rest = self.0.wrapping_sub(u32::from(first).wrapping_mul(Self::HIGHEST));
        self.0 = rest.wrapping_mul(Self::FACTOR).wrapping_add(u32::from(last));
    }

    /// Its place among `slot_count`, a power of two.
    fn slot(self, slot_count: usize) -> usize {
        // The low bits of the polynomial know little of the first bytes; the high ones of this product know all.
        (u64::from(self.0).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & (slot_count - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rolled_hash_is_the_one_of_the_block_it_came_to() {
        let bytes: Vec<u8> = (0..100_u32).map(|number| (number * number * 7) as u8).collect();
        let mut hash = Hash::of(bytes.first_chunk().unwrap());
        for at in 1..bytes.len() - BLOCK_BYTES {
            hash.roll(bytes[at - 1], bytes[at + BLOCK_BYTES - 1]);
            assert_eq!(hash, Hash::of(bytes[at..].first_chunk().unwrap()));
        }
    }

    #[test]
    fn a_match_goes_as_far_as_both_payloads_do_and_no_further_back_than_told() {
        let base = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let target = b"__3456789abcdefghijklmnopqrstuvwxyz";
        let found = |start| Blocks::new(base).next_match(target, start, start);
        assert_eq!(found(0), Some(Match { target: 2..35, base_start: 3 }));
        assert_eq!(found(5), Some(Match { target: 5..35, base_start: 6 }));
        assert_eq!(found(16), None, "the block of the base began before");
    }

    #[test]
    fn the_longest_of_several_is_taken() {
        let base = b"0123456789abcdef....0123456789abcdefXX....!!!!!!";
        let base = [&base[..], b"0123456789abcdefXXX"].concat();
        let found = Blocks::new(&base).next_match(b"0123456789abcdefXXX", 0, 0);
        assert_eq!(found, Some(Match { target: 0..19, base_start: 48 }));
    }

    #[test]
    fn where_no_block_fits_there_is_no_match() {
        for (base, target) in
            [(&b""[..], &b"0123456789abcdef"[..]), (b"0123456789abcde", b"0123456789abcde"), (b"", b"")]
        {
            assert_eq!(Blocks::new(base).next_match(target, 0, 0), None);
        }
        assert_eq!(Blocks::new(&[7; 64]).next_match(&[7; 64], 64, 64), None);
    }
}

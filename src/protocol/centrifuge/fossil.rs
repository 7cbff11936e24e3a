//! Fossil deltas: a payload as what changed since the one before (the format of the Fossil version control system).
//!
//! `LENGTH\n`, then copies `COUNT@OFFSET,` of the base and insertions `COUNT:BYTES`, then `CHECKSUM;`. Numbers are in base 64
//! with the digits `0-9A-Z_a-z~`, the highest first. Reading order: this file, `blocks` (what of the base is found again),
//! `reader` (the inverse, for tests).

mod blocks;
#[cfg(any(test, fuzzing))]
mod reader;

use std::ops::Range;

use blocks::Blocks;
#[cfg(any(test, fuzzing))]
pub use reader::{BadDelta, apply};

const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";

/// What stands before inserted bytes at most: a number and a sign.
const INSERTION_HEAD_BYTES: usize = 6 + 1;

/// What changed from `base` to `target`: what a client needs that has `base` in hand. `None` if that is not less than
/// `target`, which is then to be sent whole.
///
/// Takes time in proportion to the bytes of both, whatever is in them, and memory for at most 12 bytes per 16 of `base`. If
/// `target` is UTF-8 the delta is too: it is cut only between characters, because to JSON clients it travels as a string.
pub fn delta(base: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    // The format's numbers have 32 bits.
    let fits = |payload: &[u8]| u32::try_from(payload.len()).is_ok();
    let delta = (fits(base) && fits(target)).then(|| written(base, target))?;
    (delta.len() < target.len()).then_some(delta)
}

/// The delta, less than `target` or up to 21 bytes more. Both are shorter than 4 GiB.
fn written(base: &[u8], target: &[u8]) -> Vec<u8> {
    let blocks = Blocks::new(base);
    let mut delta = Vec::with_capacity(64);
    push_number(&mut delta, target.len() as u32);
    delta.push(b'\n');
    // What stands in `target` from `told` on is not told yet, and from `at` on not looked at.
    let (mut told, mut at) = (0, 0);
    while let Some(matching) = blocks.next_match(target, told, at) {
        at = matching.target.end;
        let copied = between_characters(target, matching.target.clone());
        let copy = copy(copied.len(), matching.base_start + (copied.start - matching.target.start));
        // A copy in the middle of what is inserted makes two insertions of one. Few matches are not worth that: the
        // shortest, far into a long base or without the characters that were cut at their ends.
        if copied.len() > copy.len() + INSERTION_HEAD_BYTES {
            push_insertion(&mut delta, &target[told..copied.start]);
            delta.extend_from_slice(&copy);
            told = copied.end;
        }
    }
    push_insertion(&mut delta, &target[told..]);
    push_number(&mut delta, checksum(target));
    delta.push(b';');
    delta
}

/// The part of `range` that begins and ends between characters, if `target` is UTF-8. At most three bytes less at either
/// end, so that it stays long where bytes only look as if they went on with a character.
fn between_characters(target: &[u8], mut range: Range<usize>) -> Range<usize> {
    let is_inside = |at: usize| target.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    for _ in 0..3 {
        if is_inside(range.start) && range.start < range.end {
            range.start += 1;
        }
        if is_inside(range.end) && range.start < range.end {
            range.end -= 1;
        }
    }
    range
}

fn copy(count: usize, offset: usize) -> Vec<u8> {
    let mut copy = Vec::with_capacity(14);
    push_number(&mut copy, count as u32);
    copy.push(b'@');
    push_number(&mut copy, offset as u32);
    copy.push(b',');
    copy
}

fn push_insertion(out: &mut Vec<u8>, bytes: &[u8]) {
    if !bytes.is_empty() {
        push_number(out, bytes.len() as u32);
        out.push(b':');
        out.extend_from_slice(bytes);
    }
}

fn push_number(out: &mut Vec<u8>, number: u32) {
    let digit_count = (32 - (number | 1).leading_zeros()).div_ceil(6);
    for place in (0..digit_count).rev() {
        out.push(DIGITS[(number >> (6 * place)) as usize & 63]);
    }
}

/// The sum of the 32-bit words, the highest byte of each first; the last is filled with zeros.
fn checksum(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    words.iter().chain([&last]).fold(0, |sum: u32, word| sum.wrapping_add(u32::from_be_bytes(*word)))
}

#[cfg(test)]
mod tests;

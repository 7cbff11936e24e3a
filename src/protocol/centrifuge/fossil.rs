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

/// What changed from `base` to `target`: what a client needs that has `base` in hand. May be longer than `target`, which is
/// then better sent whole.
///
/// Takes time in proportion to the bytes of both, whatever is in them, and memory for at most 12 bytes per 16 of `base`. If
/// `target` is UTF-8 the delta is too: it is cut only between characters, because to JSON clients it travels as a string.
pub fn delta(base: &[u8], target: &[u8]) -> Vec<u8> {
    let blocks = Blocks::new(base);
    let mut delta = Vec::with_capacity(64);
    push_number(&mut delta, number(target.len()));
    delta.push(b'\n');
    // What stands in `target` from `told` on is not told yet, and from `at` on not looked at.
    let (mut told, mut at) = (0, 0);
    while let Some(matching) = blocks.next_match(target, told, at) {
        at = matching.target.end;
        let copied = between_characters(target, matching.target.clone());
        let copy = copy(copied.len(), matching.base_start + (copied.start - matching.target.start));
        // Not so only if characters were cut off at both ends.
        if copied.len() > copy.len() {
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
    push_number(&mut copy, number(count));
    copy.push(b'@');
    push_number(&mut copy, number(offset));
    copy.push(b',');
    copy
}

fn push_insertion(out: &mut Vec<u8>, bytes: &[u8]) {
    if !bytes.is_empty() {
        push_number(out, number(bytes.len()));
        out.push(b':');
        out.extend_from_slice(bytes);
    }
}

/// A length as the format has it.
fn number(length: usize) -> u32 {
    u32::try_from(length).expect("invariant: limits.message keeps payloads far below 4 GiB")
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

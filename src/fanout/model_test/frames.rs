//! Frames that say what they are, so that a byte stream can be checked without knowing who made it.

use bytes::Bytes;

use super::super::{LogId, Missed};
use crate::hub::Offset;

/// What a frame of the test says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Publication { log: LogId, offset: u64 },
    Reply(u64),
    Notice(LogId, Missed),
    Close,
}

pub(super) const HEADER_BYTES: usize = 5;

fn frame(kind: u8, fields: &[u64], len: usize) -> Bytes {
    let mut frame = vec![kind, 0, 0, 0, 0];
    for field in fields {
        frame.extend_from_slice(&field.to_le_bytes());
    }
    let (from, seed) = (frame.len(), fields.first().copied().unwrap_or(0));
    frame.extend((from..len.max(from)).map(|at| filler(seed, at)));
    let total = (frame.len() as u32).to_le_bytes();
    frame[1..5].copy_from_slice(&total);
    Bytes::from(frame)
}

fn filler(seed: u64, at: usize) -> u8 {
    (seed.wrapping_mul(31) as usize + at) as u8
}

pub(super) fn publication(log: LogId, offset: u64, len: usize) -> Bytes {
    frame(b'P', &[offset, u64::from(log.0)], len)
}

pub(super) fn reply(number: u64, len: usize) -> Bytes {
    frame(b'R', &[number], len)
}

pub(super) fn notice(log: LogId, missed: Missed) -> Bytes {
    frame(b'N', &[missed.first.0, missed.last.0, missed.count, u64::from(log.0)], 0)
}

pub(super) fn close() -> Bytes {
    frame(b'C', &[], 9)
}

/// The length of the frame that starts here.
pub(super) fn len(bytes: &[u8]) -> usize {
    u32::from_le_bytes(bytes[1..5].try_into().unwrap()) as usize
}

/// Reads the whole frame that starts here, and checks each byte of it.
pub(super) fn read(bytes: &[u8]) -> Said {
    let field = |index: usize| {
        let at = HEADER_BYTES + index * 8;
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    };
    let (said, fields) = match bytes[0] {
        b'P' => (Said::Publication { log: LogId(field(1) as u32), offset: field(0) }, 2),
        b'R' => (Said::Reply(field(0)), 1),
        b'N' => {
            let missed = Missed { first: Offset(field(0)), last: Offset(field(1)), count: field(2) };
            (Said::Notice(LogId(field(3) as u32), missed), 4)
        }
        b'C' => (Said::Close, 0),
        other => panic!("no frame starts with {other}"),
    };
    let seed = if fields == 0 { 0 } else { field(0) };
    for (at, &byte) in bytes.iter().enumerate().skip(HEADER_BYTES + fields * 8) {
        assert_eq!(byte, filler(seed, at), "{said:?} is damaged at byte {at}");
    }
    said
}

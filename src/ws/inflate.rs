//! Inflating what clients sent compressed (RFC 7692 §7.2.2), never over the message limit.

use std::panic::{AssertUnwindSafe, catch_unwind};

use flate2::{Decompress, FlushDecompress, Status};

use super::deflate::TAIL;
use super::violation::Violation;

/// What stands behind every message: the end of the flush that its sender left out, and an empty last block. Only a
/// stream that is whole, at the end of a block, ends exactly with it.
const END: [u8; 9] = [TAIL[0], TAIL[1], TAIL[2], TAIL[3], 1, 0, 0, 0xff, 0xff];

/// Room that is kept from one message to the next.
const KEPT_BYTES: usize = 64 * 1024;

/// Compressed bytes that a message of at most `message_limit` bytes may have: a sender that does not look for repetitions
/// at all takes up to 9 bits per byte.
pub(super) fn wire_limit(message_limit: usize) -> usize {
    message_limit.saturating_add(message_limit / 8).saturating_add(64)
}

/// Inflates whole messages, each on its own: no client keeps its window (`client_no_context_takeover`), so one inflater
/// serves all connections of a worker.
///
/// Nothing until the first message; then 46 KiB, and the room of a message of usual size.
#[derive(Debug, Default)]
pub struct Inflater {
    stream: Option<Decompress>,
    message: Vec<u8>,
}

impl Inflater {
    /// An inflater before its first message.
    pub fn new() -> Self {
        Self::default()
    }

    /// Inflates the payload of one message, to be read with [`Inflater::message`]. Takes memory for the bytes that come
    /// out, at most `message_limit` and one.
    ///
    /// Two things are taken that a strict reading would not: no payload at all as an empty message, and a stream that ends
    /// with a final block without the byte that RFC 7692 §7.2.3.4 wants behind it. Neither could mean anything else.
    ///
    /// # Errors
    /// [`Violation::MessageTooBig`] with the first byte over the limit, [`Violation::InvalidDeflate`] if the payload is not
    /// a whole DEFLATE stream. Then there is no message.
    pub(super) fn inflate(&mut self, payload: &[u8], message_limit: usize) -> Result<(), Violation> {
        self.let_go();
        if payload.is_empty() {
            return Ok(());
        }
        // These are a client's bytes: a mistake of the library must end its connection, and not the worker of everyone else.
        let inflated = catch_unwind(AssertUnwindSafe(|| self.run(payload, message_limit)));
        let inflated = inflated.unwrap_or_else(|_| {
            self.stream = None;
            Err(Violation::InvalidDeflate)
        });
        if inflated.is_err() {
            self.message = Vec::new();
        }
        inflated
    }

    /// What was inflated last.
    pub(super) fn message(&self) -> &[u8] {
        &self.message
    }

    /// Forgets the message, and gives back the room of a large one.
    pub fn let_go(&mut self) {
        self.message.clear();
        if self.message.capacity() > KEPT_BYTES {
            self.message = Vec::new();
        }
    }

    fn run(&mut self, payload: &[u8], message_limit: usize) -> Result<(), Violation> {
        let Self { stream, message } = self;
        message.reserve_exact(payload.len().saturating_mul(4).clamp(1, room_for(message_limit)));
        let stream = stream.get_or_insert_with(|| Decompress::new(false));
        stream.reset(false);
        if push(stream, payload, message, message_limit)? == Status::StreamEnd {
            return Ok(());
        }
        match push(stream, &END, message, message_limit)? {
            Status::StreamEnd => Ok(()),
            Status::Ok | Status::BufError => Err(Violation::InvalidDeflate),
        }
    }
}

/// Inflates all of `bytes`, which are not empty, behind `message`. After a final block a new stream begins (RFC 7692
/// §7.2.3.4); the status is the last one, so [`Status::StreamEnd`] says that such a block ends just where `bytes` do.
fn push(
    stream: &mut Decompress,
    bytes: &[u8],
    message: &mut Vec<u8>,
    message_limit: usize,
) -> Result<Status, Violation> {
    let mut rest = bytes;
    loop {
        if message.len() == message.capacity() {
            let wanted = message.capacity().saturating_mul(2).clamp(1, room_for(message_limit));
            message.reserve_exact(wanted.saturating_sub(message.len()));
        }
        let (in_before, out_before) = (stream.total_in(), stream.total_out());
        let status =
            stream.decompress_vec(rest, message, FlushDecompress::None).map_err(|_| Violation::InvalidDeflate)?;
        if message.len() > message_limit {
            return Err(Violation::MessageTooBig);
        }
        let taken = usize::try_from(stream.total_in() - in_before).unwrap_or(usize::MAX);
        rest = rest.get(taken..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(status);
        }
        if status == Status::StreamEnd {
            stream.reset(false);
        } else if taken == 0 && stream.total_out() == out_before {
            return Err(Violation::InvalidDeflate);
        }
    }
}

/// One byte more than the limit: the byte that shows a message to be too big.
fn room_for(message_limit: usize) -> usize {
    message_limit.saturating_add(1)
}

#[cfg(test)]
mod tests;

//! A data message that arrives in pieces: cut by reads, by fragments, or both.

use fastwebsockets::OpCode;

use super::message::Message;
use super::violation::Violation;

/// The first buffer, so that a client that sends byte by byte does not make it grow at each.
const FIRST_CAPACITY_BYTES: usize = 64;

/// The bytes of one message so far, compressed if it is.
#[derive(Debug)]
pub(super) struct Assembly {
    is_text: bool,
    is_compressed: bool,
    /// Frames so far, the one under way included.
    fragments: u32,
    bytes: Vec<u8>,
    /// Uncompressed text only: how far the bytes are whole, valid characters. Behind it stand at most three bytes of a character
    /// that is still incomplete; they are looked at again with the next piece.
    valid_to: usize,
}

impl Assembly {
    /// Nothing yet of a message that started with `opcode`.
    pub(super) fn new(opcode: OpCode, is_compressed: bool) -> Self {
        Self { is_text: opcode == OpCode::Text, is_compressed, fragments: 0, bytes: Vec::new(), valid_to: 0 }
    }

    /// A further frame of it begins; the first one, too. `most` is what it may have.
    pub(super) fn begin_fragment(&mut self, most: u32) -> Result<(), Violation> {
        if self.fragments >= most {
            return Err(Violation::TooManyFragments);
        }
        self.fragments += 1;
        Ok(())
    }

    /// Whether its bytes are to be inflated.
    pub(super) fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    /// Whether it is text.
    pub(super) fn is_text(&self) -> bool {
        self.is_text
    }

    /// The bytes so far.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of heap held.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Adds an unmasked piece. `most` is what the message can still grow to, this piece included: its final size once
    /// that is known, else the message limit.
    ///
    /// The buffer grows by doubling with the bytes that have come, never with those a header promises, and never over
    /// `most`. Text that can no longer become valid UTF-8 is refused with the byte that shows it (RFC 6455 §8.1), unless
    /// it is compressed.
    pub(super) fn push(&mut self, piece: &[u8], most: usize) -> Result<(), Violation> {
        let needed = self.bytes.len() + piece.len();
        if needed > self.bytes.capacity() {
            let doubled = (self.bytes.capacity() * 2).max(FIRST_CAPACITY_BYTES).min(most);
            self.bytes.reserve_exact(doubled.max(needed) - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        if self.is_plain_text() { self.validate() } else { Ok(()) }
    }

    fn validate(&mut self) -> Result<(), Violation> {
        match simdutf8::compat::from_utf8(&self.bytes[self.valid_to..]) {
            Ok(_) => self.valid_to = self.bytes.len(),
            // No length: the bytes end inside a character that may still become valid.
            Err(error) if error.error_len().is_none() => self.valid_to += error.valid_up_to(),
            Err(_) => return Err(Violation::InvalidUtf8),
        }
        Ok(())
    }

    /// Checks that the message may end here: text must not end inside a character.
    pub(super) fn finish(&self) -> Result<(), Violation> {
        if self.is_plain_text() && self.valid_to != self.bytes.len() { Err(Violation::InvalidUtf8) } else { Ok(()) }
    }

    fn is_plain_text(&self) -> bool {
        self.is_text && !self.is_compressed
    }

    /// The finished message, which is not compressed.
    pub(super) fn message(&self) -> Result<Message<'_>, Violation> {
        whole(self.is_text, &self.bytes)
    }
}

/// All bytes of one message as a message.
pub(super) fn whole(is_text: bool, bytes: &[u8]) -> Result<Message<'_>, Violation> {
    if is_text {
        simdutf8::basic::from_utf8(bytes).map(Message::Text).map_err(|_| Violation::InvalidUtf8)
    } else {
        Ok(Message::Binary(bytes))
    }
}

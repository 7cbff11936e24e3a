//! Bytes behind a header that is known only when they are all there: a frame's length, a chunk's size.

use bytes::{Buf as _, Bytes};

/// A body being written behind room for its header. One allocation, and no copy when the header comes.
#[derive(Debug)]
pub(super) struct Headed {
    bytes: Vec<u8>,
    room: usize,
}

impl Headed {
    /// Room for a header of at most `header_bytes`, and for a body of about `body_bytes`, which may grow beyond.
    pub(super) fn new(header_bytes: usize, body_bytes: usize) -> Self {
        let mut bytes = Vec::with_capacity(header_bytes + body_bytes);
        bytes.resize(header_bytes, 0);
        Self { bytes, room: header_bytes }
    }

    /// The body so far, behind the room; only to be appended to.
    pub(super) fn body(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Bytes of the body so far.
    pub(super) fn body_bytes(&self) -> usize {
        self.bytes.len() - self.room
    }

    /// `header`, directly before the body.
    ///
    /// # Panics
    /// If the header is longer than its room.
    pub(super) fn finish(mut self, header: &[u8]) -> Bytes {
        let start = self.room - header.len();
        self.bytes[start..self.room].copy_from_slice(header);
        let mut bytes = Bytes::from(self.bytes);
        bytes.advance(start);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_stands_directly_before_the_body_whatever_room_it_had() {
        for header in ["", "a", "abcd"] {
            let mut headed = Headed::new(4, 1);
            headed.body().extend_from_slice(b"body");
            assert_eq!(headed.body_bytes(), 4);
            assert_eq!(headed.finish(header.as_bytes()), format!("{header}body"));
        }
    }
}

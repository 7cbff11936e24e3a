//! Bytes on their way to a line that may not take them all at once.

use std::io;

use crate::wire::line::{Flushed, Line, Sent};

/// The unsent bytes of one connection. Its owner bounds it: by the window, or by the publications in flight.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    sent: usize,
}

impl Outbox {
    /// Where to append what is to be sent.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Whether something waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Gives `line` as much as it takes, without blocking.
    pub(crate) fn flush(&mut self, line: &mut Line) -> io::Result<Flushed> {
        while self.sent < self.bytes.len() {
            match line.send(&self.bytes[self.sent..])? {
                Sent::Taken(count) => self.sent += count,
                Sent::Full => return Ok(Flushed::Blocked),
            }
        }
        // Taken is not written: TLS keeps what its socket had no room for.
        let flushed = line.flush()?;
        if flushed == Flushed::All {
            self.bytes.clear();
            self.sent = 0;
        }
        Ok(flushed)
    }
}

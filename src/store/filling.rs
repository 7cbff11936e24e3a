//! Chunks that are being filled.

use redb::WriteTransaction;

use super::chunk::{self, Number};
use super::entry::Entry;
use super::ledger::CHUNKS;

/// A chunk is closed when it has this many bytes: with redb's header a little less than a page of 64 KiB, which is what a
/// longer value is rounded up to.
const CHUNK_BYTES: usize = 60 * 1024;

/// Chunks that are being filled.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    pub(super) done: Vec<Vec<u8>>,
}

impl Chunks {
    pub(super) fn push(&mut self, number: Number, entry: &Entry) {
        match self.done.last_mut() {
            Some(open) if open.len() < CHUNK_BYTES => chunk::push(open, number, entry),
            Some(_) | None => {
                let mut open = chunk::begin();
                chunk::push(&mut open, number, entry);
                self.done.push(open);
            }
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.done.iter().map(|chunk| chunk.len() as u64).sum()
    }

    pub(super) fn write(&self, transaction: &WriteTransaction, next: u64) -> Result<(), redb::Error> {
        let mut table = transaction.open_table(CHUNKS)?;
        for (at, chunk) in (next..).zip(&self.done) {
            table.insert(at, chunk.as_slice())?;
        }
        Ok(())
    }
}

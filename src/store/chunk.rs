//! Entries as bytes. Pure.
//!
//! A chunk is the version, then entries to its end. All numbers are little-endian. An entry is its tag, the number of its
//! topic, the offset, and then
//!
//! * of a publication: when it was accepted (8 bytes), its kind (1), the lengths of payload and extras (4 each), and both;
//! * of a key: the epoch (8 bytes; a key may outlive its topic, and what the list of topics says of it), when it expires (8),
//!   its length (2), and it.
//!
//! Checksums are redb's business: it has one of every page, and they are verified when the file is opened.

use bytes::Bytes;

use super::entry::{Entry, Key, Record};
use crate::hub::{Epoch, Kind, Offset, Position};

/// The first byte of a chunk as it is written today.
const VERSION: u8 = 1;
const PUBLICATION: u8 = 1;
const KEY: u8 = 2;
const TEXT: u8 = 0;
const BINARY: u8 = 1;

/// A topic's number in the store: the epoch it began with there. Its epoch may change, the number stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Number(pub(super) u64);

/// Why bytes are not a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadChunk {
    /// A version that is not known here.
    #[error("it has the format {0}, which a later version of fanfare writes")]
    Version(u8),
    /// It ends in the middle of an entry, or has none that can be read at this byte.
    #[error("it cannot be read at byte {0}")]
    Damaged(usize),
}

/// An empty chunk.
pub(super) fn begin() -> Vec<u8> {
    vec![VERSION]
}

/// Appends `entry`, of the topic with this number.
pub(super) fn push(chunk: &mut Vec<u8>, number: Number, entry: &Entry) {
    let tag = match entry {
        Entry::Publication(_) => PUBLICATION,
        Entry::Key(_) => KEY,
    };
    chunk.push(tag);
    chunk.extend(number.0.to_le_bytes());
    chunk.extend(entry.position().offset.0.to_le_bytes());
    match entry {
        Entry::Publication(record) => {
            chunk.extend(record.accepted_micros.to_le_bytes());
            chunk.push(match record.kind {
                Kind::Text => TEXT,
                Kind::Binary => BINARY,
            });
            let length = |bytes: &Bytes| u32::try_from(bytes.len()).expect("invariant: a message is below 4 GiB");
            chunk.extend(length(&record.payload).to_le_bytes());
            chunk.extend(length(&record.extras).to_le_bytes());
            chunk.extend_from_slice(&record.payload);
            chunk.extend_from_slice(&record.extras);
        }
        Entry::Key(key) => {
            chunk.extend(key.position.epoch.0.to_le_bytes());
            chunk.extend(key.expires_micros.to_le_bytes());
            let length = u16::try_from(key.key.len()).expect("invariant: keys are refused above 65,535 bytes");
            chunk.extend(length.to_le_bytes());
            chunk.extend_from_slice(&key.key);
        }
    }
}

/// The entries of a chunk, oldest first, each with the number of its topic. In the positions of
/// publications that number stands for the epoch, which only the list of topics knows. Payloads are copies: a slice would keep the whole chunk in memory.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    chunk: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(chunk: &'a [u8]) -> Result<Self, BadChunk> {
        match chunk.first() {
            Some(&VERSION) => Ok(Self { chunk, at: 1 }),
            Some(&version) => Err(BadChunk::Version(version)),
            None => Err(BadChunk::Damaged(0)),
        }
    }

    fn entry(&mut self) -> Option<(Number, Entry)> {
        let [tag] = self.array()?;
        let number = Number(u64::from_le_bytes(self.array()?));
        let offset = Offset(u64::from_le_bytes(self.array()?));
        let position = Position { epoch: Epoch(number.0), offset };
        let entry = match tag {
            PUBLICATION => {
                let accepted_micros = u64::from_le_bytes(self.array()?);
                let kind = match self.array()? {
                    [TEXT] => Kind::Text,
                    [BINARY] => Kind::Binary,
                    [_] => return None,
                };
                let payload_bytes = u32::from_le_bytes(self.array()?);
                let extras_bytes = u32::from_le_bytes(self.array()?);
                let payload = Bytes::copy_from_slice(self.bytes(payload_bytes as usize)?);
                let extras = Bytes::copy_from_slice(self.bytes(extras_bytes as usize)?);
                Entry::Publication(Record { position, kind, accepted_micros, payload, extras })
            }
            KEY => {
                let position = Position { epoch: Epoch(u64::from_le_bytes(self.array()?)), offset };
                let expires_micros = u64::from_le_bytes(self.array()?);
                let length = u16::from_le_bytes(self.array()?);
                let key = Bytes::copy_from_slice(self.bytes(usize::from(length))?);
                Entry::Key(Key { position, key, expires_micros })
            }
            _ => return None,
        };
        Some((number, entry))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let bytes = self.chunk.get(self.at..)?.get(..count)?;
        self.at += count;
        Some(bytes)
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<(Number, Entry), BadChunk>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.chunk.len() {
            return None;
        }
        let began = self.at;
        let entry = self.entry().ok_or(BadChunk::Damaged(began));
        if entry.is_err() {
            self.at = self.chunk.len();
        }
        Some(entry)
    }
}

/// Any bytes as a chunk: refused, or entries that are the same bytes again.
///
/// # Panics
/// If that is not so.
#[cfg(fuzzing)]
pub fn fuzz(bytes: &[u8]) {
    is_read_as_it_is(bytes);
}

#[cfg(any(test, fuzzing))]
fn is_read_as_it_is(bytes: &[u8]) {
    let Ok(reader) = Reader::new(bytes) else { return };
    let mut again = begin();
    for entry in reader {
        let Ok((number, entry)) = entry else {
            assert!(bytes.starts_with(&again), "what was read before the damage is what stood there");
            return;
        };
        push(&mut again, number, &entry);
    }
    assert_eq!(again, bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries() -> impl Strategy<Value = Vec<(Number, Entry)>> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
        let one = (any::<u64>(), any::<u64>(), any::<u64>(), any::<Option<bool>>(), bytes(), bytes()).prop_map(
            |(number, offset, micros, what, payload, extras)| {
                let position = Position { epoch: Epoch(number), offset: Offset(offset) };
                let kind = if what == Some(true) { Kind::Text } else { Kind::Binary };
                let entry = match what {
                    Some(_) => Entry::Publication(Record { position, kind, accepted_micros: micros, payload, extras }),
                    None => Entry::Key(Key {
                        position: Position { epoch: Epoch(micros / 2), offset: Offset(offset) },
                        key: payload,
                        expires_micros: micros,
                    }),
                };
                (Number(number), entry)
            },
        );
        proptest::collection::vec(one, 0..8)
    }

    fn written(entries: &[(Number, Entry)]) -> Vec<u8> {
        let mut chunk = begin();
        for (number, entry) in entries {
            push(&mut chunk, *number, entry);
        }
        chunk
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_and_a_cut_chunk_gives_a_part_or_an_error(entries in entries(), cut in any::<usize>()) {
            let chunk = written(&entries);
            let read: Vec<_> = Reader::new(&chunk).unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(&read, &entries);
            let cut = cut % chunk.len();
            match Reader::new(&chunk[..cut]) {
                Err(error) => prop_assert_eq!((error, cut), (BadChunk::Damaged(0), 0)),
                Ok(reader) => {
                    let part: Vec<_> = reader.collect();
                    for (got, wrote) in part.iter().zip(&entries) {
                        prop_assert!(got.is_err() || got.as_ref() == Ok(wrote));
                    }
                    let whole = written(&entries[..part.iter().filter(|one| one.is_ok()).count()]).len() == cut;
                    prop_assert_eq!(part.last().is_some_and(Result::is_err), !whole);
                }
            }
        }

        #[test]
        fn any_bytes_are_read_as_what_they_are_or_not_at_all(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            is_read_as_it_is(&bytes);
            is_read_as_it_is(&[&[VERSION, PUBLICATION], bytes.as_slice()].concat());
        }
    }

    #[test]
    fn a_chunk_of_a_later_version_is_not_guessed_at() {
        assert_eq!(Reader::new(&[9, 1, 2]).unwrap_err(), BadChunk::Version(9));
    }
}

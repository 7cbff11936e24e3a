//! Everything in the store, read once at the start.

use redb::{ReadableTable, WriteTransaction};
use rustc_hash::FxHashMap;

use super::chunk::{self, Number, Reader};
use super::entry::{Entry, Key, Record};
use super::kept::{Kept, KeptTopic, Stopped};
use super::ledger::{BadState, CHUNKS, Row, Span, State, TOPICS};
use super::store::SyncMode;
use crate::hub::{Epoch, Offset, Position, TopicName};

/// All that is in the store.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) kept: Kept,
    pub(super) numbers: Vec<(Epoch, Number)>,
    /// Of all chunks.
    pub(super) bytes: u64,
}

/// Reads everything, and says in the store that it runs.
pub(super) fn read(
    transaction: &WriteTransaction,
    sync: SyncMode,
    now_micros: u64,
) -> Result<(State, Contents), BadState> {
    let mut state = State::read(transaction)?;
    let stopped = state.stopped;
    let mut rows: FxHashMap<Number, Row> = FxHashMap::default();
    let mut topics = transaction.open_table(TOPICS)?;
    for row in topics.iter()? {
        let (number, row) = row?;
        let number = Number(number.value());
        let row = Row::from_bytes(row.value())
            .ok_or_else(|| BadState::Damaged(format!("the row of topic {} cannot be read", number.0)))?;
        rows.insert(number, row);
    }
    let highest = rows.values().map(|row| row.epoch.0).max().unwrap_or(0);
    let mut last_epoch = highest.max(state.epochs.0).max(now_micros);
    if stopped == Stopped::Suddenly(SyncMode::Interval) {
        // In the order of the old ones: of two rows with the same name the higher is the one that lives.
        let mut in_order: Vec<(&Number, &mut Row)> = rows.iter_mut().collect();
        in_order.sort_by_key(|(_, row)| row.epoch);
        for (number, row) in in_order {
            last_epoch += 1;
            row.epoch = Epoch(last_epoch);
            topics.insert(number.0, row.to_bytes().as_slice())?;
        }
    }
    drop(topics);
    let (mut records, mut keys, bytes) = read_chunks(transaction, state.span, &rows)?;
    let mut numbers = Vec::with_capacity(rows.len());
    let mut kept: FxHashMap<TopicName, KeptTopic> = FxHashMap::default();
    for (number, row) in rows {
        numbers.push((row.epoch, number));
        let topic = keep(records.remove(&number).unwrap_or_default(), row)?;
        // A topic that was freed and made again has two rows until the first is forgotten.
        let is_newest = kept.get(&topic.name).is_none_or(|other| other.epoch < topic.epoch);
        if is_newest {
            kept.insert(topic.name.clone(), topic);
        }
    }
    keys.retain(|key| key.expires_micros > now_micros);
    let mut topics: Vec<KeptTopic> = kept.into_values().collect();
    topics.sort_by_key(|topic| topic.records.last().map_or(0, |last| last.accepted_micros));
    state = State { stopped: Stopped::Suddenly(sync), epochs: Epoch(last_epoch), ..state };
    state.write(transaction)?;
    let kept = Kept { topics, keys, stopped, last_epoch: Epoch(last_epoch) };
    Ok((state, Contents { kept, numbers, bytes }))
}

type Read = (FxHashMap<Number, Vec<Record>>, Vec<Key>, u64);

/// The publications and keys of the topics in `rows`, and the bytes of all chunks.
fn read_chunks(transaction: &WriteTransaction, span: Span, rows: &FxHashMap<Number, Row>) -> Result<Read, BadState> {
    let mut records: FxHashMap<Number, Vec<Record>> = FxHashMap::default();
    let (mut keys, mut bytes, mut expected) = (Vec::new(), 0, span.first);
    for chunk in transaction.open_table(CHUNKS)?.iter()? {
        let (at, chunk) = chunk?;
        if at.value() != expected {
            return Err(BadState::Damaged(format!("chunk {expected} is missing")));
        }
        expected += 1;
        bytes += chunk.value().len() as u64;
        let damaged = |bad: chunk::BadChunk| match bad {
            chunk::BadChunk::Version(_) => BadState::TooNew(format!("chunk {}: {bad}", at.value())),
            chunk::BadChunk::Damaged(_) => BadState::Damaged(format!("chunk {}: {bad}", at.value())),
        };
        for entry in Reader::new(chunk.value()).map_err(damaged)? {
            let (number, mut entry) = entry.map_err(damaged)?;
            let row = rows.get(&number);
            let place = |position: &mut Position| position.epoch = row.map_or(position.epoch, |row| row.epoch);
            match &mut entry {
                Entry::Publication(record) => place(&mut record.position),
                Entry::Key(key) => place(&mut key.position),
            }
            match (entry, row) {
                // What is below was let go; some of it may have been taken away, and some not yet.
                (Entry::Publication(record), Some(row)) if record.position.offset >= row.low => {
                    records.entry(number).or_default().push(record);
                }
                (Entry::Publication(_), Some(_) | None) => {}
                (Entry::Key(key), Some(_) | None) => keys.push(key),
            }
        }
    }
    if expected != span.next {
        return Err(BadState::Damaged(format!("chunk {expected} is missing")));
    }
    Ok((records, keys, bytes))
}

/// A topic of these records, if none is missing.
fn keep(mut records: Vec<Record>, row: Row) -> Result<KeptTopic, BadState> {
    // Those that a cleaning has carried to the end stand behind newer ones.
    records.sort_by_key(|record| record.position.offset);
    for (expected, record) in (row.low.0..).zip(&records) {
        if record.position.offset.0 != expected {
            let detail = format!("publication {expected} of topic {} is missing or there twice", row.name.as_str());
            return Err(BadState::Damaged(detail));
        }
    }
    let top = records.last().map_or(Offset(row.low.0.saturating_sub(1)), |last| last.position.offset);
    Ok(KeptTopic { name: row.name, epoch: row.epoch, top, records })
}

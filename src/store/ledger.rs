//! The tables of the store, and the little ones of their rows.

use redb::{ReadableTable, Table, TableDefinition, WriteTransaction};

use super::chunk::Number;
use super::kept::Stopped;
use super::store::SyncMode;
use crate::hub::{Epoch, Offset, TopicName};

/// Chunks of entries by their place in the order in which they came. No place between the first and the next is empty.
pub(super) const CHUNKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("chunks");
/// Topics by [`Number`].
pub(super) const TOPICS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("topics");
/// The rest by name.
const STATE: TableDefinition<'_, &str, u64> = TableDefinition::new("state");

/// The first byte of a row of [`TOPICS`] as it is written today.
const ROW_VERSION: u8 = 1;
/// That of the whole store.
const FORMAT: u64 = 1;

/// A row of [`TOPICS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) epoch: Epoch,
    /// Whatever stands below may have been taken away; from here to the top nothing is missing.
    pub(super) low: Offset,
    pub(super) name: TopicName,
}

impl Row {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let name = self.name.as_str().as_bytes();
        [&[ROW_VERSION][..], &self.epoch.0.to_le_bytes(), &self.low.0.to_le_bytes(), name].concat()
    }

    pub(super) fn from_bytes(row: &[u8]) -> Option<Self> {
        let (&ROW_VERSION, rest) = row.split_first()? else { return None };
        let (epoch, rest) = rest.split_first_chunk()?;
        let (low, name) = rest.split_first_chunk()?;
        let name = TopicName::new(std::str::from_utf8(name).ok()?).ok()?;
        Some(Self { epoch: Epoch(u64::from_le_bytes(*epoch)), low: Offset(u64::from_le_bytes(*low)), name })
    }
}

/// Which places of [`CHUNKS`] are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) next: u64,
}

/// What stands in the table of the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) span: Span,
    pub(super) stopped: Stopped,
    /// No epoch from before the last start is higher.
    pub(super) epochs: Epoch,
}

/// A state that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadState {
    #[error("{0}")]
    TooNew(String),
    #[error("{0}")]
    Damaged(String),
    #[error("{0}")]
    Redb(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for BadState {
    fn from(error: E) -> Self {
        Self::Redb(error.into())
    }
}

const CLEAN: u64 = 0;
const RUNNING_ALWAYS: u64 = 1;
const RUNNING_INTERVAL: u64 = 2;

impl State {
    pub(super) fn read(transaction: &WriteTransaction) -> Result<Self, BadState> {
        let table = transaction.open_table(STATE)?;
        let Some(format) = number(&table, "format")? else {
            return Ok(Self { span: Span::default(), stopped: Stopped::Cleanly, epochs: Epoch(0) });
        };
        if format != FORMAT {
            return Err(BadState::TooNew(format!("format {format}")));
        }
        let must = |key: &str| number(&table, key)?.ok_or_else(|| BadState::Damaged(format!("it does not say {key}")));
        let span = Span { first: must("first")?, next: must("next")? };
        let stopped = match must("stopped")? {
            CLEAN => Stopped::Cleanly,
            RUNNING_ALWAYS => Stopped::Suddenly(SyncMode::Always),
            RUNNING_INTERVAL => Stopped::Suddenly(SyncMode::Interval),
            other => return Err(BadState::Damaged(format!("it stopped in state {other}"))),
        };
        if span.first > span.next {
            return Err(BadState::Damaged(format!("its chunks go from {} to {}", span.first, span.next)));
        }
        Ok(Self { span, stopped, epochs: Epoch(must("epochs")?) })
    }

    pub(super) fn write(&self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut table = transaction.open_table(STATE)?;
        let stopped = match self.stopped {
            Stopped::Cleanly => CLEAN,
            Stopped::Suddenly(SyncMode::Always) => RUNNING_ALWAYS,
            Stopped::Suddenly(SyncMode::Interval) => RUNNING_INTERVAL,
        };
        table.insert("format", FORMAT)?;
        table.insert("stopped", stopped)?;
        table.insert("epochs", self.epochs.0)?;
        write_span(&mut table, self.span)
    }
}

/// The span that is in force after `transaction`.
pub(super) fn set_span(transaction: &WriteTransaction, span: Span) -> Result<(), redb::Error> {
    write_span(&mut transaction.open_table(STATE)?, span)
}

fn write_span(table: &mut Table<'_, &'static str, u64>, span: Span) -> Result<(), redb::Error> {
    table.insert("first", span.first)?;
    table.insert("next", span.next)?;
    Ok(())
}

fn number(table: &Table<'_, &'static str, u64>, key: &str) -> Result<Option<u64>, redb::Error> {
    Ok(table.get(key)?.map(|value| value.value()))
}

/// The row of a topic.
pub(super) fn row(topics: &Table<'_, u64, &'static [u8]>, number: Number) -> Result<Option<Row>, redb::Error> {
    Ok(topics.get(number.0)?.and_then(|row| Row::from_bytes(row.value())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_as_it_was_written_and_a_cut_one_is_not() {
        let row = Row { epoch: Epoch(7), low: Offset(u64::MAX), name: TopicName::new("näme").unwrap() };
        let bytes = row.to_bytes();
        assert_eq!(Row::from_bytes(&bytes), Some(row));
        for cut in 0..=17 {
            assert_eq!(Row::from_bytes(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(Row::from_bytes(&[&[2], &bytes[1..]].concat()), None);
    }
}

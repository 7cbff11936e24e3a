//! The store: opened, appended to, cleaned, closed.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Builder, Database, DatabaseError, StorageError, WriteTransaction};
use rustc_hash::{FxHashMap, FxHashSet};

use super::chunk::{Number, Reader};
use super::entry::{Entry, Key};
use super::failure::{Failure, OpenError};
use super::filling::Chunks;
use super::kept::{Kept, Stopped};
use super::ledger::{self, BadState, CHUNKS, Row, Span, State, TOPICS};
use super::reading::read;
use crate::hub::{Epoch, Offset, TopicName};

/// What redb may keep in memory. Everything is read once, at the start, and from then on only written, but for what
/// [`Store::clean`] reads from the oldest end: more would hold what nobody asks for.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// What is promised of a publication that was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    /// It is on disk.
    Always,
    /// It is on disk after a while.
    Interval,
}

/// What one [`Store::clean`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cleaned {
    /// Bytes of chunks that were taken away.
    pub taken_bytes: u64,
    /// Bytes of them that were still kept, and so were written again.
    pub kept_bytes: u64,
}

type Opener = Box<dyn Fn() -> Result<Database, DatabaseError> + Send>;

/// History on disk. One owner, which may wait for the disk.
///
/// After a [`Failure`] it does nothing until [`Store::recover`].
pub struct Store {
    opener: Opener,
    /// `None` between a failure and a recovery that succeeds.
    database: Option<Database>,
    sync: SyncMode,
    epochs: Epoch,
    span: Span,
    /// Of all chunks.
    bytes: u64,
    numbers: FxHashMap<Epoch, Number>,
    epochs_of: FxHashMap<Number, Epoch>,
    unsure: Option<Unsure>,
}

/// A commit failed, and may have reached the disk all the same.
#[derive(Debug, Clone, Copy)]
struct Unsure {
    /// It was an [`Store::append`], and what it appended was not accepted.
    is_append: bool,
    span_after: Span,
    bytes_after: u64,
}

impl Store {
    /// Opens the store in the file at `path`, or makes one there, and reads all that is in it.
    ///
    /// Verifies the checksums of everything. Costs what reading the file costs, and memory for all that is kept. `now_micros`
    /// is the wall clock: higher than epochs from before, unless it was set back.
    ///
    /// # Errors
    /// [`OpenError`]; then nothing in the store was changed, but for what redb repairs after a sudden stop.
    pub fn open(path: &Path, sync: SyncMode, now_micros: u64) -> Result<(Self, Kept), OpenError> {
        if !path.exists() {
            Self::create(path, sync, now_micros)?;
        }
        let file = path.to_owned();
        let opener = move || Builder::new().set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true).open(&file);
        Self::open_with(path, Box::new(opener), sync, now_micros)
    }

    /// Makes an empty store. Under another name until it is whole: a file that a crash has left half made would be refused
    /// as damaged.
    fn create(path: &Path, sync: SyncMode, now_micros: u64) -> Result<(), OpenError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let unfinished = PathBuf::from(name);
        let disk = |error: std::io::Error| OpenError::Disk { path: path.to_owned(), detail: error.to_string() };
        match std::fs::remove_file(&unfinished) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(disk(error)),
            Ok(()) | Err(_) => {}
        }
        let file = unfinished.clone();
        let (store, _) = Self::open_with(path, Box::new(move || Builder::new().create(&file)), sync, now_micros)?;
        store.close().map_err(|Failure(detail)| OpenError::Disk { path: path.to_owned(), detail })?;
        std::fs::rename(&unfinished, path).map_err(disk)?;
        // The file's name is on disk when its directory is.
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(disk)
    }

    pub(super) fn open_with(
        path: &Path,
        opener: Opener,
        sync: SyncMode,
        now_micros: u64,
    ) -> Result<(Self, Kept), OpenError> {
        // redb is careful with files that it did not write, but does not promise to be.
        let read = catch_unwind(AssertUnwindSafe(|| {
            let database = opener().map_err(|error| Self::refused(path, error))?;
            let transaction = database.begin_write().map_err(|error| Self::unread(path, BadState::from(error)))?;
            let (state, contents) = read(&transaction, sync, now_micros).map_err(|bad| Self::unread(path, bad))?;
            transaction.commit().map_err(|error| Self::unread(path, BadState::from(error)))?;
            Ok((database, state, contents))
        }));
        let panicked = |_| {
            Err(OpenError::Damaged { path: path.to_owned(), detail: "reading it made its library panic".to_owned() })
        };
        let (database, state, contents) = read.unwrap_or_else(panicked)?;
        let numbers: FxHashMap<Epoch, Number> = contents.numbers.iter().copied().collect();
        let epochs_of = contents.numbers.iter().map(|&(epoch, number)| (number, epoch)).collect();
        let store = Self {
            opener,
            database: Some(database),
            sync,
            epochs: state.epochs,
            span: state.span,
            bytes: contents.bytes,
            numbers,
            epochs_of,
            unsure: None,
        };
        Ok((store, contents.kept))
    }

    /// Bytes of chunks, with what history has let go and [`Store::clean`] has not come by yet.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends `entries`. When it returns they are on disk, all of them; after an error none of them is, or will be when
    /// [`Store::recover`] has returned.
    ///
    /// `topics` has the name of each topic among them that may be new to the store. A topic's publications come in the
    /// order of their offsets, without a gap.
    ///
    /// # Errors
    /// The disk failed.
    pub fn append(&mut self, topics: &[(Epoch, TopicName)], entries: &[Entry]) -> Result<(), Failure> {
        let mut rows = Vec::new();
        for (epoch, name) in topics {
            if self.numbers.contains_key(epoch) || rows.iter().any(|(_, row): &(Number, Row)| row.epoch == *epoch) {
                continue;
            }
            let first = entries.iter().find_map(|entry| match entry {
                Entry::Publication(record) if record.position.epoch == *epoch => Some(record.position.offset),
                Entry::Publication(_) | Entry::Key(_) => None,
            });
            if let Some(low) = first {
                rows.push((Number(epoch.0), Row { epoch: *epoch, low, name: name.clone() }));
            }
        }
        let mut chunks = Chunks::default();
        for entry in entries {
            let epoch = entry.position().epoch;
            chunks.push(self.numbers.get(&epoch).copied().unwrap_or(Number(epoch.0)), entry);
        }
        let span_after = Span { next: self.span.next + chunks.done.len() as u64, ..self.span };
        let unsure = Unsure { is_append: true, span_after, bytes_after: self.bytes + chunks.bytes() };
        let next = self.span.next;
        self.commit(unsure, |transaction| {
            let mut table = transaction.open_table(TOPICS)?;
            for (number, row) in &rows {
                table.insert(number.0, row.to_bytes().as_slice())?;
            }
            chunks.write(transaction, next)?;
            ledger::set_span(transaction, span_after)
        })?;
        for (number, row) in rows {
            self.numbers.insert(row.epoch, number);
            self.epochs_of.insert(number, row.epoch);
        }
        Ok(())
    }

    /// Goes through the oldest chunks, of `at_most_bytes` or a little more, takes them away and appends again what of them
    /// is still kept: publications from `low` of their epoch on (`None`: the topic is gone), keys that have not expired and
    /// of which `is_known` says so.
    ///
    /// # Errors
    /// The disk failed; what is kept is still there.
    pub fn clean(
        &mut self,
        at_most_bytes: u64,
        now_micros: u64,
        low: impl Fn(Epoch) -> Option<Offset>,
        is_known: impl Fn(&Key) -> bool,
    ) -> Result<Cleaned, Failure> {
        let before = self.span;
        let (mut first, mut taken_bytes) = (before.first, 0);
        let mut survivors = Chunks::default();
        let mut lows: FxHashMap<Number, Option<Offset>> = FxHashMap::default();
        let mut has_dropped = FxHashSet::default();
        let Some(database) = &self.database else { return Err(Failure::not_recovered()) };
        let reading = (|| {
            let transaction = redb::ReadableDatabase::begin_read(database)?;
            if before.first == before.next {
                return Ok(());
            }
            let table = transaction.open_table(CHUNKS)?;
            while first < before.next && taken_bytes < at_most_bytes {
                let Some(bytes) = table.get(first)? else {
                    return Err(StorageError::Corrupted(format!("chunk {first} is missing")).into());
                };
                let damaged = |bad| redb::Error::from(StorageError::Corrupted(format!("chunk {first}: {bad}")));
                for entry in Reader::new(bytes.value()).map_err(damaged)? {
                    let (number, entry) = entry.map_err(damaged)?;
                    let low = *lows.entry(number).or_insert_with(|| low(*self.epochs_of.get(&number)?));
                    let is_kept = match &entry {
                        Entry::Publication(record) => low.is_some_and(|low| record.position.offset >= low),
                        Entry::Key(key) => key.expires_micros > now_micros && is_known(key),
                    };
                    if is_kept {
                        survivors.push(number, &entry);
                    } else {
                        has_dropped.insert(number);
                    }
                }
                taken_bytes += bytes.value().len() as u64;
                first += 1;
            }
            Ok::<_, redb::Error>(())
        })();
        reading.map_err(|error| Failure(error.to_string()))?;
        let kept_bytes = survivors.bytes();
        let span_after = Span { first, next: before.next + survivors.done.len() as u64 };
        let bytes_after = self.bytes - taken_bytes + kept_bytes;
        let unsure = Unsure { is_append: false, span_after, bytes_after };
        let mut gone = Vec::new();
        self.commit(unsure, |transaction| {
            let mut table = transaction.open_table(CHUNKS)?;
            for at in before.first..first {
                table.remove(at)?;
            }
            drop(table);
            survivors.write(transaction, before.next)?;
            let mut topics = transaction.open_table(TOPICS)?;
            for number in has_dropped {
                match lows[&number] {
                    // Before anything below it is dropped, the row says so; else what is left would look like all.
                    Some(low) => {
                        if let Some(row) = ledger::row(&topics, number)? {
                            topics.insert(number.0, Row { low, ..row }.to_bytes().as_slice())?;
                        }
                    }
                    None => {
                        topics.remove(number.0)?;
                        gone.push(number);
                    }
                }
            }
            drop(topics);
            ledger::set_span(transaction, span_after)
        })?;
        for number in gone {
            self.unlist(number);
        }
        Ok(Cleaned { taken_bytes, kept_bytes })
    }

    /// Takes away what stands below these offsets of these epochs: it is not there at the next start.
    ///
    /// # Errors
    /// The disk failed; then it may be.
    pub fn let_go(&mut self, lows: &[(Epoch, Offset)]) -> Result<(), Failure> {
        let unsure = Unsure { is_append: false, span_after: self.span, bytes_after: self.bytes };
        let lows: Vec<(Number, Offset)> =
            lows.iter().filter_map(|&(epoch, low)| Some((*self.numbers.get(&epoch)?, low))).collect();
        self.commit(unsure, |transaction| {
            let mut topics = transaction.open_table(TOPICS)?;
            for (number, low) in lows {
                if let Some(row) = ledger::row(&topics, number)? {
                    let low = low.max(row.low);
                    topics.insert(number.0, Row { low, ..row }.to_bytes().as_slice())?;
                }
            }
            Ok(())
        })
    }

    /// Forgets topics that are gone. Their publications go when [`Store::clean`] comes by.
    ///
    /// # Errors
    /// The disk failed; then they may be there again at the next start.
    pub fn forget(&mut self, topics: &[Epoch]) -> Result<(), Failure> {
        let numbers: Vec<Number> = topics.iter().filter_map(|epoch| self.numbers.get(epoch).copied()).collect();
        if numbers.is_empty() {
            return Ok(());
        }
        let unsure = Unsure { is_append: false, span_after: self.span, bytes_after: self.bytes };
        self.commit(unsure, |transaction| {
            let mut table = transaction.open_table(TOPICS)?;
            for number in &numbers {
                table.remove(number.0)?;
            }
            Ok(())
        })?;
        for number in numbers {
            self.unlist(number);
        }
        Ok(())
    }

    /// The epochs of all topics in the store.
    pub fn topics(&self) -> impl Iterator<Item = Epoch> {
        self.numbers.keys().copied()
    }

    /// Makes the store usable again after a failure, if the disk is: what was being appended then is not there.
    ///
    /// # Errors
    /// The disk still fails, or what is on it is not what was written.
    pub fn recover(&mut self) -> Result<(), Failure> {
        if self.database.is_some() && self.unsure.is_none() {
            return Ok(());
        }
        // Closed first: it holds the lock on its file.
        self.database = None;
        let recovered = catch_unwind(AssertUnwindSafe(|| self.reopen()));
        recovered.unwrap_or_else(|_| Err(Failure("reading the store made its library panic".to_owned())))
    }

    /// Says that everything is there, and closes the store.
    ///
    /// # Errors
    /// The disk failed; then the next start takes this for a sudden stop.
    pub fn close(mut self) -> Result<(), Failure> {
        let state = self.state(Stopped::Cleanly);
        let unsure = Unsure { is_append: false, span_after: self.span, bytes_after: self.bytes };
        self.commit(unsure, |transaction| state.write(transaction))?;
        let database = self.database.take().expect("invariant: it has just committed");
        database.close().map_err(|error| Failure(error.to_string()))
    }

    fn reopen(&mut self) -> Result<(), Failure> {
        let failed = |error: redb::Error| Failure(error.to_string());
        let database = (self.opener)().map_err(|error| failed(error.into()))?;
        let transaction = database.begin_write().map_err(|error| failed(error.into()))?;
        let mut state = State::read(&transaction).map_err(|bad| Failure(bad.to_string()))?;
        let (mut span, mut bytes) = (self.span, self.bytes);
        if let Some(unsure) = self.unsure
            && state.span == unsure.span_after
        {
            if unsure.is_append {
                let mut table = transaction.open_table(CHUNKS).map_err(|error| failed(error.into()))?;
                for at in self.span.next..unsure.span_after.next {
                    table.remove(at).map_err(|error| failed(error.into()))?;
                }
            } else {
                (span, bytes) = (unsure.span_after, unsure.bytes_after);
            }
        } else if state.span != self.span {
            return Err(Failure("the file is not the one that was written; restart fanfare to read it".to_owned()));
        }
        state = State { span, ..self.state(Stopped::Suddenly(self.sync)) };
        // Written also if nothing has changed: it shows whether the disk takes anything.
        state.write(&transaction).map_err(failed)?;
        transaction.commit().map_err(|error| failed(error.into()))?;
        (self.span, self.bytes) = (span, bytes);
        self.database = Some(database);
        self.unsure = None;
        Ok(())
    }

    fn commit(
        &mut self,
        unsure: Unsure,
        write: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), Failure> {
        if self.unsure.is_some() {
            return Err(Failure::not_recovered());
        }
        let Some(database) = &self.database else { return Err(Failure::not_recovered()) };
        let committed = (|| {
            let transaction = database.begin_write()?;
            write(&transaction)?;
            transaction.commit()?;
            Ok::<_, redb::Error>(())
        })();
        match committed {
            Ok(()) => {
                (self.span, self.bytes) = (unsure.span_after, unsure.bytes_after);
                Ok(())
            }
            Err(error) => {
                self.unsure = Some(unsure);
                Err(Failure(error.to_string()))
            }
        }
    }

    fn state(&self, stopped: Stopped) -> State {
        State { span: self.span, stopped, epochs: self.epochs }
    }

    fn unlist(&mut self, number: Number) {
        if let Some(epoch) = self.epochs_of.remove(&number) {
            self.numbers.remove(&epoch);
        }
    }

    fn refused(path: &Path, error: DatabaseError) -> OpenError {
        let path = path.to_owned();
        match error {
            DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path },
            DatabaseError::UpgradeRequired(version) => {
                OpenError::Damaged { path, detail: format!("it has the old format {version}") }
            }
            DatabaseError::Storage(StorageError::Io(error)) => io_error(path, &error),
            error => OpenError::Damaged { path, detail: error.to_string() },
        }
    }

    fn unread(path: &Path, bad: BadState) -> OpenError {
        let path = path.to_owned();
        match bad {
            BadState::TooNew(detail) => OpenError::TooNew { path, detail },
            BadState::Damaged(detail) => OpenError::Damaged { path, detail },
            BadState::Redb(redb::Error::Io(error)) => io_error(path, &error),
            BadState::Redb(error) => OpenError::Damaged { path, detail: error.to_string() },
        }
    }
}

fn io_error(path: PathBuf, error: &std::io::Error) -> OpenError {
    match error.kind() {
        // What redb says of a file that is not one of its own, or that ends too early.
        std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => {
            OpenError::Damaged { path, detail: error.to_string() }
        }
        _ => OpenError::Disk { path, detail: error.to_string() },
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { span, bytes, unsure, .. } = self;
        f.debug_struct("Store")
            .field("span", span)
            .field("bytes", bytes)
            .field("unsure", unsure)
            .finish_non_exhaustive()
    }
}

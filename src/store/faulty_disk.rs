//! A disk in memory that can be cut off at any operation, loses what was not synced, tears writes, flips bits, and is full.

use std::io;
use std::sync::{Arc, Mutex};

use redb::StorageBackend;

/// A disk; its clones are the same disk.
#[derive(Debug, Clone, Default)]
pub(super) struct FaultyDisk(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// What a power loss leaves for certain.
    durable: Vec<u8>,
    /// What the process reads.
    cached: Vec<u8>,
    /// What changed since the last sync, in order.
    unsynced: Vec<Change>,
    /// Changes and syncs until nothing works any more.
    operations_left: Option<u64>,
    operations: u64,
    is_full: bool,
    /// Changes and syncs until one is done and reported as failed.
    hiccup_in: Option<u64>,
}

#[derive(Debug, Clone)]
enum Change {
    Length(usize),
    Bytes(usize, Vec<u8>),
}

impl Change {
    fn apply(&self, disk: &mut Vec<u8>) {
        match self {
            Self::Length(length) => disk.resize(*length, 0),
            Self::Bytes(at, bytes) => {
                if disk.len() < at + bytes.len() {
                    disk.resize(at + bytes.len(), 0);
                }
                disk[*at..at + bytes.len()].copy_from_slice(bytes);
            }
        }
    }
}

impl FaultyDisk {
    /// Changes and syncs so far.
    pub(super) fn operations(&self) -> u64 {
        self.0.lock().unwrap().operations
    }

    /// After this many more changes and syncs, every one fails: the process is as good as dead.
    pub(super) fn cut_off_after(&self, operations: u64) {
        self.0.lock().unwrap().operations_left = Some(operations);
    }

    /// Whether changes fail for now.
    pub(super) fn set_full(&self, is_full: bool) {
        self.0.lock().unwrap().is_full = is_full;
    }

    /// After this many more changes and syncs, one is done and reported as failed; those after it are well.
    pub(super) fn hiccup_after(&self, operations: u64) {
        self.0.lock().unwrap().hiccup_in = Some(operations);
    }

    /// What is there after a power loss. Of each change that was not synced, `pick(bytes)` says how much reached the disk:
    /// any subset may, each one whole, in part, or not at all.
    pub(super) fn after_power_loss(&self, mut pick: impl FnMut(usize) -> usize) -> Self {
        let inner = self.0.lock().unwrap();
        let mut disk = inner.durable.clone();
        for change in &inner.unsynced {
            match change {
                Change::Length(_) if pick(1) == 1 => change.apply(&mut disk),
                Change::Length(_) => {}
                Change::Bytes(at, bytes) => {
                    let part = pick(bytes.len());
                    if part > 0 {
                        Change::Bytes(*at, bytes[..part].to_vec()).apply(&mut disk);
                    }
                }
            }
        }
        Self::holding(disk)
    }

    /// What is there after the process was killed: the system goes on to write what it was given.
    pub(super) fn after_kill(&self) -> Self {
        self.after_power_loss(|all| all)
    }

    pub(super) fn holding(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Inner { durable: bytes.clone(), cached: bytes, ..Inner::default() })))
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().cached.clone()
    }
}

impl Inner {
    fn operate(&mut self) -> Result<(), io::Error> {
        self.operations += 1;
        match &mut self.operations_left {
            Some(0) => return Err(io::Error::other("the disk was cut off")),
            Some(left) => *left -= 1,
            None => {}
        }
        if self.is_full {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }

    fn change(&mut self, change: Change) -> Result<(), io::Error> {
        self.operate()?;
        change.apply(&mut self.cached);
        self.unsynced.push(change);
        self.hiccup()
    }

    fn hiccup(&mut self) -> Result<(), io::Error> {
        match self.hiccup_in {
            Some(0) => {
                self.hiccup_in = None;
                Err(io::Error::other("the disk had a hiccup"))
            }
            left => {
                self.hiccup_in = left.map(|left| left - 1);
                Ok(())
            }
        }
    }
}

impl StorageBackend for FaultyDisk {
    fn len(&self) -> Result<u64, io::Error> {
        Ok(self.0.lock().unwrap().cached.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        let inner = self.0.lock().unwrap();
        let at = usize::try_from(offset).unwrap();
        let bytes = inner.cached.get(at..at + out.len());
        out.copy_from_slice(bytes.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), io::Error> {
        self.0.lock().unwrap().change(Change::Length(usize::try_from(length).unwrap()))
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        let mut inner = self.0.lock().unwrap();
        inner.operate()?;
        inner.unsynced.clear();
        inner.durable = inner.cached.clone();
        inner.hiccup()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.0.lock().unwrap().change(Change::Bytes(usize::try_from(offset).unwrap(), data.to_vec()))
    }
}

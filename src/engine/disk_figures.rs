//! What an operator is told of the disk.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets of commit times, in microseconds. A sync of an NVMe disk takes 0.1 ms, of a hard disk 20.
pub const COMMIT_BOUNDS_MICROS: [u64; 10] =
    [250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000];

/// What an operator is told of the disk. Written by the threads that write, read by anyone.
#[derive(Debug)]
pub struct DiskFigures {
    path: PathBuf,
    /// Commits by time: those within each of [`COMMIT_BOUNDS_MICROS`] and above the one before, then all others.
    commits: [AtomicU64; COMMIT_BOUNDS_MICROS.len() + 1],
    commit_micros: AtomicU64,
    failures: AtomicU64,
    used_bytes: AtomicI64,
}

impl DiskFigures {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            commits: Default::default(),
            commit_micros: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            used_bytes: AtomicI64::new(0),
        }
    }

    pub(super) fn committed(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = COMMIT_BOUNDS_MICROS.partition_point(|&bound| bound < micros);
        self.commits[bucket].fetch_add(1, Ordering::Relaxed);
        self.commit_micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn set_used(&self, bytes: u64) {
        self.used_bytes.store(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Commits by time, as the buckets of [`COMMIT_BOUNDS_MICROS`] and one for all others; and the sum of their times in
    /// microseconds.
    pub fn commits(&self) -> ([u64; COMMIT_BOUNDS_MICROS.len() + 1], u64) {
        (self.commits.each_ref().map(|one| one.load(Ordering::Relaxed)), self.commit_micros.load(Ordering::Relaxed))
    }

    /// Times that the disk failed, and was found failing again.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Bytes in the file that are used, with what history has let go and that still has to be cleaned away.
    pub fn used_bytes(&self) -> i64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of the file. Asks the file system.
    pub fn file_bytes(&self) -> i64 {
        std::fs::metadata(&self.path).map_or(0, |file| i64::try_from(file.len()).unwrap_or(i64::MAX))
    }
}

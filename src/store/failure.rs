//! Why the store cannot be used.

use std::path::PathBuf;

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("history.path {}: another process has it open; each fanfare needs a store of its own", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is not what was written.
    #[error(
        "history.path {}: the store is damaged ({detail}). Nothing was read from it and nothing in it was changed on \
         purpose. Put back a copy from before, or move the file away: then all topics that it keeps begin anew, with new \
         epochs, and their clients are told that they were not recovered",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// It was written by a later version.
    #[error(
        "history.path {}: the store was written by a later version of fanfare ({detail}); use that one, or move the file \
         away",
        path.display()
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// What shows it.
        detail: String,
    },
    /// The disk failed.
    #[error("history.path {}: {detail}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        detail: String,
    },
}

/// Why the store did not do something. It does nothing more until [`super::Store::recover`] says that it can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub(super) String);

impl Failure {
    pub(super) fn not_recovered() -> Self {
        Self("the store failed before and has not recovered".to_owned())
    }
}

//! What is said about a key of Centrifugo beside the TOML.

use std::fmt;

/// One key of Centrifugo's configuration that did not simply become one of fanfare's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Note {
    pub(in crate::cli) kind: NoteKind,
    /// The key, such as `channel.namespaces[0].history_meta_ttl`.
    pub(in crate::cli) key: String,
    /// One sentence; never has a value that may be a secret.
    pub(in crate::cli) why: String,
}

/// How much of it was converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) enum NoteKind {
    /// Nothing: there is no counterpart, or the value cannot be one.
    Missing,
    /// It was, and means something else in a way that somebody could notice.
    Differs,
    /// There was nothing to write: the hub does so anyway, or the key had no effect.
    Settled,
}

impl NoteKind {
    /// As it stands before a note.
    const fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Differs => "differs",
            Self::Settled => "settled",
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.kind.word(), self.key, self.why)
    }
}

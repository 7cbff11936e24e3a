//! What is wrong with a configuration, said so that it can be mended without reading the manual.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::place::Place;

/// One thing that is wrong, with its place, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    what: String,
    place: Option<Place>,
    remark: Option<String>,
    accepted: Vec<String>,
    fix: Option<String>,
}

/// Why there is no configuration. The process exits with 78 (`EX_CONFIG`).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is over [`ConfigError::LARGEST_FILE_BYTES`].
    #[error("the configuration file {} has more than {} bytes: that cannot be meant", path.display(), Self::LARGEST_FILE_BYTES)]
    TooLarge {
        /// Which file.
        path: PathBuf,
    },
    /// What it says is wrong.
    #[error(transparent)]
    Wrong(Mistakes),
}

/// At least one mistake, in the order they were found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes(Vec<Mistake>);

impl ConfigError {
    /// A file over this is not read.
    pub const LARGEST_FILE_BYTES: u64 = 4 * 1024 * 1024;

    /// The mistakes, if it was read at all.
    pub fn mistakes(&self) -> &[Mistake] {
        match self {
            Self::Wrong(mistakes) => &mistakes.0,
            Self::Unreadable { .. } | Self::TooLarge { .. } => &[],
        }
    }
}

impl Mistakes {
    /// More than these are not reported at once.
    pub(super) const LIMIT: usize = 20;
}

/// The first `Mistakes::LIMIT` of them.
impl From<Vec<Mistake>> for Mistakes {
    fn from(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.truncate(Self::LIMIT);
        Self(mistakes)
    }
}

impl Mistake {
    /// A mistake without a place.
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), place: None, remark: None, accepted: Vec::new(), fix: None }
    }

    /// Where it stands.
    pub(super) fn at(mut self, place: Option<Place>) -> Self {
        self.place = place;
        self
    }

    /// What stands beside the caret.
    pub(super) fn remark(mut self, remark: impl Into<String>) -> Self {
        self.remark = Some(remark.into());
        self
    }

    /// The keys or values that would be right.
    pub(super) fn accepted(mut self, accepted: Vec<String>) -> Self {
        self.accepted = accepted;
        self
    }

    /// What to do about it.
    pub(super) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.what)?;
        let remark = self.remark.as_deref().unwrap_or_default();
        match &self.place {
            Some(place) => place.write(f, remark)?,
            None if remark.is_empty() => {}
            None => writeln!(f, "  = {remark}")?,
        }
        let margin = " ".repeat(self.place.as_ref().map_or(1, Place::margin));
        if !self.accepted.is_empty() {
            writeln!(f, "{margin} = accepted: {}", self.accepted.join(", "))?;
        }
        if let Some(fix) = &self.fix {
            writeln!(f, "{margin} = {fix}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mistake) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{mistake}")?;
        }
        if self.0.len() == Self::LIMIT {
            writeln!(f, "\nThere may be more; these are the first {}.", Self::LIMIT)?;
        }
        Ok(())
    }
}

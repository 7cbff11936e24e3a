//! Knowing whether a folder of the cache is complete and current.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// A folder of the cache whose content follows from a text: a list of pinned packages, a recipe.
///
/// The text is written beside the content when everything is in place, so that an installation that was cut short, or
/// made from another text, is thrown away and made anew.
#[derive(Debug)]
pub(crate) struct Stamp {
    folder: PathBuf,
    text: String,
}

impl Stamp {
    pub(crate) fn new(folder: PathBuf, text: String) -> Self {
        Self { folder, text }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Complete, and made from the same text.
    pub(crate) fn is_current(&self) -> bool {
        fs::read_to_string(self.file()).is_ok_and(|text| text == self.text)
    }

    /// Makes the folder empty, to install into.
    pub(crate) fn clear(&self) -> anyhow::Result<()> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).with_context(|| format!("cannot empty {}", self.folder.display()))?;
        }
        fs::create_dir_all(&self.folder).with_context(|| format!("cannot make {}", self.folder.display()))
    }

    /// Marks the folder as complete.
    pub(crate) fn set(&self) -> anyhow::Result<()> {
        fs::write(self.file(), &self.text).with_context(|| format!("cannot write {}", self.file().display()))
    }

    fn file(&self) -> PathBuf {
        self.folder.join("made-from.txt")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_current_only_when_finished_and_made_from_the_same_text() {
        let folder = std::env::temp_dir().join(format!("fanfare-stamp-{}", std::process::id()));
        let stamp = Stamp::new(folder.clone(), "one==1".to_owned());
        stamp.clear().unwrap();
        assert!(!stamp.is_current());
        stamp.set().unwrap();
        assert!(stamp.is_current());
        assert!(!Stamp::new(folder.clone(), "one==2".to_owned()).is_current());
        stamp.clear().unwrap();
        assert!(!stamp.is_current());
        fs::remove_dir_all(folder).unwrap();
    }
}

//! `[history]`: the file in which topics with `history = { store = "disk" }` are kept.

use std::fmt;
use std::path::PathBuf;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::units::Span;

/// `[history]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HistoryFile {
    /// The file. Made if there is none, in a directory that there is. Default `"history.redb"`.
    pub path: PathBuf,
    /// When a publication is on disk. Default `always`.
    pub sync: Sync,
}

/// When a publication is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Before it is acknowledged and delivered, together with all that came meanwhile.
    Always,
    /// After this time at most. What is not there yet is lost with the power or the process.
    Every(Span),
}

impl Default for HistoryFile {
    fn default() -> Self {
        Self { path: PathBuf::from("history.redb"), sync: Sync::Always }
    }
}

impl fmt::Display for Sync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Always => f.write_str("always"),
            Self::Every(interval) => fmt::Display::fmt(interval, f),
        }
    }
}

impl Serialize for Sync {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sync {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Sync;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"always\", or a duration such as \"100ms\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Sync, E> {
                if text == "always" {
                    return Ok(Sync::Always);
                }
                let wrong = |_| E::invalid_value(de::Unexpected::Str(text), &self);
                text.parse().map(Sync::Every).map_err(wrong)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sync_is_always_or_a_duration_and_written_as_it_is_read() {
        for text in ["always", "100ms", "2s"] {
            let read: HistoryFile = toml::from_str(&format!("sync = \"{text}\"")).unwrap();
            assert_eq!(read.sync.to_string(), text);
            assert_eq!(toml::from_str::<HistoryFile>(&toml::to_string(&read).unwrap()).unwrap(), read);
        }
        let error = toml::from_str::<HistoryFile>("sync = \"never\"").unwrap_err().to_string();
        assert!(error.contains("\"always\", or a duration"), "{error}");
    }
}

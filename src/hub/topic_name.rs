//! The name of a topic, checked once.

use std::fmt;
use std::sync::Arc;

/// A checked topic name: 1 to 255 bytes of UTF-8 without control characters. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Arc<str>);

/// Why a text is not a topic name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTopicName {
    /// It has no bytes.
    #[error("a topic name has at least one byte")]
    Empty,
    /// It has more than [`TopicName::LIMIT_BYTES`] bytes.
    #[error("a topic name has at most 255 bytes, this one has {0}")]
    TooLong(usize),
    /// It is not UTF-8 once percent-decoded.
    #[error("a topic name is UTF-8; byte {0} is not")]
    NotUtf8(usize),
    /// It has a control character at this byte.
    #[error("a topic name has no control characters; byte {0} is one")]
    Control(usize),
}

impl TopicName {
    /// The longest name, in bytes.
    pub const LIMIT_BYTES: usize = 255;

    /// Checks `name`.
    pub fn new(name: &str) -> Result<Self, BadTopicName> {
        if name.is_empty() {
            return Err(BadTopicName::Empty);
        }
        if name.len() > Self::LIMIT_BYTES {
            return Err(BadTopicName::TooLong(name.len()));
        }
        if let Some((at, _)) = name.char_indices().find(|(_, c)| c.is_control()) {
            return Err(BadTopicName::Control(at));
        }
        Ok(Self(Arc::from(name)))
    }

    /// Percent-decodes `segment`, one segment of a URL path, and checks the result.
    pub fn from_path_segment(segment: &str) -> Result<Self, BadTopicName> {
        if memchr::memchr(b'%', segment.as_bytes()).is_none() {
            return Self::new(segment);
        }
        let decoded = percent_encoding::percent_decode_str(segment)
            .decode_utf8()
            .map_err(|error| BadTopicName::NotUtf8(error.valid_up_to()))?;
        Self::new(&decoded)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

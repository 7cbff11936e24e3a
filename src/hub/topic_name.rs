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
    /// It has more bytes than the limit, which is at most [`TopicName::LIMIT_BYTES`].
    #[error("a topic name has at most {limit} bytes, this one has {bytes}")]
    TooLong {
        /// What it has.
        bytes: usize,
        /// What it may have.
        limit: usize,
    },
    /// It is not UTF-8 once percent-decoded.
    #[error("a topic name is UTF-8; byte {0} is not")]
    NotUtf8(usize),
    /// It has a control character at this byte.
    #[error("a topic name has no control characters; byte {0} is one")]
    Control(usize),
    /// The rules of the configuration that are for it allow no topic of this name.
    #[error("`name_regex` in the rules of such topics does not allow this name")]
    NotAllowed,
}

impl TopicName {
    /// The longest name, in bytes, whatever the configuration says: the length of one fits a byte.
    pub const LIMIT_BYTES: usize = 255;

    /// Checks `name`.
    pub fn new(name: &str) -> Result<Self, BadTopicName> {
        if name.is_empty() {
            return Err(BadTopicName::Empty);
        }
        if name.len() > Self::LIMIT_BYTES {
            return Err(BadTopicName::TooLong { bytes: name.len(), limit: Self::LIMIT_BYTES });
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

    /// The name, unless it is longer than `limit_bytes`: `limits.topic_name`, for names that clients choose.
    ///
    /// # Errors
    /// [`BadTopicName::TooLong`], with that limit.
    pub fn at_most(self, limit_bytes: usize) -> Result<Self, BadTopicName> {
        let bytes = self.0.len();
        if bytes > limit_bytes { Err(BadTopicName::TooLong { bytes, limit: limit_bytes }) } else { Ok(self) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_the_limit_is_one_and_a_byte_more_is_told_both_numbers() {
        let name = TopicName::new("聊天").unwrap();
        assert_eq!(name.clone().at_most(6), Ok(name.clone()));
        let error = name.at_most(5).unwrap_err();
        assert_eq!(error, BadTopicName::TooLong { bytes: 6, limit: 5 });
        assert_eq!(error.to_string(), "a topic name has at most 5 bytes, this one has 6");
    }
}

//! A key under which a topic is published on once.

use std::sync::Arc;

use bytes::Bytes;

use super::topic_name::TopicName;

/// A topic and a key that a publisher chose for it. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Arc<(TopicName, Box<str>)>);

impl IdempotencyKey {
    pub(super) fn new(topic: &TopicName, key: &str) -> Self {
        Self(Arc::new((topic.clone(), key.into())))
    }

    /// As it is kept on disk: the length of the topic's name in a byte, the name, the key. The name is in it because a key
    /// may outlive its topic.
    pub(crate) fn to_bytes(&self) -> Bytes {
        let (topic, key) = &*self.0;
        let topic = topic.as_str().as_bytes();
        let length = u8::try_from(topic.len()).expect("invariant: the length of a topic's name fits a byte");
        Bytes::from([&[length][..], topic, key.as_bytes()].concat())
    }

    /// What [`IdempotencyKey::to_bytes`] has written; `None` if these bytes are nothing of the kind.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&length, rest) = bytes.split_first()?;
        let (topic, key) = rest.split_at_checked(usize::from(length))?;
        let text = |bytes| std::str::from_utf8(bytes).ok();
        Some(Self::new(&TopicName::new(text(topic)?).ok()?, text(key)?))
    }

    /// The bytes of both texts.
    pub(super) fn text_bytes(&self) -> usize {
        self.0.0.as_str().len() + self.0.1.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written_and_other_bytes_are_not_guessed_at() {
        for (topic, key) in [("t", "k"), ("聊天", "schlüssel"), ("t", "")] {
            let key = IdempotencyKey::new(&TopicName::new(topic).unwrap(), key);
            assert_eq!(IdempotencyKey::from_bytes(&key.to_bytes()), Some(key));
        }
        for bytes in [&b""[..], b"\x00k", b"\x02t", b"\x01\xff", b"\x01t\xff", b"\x01\x07k"] {
            assert_eq!(IdempotencyKey::from_bytes(bytes), None, "{bytes:?}");
        }
    }
}

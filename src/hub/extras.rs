//! What few publications have beside their payload.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::member::{ClientId, Member};

/// What few publications have beside their payload: apart from it, so that all others pay for none of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extras {
    /// Names and values that subscribers see and may filter by, each name once, in the order of names.
    pub tags: Box<[(Box<str>, Box<str>)]>,
    /// The client that published it, if one did and is shown.
    pub publisher: Option<Arc<Member>>,
    /// Which state it tells of, if its publisher numbers them. Subscribers do not see it.
    pub version: Option<Box<Version>>,
}

/// The number of a state of what a topic tells, given by its publisher: one that is not newer than what was told is told to
/// nobody. Numbers of different epochs do not compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Rises with each state.
    pub number: u64,
    /// Where numbering began anew; may be empty.
    pub epoch: Box<str>,
}

impl Version {
    /// Whether `other` tells of the same state as this one, or of one before it.
    pub(crate) fn outdates(&self, other: &Self) -> bool {
        other.epoch == self.epoch && other.number <= self.number
    }
}

impl Extras {
    /// The value of a tag.
    pub fn tag(&self, name: &str) -> Option<&str> {
        let at = self.tags.binary_search_by(|(one, _)| (**one).cmp(name)).ok()?;
        Some(&self.tags[at].1)
    }

    /// What they hold in memory, about.
    pub fn bytes(&self) -> usize {
        let tags: usize = self.tags.iter().map(|(name, value)| name.len() + value.len() + 32).sum();
        let version = self.version.as_ref().map_or(0, |version| size_of::<Version>() + version.epoch.len());
        size_of::<Self>() + tags + version + self.publisher.as_ref().map_or(0, |publisher| publisher.bytes())
    }
}

/// The first byte of extras on disk as they are written today.
const VERSION: u8 = 1;
const HAS_PUBLISHER: u8 = 1;
const HAS_VERSION: u8 = 2;

impl Extras {
    /// As they are kept on disk: the version of these bytes, what there is ([`HAS_PUBLISHER`], [`HAS_VERSION`]), the count
    /// of tags, each name and value; of a publisher its user, client, and both infos; of a version its number and epoch.
    /// Each text has its length before it, in 4 bytes, little-endian.
    pub(crate) fn to_bytes(&self) -> Bytes {
        let publisher = if self.publisher.is_some() { HAS_PUBLISHER } else { 0 };
        let version = if self.version.is_some() { HAS_VERSION } else { 0 };
        let mut bytes = vec![VERSION, publisher | version];
        let text = |bytes: &mut Vec<u8>, text: &[u8]| {
            bytes.extend((text.len() as u32).to_le_bytes());
            bytes.extend_from_slice(text);
        };
        bytes.extend((self.tags.len() as u32).to_le_bytes());
        for (name, value) in &self.tags {
            text(&mut bytes, name.as_bytes());
            text(&mut bytes, value.as_bytes());
        }
        if let Some(publisher) = &self.publisher {
            text(&mut bytes, publisher.user.as_bytes());
            bytes.extend_from_slice(publisher.client.0.as_bytes());
            text(&mut bytes, &publisher.connection_info);
            text(&mut bytes, &publisher.topic_info);
        }
        if let Some(version) = &self.version {
            bytes.extend(version.number.to_le_bytes());
            text(&mut bytes, version.epoch.as_bytes());
        }
        Bytes::from(bytes)
    }

    /// What [`Extras::to_bytes`] has written; `None` if these bytes are nothing of the kind, or nothing at all.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[VERSION, has], mut rest) = bytes.split_first_chunk()? else { return None };
        let count = number(&mut rest)?;
        let mut tags = Vec::new();
        for _ in 0..count {
            let name = std::str::from_utf8(text(&mut rest)?).ok()?.into();
            tags.push((name, std::str::from_utf8(text(&mut rest)?).ok()?.into()));
        }
        let mut publisher = None;
        if has & HAS_PUBLISHER != 0 {
            let user = std::str::from_utf8(text(&mut rest)?).ok()?.into();
            let (client, after) = rest.split_first_chunk()?;
            rest = after;
            publisher = Some(Arc::new(Member {
                user,
                client: ClientId(Uuid::from_bytes(*client)),
                connection_info: Bytes::copy_from_slice(text(&mut rest)?),
                topic_info: Bytes::copy_from_slice(text(&mut rest)?),
            }));
        }
        let mut version = None;
        if has & HAS_VERSION != 0 {
            let (number, after) = rest.split_first_chunk()?;
            rest = after;
            let epoch = std::str::from_utf8(text(&mut rest)?).ok()?.into();
            version = Some(Box::new(Version { number: u64::from_le_bytes(*number), epoch }));
        }
        let is_all = rest.is_empty() && has & !(HAS_PUBLISHER | HAS_VERSION) == 0;
        is_all.then_some(Self { tags: tags.into(), publisher, version })
    }
}

fn number(rest: &mut &[u8]) -> Option<usize> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    usize::try_from(u32::from_le_bytes(*number)).ok()
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = number(rest)?;
    let (text, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extras_are_read_as_they_were_written_and_cut_ones_are_not_guessed_at() {
        let tags: Box<[(Box<str>, Box<str>)]> = Box::new([("a".into(), "1".into()), ("ä".into(), "".into())]);
        let publisher = Member {
            user: "u".into(),
            client: ClientId(Uuid::from_bytes([7; 16])),
            connection_info: Bytes::from_static(b"{}"),
            topic_info: Bytes::new(),
        };
        let version = Version { number: 7, epoch: "e".into() };
        for (publisher, version) in [(None, None), (Some(Arc::new(publisher)), Some(Box::new(version)))] {
            let extras = Extras { tags: tags.clone(), publisher, version };
            let bytes = extras.to_bytes();
            assert_eq!(Extras::from_bytes(&bytes).as_ref(), Some(&extras));
            for cut in 0..bytes.len() {
                assert_eq!(Extras::from_bytes(&bytes[..cut]), None, "{cut}");
            }
            assert_eq!(Extras::from_bytes(&[&bytes[..], &[0]].concat()), None);
        }
        assert_eq!(Extras::from_bytes(&[]), None);
        assert_eq!(Extras::from_bytes(&[1, 0, 0, 0, 0, 0]), Some(Extras::default()));
        assert_eq!(Extras::from_bytes(&[2, 0, 0, 0, 0, 0]), None);
        assert_eq!(Extras::from_bytes(&[1, 4, 0, 0, 0, 0]), None);
        assert_eq!(Extras::from_bytes(&[1, 0, 255, 255, 255, 255]), None);
    }

    #[test]
    fn a_tag_is_found_by_its_name() {
        let tags = [("a", "1"), ("b", "2"), ("c", "")].map(|(name, value)| (name.into(), value.into()));
        let extras = Extras { tags: Box::new(tags), ..Extras::default() };
        assert_eq!(extras.tag("b"), Some("2"));
        assert_eq!(extras.tag("c"), Some(""));
        assert_eq!(extras.tag("d"), None);
        assert!(extras.bytes() > Extras::default().bytes());
    }
}

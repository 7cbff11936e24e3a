//! What few publications have beside their payload.

use std::sync::Arc;

use super::member::Member;

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

#[cfg(test)]
mod tests {
    use super::*;

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

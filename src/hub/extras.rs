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
        size_of::<Self>() + tags + self.publisher.as_ref().map_or(0, |publisher| publisher.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_by_its_name() {
        let tags = [("a", "1"), ("b", "2"), ("c", "")].map(|(name, value)| (name.into(), value.into()));
        let extras = Extras { tags: Box::new(tags), publisher: None };
        assert_eq!(extras.tag("b"), Some("2"));
        assert_eq!(extras.tag("c"), Some(""));
        assert_eq!(extras.tag("d"), None);
        assert!(extras.bytes() > Extras::default().bytes());
    }
}

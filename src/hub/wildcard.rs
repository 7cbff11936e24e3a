//! Wildcards: topics whose subscribers get what is published on all topics of a prefix.
//!
//! A wildcard is a topic like any other, with a name such as `news.*`; only nothing is published on it. So its subscribers,
//! logs and members are those of a topic, and what a publication on `news.local.sport` is for besides is found in the
//! registry: `news.*` and `news.local.*`, a look-up for each separator in the name. Topics whose rules have no `wildcards`
//! never look.

use std::sync::Arc;

use smallvec::SmallVec;

use super::publication::Publication;
use super::topic::Topic;
use super::worker_set::WorkerSet;

/// Whether `name` is that of a wildcard, where the rules allow them: a prefix that ends with `.`, `:` or `/`, and a star.
pub(crate) fn is_wildcard(name: &str) -> bool {
    name.strip_suffix('*').is_some_and(|prefix| prefix.ends_with(SEPARATORS))
}

const SEPARATORS: [char; 3] = ['.', ':', '/'];

/// Shows the names of the wildcards that stand for `name`, shortest first.
pub(super) fn each_over(name: &str, mut look: impl FnMut(&str)) {
    let mut wildcard = String::with_capacity(name.len() + 1);
    for (at, _) in name.match_indices(SEPARATORS) {
        wildcard.clear();
        wildcard.push_str(&name[..=at]);
        wildcard.push('*');
        look(&wildcard);
    }
}

/// A wildcard with subscribers that a publication is for.
#[derive(Debug)]
pub(crate) struct Match {
    pub(super) wildcard: Arc<Topic>,
    /// The workers with subscribers.
    pub(super) workers: WorkerSet,
}

/// The wildcards that a publication is for.
pub(crate) type Matches = SmallVec<[Match; 1]>;

/// A publication on its way to the subscribers of a wildcard.
#[derive(Debug)]
pub struct Matched {
    /// What was published, on a topic of its own.
    pub publication: Arc<Publication>,
    /// The wildcard.
    pub wildcard: Arc<Topic>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_a_prefix_up_to_a_separator_and_a_star() {
        for name in ["news.*", "a:*", "a/b/*", ".*"] {
            assert!(is_wildcard(name), "{name}");
        }
        for name in ["*", "news*", "news.*.sport", "news.", "news.**", "news-*", "new\u{2e}\u{301}*"] {
            assert!(!is_wildcard(name), "{name}");
        }
    }

    #[test]
    fn a_name_is_matched_at_each_of_its_separators() {
        let over = |name: &str| {
            let mut all = Vec::new();
            each_over(name, |wildcard| all.push(wildcard.to_owned()));
            all
        };
        assert_eq!(over("news.local:sport/1"), ["news.*", "news.local:*", "news.local:sport/*"]);
        assert_eq!(over("news."), ["news.*"]);
        assert_eq!(over("né.ws"), ["né.*"]);
        assert!(over("news").is_empty());
        assert!(over("news.local:sport/1").iter().all(|name| is_wildcard(name)));
    }
}

//! Which rules a topic has: the first pattern that its name matches.

use crate::config::TopicRules;

/// The rules of the configuration, then the built-in ones, which match every name.
#[derive(Debug)]
pub(super) struct Rules {
    list: Vec<TopicRules>,
}

impl Rules {
    pub(super) fn new(configured: &[TopicRules]) -> Self {
        let mut list = configured.to_vec();
        list.push(TopicRules::default());
        Self { list }
    }

    pub(super) fn list(&self) -> &[TopicRules] {
        &self.list
    }

    /// The index of the first rules whose pattern matches `name`.
    pub(super) fn resolve(&self, name: &str) -> usize {
        let built_in = self.list.len() - 1;
        self.list.iter().position(|rules| matches(&rules.pattern, name)).unwrap_or(built_in)
    }
}

/// Whether `name` is `pattern` with each `*` replaced by some run of bytes, perhaps none.
///
/// Every piece between two stars is taken at its first place: what a later place would leave for the rest, the first one
/// leaves as well. So nothing is tried twice: at most `pattern` times `name` steps.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(head) else { return false };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    for piece in middle.split('*') {
        match left.find(piece) {
            Some(at) => left = &left[at + piece.len()..],
            None => return false,
        }
    }
    left.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn rules(patterns: &[&str]) -> Rules {
        let configured: Vec<TopicRules> = patterns
            .iter()
            .map(|&pattern| TopicRules { pattern: pattern.to_owned(), ..TopicRules::default() })
            .collect();
        Rules::new(&configured)
    }

    #[test]
    fn the_first_match_wins_and_the_built_in_rules_are_last() {
        let rules = rules(&["chat", "chat*", "*:log"]);
        assert_eq!(rules.resolve("chat"), 0);
        assert_eq!(rules.resolve("chat:log"), 1);
        assert_eq!(rules.resolve("news:log"), 2);
        assert_eq!(rules.resolve("news"), 3);
        assert_eq!(rules.list().len(), 4);
        assert_eq!(rules.list()[3], TopicRules::default());
    }

    #[test]
    fn a_star_stands_for_any_run_also_none() {
        for (pattern, name) in
            [("*", "a"), ("a*", "a"), ("*a", "a"), ("a*b*c", "aXbYc"), ("a*b*c", "abc"), ("**", "é"), ("*b*", "abc")]
        {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("a", "ab"), ("a*", "ba"), ("*a", "ab"), ("a*a", "a"), ("a*b*c", "acb"), ("ab*bc", "abc")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_hostile_pattern_and_name_take_no_time() {
        let began = Instant::now();
        assert!(!matches(&format!("{}b", "a*".repeat(120)), &"a".repeat(255)));
        assert!(began.elapsed() < Duration::from_secs(1));
    }

    /// What a pattern means, in the slow and obvious way.
    fn means(pattern: &[char], name: &[char]) -> bool {
        match (pattern, name) {
            ([], rest) => rest.is_empty(),
            (['*', after @ ..], rest) => (0..=rest.len()).any(|skip| means(after, &rest[skip..])),
            ([one, after @ ..], [first, rest @ ..]) => one == first && means(after, rest),
            ([_, ..], []) => false,
        }
    }

    proptest! {
        #[test]
        fn matching_means_what_it_says(pattern in "[ab*é]{0,8}", name in "[abé]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &name), means(&chars(&pattern), &chars(&name)));
        }
    }
}

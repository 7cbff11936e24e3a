//! Which rules a topic has: the first pattern that its name matches.

use super::wildcard::is_wildcard;
use crate::config::TopicRules;

/// The rules of the configuration, then the built-in ones, which match every name.
#[derive(Debug)]
pub(super) struct Rules {
    list: Vec<TopicRules>,
    /// None of them says which names there may be.
    allow_all: bool,
}

impl Rules {
    pub(super) fn new(configured: &[TopicRules]) -> Self {
        let mut list = configured.to_vec();
        list.push(TopicRules::default());
        let allow_all = list.iter().all(|rules| rules.name_regex.is_any());
        Self { list, allow_all }
    }

    pub(super) fn list(&self) -> &[TopicRules] {
        &self.list
    }

    /// Whether any name is.
    pub(super) fn allow_all(&self) -> bool {
        self.allow_all
    }

    /// Whether a topic of this name may be. A wildcard is no name for something to be published on: it may always.
    pub(super) fn allow(&self, name: &str) -> bool {
        if self.allow_all {
            return true;
        }
        let rules = &self.list[usize::from(self.resolve(name))];
        rules.allow(name) || (rules.wildcards && is_wildcard(name))
    }

    /// The index of the first rules whose pattern matches `name`.
    pub(super) fn resolve(&self, name: &str) -> u16 {
        let built_in = self.list.len() - 1;
        let index = self.list.iter().position(|rules| rules.covers(name)).unwrap_or(built_in);
        u16::try_from(index).expect("invariant: the configuration allows 1,000 patterns")
    }
}

#[cfg(test)]
mod tests {
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
    fn a_name_is_held_to_the_rules_that_are_for_it_and_to_no_others() {
        let rule = |pattern: &str, regex: &str| TopicRules {
            pattern: pattern.to_owned(),
            name_regex: regex.parse().unwrap(),
            ..TopicRules::default()
        };
        let rules = Rules::new(&[rule("chat:vip*", ""), rule("chat:*", "[0-9]+"), rule("news*", "")]);
        for (name, allowed) in
            [("chat:1", true), ("chat:x", false), ("chat:vip x", true), ("news x", true), ("x", true)]
        {
            assert_eq!(rules.allow(name), allowed, "{name}");
        }
        let wild = Rules::new(&[TopicRules { wildcards: true, ..rule("*", "[a-z.]+") }]);
        assert!(wild.allow("a.b") && wild.allow("a.*") && !wild.allow("a*") && !rules.allow("chat:*"));
        let everything = Rules::new(&[rule("*", "[a-z]+")]);
        assert!(everything.allow("abc") && !everything.allow("abc1"));
    }
}

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
}

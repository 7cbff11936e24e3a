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

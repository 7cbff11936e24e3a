//! Headers of the client that calls about it carry.

use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

/// Headers of the client that calls about it carry. Cheap to clone: a connection keeps one for all its calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passed(Arc<[(HeaderName, HeaderValue)]>);

/// Which headers pass.
#[derive(Debug, Default)]
pub(super) struct Gate {
    real: Vec<HeaderName>,
    emulated: Vec<HeaderName>,
}

impl Gate {
    /// Names that are none were refused with the configuration, and are left out.
    pub(super) fn new(real: &[String], emulated: &[String]) -> Self {
        let names = |list: &[String]| list.iter().filter_map(|name| name.parse().ok()).collect();
        Self { real: names(real), emulated: names(emulated) }
    }

    /// Whether any real header may pass.
    pub(super) fn is_open(&self) -> bool {
        !self.real.is_empty()
    }

    /// Those of `passed`, which are of a head, and those of `emulated` that are not among them.
    pub(super) fn add<'a>(&self, passed: &Passed, emulated: impl IntoIterator<Item = (&'a str, &'a str)>) -> Passed {
        if self.emulated.is_empty() {
            return passed.clone();
        }
        let head = passed.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        self.pass(&head, emulated)
    }

    /// Those of `head`, and those of `emulated` that `head` has no real one for: a client cannot talk over what, say, a
    /// proxy in front has set. What is no value of a header is left out.
    pub(super) fn pass<'a>(&self, head: &HeaderMap, emulated: impl IntoIterator<Item = (&'a str, &'a str)>) -> Passed {
        let mut passed: Vec<(HeaderName, HeaderValue)> = Vec::new();
        for name in &self.real {
            passed.extend(head.get_all(name).iter().map(|value| (name.clone(), value.clone())));
        }
        let emulated: Vec<(&str, &str)> =
            if self.emulated.is_empty() { Vec::new() } else { emulated.into_iter().collect() };
        for name in &self.emulated {
            let is_real = self.real.contains(name) && head.contains_key(name);
            let found = emulated.iter().find(|(sent, _)| !is_real && sent.eq_ignore_ascii_case(name.as_str()));
            if let Some(value) = found.and_then(|(_, value)| HeaderValue::from_str(value).ok()) {
                passed.push((name.clone(), value));
            }
        }
        Passed(passed.into())
    }
}

impl Passed {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        self.0.iter()
    }

    /// What they hold in memory, about.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
    }

    /// Adds them to a key that tells calls apart.
    pub(super) fn write_key(&self, key: &mut Vec<u8>) {
        for (name, value) in self.iter() {
            // Neither can have a line feed in it.
            key.extend_from_slice(name.as_str().as_bytes());
            key.push(b'\n');
            key.extend_from_slice(value.as_bytes());
            key.push(b'\n');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        fields.iter().map(field).collect()
    }

    fn shown(passed: &Passed) -> Vec<String> {
        passed.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    fn gate(real: &[&str], emulated: &[&str]) -> Gate {
        let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        Gate::new(&names(real), &names(emulated))
    }

    #[test]
    fn only_what_is_on_the_lists_passes() {
        let head = head(&[("cookie", "a=1"), ("cookie", "b=2"), ("x-admin", "yes"), ("authorization", "real")]);
        let sent = [("Authorization", "emulated"), ("X-Admin", "yes"), ("X-Team", "red")];
        let pass = |real: &[&str], emulated: &[&str]| shown(&gate(real, emulated).pass(&head, sent));
        assert_eq!(pass(&[], &[]), Vec::<String>::new());
        assert_eq!(pass(&["cookie"], &["x-team"]), ["cookie: a=1", "cookie: b=2", "x-team: red"]);
        assert_eq!(pass(&[], &["authorization"]), ["authorization: emulated"]);
    }

    #[test]
    fn a_real_header_cannot_be_talked_over_by_an_emulated_one() {
        let real = head(&[("authorization", "real")]);
        let both = gate(&["authorization"], &["authorization"]);
        assert_eq!(shown(&both.pass(&real, [("Authorization", "emulated")])), ["authorization: real"]);
        assert_eq!(shown(&both.pass(&head(&[]), [("Authorization", "emulated")])), ["authorization: emulated"]);
    }

    #[test]
    fn a_value_that_would_break_the_head_is_left_out() {
        let passed = gate(&[], &["x-a"]).pass(&head(&[]), [("x-a", "1\r\nhost: evil")]);
        assert!(passed.is_empty());
    }
}

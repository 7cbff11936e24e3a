//! Any hub with one topic per URL.

/// Where the topic stands in a path.
const TOPIC: &str = "{topic}";

/// A path with `{topic}` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(String);

impl Template {
    /// `path`, if it says where the topic goes.
    pub(crate) fn new(path: &str) -> Option<Self> {
        path.contains(TOPIC).then(|| Self(path.to_owned()))
    }

    /// The path of `topic`.
    pub(super) fn path(&self, topic: &str) -> String {
        self.0.replace(TOPIC, topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topic_takes_its_place_in_path_and_query() {
        assert_eq!(Template::new("/sub/{topic}?a=1").unwrap().path("load-3"), "/sub/load-3?a=1");
        assert_eq!(Template::new("/ws?topic={topic}").unwrap().path("x"), "/ws?topic=x");
        assert_eq!(Template::new("/ws"), None);
    }
}

//! The values of a configuration that nobody has dealt with yet.

use std::collections::BTreeMap;

use serde_json::Value;

/// Every leaf of a JSON document by its path. What is left at the end was forgotten, and is told.
///
/// A list of texts, numbers and truth values is one leaf, and so is what is empty.
#[derive(Debug)]
pub(super) struct Leaves(BTreeMap<String, Value>);

impl Leaves {
    pub(super) fn of(json: &Value) -> Self {
        let mut leaves = BTreeMap::new();
        collect(json, String::new(), &mut leaves);
        Self(leaves)
    }

    pub(super) fn take(&mut self, path: &str) -> Option<Value> {
        self.0.remove(path)
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }

    pub(super) fn is(&self, path: &str, text: &str) -> bool {
        self.0.get(path).and_then(Value::as_str) == Some(text)
    }

    /// The paths that are at `path` or below it.
    pub(super) fn under(&self, path: &str) -> Vec<String> {
        let below =
            |leaf: &str| leaf.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        self.0.keys().filter(|leaf| below(leaf)).cloned().collect()
    }

    pub(super) fn paths(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }
}

fn collect(value: &Value, path: String, leaves: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, inner) in map {
                let step = step(key);
                let inner_path = if path.is_empty() { step } else { format!("{path}.{step}") };
                collect(inner, inner_path, leaves);
            }
        }
        Value::Array(list) if list.iter().any(|one| one.is_object() || one.is_array()) => {
            for (index, inner) in list.iter().enumerate() {
                collect(inner, format!("{path}[{index}]"), leaves);
            }
        }
        Value::Object(_) | Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            leaves.insert(path, value.clone());
        }
    }
}

/// Quoted if it could be mistaken for a path, so that no two leaves have one path.
fn step(key: &str) -> String {
    let is_plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if is_plain { key.to_owned() } else { format!("{key:?}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_leaf_has_a_path_of_its_own() {
        let json = json!({"a": {"b": 1, "c": [1, 2], "d": [{"e": null}, {}]}, "a.b": 2, "": [], "a[0]": {}});
        let paths = Leaves::of(&json).paths();
        let expected = ["\"\"", "\"a.b\"", "\"a[0]\"", "a.b", "a.c", "a.d[0].e", "a.d[1]"];
        assert_eq!(paths, expected);
    }

    #[test]
    fn under_a_path_is_what_belongs_to_it_and_not_what_begins_alike() {
        let leaves = Leaves::of(&json!({"tls": {"a": 1}, "tls_b": 1}));
        assert_eq!(leaves.under("tls"), ["tls.a"]);
        assert_eq!(leaves.under("tls_b"), ["tls_b"]);
    }
}

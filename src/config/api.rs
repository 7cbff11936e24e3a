//! `[api]`: the keys of the server API.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[api]`.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct Api {
    /// Keys accepted in `X-API-Key`; none means the API answers 401 to everyone.
    pub keys: Vec<String>,
    /// A file with one key per line, added to `keys`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys_file: Option<PathBuf>,
}

impl Api {
    /// What stands for a key wherever one is shown.
    pub const REDACTED: &'static str = "(redacted)";
}

/// Shows how many keys there are, never a key: this struct ends up in logs.
impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("keys", &format_args!("{} {}", self.keys.len(), Self::REDACTED))
            .field("keys_file", &self.keys_file)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_has_a_key() {
        let api = Api { keys: vec!["s3cret".to_owned()], keys_file: None };
        let shown = format!("{api:?}");
        assert!(!shown.contains("s3cret") && shown.contains("1 (redacted)"), "{shown}");
    }
}

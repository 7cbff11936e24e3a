//! `[tokens]`: which tokens say who a client is.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::units::Span;
use crate::identity::Algorithm;

/// `[tokens]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct Tokens {
    /// What tokens may be signed with: any of these.
    pub keys: Vec<TokenKey>,
    /// Where more such keys are fetched: a JSON Web Key Set (RFC 7517).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// How often.
    pub jwks_refresh: Span,
    /// What `aud` must be, or have in it. Default: anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// What `iss` must be. Default: anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// How far the clocks of those who make tokens may differ.
    pub leeway: Span,
}

/// An entry of `tokens.keys`: an algorithm, and exactly one of the four keys.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table such as { algorithm = \"HS256\", secret_file = \"...\" }")]
pub struct TokenKey {
    /// The only algorithm that it is good for.
    pub algorithm: Algorithm,
    /// What both sides know, for `HS*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// A file with it; an end of line at its end does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<PathBuf>,
    /// A public key in PEM, for all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// A file with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key_file: Option<PathBuf>,
    /// The `kid` that tokens name it by. Default: it is tried for every token of its algorithm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl Tokens {
    /// What stands for a secret wherever one is shown.
    pub const REDACTED: &'static str = "(redacted)";

    /// Whether there is anything that a token could be verified with.
    pub fn are_known(&self) -> bool {
        !self.keys.is_empty() || self.jwks_url.is_some()
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            keys: Vec::new(),
            jwks_url: None,
            jwks_refresh: Span::secs(5 * 60),
            audience: None,
            issuer: None,
            leeway: Span::secs(0),
        }
    }
}

/// Never shows the secret: this struct ends up in logs.
impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKey")
            .field("algorithm", &self.algorithm)
            .field("secret", &self.secret.as_ref().map(|_| Tokens::REDACTED))
            .field("secret_file", &self.secret_file)
            .field("public_key", &self.public_key)
            .field("public_key_file", &self.public_key_file)
            .field("id", &self.id)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_has_a_secret() {
        let key = TokenKey {
            algorithm: Algorithm::Hs256,
            secret: Some("s3cret".to_owned()),
            secret_file: None,
            public_key: None,
            public_key_file: None,
            id: None,
        };
        let shown = format!("{:?}", Tokens { keys: vec![key], ..Tokens::default() });
        assert!(!shown.contains("s3cret") && shown.contains("(redacted)"), "{shown}");
    }
}

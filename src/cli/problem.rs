//! A refusal as the hub tells it: `application/problem+json`.

use std::fmt;

use serde::Deserialize;

/// What an answer that is not a success says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// The HTTP status.
    pub(super) status: u16,
    told: Told,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
struct Told {
    code: Option<String>,
    title: Option<String>,
    detail: Option<String>,
}

impl Problem {
    /// Reads the body of an answer; one that is not JSON (from a proxy) leaves the status alone.
    pub(super) fn read(status: u16, body: &[u8]) -> Self {
        Self { status, told: serde_json::from_slice(body).unwrap_or_default() }
    }

    /// Whether the same request may succeed a little later.
    pub(super) fn is_temporary(&self) -> bool {
        matches!(self.status, 408 | 429 | 500 | 502 | 503 | 504)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told { code, title, detail } = &self.told;
        let said: Vec<&str> = [title, detail].into_iter().flatten().map(String::as_str).collect();
        match (said.is_empty(), code) {
            (true, _) => write!(f, "HTTP status {}", self.status)?,
            (false, _) => f.write_str(&said.join(": "))?,
        }
        match code {
            Some(code) => write!(f, " ({code}; `fanfare explain {code}` tells more)"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_with_its_code_and_where_to_read_more() {
        let body =
            br#"{"type":"about:blank","code":"unknown-key","title":"the API key is missing or unknown","detail":"x"}"#;
        let shown = Problem::read(401, body).to_string();
        assert_eq!(
            shown,
            "the API key is missing or unknown: x (unknown-key; `fanfare explain unknown-key` tells more)"
        );
    }

    #[test]
    fn an_answer_of_somebody_else_is_told_by_its_status() {
        let problem = Problem::read(502, b"<html>Bad Gateway</html>");
        assert_eq!(problem.to_string(), "HTTP status 502");
        assert!(problem.is_temporary() && !Problem::read(403, b"").is_temporary());
    }
}

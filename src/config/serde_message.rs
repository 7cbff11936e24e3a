//! Serde's words for a mistake, taken apart so that ours can be more helpful.
//!
//! Serde hands errors on as text only; the texts read here are those of `serde::de::Error`'s provided methods, which
//! have been the same since 1.0. A text that is not recognised is shown as it is.

use super::exemplar;
use super::key_path::KeyPath;
use super::mistake::Mistake;
use super::suggestion::nearest;

/// What serde had to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SerdeMessage {
    UnknownField { name: String, accepted: Vec<String> },
    UnknownVariant { name: String, accepted: Vec<String> },
    MissingField { name: String },
    Other(String),
}

impl SerdeMessage {
    /// Recognises `message`.
    pub(super) fn parse(message: &str) -> Self {
        let other = || Self::Other(in_words(message));
        let quoted = |text: &str| -> Vec<String> { text.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
        // The name was written by a person and may hold anything, backticks too: the list starts after the last comma-expected.
        let parts = |rest: &str| -> Option<(String, Vec<String>)> {
            let (name, list) = rest.rsplit_once("`, expected ").or_else(|| rest.rsplit_once("`, there are "))?;
            Some((name.to_owned(), quoted(list)))
        };
        if let Some(rest) = message.strip_prefix("unknown field `") {
            parts(rest).map_or_else(other, |(name, accepted)| Self::UnknownField { name, accepted })
        } else if let Some(rest) = message.strip_prefix("unknown variant `") {
            parts(rest).map_or_else(other, |(name, accepted)| Self::UnknownVariant { name, accepted })
        } else if let Some(name) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
            Self::MissingField { name: name.to_owned() }
        } else {
            other()
        }
    }

    /// The mistake it stands for; `path` is where the deserializer was.
    pub(super) fn into_mistake(self, path: &KeyPath) -> Mistake {
        match self {
            Self::UnknownField { name, accepted } => unknown_key(path, &name, accepted),
            Self::UnknownVariant { name, accepted } => {
                let mistake = Mistake::new(format!("`{path}` cannot be \"{name}\""));
                let mistake = suggest(mistake, nearest(&name, accepted.iter().map(String::as_str)), "\"");
                mistake.accepted(accepted.iter().map(|value| format!("\"{value}\"")).collect())
            }
            Self::MissingField { name } => {
                Mistake::new(format!("`{path}` has no `{name}`")).remark(format!("`{name}` is needed here"))
            }
            Self::Other(message) if path.steps().is_empty() => Mistake::new(message),
            Self::Other(message) => Mistake::new(format!("`{path}`: {message}")),
        }
    }
}

/// Serde names types as Rust does; people who write TOML need not know it.
fn in_words(message: &str) -> String {
    [
        ("expected a sequence", "expected a list in brackets"),
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected a boolean", "expected true or false"),
        ("invalid type: sequence", "invalid type: list"),
        ("invalid type: map", "invalid type: table"),
        ("expected path string", "expected a path in quotes"),
        ("expected a string", "expected a text in quotes"),
    ]
    .into_iter()
    .fold(message.to_owned(), |message, (rust, words)| message.replace(rust, words))
}

/// An unknown key, with the key that was probably meant: here, or in another section.
fn unknown_key(path: &KeyPath, name: &str, mut accepted: Vec<String>) -> Mistake {
    accepted.sort();
    let mistake = Mistake::new(format!("unknown key `{path}`"));
    let near = nearest(name, accepted.iter().map(String::as_str));
    let elsewhere = || exemplar::keys().into_iter().find(|key| key.rsplit('.').next() == Some(name));
    let mistake = match near {
        Some(near) => suggest(mistake, Some(near), "`"),
        None => match elsewhere() {
            Some(key) => mistake.remark(format!("there is `{key}`")),
            None => mistake.remark("no such key"),
        },
    };
    mistake.accepted(accepted)
}

fn suggest(mistake: Mistake, near: Option<&str>, quote: &str) -> Mistake {
    match near {
        Some(near) => mistake.remark(format!("did you mean {quote}{near}{quote}?")),
        None => mistake,
    }
}

#[cfg(test)]
mod tests {
    use serde::de::{Error, value};

    use super::*;

    #[test]
    fn the_texts_of_serde_are_recognised() {
        let unknown = value::Error::unknown_field("a`, expected b", &["x", "y"]).to_string();
        assert_eq!(
            SerdeMessage::parse(&unknown),
            SerdeMessage::UnknownField { name: "a`, expected b".into(), accepted: vec!["x".into(), "y".into()] }
        );
        let none = value::Error::unknown_field("a", &[]).to_string();
        assert_eq!(SerdeMessage::parse(&none), SerdeMessage::UnknownField { name: "a".into(), accepted: vec![] });
        let variant = value::Error::unknown_variant("json5", &["text", "json", "xml"]).to_string();
        let accepted = vec!["text".into(), "json".into(), "xml".into()];
        assert_eq!(SerdeMessage::parse(&variant), SerdeMessage::UnknownVariant { name: "json5".into(), accepted });
        let missing = value::Error::missing_field("path").to_string();
        assert_eq!(SerdeMessage::parse(&missing), SerdeMessage::MissingField { name: "path".into() });
    }
}

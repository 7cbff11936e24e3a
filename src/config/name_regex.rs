//! Which names topics may have: a regular expression, compiled where it is read.

use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// What may stand where a pattern has its `*`: a regular expression for all of it, or nothing, and then it is anything.
///
/// Matching takes time linear in the name, whatever both are.
#[derive(Debug, Clone, Default)]
pub struct NameRegex {
    text: String,
    /// The text, for a whole name and no less. `None` if the text is empty.
    regex: Option<Regex>,
}

/// A text is no [`NameRegex`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseNameRegexError {
    /// It is not written as one is.
    #[error("\"{text}\" is no regular expression: {why}")]
    NotARegex {
        /// What was written.
        text: String,
        /// Where it goes wrong.
        why: String,
    },
    /// It would take too much memory.
    #[error("the regular expression takes more than {} KiB when compiled: fewer repetitions, or [a-z] instead of \\w", NameRegex::LIMIT_BYTES / 1024)]
    TooLarge,
}

impl NameRegex {
    /// What one may take when it is compiled, in bytes. There may be a thousand.
    pub const LIMIT_BYTES: usize = 256 * 1024;

    /// Whether it says nothing.
    pub fn is_any(&self) -> bool {
        self.regex.is_none()
    }

    /// Whether it is for all of `text`.
    pub fn matches(&self, text: &str) -> bool {
        self.regex.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

impl FromStr for NameRegex {
    type Err = ParseNameRegexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let compile = |pattern: &str| RegexBuilder::new(pattern).size_limit(Self::LIMIT_BYTES).build();
        // Alone first: `a)|(b` would be one between the two that make it a whole name, and be for more.
        let compiled = compile(text).and_then(|_| compile(&format!(r"\A(?:{text})\z")));
        let regex = compiled.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => ParseNameRegexError::TooLarge,
            error => {
                // It shows the text over several lines, and says what is wrong with it in the last.
                let told = error.to_string();
                let last = told.lines().last().unwrap_or_default();
                let why = last.strip_prefix("error: ").unwrap_or(last).to_owned();
                ParseNameRegexError::NotARegex { text: text.to_owned(), why }
            }
        })?;
        Ok(Self { text: text.to_owned(), regex: Some(regex) })
    }
}

impl PartialEq for NameRegex {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for NameRegex {}

impl fmt::Display for NameRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for NameRegex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NameRegex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RegexVisitor;
        impl Visitor<'_> for RegexVisitor {
            type Value = NameRegex;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a regular expression such as \"[a-z0-9]+\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<NameRegex, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(RegexVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regex(text: &str) -> NameRegex {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn it_is_for_all_of_a_name_and_not_for_a_part() {
        for (text, whole, more) in [
            ("[0-9]+", "17", "17a"),
            ("a|b", "b", "ab"),
            ("^a$", "a", "a\n"),
            ("ä", "ä", "ää"),
            (r"\p{Greek}+", "λόγος", "logos"),
            ("(?i)ab", "aB", "aBc"),
            ("", "whatever", ""),
        ] {
            assert!(regex(text).matches(whole), "{text}");
            assert_eq!(regex(text).matches(more), text.is_empty(), "{text}");
        }
        assert!(regex("").is_any() && !regex(".*").is_any());
    }

    #[test]
    fn what_is_no_regular_expression_is_told_why() {
        for (text, why) in [
            ("[a", "unclosed character class"),
            ("(a", "unclosed group"),
            // Between a beginning and an end of ours these two would be one.
            ("a)|(b", "unopened group"),
            ("(?x)a #", "unclosed group"),
            (r"(a)\1", "backreferences are not supported"),
            ("a(?=b)", "look-ahead"),
        ] {
            let error = text.parse::<NameRegex>().unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(text) && !error.contains('\n'), "{text}: {error}");
        }
    }

    #[test]
    fn one_that_would_be_too_large_is_refused_before_it_is() {
        assert_eq!(r"\w{1000}".parse::<NameRegex>(), Err(ParseNameRegexError::TooLarge));
        let error = ParseNameRegexError::TooLarge.to_string();
        assert!(error.contains("256 KiB"), "{error}");
        regex("[a-z0-9-]{1,255}");
    }
}

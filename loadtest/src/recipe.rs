//! Scenarios in files: those that come with this program, by name, and anybody's, by path.

use std::fs;

use anyhow::{Context as _, Result, anyhow};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::load::Load;

/// The files that come with this program.
const BUILT_IN: [(&str, &str); 7] = [
    ("fanout", include_str!("../scenarios/fanout.toml")),
    ("compression", include_str!("../scenarios/compression.toml")),
    ("topics", include_str!("../scenarios/topics.toml")),
    ("mixed", include_str!("../scenarios/mixed.toml")),
    ("payloads", include_str!("../scenarios/payloads.toml")),
    ("tls", include_str!("../scenarios/tls.toml")),
    ("wake", include_str!("../scenarios/wake.toml")),
];

/// The kinds of run a file can describe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Publishes to subscribers and verifies every delivery.
    Fanout,
}

/// What a file describes.
#[derive(Debug)]
pub(crate) enum Recipe {
    /// Publishes to subscribers and verifies every delivery.
    Fanout(Load),
}

impl Recipe {
    /// The scenario called `name_or_path`: one that comes with this program, or a file.
    ///
    /// Errors name file, line and key.
    pub(crate) fn read(name_or_path: &str) -> Result<Self> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
            return Self::parse(&format!("{name}.toml"), text);
        }
        let text = fs::read_to_string(name_or_path).with_context(|| {
            let names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
            format!("{name_or_path}: neither a file that can be read nor one of {}", names.join(", "))
        })?;
        Self::parse(name_or_path, &text)
    }

    fn parse(file: &str, text: &str) -> Result<Self> {
        // The kind first: it says which keys there are.
        #[derive(Deserialize)]
        struct Head {
            kind: Kind,
        }
        let head: Head = parse(file, text)?;
        match head.kind {
            Kind::Fanout => Ok(Self::Fanout(parse(file, text)?)),
        }
    }
}

/// The name of the scenario `name_or_path`: that of the file without folder and ending.
pub(crate) fn name_of(name_or_path: &str) -> &str {
    let file = name_or_path.rsplit('/').next().unwrap_or(name_or_path);
    file.strip_suffix(".toml").unwrap_or(file)
}

fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| {
        let Some(span) = error.span() else { return anyhow!("{file}: {}", error.message()) };
        let before = &text[..span.start.min(text.len())];
        let line_number = before.matches('\n').count() + 1;
        let line = text.lines().nth(line_number - 1).unwrap_or_default();
        match line.split_once('=') {
            Some((key, _)) => anyhow!("{file}:{line_number}: {}: {}", key.trim(), error.message()),
            None => anyhow!("{file}:{line_number}: {}", error.message()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_that_comes_with_the_program_can_be_run() {
        for (name, _) in BUILT_IN {
            match Recipe::read(name).unwrap() {
                Recipe::Fanout(load) => assert!(!load.scenarios(name).unwrap().is_empty(), "{name}"),
            }
        }
    }

    #[test]
    fn a_mistake_is_told_with_file_line_and_key() {
        for (text, expected) in [
            ("kind = \"fanout\"\n\nsubscribrs = 7\n", "a.toml:3: subscribrs: unknown field `subscribrs`"),
            ("kind = \"fanout\"\ntopics = \"many\"\n", "a.toml:2: topics: invalid type"),
            ("kind = \"fanout\"\nwindow = \"x\"\n", "a.toml:2: window: expected a whole number"),
            ("kind = \"fan\"\n", "a.toml:1: kind: unknown variant `fan`"),
            ("topics = 1\n", "missing field `kind`"),
            ("kind = \n", "a.toml:1: "),
        ] {
            let error = Recipe::parse("a.toml", text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_file_is_called_by_its_stem() {
        assert_eq!(name_of("fanout"), "fanout");
        assert_eq!(name_of("a/b/mine.toml"), "mine");
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_there_are() {
        let error = format!("{:#}", Recipe::read("nothing-like-it").unwrap_err());
        assert!(error.contains("fanout, compression, topics, mixed"), "{error}");
    }
}

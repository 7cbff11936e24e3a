//! The TOML as it was written, with the place of every key: the file, and the environment laid over it.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::key_path::{KeyPath, Step};
use super::mistake::{Mistake, Mistakes};
use super::place::{Origin, Place, Texts};
use super::serde_message::SerdeMessage;
use super::settings::Config;

/// A parsed configuration, and the texts it came from.
#[derive(Debug, Clone)]
pub(super) struct Document<'t> {
    root: DeTable<'t>,
    texts: Texts,
}

impl<'t> Document<'t> {
    /// Parses `text`. Only the first mistake of syntax is told: what follows it is mostly its echo.
    pub(super) fn parse(origin: Origin, text: &'t str) -> Result<Self, Vec<Mistake>> {
        let mut texts = Texts::default();
        texts.add(origin, text.to_owned());
        match DeTable::parse(text) {
            Ok(root) => Ok(Self { root: root.into_inner(), texts }),
            Err(error) => {
                let place = error.span().and_then(|span| texts.place(&span));
                Err(vec![Mistake::new(format!("not TOML: {}", error.message())).at(place)])
            }
        }
    }

    /// Puts `value`, parsed from the text of the environment variable `variable`, at `section.key` (or at `section`).
    pub(super) fn overlay(
        &mut self,
        variable: &str,
        text: &str,
        section: &str,
        key: Option<&str>,
        value: Spanned<DeValue<'t>>,
    ) {
        let base = self.texts.add(Origin::Variable(variable.to_owned()), text.to_owned());
        let value = shifted(value, base);
        let whole = base..base + text.len();
        let Some(key) = key else {
            put(&mut self.root, section, &whole, value);
            return;
        };
        if self.root.get(section).is_none() {
            // Nobody wrote the section itself: its span is empty, so that it is not taken for the value.
            let nowhere = base..base;
            let empty = Spanned::new(nowhere.clone(), DeValue::Table(DeTable::new()));
            put(&mut self.root, section, &nowhere, empty);
        }
        // A section that is not a table is a mistake of the file, and is told as one.
        if let Some(DeValue::Table(table)) = self.root.get_mut(section).map(Spanned::get_mut) {
            put(table, key, &whole, value);
        }
    }

    /// Turns the document into a configuration, or tells every key that is unknown and every value of a wrong kind.
    pub(super) fn read(&self) -> Result<Config, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let mut root = self.root.clone();
        loop {
            let deserializer = toml::de::Deserializer::from(Spanned::new(0..0, root.clone()));
            let mut track = serde_path_to_error::Track::new();
            let error = match Config::deserialize(serde_path_to_error::Deserializer::new(deserializer, &mut track)) {
                Ok(config) if mistakes.is_empty() => return Ok(config),
                Ok(_) => return Err(mistakes),
                Err(error) => error,
            };
            let path = KeyPath::from(&track.path());
            mistakes.push(self.mistake_of(&error, &path));
            // Serde stops at the first mistake. Taking it away brings the next one to light; what cannot be taken away ends it.
            if mistakes.len() >= Mistakes::LIMIT || !take_away(&mut root, &path) {
                return Err(mistakes);
            }
        }
    }

    fn mistake_of(&self, error: &toml::de::Error, path: &KeyPath) -> Mistake {
        let span = error.span().filter(|span| *span != (0..0));
        // Indices in `path` count what was left after earlier mistakes were taken away; then the span tells the true path.
        let moved = span.as_ref().filter(|span| self.find(path).as_ref() != Some(span));
        let path = moved.and_then(|span| self.path_at(span)).unwrap_or_else(|| path.clone());
        let place = span.and_then(|span| self.texts.place(&span)).or_else(|| self.place(&path));
        let place = place.map(|place| if is_secret(&path) { place.without_line() } else { place });
        SerdeMessage::parse(error.message()).into_mistake(&path).at(place)
    }

    /// Whether the document itself has this key (a default does not count).
    pub(super) fn has(&self, path: &KeyPath) -> bool {
        self.find(path).is_some()
    }

    /// The place of the value at `path`, or of the nearest thing around it that was written.
    pub(super) fn place(&self, path: &KeyPath) -> Option<Place> {
        let secret = is_secret(path);
        let mut path = path.clone();
        loop {
            if let Some(span) = self.find(&path) {
                let place = self.texts.place(&span)?;
                return Some(if secret { place.without_line() } else { place });
            }
            path = path.split_last()?.0;
        }
    }

    fn find(&self, path: &KeyPath) -> Option<Range<usize>> {
        let (first, rest) = path.steps().split_first()?;
        let Step::Key(first) = first else { return None };
        let mut value = self.root.get(first.as_str())?;
        for step in rest {
            value = match (step, value.get_ref()) {
                (Step::Key(key), DeValue::Table(table)) => table.get(key.as_str())?,
                (Step::Index(index), DeValue::Array(array)) => array.get(*index)?,
                _ => return None,
            };
        }
        Some(value.span())
    }

    /// The path of the key or value that has exactly this span; the innermost, as `[[endpoints]]` is both the list and its
    /// first entry.
    fn path_at(&self, span: &Range<usize>) -> Option<KeyPath> {
        search_table(&self.root, span, &KeyPath::default())
    }
}

/// Whether what stands there must not be shown.
fn is_secret(path: &KeyPath) -> bool {
    // All of `tokens.keys`: a misspelt key beside the secret, or instead of it, would show the line with it.
    matches!(path.steps(), [Step::Key(section), Step::Key(key), ..]
        if matches!((section.as_str(), key.as_str()), ("api" | "tokens", "keys") | ("hooks", "secret")))
}

fn search_table(table: &DeTable<'_>, span: &Range<usize>, at: &KeyPath) -> Option<KeyPath> {
    table.iter().find_map(|(key, value)| {
        let here = at.key(key.get_ref());
        if key.span() == *span { Some(here) } else { search_value(value, span, here) }
    })
}

fn search_value(value: &Spanned<DeValue<'_>>, span: &Range<usize>, here: KeyPath) -> Option<KeyPath> {
    let inside = match value.get_ref() {
        DeValue::Table(table) => search_table(table, span, &here),
        DeValue::Array(array) => {
            array.iter().enumerate().find_map(|(index, value)| search_value(value, span, here.index(index)))
        }
        _ => None,
    };
    inside.or_else(|| (value.span() == *span).then_some(here))
}

fn put<'t>(table: &mut DeTable<'t>, key: &str, key_span: &Range<usize>, value: Spanned<DeValue<'t>>) {
    // Removed first: inserting over an equal key would keep the old key and its place.
    table.remove(key);
    table.insert(Spanned::new(key_span.clone(), Cow::Owned(key.to_owned())), value);
}

/// Removes what stands at `path`; says whether there was something.
fn take_away(root: &mut DeTable<'_>, path: &KeyPath) -> bool {
    let Some((parents, last)) = path.split_last() else { return false };
    let mut steps = parents.steps().iter();
    let Some(first) = steps.next() else {
        return matches!(last, Step::Key(key) if root.remove(key.as_str()).is_some());
    };
    let Step::Key(first) = first else { return false };
    let Some(mut value) = root.get_mut(first.as_str()) else { return false };
    for step in steps {
        let inner = match (step, value.get_mut()) {
            (Step::Key(key), DeValue::Table(table)) => table.get_mut(key.as_str()),
            (Step::Index(index), DeValue::Array(array)) => array.get_mut(*index),
            _ => None,
        };
        let Some(inner) = inner else { return false };
        value = inner;
    }
    match (last, value.get_mut()) {
        (Step::Key(key), DeValue::Table(table)) => table.remove(key.as_str()).is_some(),
        (Step::Index(index), DeValue::Array(array)) if *index < array.len() => {
            let mut left = toml::de::DeArray::new();
            array.iter().enumerate().filter(|(at, _)| at != index).for_each(|(_, one)| left.push(one.clone()));
            *array = left;
            true
        }
        _ => false,
    }
}

/// `value` with every span moved by `base`.
fn shifted(value: Spanned<DeValue<'_>>, base: usize) -> Spanned<DeValue<'_>> {
    let span = value.span();
    let moved = span.start + base..span.end + base;
    let inner = match value.into_inner() {
        DeValue::Array(array) => {
            let mut shifted_array = toml::de::DeArray::new();
            array.iter().for_each(|one| shifted_array.push(shifted(one.clone(), base)));
            DeValue::Array(shifted_array)
        }
        DeValue::Table(table) => {
            let mut shifted_table = DeTable::new();
            for (key, value) in table {
                let span = key.span();
                let key = Spanned::new(span.start + base..span.end + base, key.into_inner());
                shifted_table.insert(key, shifted(value, base));
            }
            DeValue::Table(shifted_table)
        }
        other => other,
    };
    Spanned::new(moved, inner)
}

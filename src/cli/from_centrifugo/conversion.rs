//! What is known while a configuration is converted, and how its values are read.

use serde_json::Value;

use super::draft::Draft;
use super::leaves::Leaves;
use super::note::{Note, NoteKind};
use super::span;
use crate::config::Span;

/// Leaves that are left, TOML that is there, and notes about what is neither.
#[derive(Debug)]
pub(super) struct Conversion {
    pub(super) leaves: Leaves,
    pub(super) draft: Draft,
    pub(super) notes: Vec<Note>,
}

impl Conversion {
    pub(super) fn new(json: &Value) -> Self {
        Self { leaves: Leaves::of(json), draft: Draft::default(), notes: Vec::new() }
    }

    pub(super) fn note(&mut self, kind: NoteKind, key: &str, why: impl Into<String>) {
        self.notes.push(Note { kind, key: key.to_owned(), why: why.into() });
    }

    /// Takes everything at and below `path`, for the one reason.
    pub(super) fn note_all(&mut self, kind: NoteKind, path: &str, why: &str) {
        for leaf in self.leaves.under(path) {
            self.leaves.take(&leaf);
            self.note(kind, &leaf, why);
        }
    }

    /// False if it is not there; told if it is something else.
    pub(super) fn boolean(&mut self, path: &str) -> bool {
        match self.leaves.take(path) {
            Some(Value::Bool(value)) => value,
            None | Some(Value::Null) => false,
            Some(_) => {
                self.note(NoteKind::Missing, path, "it is neither true nor false");
                false
            }
        }
    }

    /// A whole number, not negative.
    pub(super) fn number(&mut self, path: &str) -> Option<i64> {
        let value = self.leaves.take(path)?;
        if value.is_null() {
            return None;
        }
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok()).and_then(|n| i64::try_from(n).ok());
        if number.is_none() {
            self.note(NoteKind::Missing, path, "it is not a whole number from 0 on");
        }
        number
    }

    /// A text; an empty one is none.
    pub(super) fn text(&mut self, path: &str) -> Option<String> {
        match self.leaves.take(path)? {
            Value::Null => None,
            Value::String(text) => Some(text).filter(|text| !text.is_empty()),
            _ => {
                self.note(NoteKind::Missing, path, "it is not a text");
                None
            }
        }
    }

    /// A duration.
    pub(super) fn span(&mut self, path: &str) -> Option<Span> {
        let text = self.text(path)?;
        let span = span::parse(&text);
        if span.is_none() {
            self.note(
                NoteKind::Missing,
                path,
                "it is no duration from 0 to 366 days, and fanfare has no value for \"never\"",
            );
        }
        span
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, path: &str) -> Vec<String> {
        let texts = match self.leaves.take(path) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(list)) => {
                list.into_iter().map(|one| one.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
            }
            Some(_) => None,
        };
        texts.unwrap_or_else(|| {
            self.note(NoteKind::Missing, path, "it is not a list of texts");
            Vec::new()
        })
    }

    /// Writes a key, or tells why it cannot have this value.
    pub(super) fn put(&mut self, path: &str, section: &'static str, key: &'static str, value: impl Into<toml::Value>) {
        if let Err(why) = self.draft.put(section, key, value) {
            self.note(NoteKind::Missing, path, why);
        }
    }

    pub(super) fn put_number(&mut self, path: &str, section: &'static str, key: &'static str) {
        if let Some(number) = self.number(path) {
            self.put(path, section, key, number);
        }
    }

    /// As `put_number`, where 0 is "no limit" in Centrifugo and fanfare always has one.
    pub(super) fn put_limit(&mut self, path: &str, section: &'static str, key: &'static str) {
        match self.number(path) {
            Some(0) => {
                let why =
                    format!("0 is no limit there; {section}.{key} keeps its default, because a hub always has one");
                self.note(NoteKind::Differs, path, why);
            }
            Some(number) => self.put(path, section, key, number),
            None => {}
        }
    }

    pub(super) fn put_span(&mut self, path: &str, section: &'static str, key: &'static str) {
        if let Some(span) = self.span(path) {
            self.put(path, section, key, span.to_string());
        }
    }

    pub(super) fn put_text(&mut self, path: &str, section: &'static str, key: &'static str) {
        if let Some(text) = self.text(path) {
            self.put(path, section, key, text);
        }
    }
}

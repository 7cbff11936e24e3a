//! The TOML that comes out: only what loads is let in.

use std::path::Path;

use toml::{Table, Value};

use crate::config::Config;

/// The tables of fanfare's configuration, in the order they are written.
const SECTIONS: [&str; 9] =
    ["server", "liveness", "limits", "api", "tokens", "centrifuge", "hooks", "compression", "log"];

/// More entries of a list are not taken by the configuration.
pub(super) const MOST_TOPICS: usize = 1000;

/// A configuration that grows key by key.
#[derive(Debug, Default)]
pub(super) struct Draft {
    sections: Vec<(&'static str, Vec<(&'static str, Value)>)>,
    topics: Vec<Vec<(&'static str, Value)>>,
    listeners: Vec<Vec<(&'static str, Value)>>,
}

impl Draft {
    /// Writes `section.key`, if a configuration with nothing else loads. An error says why not.
    pub(super) fn put(
        &mut self,
        section: &'static str,
        key: &'static str,
        value: impl Into<Value>,
    ) -> Result<(), String> {
        let value = value.into();
        let alone = format!("[{section}]\n{key} = {value}\n");
        loads(&alone)?;
        debug_assert!(SECTIONS.contains(&section), "{section}");
        match self.sections.iter_mut().find(|(name, _)| *name == section) {
            Some((_, keys)) => {
                keys.retain(|(name, _)| *name != key);
                keys.push((key, value));
            }
            None => self.sections.push((section, vec![(key, value)])),
        }
        Ok(())
    }

    /// Whether `section.key` was written.
    pub(super) fn has(&self, section: &str, key: &str) -> bool {
        self.sections.iter().any(|(name, keys)| *name == section && keys.iter().any(|(name, _)| *name == key))
    }

    /// Takes `section.key` away again.
    pub(super) fn remove(&mut self, section: &str, key: &str) {
        for (_, keys) in self.sections.iter_mut().filter(|(name, _)| *name == section) {
            keys.retain(|(name, _)| *name != key);
        }
    }

    /// Adds an entry of `[[topics]]`, if it loads with all that is there.
    pub(super) fn topic(&mut self, keys: Vec<(&'static str, Value)>) -> Result<(), String> {
        self.topics.push(keys);
        self.check().inspect_err(|_| {
            self.topics.pop();
        })
    }

    /// Adds an entry of `[[listeners]]`.
    pub(super) fn listener(&mut self, keys: Vec<(&'static str, Value)>) {
        self.listeners.push(keys);
    }

    /// Takes all listeners away again.
    pub(super) fn clear_listeners(&mut self) {
        self.listeners.clear();
    }

    /// Whether what was written so far loads.
    pub(super) fn check(&self) -> Result<(), String> {
        loads(&self.to_toml())
    }

    pub(super) fn to_toml(&self) -> String {
        let mut text = String::new();
        for section in SECTIONS {
            let written = self.sections.iter().filter(|(name, keys)| *name == section && !keys.is_empty());
            written.for_each(|(_, keys)| write(&mut text, &format!("[{section}]"), keys));
        }
        self.listeners.iter().for_each(|keys| write(&mut text, "[[listeners]]", keys));
        self.topics.iter().for_each(|keys| write(&mut text, "[[topics]]", keys));
        text
    }
}

fn write(text: &mut String, head: &str, keys: &[(&'static str, Value)]) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(head);
    text.push('\n');
    for (key, value) in keys {
        text.push_str(&format!("{key} = {value}\n"));
    }
}

/// A table that is written on one line.
pub(super) fn inline<const N: usize>(keys: [(&str, Value); N]) -> Value {
    Value::Table(keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Table>())
}

fn loads(text: &str) -> Result<(), String> {
    match Config::from_toml(text, Path::new("")) {
        Ok(_) => Ok(()),
        // The first line says what is wrong; those after it show the TOML, which nobody wrote.
        Err(error) => {
            let told = error.to_string();
            let first = told.lines().next().unwrap_or_default();
            Err(first.strip_prefix("error: ").unwrap_or(first).to_owned())
        }
    }
}

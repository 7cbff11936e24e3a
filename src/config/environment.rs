//! `FANFARE_SECTION__KEY`: the environment over the file.

use toml::Spanned;
use toml::de::DeValue;

use super::document::Document;
use super::exemplar;
use super::mistake::Mistake;
use super::place::{Origin, Texts};
use super::suggestion::nearest;

/// What all names start with.
const PREFIX: &str = "FANFARE_";

/// Read by the command line, not part of the configuration.
const COMMAND_LINE: [&str; 3] = ["FANFARE_CONFIG", "FANFARE_URL", "FANFARE_KEY"];

/// The variables that are meant for the configuration, sorted.
pub(super) fn ours(variables: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut ours: Vec<_> = variables.filter(|(name, value)| is_ours(name, value)).collect();
    ours.sort();
    ours
}

/// Lays `variables` over `document`, and tells those that name no key.
pub(super) fn overlay<'t>(document: &mut Document<'t>, variables: &'t [(String, String)]) -> Vec<Mistake> {
    let names = names();
    let mut mistakes = Vec::new();
    for (name, text) in variables {
        match names.iter().find(|known| known.variable == *name) {
            Some(known) => {
                let value = value_of(text, known.kind);
                document.overlay(name, text, &known.section, known.key.as_deref(), value);
            }
            None => mistakes.push(unknown(name, &names)),
        }
    }
    mistakes
}

/// A variable that is a key, and an example of its value.
struct Known {
    variable: String,
    section: String,
    key: Option<String>,
    kind: &'static toml::Value,
}

fn names() -> Vec<Known> {
    let mut names = Vec::new();
    for (section, value) in exemplar::table() {
        let upper = section.to_uppercase();
        match value {
            toml::Value::Table(keys) => names.extend(keys.iter().map(|(key, kind)| Known {
                variable: format!("{PREFIX}{upper}__{}", key.to_uppercase()),
                section: section.clone(),
                key: Some(key.clone()),
                kind,
            })),
            kind => {
                names.push(Known { variable: format!("{PREFIX}{upper}"), section: section.clone(), key: None, kind });
            }
        }
    }
    names
}

fn is_ours(name: &str, value: &str) -> bool {
    name.starts_with(PREFIX) && !COMMAND_LINE.contains(&name) && !is_service_link(name, value)
}

/// Kubernetes and Docker put the addresses of a service called `fanfare` into the environment of every container:
/// `FANFARE_PORT=tcp://10.0.0.11:8000`, `FANFARE_SERVICE_HOST`, `FANFARE_PORT_8000_TCP_ADDR`. Nobody wrote those.
fn is_service_link(name: &str, value: &str) -> bool {
    let address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let ending = ["_SERVICE_HOST", "_SERVICE_PORT", "_ADDR", "_PROTO", "_PORT"].iter().any(|end| name.ends_with(end));
    let port = ["_TCP", "_UDP", "_SCTP"].iter().any(|protocol| name.contains(protocol));
    !name.contains("__") && ((name.contains("_PORT") && (address || (port && ending))) || name.contains("_SERVICE_"))
}

/// `text` as a value of the kind of `example`: TOML if it is, else the plain text; lists also with commas.
fn value_of<'t>(text: &'t str, example: &toml::Value) -> Spanned<DeValue<'t>> {
    let plain = || Spanned::new(0..text.len(), DeValue::String(text.into()));
    match (example, DeValue::parse(text).ok()) {
        // "64KiB" in quotes is meant without them; 65536 is a text there, which a size can be read from.
        (toml::Value::String(_), Some(value)) if value.get_ref().is_str() => value,
        (toml::Value::String(_), _) => plain(),
        (toml::Value::Array(_), Some(value)) if value.get_ref().is_array() => value,
        (toml::Value::Array(entries), _) if !entries.iter().any(toml::Value::is_table) => comma_separated(text),
        (_, Some(value)) => value,
        (_, None) => plain(),
    }
}

fn comma_separated(text: &str) -> Spanned<DeValue<'_>> {
    let mut list = toml::de::DeArray::new();
    let mut start = 0;
    for entry in text.split(',') {
        let word = entry.trim();
        if !word.is_empty() {
            let from = start + (entry.len() - entry.trim_start().len());
            list.push(Spanned::new(from..from + word.len(), DeValue::String(word.into())));
        }
        start += entry.len() + 1;
    }
    Spanned::new(0..text.len(), DeValue::Array(list))
}

/// Shows the name only: the value of a misspelt `FANFARE_API__KEYS` is a secret.
fn unknown(name: &str, names: &[Known]) -> Mistake {
    let variables = names.iter().map(|known| known.variable.as_str());
    let section = name[PREFIX.len()..].split("__").next().unwrap_or_default();
    let here: Vec<String> = variables
        .clone()
        .filter(|one| one[PREFIX.len()..].split("__").next() == Some(section))
        .map(str::to_owned)
        .collect();
    let mut texts = Texts::default();
    texts.add(Origin::Variable(name.to_owned()), name.to_owned());
    let mistake =
        Mistake::new(format!("the environment variable {name} names no key")).at(texts.place(&(0..name.len())));
    let mistake = match nearest_variable(name, variables) {
        Some(near) => mistake.remark(format!("did you mean {near}?")),
        None => mistake,
    };
    let mistake =
        mistake.fix("variables are named FANFARE_SECTION__KEY, with two underscores; other keys belong in the file");
    mistake.accepted(here)
}

/// The one whose section was left out, or the nearest name, whatever its underscores.
fn nearest_variable<'a>(name: &str, variables: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let bare = |name: &str| name[PREFIX.len()..].replace("__", "_");
    let all: Vec<(String, &str)> = variables.map(|one| (bare(one), one)).collect();
    let near = nearest(&bare(name), all.iter().map(|(bare, _)| bare.as_str()));
    let near = all.iter().find(|(bare, _)| Some(bare.as_str()) == near).map(|(_, one)| *one);
    let without_section = all.iter().find(|(_, one)| one.rsplit("__").next() == Some(&name[PREFIX.len()..]));
    without_section.map(|(_, one)| *one).or(near)
}

//! `fanfare check --from-centrifugo`: a configuration of Centrifugo v6 as one of fanfare's, and what that leaves out.
//!
//! Reading order: `convert` here; `conversion` (reading values), `leaves` (so that nothing is dropped silently), `draft` (the TOML,
//! which always loads); then a file per part of Centrifugo's configuration: `server`, `client`, `proxies`, `topics`,
//! `unsupported`. `command` reads the file and prints. Everything but `command` is pure.

mod client;
mod command;
mod conversion;
mod draft;
mod go_regex;
mod leaves;
mod note;
mod proxies;
mod server;
mod span;
#[cfg(test)]
mod tests;
mod topics;
mod unsupported;

pub(super) use command::from_centrifugo;
use conversion::Conversion;
use note::{Note, NoteKind};
use serde_json::Value;
use topics::Everywhere;

/// A converted configuration.
#[derive(Debug)]
pub(super) struct Converted {
    /// Loads without a mistake.
    pub(super) toml: String,
    /// What it does not say: first what is missing, then what differs, then what needs nothing.
    pub(super) notes: Vec<Note>,
}

/// Bytes that may wait for a subscriber, in both programs, unless they are told otherwise.
const DEFAULT_LAG: i64 = 1024 * 1024;

/// Converts `json`. Never panics; a key is either in the TOML or in a note.
pub(super) fn convert(json: &Value) -> Converted {
    let mut of = Conversion::new(json);
    server::shared(&mut of);
    let message = server::message(&mut of);
    let anonymous = client::convert(&mut of);
    proxies::convert(&mut of);
    boundaries(&mut of);
    let lag = lag(&mut of, message);
    // Known before topics, so that a namespace of Centrifugo that is not configured stays unknown.
    of.put("channel", "centrifuge", "known_namespaces", true);
    let namespaces = json.pointer("/channel/namespaces").and_then(Value::as_array).map_or(0, Vec::len);
    topics::convert(&mut of, namespaces, Everywhere { anonymous, lag });
    if namespaces > 0 {
        let why = "topics $name:x have the rules of the last entry, or are unknown: add a pattern \"$name:*\" if there are any";
        of.note(NoteKind::Differs, "channel.namespaces", why);
    }
    rpc(&mut of, json);
    server::always_served(&mut of);
    server::listen(&mut of);
    unsupported::convert(&mut of);
    let mut notes = of.notes;
    notes.sort_by_key(|note| note.kind);
    Converted { toml: of.draft.to_toml(), notes }
}

/// The outbound bytes of a subscriber; `None` leaves the default.
fn lag(of: &mut Conversion, message: i64) -> Option<i64> {
    let path = "client.queue_max_size";
    match of.number(path) {
        Some(given) if given >= message => {
            of.note(
                NoteKind::Differs,
                path,
                "what waits is counted per topic and subscriber (slow_consumer.lag), not per connection",
            );
            Some(given)
        }
        Some(_) => {
            of.note(NoteKind::Differs, path, "slow_consumer.lag was raised to one message of the largest size");
            Some(message)
        }
        None => (message > DEFAULT_LAG).then_some(message),
    }
}

/// The characters that names are made of cannot be chosen.
fn boundaries(of: &mut Conversion) {
    for (key, ours) in [
        ("channel.private_prefix", "$"),
        ("channel.namespace_boundary", ":"),
        ("channel.user_boundary", "#"),
        ("channel.user_separator", ","),
        ("rpc.namespace_boundary", ":"),
    ] {
        match of.text(key) {
            None => {}
            Some(given) if given == ours => of.note(NoteKind::Settled, key, "it is the same here"),
            Some(_) => of.note(NoteKind::Missing, key, format!("it is always {ours:?}")),
        }
    }
}

/// Namespaces of RPC methods: all go to the one hook.
fn rpc(of: &mut Conversion, json: &Value) {
    let namespaces = json.pointer("/rpc/namespaces").and_then(Value::as_array).map_or(0, Vec::len);
    let paths =
        (0..namespaces).map(|index| format!("rpc.namespaces[{index}]")).chain(["rpc.without_namespace".to_owned()]);
    for path in paths {
        let switch = format!("{path}.proxy_enabled");
        if of.boolean(&switch) {
            of.note(NoteKind::Differs, &switch, "hooks.rpc is asked about every method, of whatever namespace");
        }
        of.note_all(NoteKind::Settled, &format!("{path}.name"), "methods keep their names, and need no namespace");
    }
}

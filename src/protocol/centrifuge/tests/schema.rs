//! A reader of Protobuf replies that knows the schema as a table, apart from what writes them: gives the JSON that the
//! same reply has.

use serde_json::{Map, Value, json};

use super::super::field_reader::{Field, fields, next_message};

#[derive(Clone, Copy)]
pub(super) enum Type {
    Number,
    Flag,
    Text,
    /// JSON inside.
    Payload,
    Message(&'static [(u32, &'static str, Type)]),
    List(&'static [(u32, &'static str, Type)]),
    MapOfText,
    MapOf(&'static [(u32, &'static str, Type)]),
}

use Type::{Flag, List, MapOf, MapOfText, Message, Number, Payload, Text};

type Table = &'static [(u32, &'static str, Type)];

const INFO: Table = &[(1, "user", Text), (2, "client", Text), (3, "conn_info", Payload), (4, "chan_info", Payload)];
const PUBLICATION: Table = &[
    (4, "data", Payload),
    (5, "info", Message(INFO)),
    (6, "offset", Number),
    (7, "tags", MapOfText),
    (8, "delta", Flag),
    (9, "time", Number),
    (10, "channel", Text),
    (14, "epoch", Text),
];
const SUBSCRIBED: Table = &[
    (1, "expires", Flag),
    (2, "ttl", Number),
    (3, "recoverable", Flag),
    (6, "epoch", Text),
    (7, "publications", List(PUBLICATION)),
    (8, "recovered", Flag),
    (9, "offset", Number),
    (10, "positioned", Flag),
    (11, "data", Payload),
    (12, "was_recovering", Flag),
    (13, "delta", Flag),
];
const CONNECTED: Table = &[
    (1, "client", Text),
    (2, "version", Text),
    (3, "expires", Flag),
    (4, "ttl", Number),
    (5, "data", Payload),
    (6, "subs", MapOf(SUBSCRIBED)),
    (7, "ping", Number),
    (8, "pong", Flag),
    (9, "session", Text),
    (10, "node", Text),
    (11, "time", Number),
];
const CONNECT_PUSH: Table = &[
    (1, "client", Text),
    (2, "version", Text),
    (3, "data", Payload),
    (4, "subs", MapOf(SUBSCRIBED)),
    (5, "expires", Flag),
    (6, "ttl", Number),
    (7, "ping", Number),
    (8, "pong", Flag),
    (9, "session", Text),
    (10, "node", Text),
    (11, "time", Number),
];
pub(super) const PUSH: Table = &[
    (2, "channel", Text),
    (4, "pub", Message(PUBLICATION)),
    (5, "join", Message(&[(1, "info", Message(INFO))])),
    (6, "leave", Message(&[(1, "info", Message(INFO))])),
    (7, "unsubscribe", Message(&[(2, "code", Number), (3, "reason", Text)])),
    (8, "message", Message(&[(1, "data", Payload)])),
    (
        9,
        "subscribe",
        Message(&[
            (1, "recoverable", Flag),
            (4, "epoch", Text),
            (5, "offset", Number),
            (6, "positioned", Flag),
            (7, "data", Payload),
        ]),
    ),
    (10, "connect", Message(CONNECT_PUSH)),
    (11, "disconnect", Message(&[(1, "code", Number), (2, "reason", Text)])),
    (12, "refresh", Message(&[(1, "expires", Flag), (2, "ttl", Number)])),
];
pub(super) const REPLY: Table = &[
    (1, "id", Number),
    (2, "error", Message(&[(1, "code", Number), (2, "message", Text), (3, "temporary", Flag)])),
    (4, "push", Message(PUSH)),
    (5, "connect", Message(CONNECTED)),
    (6, "subscribe", Message(SUBSCRIBED)),
    (7, "unsubscribe", Message(&[])),
    (8, "publish", Message(&[])),
    (9, "presence", Message(&[(1, "presence", MapOf(INFO))])),
    (10, "presence_stats", Message(&[(1, "num_clients", Number), (2, "num_users", Number)])),
    (11, "history", Message(&[(1, "publications", List(PUBLICATION)), (2, "epoch", Text), (3, "offset", Number)])),
    (13, "rpc", Message(&[(1, "data", Payload)])),
    (14, "refresh", Message(&[(3, "expires", Flag), (4, "ttl", Number)])),
    (15, "sub_refresh", Message(&[(1, "expires", Flag), (2, "ttl", Number)])),
];

/// The messages of a frame. Panics at a field that the table does not have, or has otherwise.
pub(super) fn read(table: Table, mut frame: &[u8]) -> Vec<Value> {
    let mut messages = Vec::new();
    while !frame.is_empty() {
        messages.push(message(table, next_message(&mut frame).unwrap()));
    }
    messages
}

/// JSON without what is zero, which Protobuf does not tell from what is not there.
pub(super) fn without_zeros(value: Value) -> Value {
    let Value::Object(fields) = value else { return value };
    let is_zero = |name: &str, value: &Value| match value {
        Value::Object(fields) => fields.is_empty() && (name == "presence" || name == "tags"),
        // A payload may be anything; what is in it is not looked at.
        _ if name == "data" || name.ends_with("_info") => false,
        Value::Array(items) => items.is_empty(),
        value => *value == json!(0) || *value == json!("") || *value == json!(false),
    };
    let kept = fields.into_iter().map(|(name, value)| {
        let value = match value {
            value if name == "data" || name.ends_with("_info") => value,
            Value::Array(items) => items.into_iter().map(without_zeros).collect(),
            value => without_zeros(value),
        };
        (name, value)
    });
    kept.filter(|(name, value)| !is_zero(name, value)).collect()
}

fn message(table: Table, message: &[u8]) -> Value {
    let mut object = Map::new();
    let mut last = 0;
    for field in fields(message) {
        let (number, field) = field.unwrap();
        assert!(number >= last, "fields in the order of their numbers");
        last = number;
        let (_, name, kind) = table.iter().find(|(known, ..)| *known == number).unwrap();
        let name = (*name).to_owned();
        match kind {
            List(table) => {
                let list = object.entry(name).or_insert_with(|| json!([]));
                list.as_array_mut().unwrap().push(self::message(table, field.bytes().unwrap()));
            }
            MapOfText => {
                let (key, value) = field.entry().unwrap();
                object.entry(name).or_insert_with(|| json!({}))[&*key] = json!(value.unwrap().text().unwrap());
            }
            MapOf(table) => {
                let (key, value) = field.entry().unwrap();
                let value = self::message(table, value.unwrap().bytes().unwrap());
                object.entry(name).or_insert_with(|| json!({}))[&*key] = value;
            }
            Number | Flag | Text | Payload | Message(_) => {
                assert!(!object.contains_key(&name), "{name} twice");
                object.insert(name, single(*kind, field));
            }
        }
    }
    Value::Object(object)
}

fn single(kind: Type, field: Field<'_>) -> Value {
    match kind {
        Number => json!(field.number().unwrap()),
        Flag => json!(field.flag().unwrap()),
        Text => json!(field.text().unwrap()),
        Payload => serde_json::from_slice(field.bytes().unwrap()).unwrap(),
        Message(table) => message(table, field.bytes().unwrap()),
        List(_) | MapOfText | MapOf(_) => unreachable!("not single"),
    }
}

//! The Centrifuge protocol as a client writes and reads it, in both formats; no code is shared with the hub.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::topic::Wish;
use crate::client::{Heard, WebSocket, field, framed};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Protobuf,
}

/// What a client says.
#[derive(Debug, Clone)]
pub(super) enum Command<'a> {
    Connect,
    Subscribe { channel: &'a str, wish: Wish, recover: Option<(&'a str, u64)> },
    Unsubscribe { channel: &'a str },
    Publish { channel: &'a str, data: &'a [u8] },
}

/// What a client hears.
#[derive(Debug)]
pub(super) enum Message {
    Reply(u32, Reply),
    Publication(String, Told),
}

#[derive(Debug)]
pub(super) enum Reply {
    Error(u32),
    Connected(String),
    Subscribed(Subscribed),
    Done,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Subscribed {
    pub(super) recoverable: bool,
    pub(super) positioned: bool,
    pub(super) epoch: String,
    pub(super) offset: u64,
    pub(super) recovered: bool,
    pub(super) was_recovering: bool,
    pub(super) delta: bool,
    pub(super) publications: Vec<Told>,
}

/// A publication as it is told: in JSON `data` is the text of a value.
#[derive(Default, Deserialize)]
#[serde(default, from = "JsonPublication")]
pub(super) struct Told {
    pub(super) data: Vec<u8>,
    pub(super) offset: u64,
    pub(super) is_delta: bool,
    pub(super) publisher: Option<String>,
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let delta = if self.is_delta { " as a delta" } else { "" };
        write!(f, "{}{delta}: {:?} by {:?}", self.offset, String::from_utf8_lossy(&self.data), self.publisher)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct JsonPublication {
    data: Option<Box<RawValue>>,
    offset: u64,
    delta: bool,
    info: Option<Value>,
}

impl From<JsonPublication> for Told {
    fn from(JsonPublication { data, offset, delta, info }: JsonPublication) -> Self {
        let data = data.expect("a publication has data").get().as_bytes().to_vec();
        let publisher = info.map(|info| info["client"].as_str().unwrap().to_owned());
        Self { data, offset, is_delta: delta, publisher }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct JsonReply {
    id: u32,
    error: Option<Value>,
    connect: Option<Value>,
    subscribe: Option<Subscribed>,
    unsubscribe: Option<Value>,
    publish: Option<Value>,
    push: Option<JsonPush>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonPush {
    channel: String,
    #[serde(rename = "pub")]
    publication: Told,
}

impl Format {
    /// Sends commands in one frame, with the ids that they come with.
    pub(super) fn send(self, socket: &mut WebSocket, commands: &[(u32, Command<'_>)]) {
        match self {
            Self::Json => {
                let lines: Vec<String> = commands.iter().map(|(id, command)| command.json(*id)).collect();
                socket.send_text(&lines.join("\n"));
            }
            Self::Protobuf => {
                let all: Vec<u8> = commands.iter().flat_map(|(id, command)| command.protobuf(*id)).collect();
                socket.send_binary(&all);
            }
        }
    }

    /// The messages of a frame.
    #[track_caller]
    pub(super) fn messages(self, heard: &Heard) -> Vec<Message> {
        match (self, heard) {
            (Self::Json, Heard::Text(text)) => text.split('\n').map(json_message).collect(),
            (Self::Protobuf, Heard::Binary(bytes)) => {
                let mut rest = &bytes[..];
                let mut messages = Vec::new();
                while !rest.is_empty() {
                    let length = varint(&mut rest);
                    messages.push(protobuf_message(rest.split_off(..length as usize).unwrap()));
                }
                messages
            }
            (_, other) => panic!("not a frame of {self:?}: {other:?}"),
        }
    }
}

impl Command<'_> {
    fn json(&self, id: u32) -> String {
        match *self {
            Self::Connect => format!("{{\"id\":{id},\"connect\":{{}}}}"),
            Self::Subscribe { channel, wish, recover } => {
                let mut subscribe = json!({"channel": channel, "flag": 1});
                let wishes = [("recoverable", wish.recoverable), ("positioned", wish.positioned)];
                wishes
                    .into_iter()
                    .filter(|(_, is_wished)| *is_wished)
                    .for_each(|(key, _)| subscribe[key] = true.into());
                if wish.delta {
                    subscribe["delta"] = "fossil".into();
                }
                if wish.refuses_unrecovered {
                    subscribe["flag"] = 3.into();
                }
                if let Some((epoch, offset)) = recover {
                    subscribe["recover"] = true.into();
                    subscribe["epoch"] = epoch.into();
                    subscribe["offset"] = offset.into();
                }
                json!({"id": id, "subscribe": subscribe}).to_string()
            }
            Self::Unsubscribe { channel } => json!({"id": id, "unsubscribe": {"channel": channel}}).to_string(),
            Self::Publish { channel, data } => {
                let data = std::str::from_utf8(data).expect("JSON clients publish JSON");
                format!("{{\"id\":{id},\"publish\":{{\"channel\":\"{channel}\",\"data\":{data}}}}}")
            }
        }
    }

    fn protobuf(&self, id: u32) -> Vec<u8> {
        let (method, body) = match *self {
            Self::Connect => (4, Vec::new()),
            Self::Subscribe { channel, wish, recover } => {
                let flag = if wish.refuses_unrecovered { 3 } else { 1 };
                let mut body = [field(1, channel.as_bytes()), number(14, flag)].concat();
                body.extend(number(9, u64::from(wish.positioned)));
                body.extend(number(10, u64::from(wish.recoverable)));
                if wish.delta {
                    body.extend(field(12, b"fossil"));
                }
                if let Some((epoch, offset)) = recover {
                    body.extend([number(3, 1), field(6, epoch.as_bytes()), number(7, offset)].concat());
                }
                (5, body)
            }
            Self::Unsubscribe { channel } => (6, field(1, channel.as_bytes())),
            Self::Publish { channel, data } => (7, [field(1, channel.as_bytes()), field(2, data)].concat()),
        };
        framed(&[number(1, u64::from(id)), field(method, &body)].concat())
    }
}

#[track_caller]
fn json_message(line: &str) -> Message {
    let reply: JsonReply = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let id = reply.id;
    match reply {
        JsonReply { push: Some(push), .. } => Message::Publication(push.channel, push.publication),
        JsonReply { error: Some(error), .. } => {
            Message::Reply(id, Reply::Error(error["code"].as_u64().unwrap() as u32))
        }
        JsonReply { connect: Some(connect), .. } => {
            Message::Reply(id, Reply::Connected(connect["client"].as_str().unwrap().to_owned()))
        }
        JsonReply { subscribe: Some(subscribed), .. } => Message::Reply(id, Reply::Subscribed(subscribed)),
        JsonReply { unsubscribe: Some(_), .. } | JsonReply { publish: Some(_), .. } => Message::Reply(id, Reply::Done),
        _ => panic!("not a reply: {line}"),
    }
}

/// A field of a Protobuf message.
#[derive(Debug, Clone, Copy)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    fn number(self) -> u64 {
        match self {
            Self::Number(number) => number,
            Self::Bytes(bytes) => panic!("not a number: {bytes:?}"),
        }
    }

    fn bytes(self) -> &'a [u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Number(number) => panic!("not bytes: {number}"),
        }
    }

    fn text(self) -> String {
        String::from_utf8(self.bytes().to_vec()).unwrap()
    }
}

fn protobuf_message(bytes: &[u8]) -> Message {
    let (mut id, mut reply) = (0, None);
    for (number, field) in fields(bytes) {
        match number {
            1 => id = field.number() as u32,
            2 => reply = Some(Reply::Error(fields(field.bytes())[0].1.number() as u32)),
            4 => {
                let push = fields(field.bytes());
                let &[(2, channel), (4, publication)] = &push[..] else { panic!("not a publication: {push:?}") };
                return Message::Publication(channel.text(), told(publication.bytes()));
            }
            5 => reply = Some(Reply::Connected(fields(field.bytes())[0].1.text())),
            6 => reply = Some(Reply::Subscribed(subscribed(field.bytes()))),
            7 | 8 => reply = Some(Reply::Done),
            other => panic!("field {other} of a reply"),
        }
    }
    Message::Reply(id, reply.expect("a reply says something"))
}

fn subscribed(bytes: &[u8]) -> Subscribed {
    let mut subscribed = Subscribed::default();
    for (number, field) in fields(bytes) {
        match number {
            3 => subscribed.recoverable = field.number() == 1,
            6 => subscribed.epoch = field.text(),
            7 => subscribed.publications.push(told(field.bytes())),
            8 => subscribed.recovered = field.number() == 1,
            9 => subscribed.offset = field.number(),
            10 => subscribed.positioned = field.number() == 1,
            12 => subscribed.was_recovering = field.number() == 1,
            13 => subscribed.delta = field.number() == 1,
            other => panic!("field {other} of a subscription"),
        }
    }
    subscribed
}

fn told(bytes: &[u8]) -> Told {
    let mut told = Told::default();
    for (number, field) in fields(bytes) {
        match number {
            4 => told.data = field.bytes().to_vec(),
            5 => {
                let client = fields(field.bytes()).into_iter().find(|(number, _)| *number == 2);
                told.publisher = client.map(|(_, client)| client.text());
            }
            6 => told.offset = field.number(),
            8 => told.is_delta = field.number() == 1,
            other => panic!("field {other} of a publication"),
        }
    }
    told
}

#[track_caller]
fn fields(mut rest: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let tag = varint(&mut rest);
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut rest)),
            2 => {
                let length = varint(&mut rest) as usize;
                Field::Bytes(rest.split_off(..length).unwrap())
            }
            other => panic!("wire type {other}"),
        };
        fields.push((tag >> 3, field));
    }
    fields
}

#[track_caller]
fn varint(rest: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = *rest.split_off_first().expect("a varint ends too early");
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

/// A Protobuf field with a number.
fn number(field: u8, mut value: u64) -> Vec<u8> {
    let mut bytes = vec![field << 3];
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

//! The commands of one frame.

use serde::Deserialize;
use serde_json::error::Category;

use super::command::{
    Command, Connect, History, Method, Presence, Publish, Refresh, Rpc, Send, SubRefresh, Subscribe, Unsubscribe,
};
use super::field_reader::next_message;
use super::json_field::{self, Object};
use super::transport::Format;

/// Commands in one frame at most. An SDK with more subscriptions than that would need frames over 170 KB to say so.
pub const COMMAND_LIMIT: usize = 4096;

/// Why a frame is no sequence of commands. The connection is closed with
/// [`DisconnectCode::BadRequest`](super::DisconnectCode::BadRequest), whatever it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// There is no command in it.
    #[error("the frame is empty")]
    Empty,
    /// Not JSON, or more than whole objects.
    #[error("not JSON")]
    Json,
    /// JSON, but a field has another type than the protocol gives it.
    #[error("JSON, but not an object with the protocol's fields")]
    JsonTypes,
    /// Not Protobuf, or a field has another type than the protocol gives it.
    #[error("not a message of the protocol's Protobuf schema behind its length")]
    Protobuf,
    /// A command other than `send` without an id.
    #[error("a command without an id")]
    MissingId,
    /// An id, and nothing that is known to be done.
    #[error("a command without a method")]
    MissingMethod,
    /// More commands than [`COMMAND_LIMIT`].
    #[error("more than {COMMAND_LIMIT} commands in one frame")]
    TooManyCommands,
}

/// The commands of one WebSocket message, or of one HTTP body, in their order.
///
/// JSON objects follow one another, usually on lines of their own; Protobuf messages have their length before them.
/// Unknown fields are ignored, `null` is the same as nothing. Stops at the first command that is malformed; the ones
/// before it stand. Copies nothing but strings with escapes.
#[derive(Debug, Clone)]
pub struct Commands<'a> {
    format: Format,
    rest: &'a [u8],
    taken_count: usize,
}

impl<'a> Commands<'a> {
    /// The commands in `frame`.
    pub fn new(format: Format, frame: &'a [u8]) -> Self {
        Self { format, rest: frame, taken_count: 0 }
    }

    /// What has not been read yet: a frame of the commands that are still to come.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    fn take(&mut self) -> Result<Command<'a>, Malformed> {
        if self.rest.is_empty() {
            return Err(Malformed::Empty);
        }
        if self.taken_count == COMMAND_LIMIT {
            return Err(Malformed::TooManyCommands);
        }
        self.taken_count += 1;
        match self.format {
            Format::Json => {
                let (envelope, rest) = take_object::<Envelope<'a>>(self.rest)?;
                self.rest = rest;
                envelope.into_command()
            }
            Format::Protobuf => Command::from_protobuf(next_message(&mut self.rest).ok_or(Malformed::Protobuf)?),
        }
    }
}

impl<'a> Iterator for Commands<'a> {
    type Item = Result<Command<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.format {
            Format::Json => {
                let spaces = self.rest.len() - self.rest.trim_ascii_start().len();
                let (between, rest) = self.rest.split_at(spaces);
                // An empty line between two commands is an empty command, as Centrifugo has it.
                let is_blank = between.iter().filter(|&&byte| byte == b'\n').count() > 1;
                if is_blank && !rest.is_empty() && self.taken_count > 0 {
                    (self.rest, self.taken_count) = (&[], 1);
                    return Some(Err(Malformed::Empty));
                }
                self.rest = rest;
            }
            Format::Protobuf => {}
        }
        if self.rest.is_empty() && self.taken_count > 0 {
            return None;
        }
        let taken = self.take();
        if taken.is_err() {
            // Nothing behind it can be trusted; and an empty frame is malformed only once.
            (self.rest, self.taken_count) = (&[], 1);
        }
        Some(taken)
    }
}

/// The object that `input` begins with, and what is behind it. It begins with no space.
pub(super) fn take_object<'a, T: Deserialize<'a>>(input: &'a [u8]) -> Result<(T, &'a [u8]), Malformed> {
    let mut objects = serde_json::Deserializer::from_slice(input).into_iter::<Object<T>>();
    match objects.next() {
        Some(Ok(object)) => Ok((object.0, &input[objects.byte_offset()..])),
        Some(Err(error)) => Err(match error.classify() {
            Category::Data => Malformed::JsonTypes,
            Category::Io | Category::Syntax | Category::Eof => Malformed::Json,
        }),
        None => Err(Malformed::Empty),
    }
}

impl<'a> Command<'a> {
    /// A command of what was found in it.
    pub(super) fn new(id: u32, method: Option<Method<'a>>) -> Result<Self, Malformed> {
        match (id, method) {
            (0, None) => Ok(Self { id, method: Method::Pong }),
            (_, None) => Err(Malformed::MissingMethod),
            (_, Some(method @ Method::Send(_))) => Ok(Self { id, method }),
            (0, Some(_)) => Err(Malformed::MissingId),
            (_, Some(method)) => Ok(Self { id, method }),
        }
    }
}

/// A JSON command with all that it names.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Envelope<'a> {
    #[serde(deserialize_with = "json_field::or_default")]
    id: u32,
    #[serde(borrow, deserialize_with = "json_field::object")]
    connect: Option<Connect<'a>>,
    #[serde(borrow, deserialize_with = "json_field::object")]
    subscribe: Option<Subscribe<'a>>,
    #[serde(borrow, deserialize_with = "json_field::object")]
    unsubscribe: Option<Unsubscribe<'a>>,
    #[serde(borrow, deserialize_with = "json_field::object")]
    publish: Option<Publish<'a>>,
    #[serde(borrow, deserialize_with = "json_field::object")]
    presence: Option<Presence<'a>>,
    #[serde(borrow, deserialize_with = "json_field::object")]
    presence_stats: Option<Presence<'a>>,
    #[serde(borrow, deserialize_with = "json_field::object")]
    history: Option<History<'a>>,
    #[serde(borrow, deserialize_with = "json_field::object")]
    rpc: Option<Rpc<'a>>,
    #[serde(borrow, deserialize_with = "json_field::object")]
    send: Option<Send<'a>>,
    #[serde(borrow, deserialize_with = "json_field::object")]
    refresh: Option<Refresh<'a>>,
    #[serde(borrow, deserialize_with = "json_field::object")]
    sub_refresh: Option<SubRefresh<'a>>,
    #[serde(deserialize_with = "json_field::object")]
    ping: Option<Ping>,
}

#[derive(Deserialize)]
struct Ping {}

impl<'a> Envelope<'a> {
    fn into_command(self) -> Result<Command<'a>, Malformed> {
        let method = self
            .connect
            .map(Method::Connect)
            .or_else(|| self.subscribe.map(Method::Subscribe))
            .or_else(|| self.unsubscribe.map(Method::Unsubscribe))
            .or_else(|| self.publish.map(Method::Publish))
            .or_else(|| self.presence.map(Method::Presence))
            .or_else(|| self.presence_stats.map(Method::PresenceStats))
            .or_else(|| self.history.map(Method::History))
            .or_else(|| self.rpc.map(Method::Rpc))
            .or_else(|| self.send.map(Method::Send))
            .or_else(|| self.refresh.map(Method::Refresh))
            .or_else(|| self.sub_refresh.map(Method::SubRefresh))
            .or_else(|| self.ping.map(|Ping {}| Method::Ping));
        Command::new(self.id, method)
    }
}

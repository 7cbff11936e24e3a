//! Requests of clients without a WebSocket: commands beside a stream, and the first word of a stream that only goes down.

use std::borrow::Cow;

use serde::Deserialize;

use super::command::Connect;
use super::commands::{Malformed, take_object};
use super::field_reader::fields;
use super::json_field;
use super::transport::Format;

/// The body of `POST /emulation`: commands for a connection that has only a stream down.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Emulation<'a> {
    /// The secret of the connection, from its connect reply.
    #[serde(borrow, deserialize_with = "json_field::text")]
    pub session: Cow<'a, str>,
    /// The node that has it, from the same place.
    #[serde(borrow, deserialize_with = "json_field::text")]
    pub node: Cow<'a, str>,
    /// A frame of commands, as it would be on a WebSocket.
    #[serde(borrow, deserialize_with = "frame")]
    pub data: Cow<'a, [u8]>,
}

impl<'a> Emulation<'a> {
    /// Reads a request body.
    ///
    /// # Errors
    /// If it is not one object, or one message, of this shape. Which commands are in it is not looked at.
    pub fn read(format: Format, body: &'a [u8]) -> Result<Self, Malformed> {
        match format {
            Format::Json => one_object(body),
            Format::Protobuf => Self::from_protobuf(body),
        }
    }

    fn from_protobuf(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut emulation = Self::default();
        for field in fields(message) {
            match field? {
                (1, field) => emulation.node = field.text()?,
                (2, field) => emulation.session = field.text()?,
                (3, field) => emulation.data = Cow::Borrowed(field.bytes()?),
                _ => {}
            }
        }
        Ok(emulation)
    }
}

impl<'a> Connect<'a> {
    /// Reads the bare connect request that opens a unidirectional stream: an object, or a message, without id and method,
    /// or nothing at all for an anonymous client.
    ///
    /// # Errors
    /// If it is anything but one object, or one message, of this shape.
    pub fn read_bare(format: Format, body: &'a [u8]) -> Result<Self, Malformed> {
        let read = match format {
            Format::Json => one_object(body),
            Format::Protobuf => Self::from_protobuf(body),
        };
        match read {
            Err(Malformed::Empty) => Ok(Self::default()),
            read => read,
        }
    }
}

fn one_object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Malformed> {
    let (object, behind) = take_object(body.trim_ascii())?;
    if behind.is_empty() { Ok(object) } else { Err(Malformed::Json) }
}

/// A string that holds a frame.
fn frame<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Cow<'de, [u8]>, D::Error> {
    Ok(match json_field::text(deserializer)? {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_come_as_a_string_beside_the_session_they_are_for() {
        let body =
            br#"{"session":"dc79","node":"2284","data":"{\"subscribe\":{\"channel\":\"em\",\"flag\":1},\"id\":2}"}"#;
        let emulation = Emulation::read(Format::Json, body).unwrap();
        assert_eq!((&*emulation.session, &*emulation.node), ("dc79", "2284"));
        assert_eq!(&*emulation.data, br#"{"subscribe":{"channel":"em","flag":1},"id":2}"#);
    }

    #[test]
    fn in_protobuf_they_are_bytes() {
        let body = b"\x0a\x042284\x12\x04dc79\x1a\x02\x01\x00";
        let emulation = Emulation::read(Format::Protobuf, body).unwrap();
        assert_eq!((&*emulation.session, &*emulation.node, &*emulation.data), ("dc79", "2284", &[1, 0][..]));
    }

    #[test]
    fn anything_but_one_object_is_malformed() {
        let malformed =
            [("", Malformed::Empty), ("{}{}", Malformed::Json), ("[]", Malformed::JsonTypes), ("{", Malformed::Json)];
        for (body, expected) in malformed {
            assert_eq!(Emulation::read(Format::Json, body.as_bytes()), Err(expected), "{body}");
        }
        assert_eq!(Emulation::read(Format::Protobuf, b"\x0a"), Err(Malformed::Protobuf));
    }

    #[test]
    fn a_unidirectional_client_may_say_nothing() {
        assert_eq!(Connect::read_bare(Format::Json, b" \n"), Ok(Connect::default()));
        assert_eq!(Connect::read_bare(Format::Json, br#"{"token":"t"}"#).unwrap().token, "t");
        assert_eq!(Connect::read_bare(Format::Json, br#"{"token":"t"} x"#), Err(Malformed::Json));
        assert_eq!(Connect::read_bare(Format::Protobuf, b""), Ok(Connect::default()));
        assert_eq!(Connect::read_bare(Format::Protobuf, b"\x0a\x01t").unwrap().token, "t");
        assert_eq!(Connect::read_bare(Format::Protobuf, b"\x0a"), Err(Malformed::Protobuf));
    }
}

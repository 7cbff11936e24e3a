//! Commands from Protobuf. Numbers of fields are those of the schema; the ones not named here are ignored.
//!
//! By hand, because the messages are few and small and their payloads and names can then be slices of the frame, of the
//! same types as those from JSON: generated structs would own every string and be copied into these.

use super::command::{
    ClaimedEpoch, Command, Connect, History, Method, Presence, Publish, Refresh, Rpc, Send, Since, SubRefresh,
    Subscribe, Unsubscribe,
};
use super::commands::Malformed;
use super::field_reader::{Field, fields};
use super::filter::Filter;
use crate::hub::Offset;

/// The messages of one command, by the place of their method in the order that decides between two.
const METHOD_NUMBERS: [u32; 12] = [4, 5, 6, 7, 8, 9, 10, 13, 12, 14, 15, 11];

impl<'a> Command<'a> {
    /// The command in `message`, which has no length before it. An empty one is a pong.
    pub(super) fn from_protobuf(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut id = 0;
        let mut first: Option<(usize, &[u8])> = None;
        for field in fields(message) {
            let (number, field) = field?;
            if number == 1 {
                id = field.number()? as u32;
            } else if let Some(place) = METHOD_NUMBERS.iter().position(|&method| method == number) {
                let body = field.bytes()?;
                if first.is_none_or(|(other, _)| place <= other) {
                    first = Some((place, body));
                }
            }
        }
        let method = first.map(|(place, body)| Method::from_protobuf(METHOD_NUMBERS[place], body)).transpose()?;
        Self::new(id, method)
    }
}

impl<'a> Method<'a> {
    fn from_protobuf(number: u32, body: &'a [u8]) -> Result<Self, Malformed> {
        Ok(match number {
            4 => Self::Connect(Connect::from_protobuf(body)?),
            5 => Self::Subscribe(Subscribe::from_protobuf(body)?),
            6 => Self::Unsubscribe(Unsubscribe { channel: Presence::from_protobuf(body)?.channel }),
            7 => Self::Publish(Publish::from_protobuf(body)?),
            8 => Self::Presence(Presence::from_protobuf(body)?),
            9 => Self::PresenceStats(Presence::from_protobuf(body)?),
            10 => Self::History(History::from_protobuf(body)?),
            12 => Self::Send(Send { data: Rpc::from_protobuf(body)?.data }),
            13 => Self::Rpc(Rpc::from_protobuf(body)?),
            14 => Self::Refresh(Refresh::from_protobuf(body)?),
            15 => Self::SubRefresh(SubRefresh::from_protobuf(body)?),
            _ => Self::Ping,
        })
    }
}

impl<'a> Connect<'a> {
    pub(super) fn from_protobuf(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut connect = Self::default();
        for field in fields(message) {
            match field? {
                (1, field) => connect.token = field.text()?,
                (2, field) => connect.data = Some(field.bytes()?),
                (3, field) => {
                    let (channel, subscribe) = field.entry()?;
                    let body = subscribe.map_or(Ok::<&[u8], _>(&[]), Field::bytes)?;
                    connect.subs.push((channel, Subscribe::from_protobuf(body)?));
                }
                (4, field) => connect.name = field.text()?,
                (5, field) => connect.version = field.text()?,
                (6, field) => {
                    let (name, value) = field.entry()?;
                    connect.headers.push((name, value.map(Field::text).transpose()?.unwrap_or_default()));
                }
                (7, field) => connect.flag = field.number()?.cast_signed(),
                _ => {}
            }
        }
        Ok(connect)
    }
}

impl<'a> Subscribe<'a> {
    fn from_protobuf(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut subscribe = Self::default();
        for field in fields(message) {
            match field? {
                (1, field) => subscribe.channel = field.text()?,
                (2, field) => subscribe.token = field.text()?,
                (3, field) => subscribe.recover = field.flag()?,
                (6, field) => subscribe.epoch = ClaimedEpoch::new(&field.text()?),
                (7, field) => subscribe.offset = Offset(field.number()?),
                (8, field) => subscribe.data = Some(field.bytes()?),
                (9, field) => subscribe.positioned = field.flag()?,
                (10, field) => subscribe.recoverable = field.flag()?,
                (11, field) => subscribe.join_leave = field.flag()?,
                (12, field) => subscribe.delta = field.text()?,
                (13, field) => subscribe.tf = Some(Filter::from_protobuf(field.bytes()?)),
                (14, field) => subscribe.flag = field.number()?.cast_signed(),
                (15, field) => subscribe.kind = field.number()? as i32,
                _ => {}
            }
        }
        Ok(subscribe)
    }
}

impl<'a> Publish<'a> {
    fn from_protobuf(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut publish = Self::default();
        for field in fields(message) {
            match field? {
                (1, field) => publish.channel = field.text()?,
                (2, field) => publish.data = Some(field.bytes()?),
                (3, field) => publish.kind = field.number()? as i32,
                _ => {}
            }
        }
        Ok(publish)
    }
}

impl<'a> Presence<'a> {
    fn from_protobuf(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut presence = Self::default();
        for field in fields(message) {
            if let (1, field) = field? {
                presence.channel = field.text()?;
            }
        }
        Ok(presence)
    }
}

impl<'a> History<'a> {
    fn from_protobuf(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut history = Self::default();
        for field in fields(message) {
            match field? {
                (1, field) => history.channel = field.text()?,
                (7, field) => history.limit = field.number()? as i32,
                (8, field) => history.since = Some(Since::from_protobuf(field.bytes()?)?),
                (9, field) => history.reverse = field.flag()?,
                _ => {}
            }
        }
        Ok(history)
    }
}

impl Since {
    fn from_protobuf(message: &[u8]) -> Result<Self, Malformed> {
        let mut since = Self::default();
        for field in fields(message) {
            match field? {
                (1, field) => since.offset = Offset(field.number()?),
                (2, field) => since.epoch = ClaimedEpoch::new(&field.text()?),
                _ => {}
            }
        }
        Ok(since)
    }
}

impl<'a> Rpc<'a> {
    fn from_protobuf(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut rpc = Self::default();
        for field in fields(message) {
            match field? {
                (1, field) => rpc.data = Some(field.bytes()?),
                (2, field) => rpc.method = field.text()?,
                _ => {}
            }
        }
        Ok(rpc)
    }
}

impl<'a> Refresh<'a> {
    fn from_protobuf(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut refresh = Self::default();
        for field in fields(message) {
            if let (1, field) = field? {
                refresh.token = field.text()?;
            }
        }
        Ok(refresh)
    }
}

impl<'a> SubRefresh<'a> {
    fn from_protobuf(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut refresh = Self::default();
        for field in fields(message) {
            match field? {
                (1, field) => refresh.channel = field.text()?,
                (2, field) => refresh.token = field.text()?,
                (3, field) => refresh.kind = field.number()? as i32,
                _ => {}
            }
        }
        Ok(refresh)
    }
}

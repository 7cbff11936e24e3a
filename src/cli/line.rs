//! What the hub sends on a WebSocket with `?format=json`, one JSON object per message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;

use crate::hub::{Epoch, Offset, Position};

/// One message from the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// Something was published.
    Publication { position: Position, payload: Vec<u8> },
    /// The answer to `since`: whether everything up to `position`, the newest publication, follows.
    Recovered { position: Position, recovered: bool },
    /// Publications up to `last` were not delivered.
    Missed { last: Position, count: u64 },
    /// Something was refused.
    Error { code: String, message: String },
    /// Something that this version does not know.
    Unknown,
}

/// All fields of all messages; which are there tells them apart.
#[derive(Deserialize)]
struct Fields {
    epoch: Option<String>,
    offset: Option<u64>,
    data: Option<String>,
    base64: Option<String>,
    recovered: Option<bool>,
    missed: Option<Missed>,
    error: Option<Refused>,
}

#[derive(Deserialize)]
struct Missed {
    epoch: String,
    to: u64,
    count: u64,
}

#[derive(Deserialize)]
struct Refused {
    code: String,
    message: String,
}

impl Line {
    /// Reads one message.
    pub(super) fn read(message: &[u8]) -> Self {
        serde_json::from_slice(message).ok().and_then(Self::of).unwrap_or(Self::Unknown)
    }

    fn of(fields: Fields) -> Option<Self> {
        let position =
            |epoch: &str, offset| Some(Position { epoch: Epoch(epoch.parse().ok()?), offset: Offset(offset) });
        if let Some(Missed { epoch, to, count }) = fields.missed {
            return Some(Self::Missed { last: position(&epoch, to)?, count });
        }
        if let Some(Refused { code, message }) = fields.error {
            return Some(Self::Error { code, message });
        }
        let position = position(&fields.epoch?, fields.offset?)?;
        if let Some(recovered) = fields.recovered {
            return Some(Self::Recovered { position, recovered });
        }
        let payload = match (fields.data, fields.base64) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(base64)) => BASE64.decode(base64).ok()?,
            (None, None) => return None,
        };
        Some(Self::Publication { position, payload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: u64, offset: u64) -> Position {
        Position { epoch: Epoch(epoch), offset: Offset(offset) }
    }

    #[test]
    fn each_message_of_the_hub_is_told_apart() {
        for (message, line) in [
            (
                r#"{"topic":"t","epoch":"7","offset":3,"data":"hé\n"}"#,
                Line::Publication { position: at(7, 3), payload: "hé\n".into() },
            ),
            (
                r#"{"topic":"t","epoch":"7","offset":3,"base64":"AP8="}"#,
                Line::Publication { position: at(7, 3), payload: vec![0, 255] },
            ),
            (
                r#"{"topic":"t","epoch":"7","offset":3,"recovered":false}"#,
                Line::Recovered { position: at(7, 3), recovered: false },
            ),
            (
                r#"{"missed":{"topic":"t","epoch":"7","from":4,"to":9,"count":6}}"#,
                Line::Missed { last: at(7, 9), count: 6 },
            ),
            (r#"{"error":{"code":"c","message":"m"}}"#, Line::Error { code: "c".into(), message: "m".into() }),
        ] {
            assert_eq!(Line::read(message.as_bytes()), line, "{message}");
        }
    }

    #[test]
    fn a_message_of_a_later_version_or_of_somebody_else_is_unknown() {
        for message in ["", "hello", "[]", "{}", r#"{"epoch":"x","offset":1,"data":""}"#, r#"{"epoch":"1","offset":1}"#]
        {
            assert_eq!(Line::read(message.as_bytes()), Line::Unknown, "{message}");
        }
    }
}

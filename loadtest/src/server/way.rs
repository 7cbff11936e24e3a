//! The ways in which a floor can send. Pure.

use std::fmt;
use std::str::FromStr;

use anyhow::Result;

use crate::server::ring::ENTRIES_LIMIT;

/// How bytes get to many sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// One `send` per socket.
    Send,
    /// One `sendmsg` per socket, with a slice per frame: what joining the frames first saves.
    SendMsg,
    /// One `io_uring_enter` for so many sockets.
    Uring(u32),
}

impl FromStr for Way {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "send" => Ok(Self::Send),
            None if text == "sendmsg" => Ok(Self::SendMsg),
            Some(("uring", batch)) => match batch.parse() {
                Ok(batch) if (1..=ENTRIES_LIMIT).contains(&batch) => Ok(Self::Uring(batch)),
                Ok(_) | Err(_) => Err(format!("{text}: a ring submits 1 to {ENTRIES_LIMIT} sends at once")),
            },
            None | Some(_) => Err(format!("{text}: not send, sendmsg or uring:COUNT")),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send => f.write_str("send"),
            Self::SendMsg => f.write_str("sendmsg"),
            Self::Uring(batch) => write!(f, "uring:{batch}"),
        }
    }
}

/// Ways as the command line takes them.
///
/// Errors: one that is none.
pub(crate) fn parse_list(text: &str) -> Result<Vec<Way>> {
    text.split(',').map(|way| way.parse().map_err(anyhow::Error::msg)).collect()
}

/// What [`parse_list`] reads.
pub(crate) fn listed(ways: &[Way]) -> String {
    ways.iter().map(Way::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_read_as_it_is_written() {
        for text in ["send", "sendmsg", "uring:1", "uring:32768"] {
            assert_eq!(text.parse::<Way>().unwrap().to_string(), text);
        }
        for text in ["", "sent", "uring", "uring:", "uring:0", "uring:32769", "send:1"] {
            assert!(text.parse::<Way>().is_err(), "{text}");
        }
    }
}

//! From the 101 of a handshake to the moment when a connection is on all its topics.

use super::dialect::{Dialect, Event};
use crate::wire::frame::{self, Opcode, Parsed, Writer};

/// Masks answers. Hides nothing, and need not: there are no proxies here.
const KEY: [u8; 4] = [1, 2, 3, 4];

/// Replies to a connect and to subscribe commands are shorter, in bytes.
const MESSAGE_LIMIT_BYTES: usize = 1 << 20;

/// A connection that is not yet on all its topics.
#[derive(Debug)]
pub(crate) struct Joining {
    topics: Vec<String>,
    is_established: bool,
    awaited: usize,
    /// Frames with publications: topics joined first may have some before the last one is joined.
    early: Vec<u8>,
}

/// How far a connection has come.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Standing {
    /// It waits for replies.
    Waiting,
    /// It is on all its topics; these bytes are still to be read.
    Joined(Vec<u8>),
    /// The server does not want it, in these words.
    Refused(String),
}

impl Joining {
    /// A connection whose handshake was just answered and that wants to be on `topics`. Appends to `out` what it says.
    pub(crate) fn begin(dialect: &Dialect, topics: Vec<String>, out: &mut Vec<u8>) -> Self {
        dialect.greet(&topics, out);
        let awaited = dialect.joins_awaited(&topics);
        Self { topics, is_established: awaited == 0, awaited, early: Vec::new() }
    }

    /// Takes the whole messages off the front of `bytes`, as far as they belong to the joining, and appends answers to
    /// `out`. Every byte is taken when the connection has [`Standing::Joined`].
    pub(crate) fn read(&mut self, dialect: &Dialect, bytes: &mut Vec<u8>, out: &mut Vec<u8>) -> Standing {
        while !self.is_complete() {
            let (frame, length) = match frame::parse(bytes, Writer::Server, MESSAGE_LIMIT_BYTES) {
                Ok(Parsed::Frame(frame, length)) => (frame, length),
                Ok(Parsed::Incomplete) => return Standing::Waiting,
                Err(malformed) => return Standing::Refused(format!("malformed frame: {malformed:?}")),
            };
            let (mut is_publication, mut answer, mut refusal) = (false, None, None);
            match frame.opcode {
                Opcode::Text | Opcode::Binary => {
                    let read = dialect.read(frame.payload, |event| match event {
                        Event::Publication { .. } => is_publication = true,
                        Event::Ping(pong) => answer = Some(pong),
                        Event::Established => {
                            self.is_established = true;
                            dialect.join(&self.topics, out);
                        }
                        Event::Joined => self.awaited = self.awaited.saturating_sub(1),
                        Event::Other => {}
                        Event::Refused(words) => refusal = Some(String::from_utf8_lossy(words).into_owned()),
                    });
                    if read.is_err() {
                        refusal = Some(format!("not understood: {}", String::from_utf8_lossy(frame.payload)));
                    }
                }
                Opcode::Ping => frame::write_masked(out, Opcode::Pong, KEY, frame.payload.len(), |out| {
                    out.extend_from_slice(frame.payload);
                }),
                Opcode::Pong => {}
                Opcode::Close => refusal = Some(format!("close {}", String::from_utf8_lossy(frame.payload))),
            }
            if let Some(words) = refusal {
                return Standing::Refused(words);
            }
            if is_publication {
                // Read once more later, and a ping in it answered then.
                self.early.extend_from_slice(&bytes[..length]);
            } else if let Some(pong) = answer {
                write_text(out, pong);
            }
            bytes.drain(..length);
        }
        let mut early = std::mem::take(&mut self.early);
        early.append(bytes);
        Standing::Joined(early)
    }

    fn is_complete(&self) -> bool {
        self.is_established && self.awaited == 0
    }
}

/// Appends a client's text message.
fn write_text(out: &mut Vec<u8>, text: &str) {
    frame::write_masked(out, Opcode::Text, KEY, text.len(), |out| out.extend_from_slice(text.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dialect::{App, Envelope};

    fn topics() -> Vec<String> {
        vec!["a".into(), "b".into()]
    }

    fn text(message: &str) -> Vec<u8> {
        let mut out = Vec::new();
        frame::write_plain(&mut out, Opcode::Text, message.len(), |out| out.extend_from_slice(message.as_bytes()));
        out
    }

    const CONNECTED: &str = r#"{"id":1,"connect":{"client":"b6","ping":25,"pong":true}}"#;

    #[test]
    fn where_the_handshake_joins_nothing_is_said_or_awaited() {
        let dialect = Dialect::Topics(Envelope::Plain);
        let mut out = Vec::new();
        let mut joining = Joining::begin(&dialect, topics(), &mut out);
        let mut bytes = b"\x82\x01x".to_vec();
        assert_eq!(joining.read(&dialect, &mut bytes, &mut out), Standing::Joined(b"\x82\x01x".to_vec()));
        assert!(out.is_empty() && bytes.is_empty());
    }

    #[test]
    fn a_centrifuge_client_has_joined_with_its_last_reply_however_they_are_cut() {
        let dialect = Dialect::Centrifuge("/connection/websocket".into());
        let news = text(r#"{"push":{"channel":"a","pub":{"data":"x"}}}"#);
        let stream = [
            text(&format!("{CONNECTED}\n{{\"id\":2,\"subscribe\":{{}}}}")),
            news.clone(),
            text("{}"),
            text(r#"{"id":3,"subscribe":{}}"#),
            news.clone(),
        ]
        .concat();
        let last = stream.len() - news.len();
        for cut in 0..last {
            let mut out = Vec::new();
            let mut joining = Joining::begin(&dialect, topics(), &mut out);
            let greeting_bytes = out.len();
            let mut bytes = stream[..cut].to_vec();
            assert_eq!(joining.read(&dialect, &mut bytes, &mut out), Standing::Waiting, "cut at {cut}");
            bytes.extend_from_slice(&stream[cut..]);
            let expected = [news.clone(), news.clone()].concat();
            assert_eq!(joining.read(&dialect, &mut bytes, &mut out), Standing::Joined(expected), "cut at {cut}");
            // The pong: two bytes, a key and a header.
            assert_eq!(out.len() - greeting_bytes, 8);
        }
    }

    #[test]
    fn a_pusher_client_subscribes_once_it_is_established() {
        let dialect = Dialect::Pusher(App { id: "1".into(), key: "k".into(), secret: "s".into() });
        let mut out = Vec::new();
        let mut joining = Joining::begin(&dialect, topics(), &mut out);
        assert!(out.is_empty());
        let mut bytes = text(r#"{"event":"pusher:connection_established","data":"{}"}"#);
        assert_eq!(joining.read(&dialect, &mut bytes, &mut out), Standing::Waiting);
        assert!(!out.is_empty());
        let joined = text(r#"{"event":"pusher_internal:subscription_succeeded","channel":"a","data":"{}"}"#);
        bytes.extend_from_slice(&joined);
        assert_eq!(joining.read(&dialect, &mut bytes, &mut out), Standing::Waiting);
        bytes.extend_from_slice(&joined);
        assert_eq!(joining.read(&dialect, &mut bytes, &mut out), Standing::Joined(Vec::new()));
    }

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_server() {
        let dialect = Dialect::Centrifuge("/".into());
        let mut out = Vec::new();
        let mut joining = Joining::begin(&dialect, topics(), &mut out);
        let error = r#"{"id":2,"error":{"code":103,"message":"permission denied"}}"#;
        assert_eq!(joining.read(&dialect, &mut text(error), &mut out), Standing::Refused(error.into()));
    }
}

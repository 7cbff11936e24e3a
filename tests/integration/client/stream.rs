//! A client of the Centrifuge protocol without a WebSocket: a response that does not end, and requests beside it.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::http::request;
use super::{Http, Response, Socket, response};

/// How the stream is asked for, and what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// POST, lines of JSON.
    Json,
    /// POST, Protobuf.
    Protobuf,
    /// GET, events.
    Events,
    /// POST, events.
    PostedEvents,
}

/// An open stream.
#[derive(Debug)]
pub(crate) struct Stream {
    address: SocketAddr,
    pub(crate) socket: Socket,
    carrier: Carrier,
    pub(crate) head: Response,
    is_chunked: bool,
    /// What came and is not taken apart yet.
    body: Vec<u8>,
    ended: bool,
    /// Each piece as it came.
    pub(crate) pieces: Vec<Vec<u8>>,
    /// The secret and the node, from the connect reply.
    pub(crate) session: String,
    pub(crate) node: String,
}

impl Carrier {
    pub(crate) const ALL: [Self; 4] = [Self::Json, Self::Protobuf, Self::Events, Self::PostedEvents];

    fn request(self, is_bare: bool, first: &[u8], headers: &[(&str, &str)]) -> Vec<u8> {
        let uni = if is_bare { "uni_" } else { "" };
        match self {
            Self::Json | Self::Protobuf => {
                let content_type = self.content_type();
                let headers = [headers, &[("Content-Type", content_type)]].concat();
                request("POST", &format!("/connection/{uni}http_stream"), &headers, first)
            }
            Self::PostedEvents => request("POST", &format!("/connection/{uni}sse"), headers, first),
            Self::Events => {
                let encoded: String = first.iter().map(|byte| format!("%{byte:02X}")).collect();
                request("GET", &format!("/connection/{uni}sse?cf_connect={encoded}"), headers, b"")
            }
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/octet-stream",
            Self::Json | Self::Events | Self::PostedEvents => "application/json",
        }
    }
}

impl Stream {
    /// Opens a stream with these first words, and asserts that it was accepted.
    #[track_caller]
    pub(crate) fn open(address: SocketAddr, carrier: Carrier, first: impl AsRef<[u8]>) -> Self {
        Self::ask(address, &carrier.request(false, first.as_ref(), &[]), carrier)
    }

    /// The same for a client that only listens.
    #[track_caller]
    pub(crate) fn listen(address: SocketAddr, carrier: Carrier, first: impl AsRef<[u8]>) -> Self {
        Self::ask(address, &carrier.request(true, first.as_ref(), &[]), carrier)
    }

    /// The same for HTTP/1.0.
    #[track_caller]
    pub(crate) fn open_old(address: SocketAddr, carrier: Carrier, first: impl AsRef<[u8]>) -> Self {
        let request = String::from_utf8(carrier.request(false, first.as_ref(), &[])).unwrap();
        Self::ask(address, request.replacen("HTTP/1.1", "HTTP/1.0", 1).as_bytes(), carrier)
    }

    /// The same for a page of another origin.
    #[track_caller]
    pub(crate) fn open_from(address: SocketAddr, carrier: Carrier, first: impl AsRef<[u8]>, origin: &str) -> Self {
        Self::ask(address, &carrier.request(false, first.as_ref(), &[("Origin", origin)]), carrier)
    }

    #[track_caller]
    fn ask(address: SocketAddr, request: &[u8], carrier: Carrier) -> Self {
        let mut socket = Socket::connect(address);
        socket.send(request);
        let head = response(&mut socket).expect("the hub closed instead of answering");
        assert_eq!(head.status, 200, "{head:?}");
        let is_chunked = head.header("transfer-encoding").is_some();
        let (session, node) = (String::new(), String::new());
        let (body, pieces) = (Vec::new(), Vec::new());
        Self { address, socket, carrier, head, is_chunked, body, ended: false, pieces, session, node }
    }

    /// Opens one whose first command is `connect` with the id 1, and asserts that it is let in.
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr, carrier: Carrier) -> Self {
        let mut stream = Self::open(address, carrier, r#"{"connect":{},"id":1}"#);
        stream.let_in();
        stream
    }

    /// Takes the connect reply in.
    #[track_caller]
    pub(crate) fn let_in(&mut self) -> Value {
        let reply = self.json();
        let text = |key: &str| reply["connect"][key].as_str().unwrap_or_default().to_owned();
        (self.session, self.node) = (text("session"), text("node"));
        reply
    }

    /// Takes in what comes; `None` at the end, which has to be proper.
    #[track_caller]
    fn piece(&mut self) -> Option<()> {
        if self.ended {
            return None;
        }
        if !self.is_chunked {
            let Some(first) = self.socket.read(1) else {
                self.ended = true;
                return None;
            };
            self.body.extend(first);
            return Some(());
        }
        let size = self.socket.read_through(b"\r\n").expect("the stream was cut off: the last chunk is missing");
        let size = usize::from_str_radix(std::str::from_utf8(&size).unwrap().trim_end(), 16).unwrap();
        if size > 0 {
            let piece = self.socket.read(size).unwrap();
            self.body.extend(&piece);
            self.pieces.push(piece);
        }
        assert_eq!(self.socket.read(2).unwrap(), b"\r\n", "a chunk ends with a line end");
        if size == 0 {
            self.ended = true;
            return None;
        }
        Some(())
    }

    /// The next message; `None` when the stream has ended properly.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(message) = self.take() {
                return Some(message);
            }
            if self.piece().is_none() {
                assert!(self.body.is_empty(), "ended in the middle of {:?}", String::from_utf8_lossy(&self.body));
                return None;
            }
        }
    }

    #[track_caller]
    fn take(&mut self) -> Option<Vec<u8>> {
        match self.carrier {
            Carrier::Json => {
                let end = self.body.iter().position(|&byte| byte == b'\n')?;
                let line: Vec<u8> = self.body.drain(..=end).collect();
                Some(line[..end].to_vec())
            }
            Carrier::Protobuf => {
                let (length, at) = varint(&self.body)?;
                if self.body.len() < at + length {
                    return None;
                }
                Some(self.body.drain(..at + length).skip(at).collect())
            }
            Carrier::Events | Carrier::PostedEvents => {
                if self.body.starts_with(b"\r\n") {
                    self.body.drain(..2);
                }
                let end = self.body.windows(2).position(|two| two == b"\n\n")?;
                let event: Vec<u8> = self.body.drain(..end + 2).collect();
                let data = event[..end].strip_prefix(b"data: ");
                Some(data.unwrap_or_else(|| panic!("not an event: {:?}", String::from_utf8_lossy(&event))).to_vec())
            }
        }
    }

    /// The next message as JSON.
    #[track_caller]
    pub(crate) fn json(&mut self) -> Value {
        let message = self.next().expect("the stream has ended");
        let text = String::from_utf8_lossy(&message);
        serde_json::from_slice(&message).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Says something, with the secret of this stream; returns the answer.
    #[track_caller]
    pub(crate) fn try_say(&self, commands: impl AsRef<[u8]>) -> Response {
        say(&mut Http::connect(self.address), self.carrier, &self.session, &self.node, commands.as_ref())
    }

    /// Says something, and asserts that it is taken.
    #[track_caller]
    pub(crate) fn say(&self, commands: impl AsRef<[u8]>) {
        let answer = self.try_say(commands);
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{answer:?}");
    }

    /// Asserts that the stream says nothing more than its proper end.
    #[track_caller]
    pub(crate) fn assert_ended(&mut self) {
        let last = self.next();
        assert_eq!(last.map(|last| String::from_utf8_lossy(&last).into_owned()), None);
        assert_eq!(self.socket.read(1), None, "something came behind the end");
    }
}

/// Says something for the session of a stream.
#[track_caller]
pub(crate) fn say(http: &mut Http, carrier: Carrier, session: &str, node: &str, commands: &[u8]) -> Response {
    let body = match carrier {
        Carrier::Protobuf => [field(1, node.as_bytes()), field(2, session.as_bytes()), field(3, commands)].concat(),
        Carrier::Json | Carrier::Events | Carrier::PostedEvents => {
            let data = std::str::from_utf8(commands).unwrap();
            serde_json::to_vec(&json!({"session": session, "node": node, "data": data})).unwrap()
        }
    };
    http.request("POST", "/emulation", &[("Content-Type", carrier.content_type())], &body)
}

/// A Protobuf field with a length.
pub(crate) fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2][..], &length_of(bytes), bytes].concat()
}

/// A Protobuf message with its length before it.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&length_of(message)[..], message].concat()
}

fn length_of(bytes: &[u8]) -> Vec<u8> {
    let (mut length, mut out) = (bytes.len(), Vec::new());
    while length > 0x7f {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out
}

/// A varint and where it ends.
fn varint(bytes: &[u8]) -> Option<(usize, usize)> {
    let end = bytes.iter().position(|byte| byte & 0x80 == 0)?;
    let value = bytes[..=end].iter().rev().fold(0, |value, &byte| value << 7 | usize::from(byte & 0x7f));
    Some((value, end + 1))
}

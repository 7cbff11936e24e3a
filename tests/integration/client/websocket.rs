//! A WebSocket client: frames as RFC 6455 §5.2 draws them, masked or not, whole or cut.

use std::net::SocketAddr;

use serde_json::Value;

use super::deflate::inflated;
use super::{Response, Socket, response};

/// The example key of RFC 6455 §1.3, and what a server makes of it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A WebSocket connection.
#[derive(Debug)]
pub(crate) struct WebSocket {
    pub(crate) socket: Socket,
    /// Whether messages may come compressed.
    compression: bool,
}

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) fin: bool,
    /// The first reserved bit.
    pub(crate) is_compressed: bool,
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

/// What a client hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// A close frame, with its code and reason.
    Close(Option<(u16, String)>),
    /// The hub closed the socket.
    End,
}

/// The bytes of a handshake for `target` with further headers.
pub(crate) fn upgrade_request(target: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut text = format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
    );
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// A client's frame: `head` is FIN, reserved bits and opcode.
pub(crate) fn masked(head: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![head];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The payload of a close frame.
pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

impl WebSocket {
    /// Opens one, and asserts that it was accepted.
    #[track_caller]
    pub(crate) fn open(address: SocketAddr, target: &str) -> Self {
        Self::upgrade(Socket::connect(address), target)
    }

    /// Opens one whose kernel buffer takes little.
    #[track_caller]
    pub(crate) fn open_with_small_buffer(address: SocketAddr, target: &str) -> Self {
        Self::upgrade(Socket::connect_with_small_buffer(address), target)
    }

    /// Opens one on a connection that there is already.
    #[track_caller]
    pub(crate) fn upgrade(mut socket: Socket, target: &str) -> Self {
        socket.send(&upgrade_request(target, &[]));
        Self::accepted(socket)
    }

    /// Sends a handshake with further headers, and returns a refusal if it is one.
    #[track_caller]
    pub(crate) fn try_open(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Result<Self, Response> {
        Self::try_upgrade(Socket::connect(address), target, headers)
    }

    /// The same on a connection that there is already.
    #[track_caller]
    pub(crate) fn try_upgrade(mut socket: Socket, target: &str, headers: &[(&str, &str)]) -> Result<Self, Response> {
        socket.send(&upgrade_request(target, headers));
        let response = response(&mut socket).expect("the hub closed instead of answering");
        if response.status != 101 {
            return Err(response);
        }
        Ok(Self { socket, compression: response.header("sec-websocket-extensions").is_some() })
    }

    /// Reads the answer to a handshake that was sent, and asserts that it accepts.
    #[track_caller]
    pub(crate) fn accepted(mut socket: Socket) -> Self {
        let response = response(&mut socket).expect("the hub closed instead of answering");
        assert_eq!(response.status, 101, "{response:?}");
        assert_eq!(response.header("sec-websocket-accept"), Some(ACCEPT));
        assert_eq!(response.header("upgrade").map(str::to_ascii_lowercase).as_deref(), Some("websocket"));
        assert_eq!(response.header("sec-websocket-extensions"), None, "nothing was offered");
        Self { socket, compression: false }
    }

    /// Opens one with an offer of compression, and asserts that it was accepted with `answer` behind what is always there.
    #[track_caller]
    pub(crate) fn open_compressed(address: SocketAddr, target: &str, offer: &str, answer: &str) -> Self {
        let mut socket = Socket::connect(address);
        socket.send(&upgrade_request(target, &[("Sec-WebSocket-Extensions", offer)]));
        let response = response(&mut socket).expect("the hub closed instead of answering");
        assert_eq!(response.status, 101, "{response:?}");
        let agreed = format!("permessage-deflate; server_no_context_takeover; client_no_context_takeover{answer}");
        assert_eq!(response.header("sec-websocket-extensions"), Some(&*agreed));
        Self { socket, compression: true }
    }

    #[track_caller]
    pub(crate) fn send_text(&mut self, text: &str) {
        self.socket.send(&masked(0x81, text.as_bytes()));
    }

    #[track_caller]
    pub(crate) fn send_binary(&mut self, bytes: &[u8]) {
        self.socket.send(&masked(0x82, bytes));
    }

    #[track_caller]
    pub(crate) fn send_ping(&mut self, payload: &[u8]) {
        self.socket.send(&masked(0x89, payload));
    }

    #[track_caller]
    pub(crate) fn send_close(&mut self, code: u16) {
        self.socket.send(&masked(0x88, &close_payload(code, "")));
    }

    /// The next frame; `None` at the end. Asserts what every frame of a server has to be.
    #[track_caller]
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        let head = self.socket.read(2)?;
        let is_compressed = head[0] & 0x40 != 0;
        assert_eq!(head[0] & 0x30, 0, "a reserved bit is set: {head:02x?}");
        assert!(!is_compressed || (self.compression && matches!(head[0] & 0x0f, 1 | 2)), "{head:02x?}");
        assert_eq!(head[1] & 0x80, 0, "a server must not mask: {head:02x?}");
        let length = match head[1] {
            126 => {
                let bytes = self.socket.read(2).unwrap();
                let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
                assert!(length > 125, "the length {length} is not in its shortest form");
                length
            }
            127 => {
                let bytes = self.socket.read(8).unwrap();
                let length = u64::from_be_bytes(bytes.try_into().unwrap());
                assert!(length > 0xffff, "the length {length} is not in its shortest form");
                usize::try_from(length).unwrap()
            }
            short => usize::from(short),
        };
        let payload = if length == 0 { Vec::new() } else { self.socket.read(length).unwrap() };
        Some(Frame { fin: head[0] & 0x80 != 0, is_compressed, opcode: head[0] & 0x0f, payload })
    }

    /// What comes next, whatever it is.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> Heard {
        let Some(frame) = self.frame() else { return Heard::End };
        assert!(frame.fin, "the hub does not fragment");
        let payload = if frame.is_compressed { inflated(&frame.payload) } else { frame.payload.clone() };
        match frame.opcode {
            0x1 => Heard::Text(String::from_utf8(payload).expect("text is UTF-8")),
            0x2 => Heard::Binary(payload),
            0x8 if frame.payload.is_empty() => Heard::Close(None),
            0x8 => {
                let (code, reason) = frame.payload.split_at(2);
                let reason = String::from_utf8(reason.to_vec()).expect("reasons are UTF-8");
                Heard::Close(Some((u16::from_be_bytes([code[0], code[1]]), reason)))
            }
            0x9 => Heard::Ping(frame.payload),
            0xa => Heard::Pong(frame.payload),
            other => panic!("the hub sent opcode {other:#x}"),
        }
    }

    /// The next text. Pings before it are answered.
    #[track_caller]
    pub(crate) fn text(&mut self) -> String {
        loop {
            match self.hear() {
                Heard::Text(text) => return text,
                Heard::Ping(payload) => self.socket.send(&masked(0x8a, &payload)),
                other @ (Heard::Binary(_) | Heard::Pong(_) | Heard::Close(_) | Heard::End) => {
                    panic!("not a text: {other:?}")
                }
            }
        }
    }

    /// The next text as JSON.
    #[track_caller]
    pub(crate) fn json(&mut self) -> Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Sends a command of the Centrifuge protocol, and reads its reply.
    #[track_caller]
    pub(crate) fn ask(&mut self, command: &Value) -> Value {
        self.send_text(&command.to_string());
        let reply = self.json();
        assert_eq!(reply["id"], command["id"], "{reply}");
        reply
    }

    /// The code of the close frame that comes next, and that the socket ends behind it once it is answered.
    #[track_caller]
    pub(crate) fn closed_with(&mut self) -> u16 {
        let code = self.close_code();
        // The hub may have gone already: it fails a connection without waiting for an answer.
        let _ = self.socket.try_send(&masked(0x88, &close_payload(code, "")));
        self.socket.shut_down_writing();
        assert_eq!(self.hear(), Heard::End, "nothing comes behind a close frame");
        code
    }

    /// The code of the close frame that comes next.
    #[track_caller]
    pub(crate) fn close_code(&mut self) -> u16 {
        match self.hear() {
            Heard::Close(Some((code, _))) => code,
            other => panic!("not a close frame with a code: {other:?}"),
        }
    }

    /// Proves that nothing else was sent: a ping goes out and its pong comes back first.
    #[track_caller]
    pub(crate) fn assert_nothing_came(&mut self) {
        self.send_ping(b"anything?");
        assert_eq!(self.hear(), Heard::Pong(b"anything?".to_vec()));
    }
}

//! A client of Server-Sent Events, after "Interpreting an event stream" of the WHATWG HTML standard.

use std::net::SocketAddr;

use serde_json::Value;

use super::http::request;
use super::{Socket, response};

/// An open event stream.
#[derive(Debug)]
pub(crate) struct Events {
    socket: Socket,
    /// Text that came and is not interpreted yet.
    text: String,
    ended: bool,
    /// What a browser would send as `Last-Event-ID`.
    pub(crate) last_id: String,
    pub(crate) retry_ms: Option<u64>,
    pub(crate) comments: Vec<String>,
}

/// What a browser would dispatch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
    /// The id in force at this event.
    pub(crate) id: String,
}

impl Event {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

impl Events {
    /// Opens one, and asserts that it was accepted.
    #[track_caller]
    pub(crate) fn open(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> Self {
        Self::on(Socket::connect(address), target, headers)
    }

    /// Opens one as a browser that comes back with an id.
    #[track_caller]
    pub(crate) fn resume(address: SocketAddr, target: &str, last_id: &str) -> Self {
        Self::open(address, target, &[("Last-Event-ID", last_id)])
    }

    /// Opens one on a connection that there is already.
    #[track_caller]
    pub(crate) fn on(mut socket: Socket, target: &str, headers: &[(&str, &str)]) -> Self {
        let headers = [headers, &[("Accept", "text/event-stream")]].concat();
        socket.send(&request("GET", target, &headers, b""));
        let head = response(&mut socket).expect("the hub closed instead of answering");
        assert_eq!(head.status, 200, "{head:?}");
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        assert_eq!(head.header("transfer-encoding"), Some("chunked"), "{head:?}");
        assert_eq!(head.header("x-accel-buffering"), Some("no"));
        let (text, last_id) = (String::new(), String::new());
        Self { socket, text, ended: false, last_id, retry_ms: None, comments: Vec::new() }
    }

    /// Takes in one more chunk; `None` when the stream has ended as it should. Cut off, it is a failure.
    #[track_caller]
    fn chunk(&mut self) -> Option<()> {
        if self.ended {
            return None;
        }
        let size = self.socket.read_through(b"\r\n").expect("the stream was cut off: the last chunk is missing");
        let size = std::str::from_utf8(&size).unwrap().trim_end();
        let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("{size:?} is not a chunk size"));
        if size > 0 {
            self.text.push_str(std::str::from_utf8(&self.socket.read(size).unwrap()).unwrap());
        }
        assert_eq!(self.socket.read(2).unwrap(), b"\r\n", "a chunk ends with a line end");
        if size == 0 {
            self.ended = true;
            return None;
        }
        Some(())
    }

    /// The next event; `None` when the stream has ended properly.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                if let Some(event) = self.interpret(block.trim_end_matches('\n')) {
                    return Some(event);
                }
            }
            self.chunk()?;
        }
    }

    /// The next event, which must be there.
    #[track_caller]
    pub(crate) fn event(&mut self) -> Event {
        self.next().expect("the stream has ended")
    }

    /// Reads until `condition` holds of what was seen outside of events: ids, comments, the retry time.
    #[track_caller]
    pub(crate) fn read_until(&mut self, condition: impl Fn(&Self) -> bool) {
        while !condition(self) {
            match self.text.find("\n\n") {
                Some(end) => {
                    let block: String = self.text.drain(..end + 2).collect();
                    assert_eq!(self.interpret(block.trim_end_matches('\n')), None, "an event came first");
                }
                None => self.chunk().expect("the stream has ended"),
            }
        }
    }

    fn interpret(&mut self, block: &str) -> Option<Event> {
        let (mut name, mut data) = ("message".to_owned(), None::<String>);
        for line in block.split('\n') {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" => self.comments.push(value.to_owned()),
                "event" => name = value.to_owned(),
                "data" => match &mut data {
                    None => data = Some(value.to_owned()),
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                },
                "id" => self.last_id = value.to_owned(),
                "retry" => self.retry_ms = Some(value.parse().unwrap()),
                other => panic!("unknown field {other:?}"),
            }
        }
        data.map(|data| Event { name, data, id: self.last_id.clone() })
    }

    /// Whether the hub closed the connection behind the last chunk.
    #[track_caller]
    pub(crate) fn assert_closed(&mut self) {
        assert!(self.ended, "the last chunk has not come yet");
        assert_eq!(self.socket.read(1), None);
    }
}

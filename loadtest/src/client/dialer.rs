//! Opens connections while other things go on: a turn at a time, and a connection that fails is told and not the end.
//!
//! [`connector`] is for those who have nothing else to do until all are open.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context as _, Result};

use crate::client::connector::{self, Connected};
use crate::client::poller::{Interest, Poller, Ready};
use crate::clock;
use crate::server::door::Door;
use crate::wire::handshake::{self, Answer};
use crate::wire::line::{Flushed, Line, Received};
use crate::wire::outbox::Outbox;

/// Every connection asks with this key: a server that answers a fixed 101 answers them all, and no hub remembers keys.
pub(crate) fn the_key() -> String {
    handshake::key(0x66_616e_6661_7265, 0)
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A WebSocket.
    WebSocket,
    /// A WebSocket, with permessage-deflate offered.
    CompressedWebSocket,
    /// A stream of Server-Sent Events.
    EventStream,
}

/// What became of an order.
#[derive(Debug)]
pub(crate) enum Dialled {
    /// It is open.
    Open {
        /// The number it was ordered with.
        number: u32,
        /// The connection.
        connected: Connected,
        /// From the first SYN to the answer.
        took_ns: u64,
    },
    /// It is not.
    Failed {
        /// The number it was ordered with.
        number: u32,
        /// The reason.
        why: String,
    },
}

/// Connections on their way to one server.
pub(crate) struct Dialer {
    door: Door,
    source_addresses: u8,
    kind: Wanted,
    key: String,
    poller: Poller,
    openings: Vec<Option<Opening>>,
    free: Vec<usize>,
    waiting: VecDeque<(u32, String)>,
    ready: VecDeque<Ready>,
    polled: Vec<Ready>,
}

struct Opening {
    number: u32,
    line: Line,
    request: Outbox,
    answer: Vec<u8>,
    start_ns: u64,
}

impl Dialer {
    /// Dials `door`, at most `concurrency` handshakes at once, from so many source addresses.
    pub(crate) fn new(door: &Door, kind: Wanted, source_addresses: u8, concurrency: usize) -> Result<Self> {
        let slots = concurrency.max(1);
        Ok(Self {
            door: door.clone(),
            source_addresses,
            kind,
            key: the_key(),
            poller: Poller::new()?,
            openings: (0..slots).map(|_| None).collect(),
            free: (0..slots).collect(),
            waiting: VecDeque::new(),
            ready: VecDeque::new(),
            polled: Vec::new(),
        })
    }

    /// Wants a connection to `path`; `number` is the caller's name for it.
    pub(crate) fn order(&mut self, number: u32, path: String) {
        self.waiting.push_back((number, path));
    }

    /// Handshakes that have begun and not ended.
    pub(crate) fn in_flight(&self) -> usize {
        self.openings.len() - self.free.len()
    }

    /// Whether something is ordered and not told yet.
    pub(crate) fn is_busy(&self) -> bool {
        !self.waiting.is_empty() || self.in_flight() > 0
    }

    /// Begins and continues at most `steps` handshakes, without blocking, and appends what ended to `done`.
    pub(crate) fn turn(&mut self, steps: usize, done: &mut Vec<Dialled>) -> Result<()> {
        let mut begun = 0;
        while begun < steps
            && !self.waiting.is_empty()
            && let Some(slot) = self.free.pop()
            && let Some((number, path)) = self.waiting.pop_front()
        {
            begun += 1;
            match Opening::start(self, number, &path) {
                Ok(opening) => {
                    self.poller.add(&opening.line, slot as u64, Interest::ReadAndWrite)?;
                    self.openings[slot] = Some(opening);
                }
                Err(error) => {
                    self.free.push(slot);
                    done.push(Dialled::Failed { number, why: format!("{error:#}") });
                }
            }
        }
        if self.ready.is_empty() {
            self.poller.look(&mut self.polled)?;
            self.ready.extend(self.polled.drain(..));
        }
        for _ in 0..steps {
            let Some(event) = self.ready.pop_front() else { break };
            self.step(event, done)?;
        }
        Ok(())
    }

    fn step(&mut self, event: Ready, done: &mut Vec<Dialled>) -> Result<()> {
        let slot = event.token as usize;
        let Some(opening) = self.openings[slot].as_mut() else { return Ok(()) };
        let number = opening.number;
        let mut progress = || -> Result<Option<(usize, bool)>> {
            if event.writable && opening.has_unsent() {
                match opening.request.flush(&mut opening.line)? {
                    Flushed::All => self.poller.change(&opening.line, event.token, Interest::Read)?,
                    Flushed::Blocked => {}
                }
            }
            let read = if event.readable { opening.read(self.kind, &self.key)? } else { None };
            // What TLS answers by itself is small: the socket takes it, or tells when it can.
            if opening.line.has_unsent() && opening.line.flush()? == Flushed::Blocked {
                self.poller.change(&opening.line, event.token, Interest::ReadAndWrite)?;
            }
            Ok(read)
        };
        match progress() {
            Ok(None) => return Ok(()),
            Ok(Some((head_bytes, compression))) => {
                if let Some(opening) = self.openings[slot].take() {
                    let early = opening.answer[head_bytes..].to_vec();
                    let took_ns = clock::now_ns() - opening.start_ns;
                    self.poller.remove(&opening.line)?;
                    done.push(Dialled::Open {
                        number,
                        connected: Connected { line: opening.line, early, compression },
                        took_ns,
                    });
                }
            }
            Err(error) => {
                self.openings[slot] = None;
                done.push(Dialled::Failed { number, why: format!("{error:#}") });
            }
        }
        self.free.push(slot);
        Ok(())
    }
}

impl AsFd for Dialer {
    /// Readable while a turn has something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}

impl Opening {
    fn start(dialer: &Dialer, number: u32, path: &str) -> Result<Self> {
        let start_ns = clock::now_ns();
        let Door { place, .. } = &dialer.door;
        let socket = connector::dial(place, dialer.source_addresses, number as usize)
            .with_context(|| format!("connecting to {}", place.address))?;
        let line = dialer.door.line(socket.into())?;
        let mut request = Outbox::default();
        let authority = &place.authority;
        *request.bytes() = match dialer.kind {
            Wanted::WebSocket => handshake::request(authority, path, &dialer.key, false),
            Wanted::CompressedWebSocket => handshake::request(authority, path, &dialer.key, true),
            Wanted::EventStream => {
                format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nAccept: text/event-stream\r\n\r\n").into_bytes()
            }
        };
        Ok(Self { number, line, request, answer: Vec::new(), start_ns })
    }

    /// Whether something waits for room in the socket.
    fn has_unsent(&self) -> bool {
        !self.request.is_empty() || self.line.has_unsent()
    }

    /// Reads what is there; says how long the head was once the connection is open, and whether compression was agreed on.
    fn read(&mut self, kind: Wanted, key: &str) -> Result<Option<(usize, bool)>> {
        match connector::read_all(&mut self.line, &mut self.answer)? {
            Received::Bytes(_) => {}
            Received::Nothing => return Ok(None),
            Received::End => anyhow::bail!("the server closed the connection during the handshake"),
        }
        match kind {
            Wanted::WebSocket | Wanted::CompressedWebSocket => match handshake::judge_answer(&self.answer, key) {
                Answer::Incomplete => Ok(None),
                Answer::Accepted { head_bytes, compression } => Ok(Some((head_bytes, compression))),
                Answer::Refused(why) => anyhow::bail!("handshake refused: {why}"),
            },
            Wanted::EventStream => match handshake::head_of(&self.answer) {
                None => Ok(None),
                Some((head, head_bytes)) if head.starts_with("HTTP/1.1 200 ") => Ok(Some((head_bytes, false))),
                Some((head, head_bytes)) => {
                    let body = String::from_utf8_lossy(&self.answer[head_bytes..]);
                    anyhow::bail!("stream refused: {} {body}", head.lines().next().unwrap_or_default())
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use crate::server::place::Place;

    fn outcome(dialer: &mut Dialer) -> Dialled {
        let deadline_ns = clock::now_ns() + 10_000_000_000;
        let mut done = Vec::new();
        while done.is_empty() {
            assert!(clock::now_ns() < deadline_ns, "nothing came of it");
            dialer.turn(8, &mut done).unwrap();
            std::thread::yield_now();
        }
        done.remove(0)
    }

    #[test]
    fn a_port_where_nobody_listens_fails_that_connection_only() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let door = Door::plain(&Place::local(listener.local_addr().unwrap().port()));
        drop(listener);
        let mut dialer = Dialer::new(&door, Wanted::WebSocket, 1, 4).unwrap();
        dialer.order(7, "/topics/a".to_owned());
        assert!(matches!(outcome(&mut dialer), Dialled::Failed { number: 7, .. }));
        assert!(!dialer.is_busy());
    }

    #[test]
    fn what_comes_behind_the_answer_is_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let door = Door::plain(&Place::local(listener.local_addr().unwrap().port()));
        let mut dialer = Dialer::new(&door, Wanted::WebSocket, 1, 4).unwrap();
        dialer.order(3, "/topics/a".to_owned());
        let mut done = Vec::new();
        dialer.turn(8, &mut done).unwrap();
        let (mut socket, _) = listener.accept().unwrap();
        while dialer.openings.iter().flatten().any(|opening| !opening.request.is_empty()) {
            dialer.turn(8, &mut done).unwrap();
        }
        let mut head = vec![0; 4096];
        assert!(socket.read(&mut head).unwrap() > 0);
        let answer = [handshake::acceptance(&the_key()), b"\x82\x01x".to_vec()].concat();
        socket.write_all(&answer).unwrap();
        let Dialled::Open { number: 3, connected, .. } = outcome(&mut dialer) else { panic!("not open") };
        assert_eq!(connected.early, b"\x82\x01x");
    }
}

//! The floor: what the kernel charges for the `send` calls alone.
//!
//! A single-threaded epoll server that does nothing a hub must do. It accepts, shakes hands, keeps the sockets of each
//! topic, and for each message it reads it makes the frame once and sends it to every socket of that topic. It has no
//! queues, no limits, no liveness, no slow-consumer policy: a full socket blocks it. It counts its writes.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::client::poller::{Interest, Poller, Ready};
use crate::clock;
use crate::server::burst::Burst;
use crate::server::egress::Egress;
use crate::server::way::Way;
use crate::server::writes::FLOOR_WRITES;
use crate::wire::dialect::{Envelope, asked, write_publication};
use crate::wire::frame::{self, Frame, Opcode, Writer};
use crate::wire::handshake;
use crate::wire::inbox::Inbox;

/// The first word of the line that says where the server listens.
pub(crate) const LISTENING: &str = "listening";

const LISTENER: u64 = u64::MAX - 1;
const PARENT: u64 = u64::MAX - 2;

const READ_BYTES: usize = 64 * 1024;

/// The largest message, in bytes.
const MESSAGE_LIMIT_BYTES: usize = 16 << 20;

/// A socket that takes nothing for so long ends the measurement: its reader is gone.
const BLOCKED_LIMIT_NS: u64 = 10_000_000_000;

/// A floor that was forgotten ends by itself.
const LIFETIME_NS: u64 = 6 * 3_600_000_000_000;

/// The epoch in JSON envelopes: as many digits as the hub's, which is a time in microseconds.
const EPOCH: u64 = 1_700_000_000_000_000;

/// How the floor sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    /// One `send` per publication and subscriber.
    PerPublication,
    /// The frames of everything read at once are joined: one `send` per burst and subscriber. Once a connection has several
    /// topics, everything read in one turn of the loop is a burst: that is what such a connection is owed at once.
    PerBurst,
}

/// Serves, sending by `ways` in turn, on a free port of 127.0.0.1, which it prints, until standard input ends.
pub(crate) fn serve(sending: Sending, ways: &[Way]) -> Result<()> {
    let listener = listener()?;
    listener.set_nonblocking(true)?;
    let mut floor = Floor {
        sending,
        egress: Egress::new(ways)?,
        poller: Poller::new()?,
        clients: Vec::new(),
        topics: Vec::new(),
        topic_numbers: HashMap::new(),
        has_several: false,
        turn: Burst::default(),
        writes: 0,
        scratch: vec![0; Inbox::scratch_bytes(MESSAGE_LIMIT_BYTES, READ_BYTES)],
        burst: Vec::new(),
    };
    floor.poller.add(&listener, LISTENER, Interest::Read)?;
    // The parent holds the other end of a pipe: when it ends, however it ends, so does this.
    floor.poller.add(io::stdin(), PARENT, Interest::Read)?;
    println!("{LISTENING} {}", listener.local_addr()?.port());
    io::stdout().flush()?;

    let end_ns = clock::now_ns() + LIFETIME_NS;
    let mut ready: Vec<Ready> = Vec::new();
    while clock::now_ns() < end_ns {
        floor.poller.wait(1000, &mut ready)?;
        for event in &ready {
            match event.token {
                PARENT => return floor.egress.tell(),
                LISTENER => floor.accept(&listener)?,
                client => floor.read(client as usize)?,
            }
        }
        floor.end_turn()?;
    }
    bail!("the floor server ran for its longest time")
}

fn listener() -> Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    let address = std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&address.into())?;
    // Deep enough for a connect storm: a full backlog drops connections for a second each.
    socket.listen(4096)?;
    Ok(socket.into())
}

struct Floor {
    sending: Sending,
    egress: Egress,
    poller: Poller,
    clients: Vec<Option<Client>>,
    topics: Vec<Topic>,
    topic_numbers: HashMap<String, usize>,
    /// Whether a client has ever asked for more than one topic.
    has_several: bool,
    turn: Burst,
    /// Sends to subscribers.
    writes: u64,
    scratch: Vec<u8>,
    /// The frames to be sent.
    burst: Vec<u8>,
}

struct Topic {
    name: String,
    members: Vec<usize>,
    /// Publications so far: the offset of the last one.
    offset: u64,
}

struct Client {
    socket: TcpStream,
    inbox: Inbox,
    /// Its topics, once it is a WebSocket; it publishes on the first.
    topics: Vec<usize>,
    /// What it gets, and what its publications are put in. All clients of a run ask for the same.
    envelope: Envelope,
    head: Vec<u8>,
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        loop {
            match listener.accept() {
                Ok((socket, _)) => {
                    socket.set_nonblocking(true)?;
                    socket.set_nodelay(true)?;
                    self.egress.add(&socket)?;
                    self.poller.add(&socket, self.clients.len() as u64, Interest::Read)?;
                    self.clients.push(Some(Client::new(socket)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("accept"),
            }
        }
    }

    fn read(&mut self, number: usize) -> Result<()> {
        let Some(client) = self.clients[number].as_mut() else { return Ok(()) };
        let start = client.inbox.restore(&mut self.scratch);
        // Exactly one read of the size that a server would use; not all of the scratch buffer.
        let filled = match recv(&client.socket, &mut self.scratch[start..start + READ_BYTES], RecvFlags::DONTWAIT) {
            Ok((count, _)) if count > 0 => start + count,
            Err(Errno::AGAIN | Errno::INTR) => start,
            Ok(_) | Err(_) => {
                return self.forget(number);
            }
        };
        let Some(&topic_number) = client.topics.first() else { return self.shake_hands(number, filled) };
        let Self { burst, scratch, topics, .. } = self;
        let topic = &mut topics[topic_number];
        let start = burst.len();
        let mut ends = Vec::new();
        let mut closing = false;
        let drained =
            client.inbox.drain(&scratch[..filled], Writer::Client, MESSAGE_LIMIT_BYTES, |frame| match frame.opcode {
                Opcode::Text | Opcode::Binary => {
                    topic.write(client.envelope, &frame, burst);
                    ends.push(burst.len());
                }
                Opcode::Close => closing = true,
                Opcode::Ping | Opcode::Pong => {}
            });
        if closing || drained.is_err() {
            return self.forget(number);
        }
        self.send_to_topic(topic_number, start, &ends)
    }

    /// Sends the frames that begin at `start` and end at `ends`, or owes them until the turn is over.
    fn send_to_topic(&mut self, topic: usize, start: usize, ends: &[usize]) -> Result<()> {
        let Self { sending, egress, clients, topics, has_several, turn, writes, burst, .. } = self;
        let members = &topics[topic].members;
        let sockets = members.iter().filter_map(|&member| Some(&clients[member].as_ref()?.socket));
        match sending {
            Sending::PerPublication => {
                let mut from = start;
                for &end in ends {
                    *writes += egress.send(sockets.clone(), &burst[from..end], &[end - from], send_rest)?;
                    from = end;
                }
                burst.clear();
            }
            Sending::PerBurst if ends.is_empty() => {}
            Sending::PerBurst if *has_several => turn.owe(start..burst.len(), members),
            Sending::PerBurst => {
                // Here a read is the whole burst, which begins at its first byte.
                *writes += egress.send(sockets, burst, ends, send_rest)?;
                burst.clear();
            }
        }
        Ok(())
    }

    /// Sends what is owed from this turn.
    fn end_turn(&mut self) -> Result<()> {
        let Self { egress, clients, turn, writes, burst, .. } = self;
        turn.settle(burst, |client, frames| {
            let socket = clients[client].as_ref().map(|client| &client.socket);
            *writes += egress.send_one(socket.into_iter(), frames, send_rest)?;
            Ok::<_, anyhow::Error>(())
        })?;
        burst.clear();
        Ok(())
    }

    fn shake_hands(&mut self, number: usize, filled: usize) -> Result<()> {
        let Some(client) = self.clients[number].as_mut() else { return Ok(()) };
        client.head.extend_from_slice(&self.scratch[..filled]);
        let Some(opening) = handshake::opening(&client.head) else {
            if client.head.ends_with(b"\r\n\r\n") && client.head.starts_with(b"GET /metrics ") {
                let metrics = format!("{FLOOR_WRITES} {}\n", self.writes);
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{metrics}", metrics.len());
                send_rest(&client.socket, answer.as_bytes())?;
                return self.forget(number);
            } else if client.head.len() > handshake::HEAD_LIMIT_BYTES {
                return self.forget(number);
            }
            return Ok(());
        };
        let answer = handshake::acceptance(opening.key);
        let (names, envelope) = asked(opening.path);
        client.envelope = envelope;
        for name in names {
            let topic = *self.topic_numbers.entry(name.to_owned()).or_insert_with(|| {
                self.topics.push(Topic { name: name.to_owned(), members: Vec::new(), offset: 0 });
                self.topics.len() - 1
            });
            self.topics[topic].members.push(number);
            client.topics.push(topic);
        }
        self.has_several |= client.topics.len() > 1;
        // No client under our control sends frames before it is answered.
        client.head = Vec::new();
        send_rest(&client.socket, &answer).map(|_| ())
    }

    /// Closes the socket. Its number is not used again: runs of a comparison need some thousands of them.
    fn forget(&mut self, number: usize) -> Result<()> {
        let Some(client) = self.clients[number].take() else { return Ok(()) };
        self.egress.remove(&client.socket)?;
        for topic in client.topics {
            self.topics[topic].members.retain(|&member| member != number);
        }
        Ok(())
    }
}

impl Client {
    fn new(socket: TcpStream) -> Self {
        Self { socket, inbox: Inbox::default(), topics: Vec::new(), envelope: Envelope::Plain, head: Vec::new() }
    }
}

impl Topic {
    /// Appends the frame that subscribers get for a client's `frame`.
    fn write(&mut self, envelope: Envelope, frame: &Frame<'_>, out: &mut Vec<u8>) {
        let payload = |out: &mut Vec<u8>| {
            let start = out.len();
            out.extend_from_slice(frame.payload);
            frame::mask(&mut out[start..], frame.key);
        };
        self.offset += 1;
        match envelope {
            Envelope::Plain => frame::write_plain(out, frame.opcode, frame.payload.len(), payload),
            Envelope::Json => write_publication(out, &self.name, EPOCH, self.offset, frame.payload.len(), payload),
        }
    }
}

/// Sends all of `bytes`, waiting for room; returns how many writes it took.
fn send_rest(socket: &TcpStream, mut bytes: &[u8]) -> Result<u64> {
    let mut writes = 0;
    let deadline_ns = clock::now_ns() + BLOCKED_LIMIT_NS;
    while !bytes.is_empty() {
        writes += 1;
        match send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::AGAIN) => {
                if clock::now_ns() > deadline_ns {
                    bail!("a subscriber has not read for {} s", BLOCKED_LIMIT_NS / 1_000_000_000);
                }
                let tenth = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
                match poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&tenth)) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error).context("poll"),
                }
            }
            Err(Errno::INTR) => {}
            Err(_) => break,
        }
    }
    Ok(writes)
}

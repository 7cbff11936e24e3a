//! The floor: what the kernel charges for the `send` calls alone.
//!
//! A single-threaded epoll server that does nothing a hub must do. It accepts, shakes hands, keeps the sockets of each
//! path, and for each message it reads it makes the frame once and sends it to every socket of that path. It has no
//! queues, no limits, no liveness, no slow-consumer policy: a full socket blocks it.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::client::poller::{Interest, Poller, Ready};
use crate::clock;
use crate::wire::frame::{self, Opcode, Writer};
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

/// How the floor sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    /// One `send` per publication and subscriber.
    PerPublication,
    /// The frames of everything read at once are joined: one `send` per burst and subscriber.
    PerBurst,
}

/// Serves on a free port of 127.0.0.1, which it prints, until standard input ends.
pub(crate) fn serve(sending: Sending) -> Result<()> {
    let listener = listener()?;
    listener.set_nonblocking(true)?;
    let mut floor = Floor {
        sending,
        poller: Poller::new()?,
        clients: Vec::new(),
        topics: HashMap::new(),
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
                PARENT => return Ok(()),
                LISTENER => floor.accept(&listener)?,
                client => floor.read(client as usize)?,
            }
        }
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
    poller: Poller,
    clients: Vec<Option<Client>>,
    /// The clients of each path.
    topics: HashMap<String, Vec<usize>>,
    scratch: Vec<u8>,
    /// The frames to be sent, and where each ends.
    burst: Vec<u8>,
}

struct Client {
    socket: TcpStream,
    inbox: Inbox,
    /// Its path, once it is a WebSocket.
    path: Option<String>,
    head: Vec<u8>,
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        loop {
            match listener.accept() {
                Ok((socket, _)) => {
                    socket.set_nonblocking(true)?;
                    socket.set_nodelay(true)?;
                    self.poller.add(&socket, self.clients.len() as u64, Interest::Read)?;
                    self.clients.push(Some(Client { socket, inbox: Inbox::default(), path: None, head: Vec::new() }));
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
                self.forget(number);
                return Ok(());
            }
        };
        if client.path.is_none() {
            return self.shake_hands(number, filled);
        }
        self.burst.clear();
        let mut ends = Vec::new();
        let Self { burst, scratch, .. } = self;
        let mut closing = false;
        let drained =
            client.inbox.drain(&scratch[..filled], Writer::Client, MESSAGE_LIMIT_BYTES, |frame| match frame.opcode {
                Opcode::Text | Opcode::Binary => {
                    frame::write_plain(burst, frame.opcode, frame.payload);
                    let start = burst.len() - frame.payload.len();
                    frame::mask(&mut burst[start..], frame.key);
                    ends.push(burst.len());
                }
                Opcode::Close => closing = true,
                Opcode::Ping | Opcode::Pong => {}
            });
        if closing || drained.is_err() {
            self.forget(number);
            return Ok(());
        }
        self.send_to_topic(number, &ends)
    }

    fn send_to_topic(&self, publisher: usize, ends: &[usize]) -> Result<()> {
        let path = self.clients[publisher].as_ref().and_then(|client| client.path.as_ref());
        let Some(members) = path.and_then(|path| self.topics.get(path)) else { return Ok(()) };
        match self.sending {
            Sending::PerPublication => {
                let mut start = 0;
                for &end in ends {
                    self.send_to_all(members, &self.burst[start..end])?;
                    start = end;
                }
                Ok(())
            }
            Sending::PerBurst if ends.is_empty() => Ok(()),
            Sending::PerBurst => self.send_to_all(members, &self.burst),
        }
    }

    fn send_to_all(&self, members: &[usize], frames: &[u8]) -> Result<()> {
        for &member in members {
            if let Some(client) = &self.clients[member] {
                match send(&client.socket, frames, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                    Ok(count) if count == frames.len() => {}
                    Ok(count) => send_rest(&client.socket, &frames[count..])?,
                    Err(Errno::AGAIN) => send_rest(&client.socket, frames)?,
                    // Its end is read in a moment.
                    Err(_) => {}
                }
            }
        }
        Ok(())
    }

    fn shake_hands(&mut self, number: usize, filled: usize) -> Result<()> {
        let Some(client) = self.clients[number].as_mut() else { return Ok(()) };
        client.head.extend_from_slice(&self.scratch[..filled]);
        let Some(opening) = handshake::opening(&client.head) else {
            if client.head.len() > handshake::HEAD_LIMIT_BYTES {
                self.forget(number);
            }
            return Ok(());
        };
        let path = opening.path.to_owned();
        let answer = handshake::acceptance(opening.key);
        // No client under our control sends frames before it is answered.
        client.head = Vec::new();
        client.path = Some(path.clone());
        send_rest(&client.socket, &answer)?;
        self.topics.entry(path).or_default().push(number);
        Ok(())
    }

    /// Closes the socket. Its number is not used again: runs of a comparison need some thousands of them.
    fn forget(&mut self, number: usize) {
        if let Some(client) = self.clients[number].take()
            && let Some(path) = client.path
            && let Some(members) = self.topics.get_mut(&path)
        {
            members.retain(|&member| member != number);
        }
    }
}

/// Sends all of `bytes`, waiting for room.
fn send_rest(socket: &TcpStream, mut bytes: &[u8]) -> Result<()> {
    let deadline_ns = clock::now_ns() + BLOCKED_LIMIT_NS;
    while !bytes.is_empty() {
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
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

//! Opens many WebSocket connections quickly: nonblocking, a bounded number at a time, from several source addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::client::poller::{Interest, Poller};
use crate::clock;
use crate::server::door::Door;
use crate::server::place::Place;
use crate::wire::dialect::{Dialect, Joining, Standing};
use crate::wire::handshake::{self, Answer};
use crate::wire::line::{Flushed, Line, Received};
use crate::wire::outbox::Outbox;

/// How to connect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dialing {
    /// Local addresses 127.0.0.1, 127.0.0.2 … to connect from: each has its own 28,000 ports.
    pub(crate) source_addresses: u8,
    /// Connections being opened at once.
    pub(crate) concurrency: usize,
    /// All of them together may take this long.
    pub(crate) deadline_ns: u64,
    /// Makes the keys of this run's handshakes unique.
    pub(crate) run: u64,
    /// Whether permessage-deflate is offered.
    pub(crate) compress: bool,
}

/// An open WebSocket connection that is on its topics.
#[derive(Debug)]
pub(crate) struct Connected {
    /// `TCP_NODELAY`.
    pub(crate) line: Line,
    /// Bytes that came right behind the handshake, or the last reply that joined it.
    pub(crate) early: Vec<u8>,
    /// Whether messages may come compressed.
    pub(crate) compression: bool,
}

struct Opening {
    number: usize,
    key: String,
    line: Line,
    request: Outbox,
    answer: Vec<u8>,
    compression: bool,
    stage: Stage,
}

/// What an opening waits for.
enum Stage {
    /// The 101; then it joins these topics.
    Handshake(Vec<String>),
    /// Replies to what it said since.
    Joining(Joining),
}

/// Opens `count` connections through `door`, behind which `dialect` is spoken; number `n` joins `topics(n)`, at least one. `progress` hears how many have.
///
/// Errors: the first connection that fails, with its reason; the deadline.
pub(crate) fn connect_all(
    door: &Door,
    dialect: &Dialect,
    dialing: Dialing,
    count: usize,
    topics: impl Fn(usize) -> Vec<String>,
    mut progress: impl FnMut(usize),
) -> Result<Vec<Connected>> {
    let deadline_ns = clock::now_ns() + dialing.deadline_ns;
    let mut poller = Poller::new()?;
    let mut ready = Vec::new();
    let mut done: Vec<Option<Connected>> = (0..count).map(|_| None).collect();
    let mut openings: Vec<Option<Opening>> = (0..dialing.concurrency.clamp(1, count.max(1))).map(|_| None).collect();
    let mut free: Vec<usize> = (0..openings.len()).collect();
    let (mut started, mut finished) = (0, 0);
    while finished < count {
        if clock::now_ns() > deadline_ns {
            bail!("{finished} of {count} connections open, then the deadline came: is the server accepting?");
        }
        while started < count
            && let Some(slot) = free.pop()
        {
            let opening = Opening::start(door, dialect, dialing, started, topics(started))
                .with_context(|| format!("connection {started} to {}", door.place.address))?;
            poller.add(&opening.line, slot as u64, Interest::ReadAndWrite)?;
            openings[slot] = Some(opening);
            started += 1;
        }
        poller.wait(50, &mut ready)?;
        for event in &ready {
            let slot = event.token as usize;
            let Some(opening) = openings[slot].as_mut() else { continue };
            let number = opening.number;
            let context = || format!("connection {number} to {}", door.place.address);
            if event.writable && opening.has_unsent() {
                match opening.request.flush(&mut opening.line).with_context(context)? {
                    Flushed::All => poller.change(&opening.line, event.token, Interest::Read)?,
                    Flushed::Blocked => {}
                }
            }
            if !event.readable {
                continue;
            }
            let standing = opening.read(dialect)?;
            if opening.has_unsent() {
                // What joins is small, and nothing else waits in the socket: it takes all of it, or tells when it can.
                match opening.request.flush(&mut opening.line).with_context(context)? {
                    Flushed::All => {}
                    Flushed::Blocked => poller.change(&opening.line, event.token, Interest::ReadAndWrite)?,
                }
            }
            if let Some(early) = standing
                && let Some(opening) = openings[slot].take()
            {
                done[opening.number] = Some(Connected { line: opening.line, early, compression: opening.compression });
                free.push(slot);
                finished += 1;
                progress(finished);
            }
        }
    }
    Ok(done.into_iter().flatten().collect())
}

/// A nonblocking socket on its way to `place`, from source address number `number`.
pub(crate) fn dial(place: &Place, source_addresses: u8, number: usize) -> Result<Socket> {
    let socket = Socket::new(Domain::for_address(place.address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    // Closed with a reset: tens of thousands of ports in TIME_WAIT would slow the runs that follow, and a SYN that meets
    // one of them is dropped and sent again after seconds.
    socket.set_linger(Some(Duration::ZERO))?;
    if place.address.is_ipv4() {
        let last = 1 + (number % usize::from(source_addresses.max(1))) as u8;
        let source = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0);
        socket.bind(&source.into()).with_context(|| format!("source address {source}: raise --source-addresses"))?;
    }
    match socket.connect(&place.address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(socket)
}

/// Adds all that `line` has to `answer`: no event tells of what TLS has opened and nobody has taken.
pub(crate) fn read_all(line: &mut Line, answer: &mut Vec<u8>) -> io::Result<Received> {
    let mut buffer = [0; 4096];
    let mut all = 0;
    loop {
        match line.recv(&mut buffer)? {
            Received::Bytes(count) => {
                answer.extend_from_slice(&buffer[..count]);
                all += count;
                if count < buffer.len() {
                    return Ok(Received::Bytes(all));
                }
            }
            // If it ended behind something, the next read tells.
            Received::Nothing | Received::End if all > 0 => return Ok(Received::Bytes(all)),
            nothing => return Ok(nothing),
        }
    }
}

impl Opening {
    fn start(door: &Door, dialect: &Dialect, dialing: Dialing, number: usize, topics: Vec<String>) -> Result<Self> {
        let key = handshake::key(dialing.run, number as u64);
        let mut request = Outbox::default();
        let path = dialect.path(&topics);
        request.bytes().extend_from_slice(&handshake::request(&door.place.authority, &path, &key, dialing.compress));
        let line = door.line(dial(&door.place, dialing.source_addresses, number)?.into())?;
        Ok(Self { number, key, line, request, answer: Vec::new(), compression: false, stage: Stage::Handshake(topics) })
    }

    /// Whether something waits for room in the socket.
    fn has_unsent(&self) -> bool {
        !self.request.is_empty() || self.line.has_unsent()
    }

    /// Reads what is there; returns what is left of it once the connection is on its topics.
    fn read(&mut self, dialect: &Dialect) -> Result<Option<Vec<u8>>> {
        let received = read_all(&mut self.line, &mut self.answer);
        match received.with_context(|| format!("connection {}", self.number))? {
            Received::Bytes(_) => {}
            Received::Nothing => return Ok(None),
            Received::End => {
                bail!("connection {}: the server closed it during the handshake (over its limits?)", self.number)
            }
        }
        if let Stage::Handshake(topics) = &mut self.stage {
            let head_bytes = match handshake::judge_answer(&self.answer, &self.key) {
                Answer::Incomplete => return Ok(None),
                Answer::Accepted { head_bytes, compression } => {
                    self.compression = compression;
                    head_bytes
                }
                Answer::Refused(why) => bail!("connection {}: handshake refused: {why}", self.number),
            };
            self.answer.drain(..head_bytes);
            let topics = std::mem::take(topics);
            self.stage = Stage::Joining(Joining::begin(dialect, topics, self.request.bytes()));
        }
        let Stage::Joining(joining) = &mut self.stage else { return Ok(None) };
        match joining.read(dialect, &mut self.answer, self.request.bytes()) {
            Standing::Waiting => Ok(None),
            Standing::Joined(early) => Ok(Some(early)),
            Standing::Refused(why) => bail!("connection {}: not let in: {why}", self.number),
        }
    }
}

//! Opens many WebSocket connections quickly: nonblocking, a bounded number at a time, from several source addresses.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result, bail};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use socket2::{Domain, Protocol, Socket, Type};

use crate::client::poller::{Interest, Poller};
use crate::clock;
use crate::server::target::Target;
use crate::wire::handshake::{self, Answer};
use crate::wire::outbox::{Flushed, Outbox};

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
}

/// An open WebSocket connection.
#[derive(Debug)]
pub(crate) struct Connected {
    /// Nonblocking, `TCP_NODELAY`.
    pub(crate) socket: OwnedFd,
    /// Bytes that came right behind the handshake.
    pub(crate) early: Vec<u8>,
}

struct Opening {
    number: usize,
    key: String,
    socket: Socket,
    request: Outbox,
    answer: Vec<u8>,
}

/// Opens `count` connections; number `n` asks for `path(n)`. `progress` hears how many are open.
///
/// Errors: the first connection that fails, with its reason; the deadline.
pub(crate) fn connect_all(
    target: &Target,
    dialing: Dialing,
    count: usize,
    path: impl Fn(usize) -> String,
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
            let opening = Opening::start(target, dialing, started, &path(started))
                .with_context(|| format!("connection {started} to {}", target.address))?;
            poller.add(&opening.socket, slot as u64, Interest::ReadAndWrite)?;
            openings[slot] = Some(opening);
            started += 1;
        }
        poller.wait(50, &mut ready)?;
        for event in &ready {
            let slot = event.token as usize;
            let Some(opening) = openings[slot].as_mut() else { continue };
            let context = || format!("connection {} to {}", opening.number, target.address);
            if event.writable && !opening.request.is_empty() {
                match opening.request.flush(&opening.socket).with_context(context)? {
                    Flushed::All => poller.change(&opening.socket, event.token, Interest::Read)?,
                    Flushed::Blocked => {}
                }
            }
            if !event.readable {
                continue;
            }
            if let Some(head_bytes) = opening.read()?
                && let Some(opening) = openings[slot].take()
            {
                let early = opening.answer[head_bytes..].to_vec();
                done[opening.number] = Some(Connected { socket: opening.socket.into(), early });
                free.push(slot);
                finished += 1;
                progress(finished);
            }
        }
    }
    Ok(done.into_iter().flatten().collect())
}

/// A nonblocking socket on its way to `target`, from source address number `number`.
pub(crate) fn dial(target: &Target, source_addresses: u8, number: usize) -> Result<Socket> {
    let socket = Socket::new(Domain::for_address(target.address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if target.address.is_ipv4() {
        let last = 1 + (number % usize::from(source_addresses.max(1))) as u8;
        let source = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0);
        socket.bind(&source.into()).with_context(|| format!("source address {source}: raise --source-addresses"))?;
    }
    match socket.connect(&target.address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(socket)
}

impl Opening {
    fn start(target: &Target, dialing: Dialing, number: usize, path: &str) -> Result<Self> {
        let key = handshake::key(dialing.run, number as u64);
        let mut request = Outbox::default();
        request.bytes().extend_from_slice(&handshake::request(&target.authority, path, &key));
        let socket = dial(target, dialing.source_addresses, number)?;
        Ok(Self { number, key, socket, request, answer: Vec::new() })
    }

    /// Reads what is there; says how long the head was once the WebSocket is open.
    fn read(&mut self) -> Result<Option<usize>> {
        let mut buffer = [0; 4096];
        match recv(&self.socket, &mut buffer, RecvFlags::DONTWAIT) {
            Ok((0, _)) => {
                bail!("connection {}: the server closed it during the handshake (over its limits?)", self.number)
            }
            Ok((count, _)) => self.answer.extend_from_slice(&buffer[..count]),
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            Err(error) => {
                return Err(io::Error::from(error)).with_context(|| format!("connection {}", self.number));
            }
        }
        match handshake::judge_answer(&self.answer, &self.key) {
            Answer::Incomplete => Ok(None),
            Answer::Accepted(head_bytes) => Ok(Some(head_bytes)),
            Answer::Refused(why) => bail!("connection {}: handshake refused: {why}", self.number),
        }
    }
}

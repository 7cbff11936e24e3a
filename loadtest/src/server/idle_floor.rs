//! The floor of a connection that does nothing: what the kernel charges for accepting it, and for a ping and its pong.
//!
//! A single-threaded epoll server. Per connection one `accept4`, one `epoll_ctl`, one `recv` of the request and one `send`
//! of a 101 that was made beforehand; with pings, one `send` and one `recv` each. The listener has the hub's options.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};
use socket2::{Domain, Socket, Type};

use crate::client::dialer;
use crate::client::poller::{Interest, Poller, Ready};
use crate::clock;
use crate::server::floor::LISTENING;
use crate::wire::frame::{self, Opcode};
use crate::wire::handshake;

const LISTENER: u64 = u64::MAX - 1;
const PARENT: u64 = u64::MAX - 2;

const BACKLOG: i32 = 4096;
const NOTSENT_LOWAT_BYTES: u32 = 16 * 1024;
const USER_TIMEOUT: Duration = Duration::from_secs(60);
const DEFER_ACCEPT_S: libc::c_int = 1;

/// How often the floor looks whom to ping; the hub's wheel has the same step.
const TICK_NS: u64 = 100_000_000;

/// Clients are pinged this far apart in the order in which they came, which is that of the kernel's memory, too: a server
/// pings whoever was silent for long enough, in any order. A prime, so that a round reaches all.
const STRIDE: usize = 2_654_435_761;

/// A floor that was forgotten ends by itself.
const LIFETIME_NS: u64 = 6 * 3_600_000_000_000;

/// What the floor does besides accepting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Duties {
    /// The time between two pings of a connection, if they are pinged.
    pub(crate) ping_every_ms: Option<u64>,
    /// Computes the accept value of each handshake, instead of answering all with the same bytes.
    pub(crate) computes_accept: bool,
}

/// Serves on a free port of 127.0.0.1, which it prints, until standard input ends.
pub(crate) fn serve(duties: Duties) -> Result<()> {
    let listener = listener()?;
    let mut floor = Floor {
        duties,
        poller: Poller::new()?,
        clients: Vec::new(),
        // Right for every client that asks with the key of the harness.
        answer: handshake::acceptance(&dialer::the_key()),
        next_ping: 0,
        tick_ns: clock::now_ns(),
        scratch: vec![0; 16 * 1024],
    };
    floor.poller.add(&listener, LISTENER, Interest::Read)?;
    floor.poller.add(io::stdin(), PARENT, Interest::Read)?;
    let address = listener.local_addr()?.as_socket().context("the floor's own address")?;
    println!("{LISTENING} {}", address.port());
    io::stdout().flush()?;

    let end_ns = clock::now_ns() + LIFETIME_NS;
    let mut ready: Vec<Ready> = Vec::new();
    while clock::now_ns() < end_ns {
        floor.poller.wait(floor.patience_ms(), &mut ready)?;
        for event in &ready {
            match event.token {
                PARENT => return Ok(()),
                LISTENER => floor.accept(&listener)?,
                client => floor.read(client as usize)?,
            }
        }
        floor.ping_those_due();
    }
    bail!("the floor server ran for its longest time")
}

fn listener() -> Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    // All as the hub sets them, so that accepted sockets inherit the same.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(NOTSENT_LOWAT_BYTES)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    defer_accept(&socket)?;
    socket.bind(&std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// Sets `TCP_DEFER_ACCEPT`: a connection is there with its request, so that one wake does for both.
#[expect(unsafe_code, reason = "neither std (not stable), socket2 nor rustix has this option")]
fn defer_accept(socket: &Socket) -> io::Result<()> {
    let seconds = DEFER_ACCEPT_S;
    // SAFETY: setsockopt reads `option_len` bytes at `option_value` and keeps no reference. The pointer is to a live local
    // integer of just that size, and the descriptor is open, since `socket` is borrowed for the call.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

struct Floor {
    duties: Duties,
    poller: Poller,
    clients: Vec<Option<Client>>,
    answer: Vec<u8>,
    /// Whose turn it is to be pinged.
    next_ping: usize,
    tick_ns: u64,
    scratch: Vec<u8>,
}

struct Client {
    socket: OwnedFd,
    is_open: bool,
}

impl Floor {
    fn patience_ms(&self) -> u32 {
        if self.duties.ping_every_ms.is_some() { (TICK_NS / 1_000_000) as u32 } else { 1000 }
    }

    fn accept(&mut self, listener: impl AsFd) -> Result<()> {
        loop {
            match accept_with(&listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => {
                    let number = self.clients.len();
                    self.clients.push(Some(Client { socket, is_open: false }));
                    // The request is here already. Watched only now: an edge behind us would cost a second look.
                    self.read(number)?;
                    if let Some(client) = &self.clients[number] {
                        self.poller.add(&client.socket, number as u64, Interest::ReadEdge)?;
                    }
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => return Err(error).context("accept"),
            }
        }
    }

    /// One read, which has a whole request, or pongs nobody looks at, or the end.
    fn read(&mut self, number: usize) -> Result<()> {
        let Some(client) = self.clients[number].as_mut() else { return Ok(()) };
        let count = match recv(&client.socket, &mut self.scratch[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => {
                self.clients[number] = None;
                return Ok(());
            }
            Ok((count, _)) => count,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
            Err(_) => {
                self.clients[number] = None;
                return Ok(());
            }
        };
        if client.is_open {
            return Ok(());
        }
        // Loopback brings a request in one piece.
        let own;
        let answer = if self.duties.computes_accept {
            let opening = handshake::opening(&self.scratch[..count]).context("a request in pieces")?;
            own = handshake::acceptance(opening.key);
            &own
        } else {
            &self.answer
        };
        client.is_open = true;
        let _ = send(&client.socket, answer, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        Ok(())
    }

    /// Each tick pings a share of the connections, so that each has its turn once per interval.
    fn ping_those_due(&mut self) {
        let Some(every_ms) = self.duties.ping_every_ms else { return };
        let now_ns = clock::now_ns();
        let ticks = (every_ms * 1_000_000 / TICK_NS).max(1) as usize;
        while self.tick_ns + TICK_NS <= now_ns {
            self.tick_ns += TICK_NS;
            let mut ping = Vec::new();
            frame::write_plain(&mut ping, Opcode::Ping, 0, |_| ());
            for _ in 0..self.clients.len().div_ceil(ticks) {
                self.next_ping = (self.next_ping + 1) % self.clients.len();
                let number = (self.next_ping * STRIDE) % self.clients.len();
                if let Some(client) = self.clients[number].as_ref().filter(|client| client.is_open) {
                    let _ = send(&client.socket, &ping, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
                }
            }
        }
    }
}

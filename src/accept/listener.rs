//! A listening socket of one shard.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, Socket, Type};

/// Pending connections the kernel may hold for us; it cuts this to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Unsent bytes the kernel takes per socket before it says "not writable". Without it the kernel swallows 4 MB for
/// each slow reader before anyone notices, and everybody's p50 doubles (fan-out measurements, 50 stopped readers).
const NOTSENT_LOWAT_BYTES: u32 = 16 * 1024;

/// How long sent data may stay unacknowledged before the kernel gives the peer up; backs up the pings.
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection is told of when its first bytes are there, or after this time without any. So the head is read right
/// behind the accept: one wake per handshake instead of two, and no event that says "readable". `fanfare-loadtest storm`
/// shows what it saves. Silent connections wait in the kernel meanwhile, and cost no descriptor.
const DEFER_ACCEPT: Duration = Duration::from_secs(1);

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("server.listen {address}: {}", self.hint())]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl BindError {
    fn hint(&self) -> String {
        match self.source.kind() {
            io::ErrorKind::AddrInUse => "the address is in use: stop the other program, or choose another port".into(),
            io::ErrorKind::PermissionDenied => "not permitted: ports below 1024 need CAP_NET_BIND_SERVICE".into(),
            io::ErrorKind::AddrNotAvailable => "this machine has no such address".into(),
            _ => format!("cannot listen: {}", self.source),
        }
    }
}

/// A listening socket of one shard.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: SocketAddr,
}

impl Listener {
    /// `shards` sockets on one address, all with SO_REUSEPORT; port 0 is chosen once for all of them.
    ///
    /// # Errors
    /// [`BindError`], also when another process already shares the port: SO_REUSEPORT alone would let two hubs serve
    /// half of the clients each, in silence.
    pub fn bind(address: SocketAddr, shards: usize) -> Result<Vec<Self>, BindError> {
        let failed = |source| BindError { address, source };
        let mut address = address;
        if address.port() != 0 {
            // Refused if anyone listens there, because this one does not share.
            drop(Self::listening(address, false).map_err(failed)?);
        }
        let mut listeners = Vec::with_capacity(shards);
        for _ in 0..shards {
            let listener = Self::listening(address, true).map_err(failed)?;
            address = listener.address;
            listeners.push(listener);
        }
        Ok(listeners)
    }

    fn listening(address: SocketAddr, share: bool) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(share)?;
        socket.set_nonblocking(true)?;
        // Accepted sockets inherit these: no system call per connection.
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_notsent_lowat(NOTSENT_LOWAT_BYTES)?;
        socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())?;
        defer_accept(&socket);
        socket.listen(BACKLOG)?;
        let address = socket.local_addr()?.as_socket().unwrap_or(address);
        Ok(Self { socket, address })
    }

    /// The address, with the port that was chosen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection, non-blocking; `None` if there is none now.
    ///
    /// # Errors
    /// Those of accept(2) that are about this process (EMFILE, ENFILE, ENOBUFS, ENOMEM): wait before the next try.
    /// Errors about one connection (ECONNABORTED and the network errors of its packets) are passed over.
    pub fn accept(&self) -> io::Result<Option<OwnedFd>> {
        use rustix::io::Errno;
        loop {
            match rustix::net::accept_with(&self.socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => return Ok(Some(socket)),
                Err(Errno::AGAIN) => return Ok(None),
                Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => return Err(error.into()),
                Err(_) => {}
            }
        }
    }
}

/// Sets `TCP_DEFER_ACCEPT` (tcp(7)). Without it the hub works as well, only more slowly, so a failure is passed over.
#[expect(unsafe_code, reason = "neither std (not stable), socket2 nor rustix has this option")]
fn defer_accept(socket: &Socket) {
    let seconds: libc::c_int = DEFER_ACCEPT.as_secs() as libc::c_int;
    // SAFETY: setsockopt reads `option_len` bytes at `option_value` and keeps no reference. The pointer is to a live local
    // integer of just that size, and the descriptor is open, since `socket` is borrowed for the call.
    unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        );
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_port_in_use_is_refused_with_what_to_do() {
        let first = Listener::bind("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let error = Listener::bind(first[0].address(), 1).unwrap_err();
        assert!(error.to_string().contains("in use: stop the other program"), "{error}");
    }

    #[test]
    fn a_connection_is_accepted_with_its_first_byte_and_a_silent_one_later() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
        let mut client = std::net::TcpStream::connect(listener.address()).unwrap();
        // The handshake of TCP is over: without the option it would be here, as it is at once on loopback.
        assert!(listener.accept().unwrap().is_none());
        client.write_all(b"G").unwrap();
        let accepted: Socket = accept_within(&listener, Duration::from_secs(10)).into();
        let mut byte = [0];
        assert_eq!(rustix::net::recv(&accepted, &mut byte, rustix::net::RecvFlags::empty()).unwrap().0, 1);

        let _silent = std::net::TcpStream::connect(listener.address()).unwrap();
        accept_within(&listener, DEFER_ACCEPT * 10);
    }

    fn accept_within(listener: &Listener, patience: Duration) -> OwnedFd {
        let deadline = std::time::Instant::now() + patience;
        loop {
            if let Some(socket) = listener.accept().unwrap() {
                return socket;
            }
            assert!(std::time::Instant::now() < deadline, "not accepted within {patience:?}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn accepted_sockets_inherit_the_options() {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
        let mut client = std::net::TcpStream::connect(listener.address()).unwrap();
        client.write_all(b"G").unwrap();
        let accepted: Socket = accept_within(&listener, Duration::from_secs(10)).into();
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), NOTSENT_LOWAT_BYTES);
        assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
        assert!(accepted.tcp_nodelay().unwrap());
        assert!(accepted.nonblocking().unwrap());
    }
}

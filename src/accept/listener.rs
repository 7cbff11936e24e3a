//! A listening socket of one shard.

use std::env;
use std::fs::{self, Permissions};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::config::{Listen, ListenAddress};

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
#[error("cannot listen on {address}: {}", self.hint())]
pub struct BindError {
    /// The address.
    pub address: ListenAddress,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl BindError {
    fn hint(&self) -> String {
        match (self.source.kind(), &self.address) {
            (io::ErrorKind::AddrInUse, ListenAddress::Tcp(_)) => {
                "the address is in use: stop the other program, or choose another port".into()
            }
            (io::ErrorKind::AddrInUse, _) => "another program listens there".into(),
            (io::ErrorKind::PermissionDenied, ListenAddress::Tcp(_)) => {
                "not permitted: ports below 1024 need CAP_NET_BIND_SERVICE".into()
            }
            (io::ErrorKind::AddrNotAvailable, _) => "this machine has no such address".into(),
            (io::ErrorKind::NotFound, ListenAddress::Systemd(_)) => {
                "systemd passed no socket of this name (FileDescriptorName= of the .socket unit)".into()
            }
            _ => self.source.to_string(),
        }
    }
}

/// Which listener of the configuration a connection came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u16);

/// A listening socket of one shard.
#[derive(Debug)]
pub struct Listener {
    id: ListenerId,
    socket: Socket,
    /// Its address, with the port that was chosen; `None` if it is not one of IP.
    address: Option<SocketAddr>,
}

/// A socket that was just accepted.
#[derive(Debug)]
pub struct Accepted {
    /// It, non-blocking.
    pub socket: OwnedFd,
    /// Where it came through.
    pub listener: ListenerId,
    /// Who is at its other end, if that is an IP address.
    pub peer: Option<IpAddr>,
}

/// A Unix socket in the file system. Taken away when dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = fs::remove_file(&self.0);
    }
}

/// The listeners of one address, one for each shard.
#[derive(Debug)]
pub struct Bound {
    /// By shard.
    pub listeners: Vec<Listener>,
    /// To be kept while they listen.
    pub file: Option<SocketFile>,
}

impl Listener {
    /// `shards` listeners on one address. On an IP address each is a socket of its own (SO_REUSEPORT; port 0 is chosen
    /// once for all of them), else they share one.
    ///
    /// # Errors
    /// What the kernel says. An address in use is refused although our sockets could share it: another hub would get
    /// half of the clients each, in silence.
    pub fn bind(listen: &Listen, id: ListenerId, shards: usize) -> Result<Bound, BindError> {
        let bound = match &listen.address {
            ListenAddress::Tcp(address) => Self::bind_tcp(*address, id, shards),
            ListenAddress::Unix(path) => Self::bind_unix(path, listen.mode_bits().unwrap_or(0o660), id, shards),
            ListenAddress::Systemd(name) => passed(name)
                .and_then(|socket| Self::share(&socket, id, shards))
                .map(|listeners| Bound { listeners, file: None }),
        };
        bound.map_err(|source| BindError { address: listen.address.clone(), source })
    }

    fn bind_tcp(mut address: SocketAddr, id: ListenerId, shards: usize) -> io::Result<Bound> {
        if address.port() != 0 {
            // Refused if anyone listens there, because this one does not share.
            drop(Self::listening(address, id, false)?);
        }
        let mut listeners = Vec::with_capacity(shards);
        for _ in 0..shards {
            let listener = Self::listening(address, id, true)?;
            address = listener.address.unwrap_or(address);
            listeners.push(listener);
        }
        Ok(Bound { listeners, file: None })
    }

    fn listening(address: SocketAddr, id: ListenerId, share: bool) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(share)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        inherited(&socket)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let address = socket.local_addr()?.as_socket().or(Some(address));
        Ok(Self { id, socket, address })
    }

    fn bind_unix(path: &Path, mode: u32, id: ListenerId, shards: usize) -> io::Result<Bound> {
        let address = SockAddr::unix(path)?;
        // One that a crash left behind answers nobody.
        if fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
            let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            if probe.connect(&address).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                fs::remove_file(path)?;
            }
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&address)?;
        let file = SocketFile(path.to_owned());
        // Before it listens: until then nobody can connect, whatever the permissions are.
        fs::set_permissions(path, Permissions::from_mode(mode))?;
        socket.listen(BACKLOG)?;
        Ok(Bound { listeners: Self::share(&socket, id, shards)?, file: Some(file) })
    }

    /// One socket for all shards: each connection wakes one of them (EPOLLEXCLUSIVE), and is placed by load.
    fn share(socket: &Socket, id: ListenerId, shards: usize) -> io::Result<Vec<Self>> {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?.as_socket();
        if address.is_some() {
            inherited(socket)?;
        }
        (0..shards).map(|_| Ok(Self { id, socket: socket.try_clone()?, address })).collect()
    }

    /// Which listener of the configuration it is.
    pub fn id(&self) -> ListenerId {
        self.id
    }

    /// The address, with the port that was chosen; `None` if it is not one of IP.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The next connection, non-blocking; `None` if there is none now.
    ///
    /// # Errors
    /// Those of accept(2) that are about this process (EMFILE, ENFILE, ENOBUFS, ENOMEM): wait before the next try.
    /// Errors about one connection (ECONNABORTED and the network errors of its packets) are passed over.
    pub fn accept(&self) -> io::Result<Option<Accepted>> {
        use rustix::io::Errno;
        loop {
            match rustix::net::acceptfrom_with(&self.socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok((socket, peer)) => {
                    let peer =
                        peer.and_then(|peer| SocketAddr::try_from(peer).ok()).map(|peer| peer.ip().to_canonical());
                    return Ok(Some(Accepted { socket, listener: self.id, peer }));
                }
                Err(Errno::AGAIN) => return Ok(None),
                Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => return Err(error.into()),
                Err(_) => {}
            }
        }
    }
}

/// Sets what accepted sockets inherit: no system call per connection.
fn inherited(socket: &Socket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(NOTSENT_LOWAT_BYTES)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    defer_accept(socket);
    Ok(())
}

/// The socket that systemd passed under `name` (sd_listen_fds(3)).
fn passed(name: &str) -> io::Result<Socket> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let place = names.split(':').position(|one| one == name).ok_or(io::ErrorKind::NotFound)?;
    // It reads the variables and leaves them: another listener may come for another socket.
    let mut sockets = listenfd::ListenFd::from_env();
    match sockets.take_tcp_listener(place) {
        Ok(Some(socket)) => Ok(socket.into()),
        Ok(None) => Err(io::ErrorKind::NotFound.into()),
        // Not one of TCP.
        Err(_) => Ok(sockets.take_unix_listener(place)?.ok_or(io::ErrorKind::NotFound)?.into()),
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
        let first = bound(&free(), 2);
        let taken = Listen::at(ListenAddress::Tcp(first.listeners[0].address().unwrap()));
        let error = Listener::bind(&taken, ListenerId(0), 1).unwrap_err();
        assert!(error.to_string().contains("in use: stop the other program"), "{error}");
    }

    #[test]
    fn a_connection_is_accepted_with_its_first_byte_and_a_silent_one_later() {
        let listener = bound(&free(), 1).listeners.remove(0);
        let mut client = std::net::TcpStream::connect(listener.address().unwrap()).unwrap();
        // The handshake of TCP is over: without the option it would be here, as it is at once on loopback.
        assert!(listener.accept().unwrap().is_none());
        client.write_all(b"G").unwrap();
        let accepted: Socket = accept_within(&listener, Duration::from_secs(10)).into();
        let mut byte = [0];
        assert_eq!(rustix::net::recv(&accepted, &mut byte, rustix::net::RecvFlags::empty()).unwrap().0, 1);

        let _silent = std::net::TcpStream::connect(listener.address().unwrap()).unwrap();
        accept_within(&listener, DEFER_ACCEPT * 10);
    }

    fn free() -> Listen {
        Listen::at(ListenAddress::Tcp("127.0.0.1:0".parse().unwrap()))
    }

    fn bound(listen: &Listen, shards: usize) -> Bound {
        Listener::bind(listen, ListenerId(0), shards).unwrap()
    }

    fn accept_within(listener: &Listener, patience: Duration) -> OwnedFd {
        let deadline = std::time::Instant::now() + patience;
        loop {
            if let Some(accepted) = listener.accept().unwrap() {
                assert_eq!(accepted.peer.is_some(), listener.address().is_some());
                return accepted.socket;
            }
            assert!(std::time::Instant::now() < deadline, "not accepted within {patience:?}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn accepted_sockets_inherit_the_options() {
        let listener = bound(&free(), 1).listeners.remove(0);
        let mut client = std::net::TcpStream::connect(listener.address().unwrap()).unwrap();
        client.write_all(b"G").unwrap();
        let accepted: Socket = accept_within(&listener, Duration::from_secs(10)).into();
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), NOTSENT_LOWAT_BYTES);
        assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
        assert!(accepted.tcp_nodelay().unwrap());
        assert!(accepted.nonblocking().unwrap());
    }

    #[test]
    fn a_unix_socket_has_its_permissions_takes_the_place_of_a_dead_one_and_goes_with_its_hub() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.sock");
        let listen = Listen { mode: Some("600".to_owned()), ..Listen::at(ListenAddress::Unix(path.clone())) };
        // What a crash leaves behind: a file that nobody listens at.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let first = bound(&listen, 2);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let error = Listener::bind(&listen, ListenerId(0), 1).unwrap_err();
        assert!(error.to_string().contains("another program listens there"), "{error}");
        let _client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        accept_within(&first.listeners[1], Duration::from_secs(10));
        drop(first);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_that_systemd_did_not_pass_is_named() {
        let listen = Listen::at(ListenAddress::Systemd("public".to_owned()));
        let error = Listener::bind(&listen, ListenerId(0), 1).unwrap_err();
        assert!(error.to_string().contains("systemd:public: systemd passed no socket of this name"), "{error}");
    }
}

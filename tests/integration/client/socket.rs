//! A TCP connection to the hub, read with a deadline.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Stream};

use crate::deadline::PATIENCE;

/// A TCP connection with what was received and not yet taken.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
    received: Vec<u8>,
    taken: usize,
}

/// What a look at the socket brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filled {
    More,
    /// The hub closed or reset it.
    End,
    NotInTime,
}

impl Socket {
    #[track_caller]
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&address, PATIENCE).unwrap())
    }

    /// A socket whose kernel buffer takes little: who stops reading is noticed soon.
    #[track_caller]
    pub(crate) fn connect_with_small_buffer(address: SocketAddr) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::over(socket.into())
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self::over_any(stream)
    }

    /// Over a Unix socket. What is done to it here is done the same way to TCP.
    #[track_caller]
    pub(crate) fn connect_unix(path: &Path) -> Self {
        Self::over_any(OwnedFd::from(UnixStream::connect(path).unwrap()).into())
    }

    fn over_any(stream: TcpStream) -> Self {
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, tls: None, received: Vec::new(), taken: 0 }
    }

    /// Speaks TLS from here on, with whoever has a certificate for `name`.
    pub(crate) fn with_tls(mut self, config: &Arc<ClientConfig>, name: &str) -> Self {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        self.tls = Some(Box::new(ClientConnection::new(Arc::clone(config), name).unwrap()));
        self
    }

    /// What the other end has shown, if the handshake came so far.
    #[cfg(feature = "acme")]
    pub(crate) fn certificate(&self) -> Option<rustls::pki_types::CertificateDer<'static>> {
        let shown = self.tls.as_ref()?.peer_certificates()?.first()?;
        Some(shown.clone().into_owned())
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.tls {
            None => self.stream.write_all(bytes),
            Some(tls) => {
                let mut stream = Stream::new(&mut **tls, &mut self.stream);
                stream.write_all(bytes)?;
                stream.flush()
            }
        }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.write(bytes).unwrap();
    }

    /// Sends, and does not mind if the hub has closed already.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.write(bytes)
    }

    /// Sends past TLS.
    #[track_caller]
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// How long a send may take from now on.
    pub(crate) fn write_within(&mut self, time: Duration) {
        self.stream.set_write_timeout(Some(time)).unwrap();
    }

    /// Says that nothing more will be sent.
    pub(crate) fn shut_down_writing(&self) {
        // Fails if the hub was quicker.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    fn waiting(&self) -> &[u8] {
        &self.received[self.taken..]
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let bytes = self.waiting()[..count].to_vec();
        self.taken += count;
        if self.taken == self.received.len() {
            self.received.clear();
            self.taken = 0;
        }
        bytes
    }

    fn fill(&mut self, deadline: Instant) -> Filled {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(left)).unwrap();
        let mut buffer = [0; 16 * 1024];
        loop {
            let read = match &mut self.tls {
                None => self.stream.read(&mut buffer),
                Some(tls) => Stream::new(&mut **tls, &mut self.stream).read(&mut buffer),
            };
            return match read {
                Ok(0) => Filled::End,
                Ok(count) => {
                    self.received.extend_from_slice(&buffer[..count]);
                    Filled::More
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => continue,
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => Filled::NotInTime,
                    _ => Filled::End,
                },
            };
        }
    }

    /// The next `count` bytes; `None` if the connection ended before the first of them.
    #[track_caller]
    pub(crate) fn read(&mut self, count: usize) -> Option<Vec<u8>> {
        let deadline = Instant::now() + PATIENCE;
        while self.waiting().len() < count {
            match self.fill(deadline) {
                Filled::More => {}
                Filled::End if self.waiting().is_empty() => return None,
                Filled::End => panic!("the hub closed after {} of {count} bytes", self.waiting().len()),
                Filled::NotInTime => panic!("only {} of {count} bytes came in time", self.waiting().len()),
            }
        }
        Some(self.take(count))
    }

    /// What one look at the socket brings, with what was there already; waits for the first byte.
    #[track_caller]
    pub(crate) fn read_once(&mut self) -> Vec<u8> {
        if self.waiting().is_empty() {
            assert_eq!(self.fill(Instant::now() + PATIENCE), Filled::More);
        }
        self.take(self.waiting().len())
    }

    /// All up to and with `end`; `None` if the connection ended before the first byte.
    #[track_caller]
    pub(crate) fn read_through(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.waiting().windows(end.len()).position(|window| window == end) {
                return Some(self.take(at + end.len()));
            }
            match self.fill(deadline) {
                Filled::More => {}
                Filled::End if self.waiting().is_empty() => return None,
                Filled::End => panic!("closed in the middle of {:?}", String::from_utf8_lossy(self.waiting())),
                Filled::NotInTime => panic!("not in time; so far {:?}", String::from_utf8_lossy(self.waiting())),
            }
        }
    }

    /// Everything until the hub closes.
    #[track_caller]
    pub(crate) fn read_to_end(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.fill(deadline) {
                Filled::More => {}
                Filled::End => return self.take(self.waiting().len()),
                Filled::NotInTime => panic!("not closed in time; so far {} bytes", self.waiting().len()),
            }
        }
    }

    /// Whether the hub has closed by now; takes in what it sent before, without waiting.
    pub(crate) fn has_ended(&mut self) -> bool {
        loop {
            match self.fill(Instant::now()) {
                Filled::More => {}
                Filled::End => return true,
                Filled::NotInTime => return false,
            }
        }
    }

    /// Whether something has come, by now.
    pub(crate) fn has_something(&mut self) -> bool {
        !self.waiting().is_empty() || self.fill(Instant::now()) != Filled::NotInTime
    }
}

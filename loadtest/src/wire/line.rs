//! A socket, plain or with TLS around it, that never blocks.

use std::io::{self, Read as _, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind};

/// Bytes of TLS records that are read at once. What is opened of them and of the record before, and finds no room with the
/// caller, is less than the 16 KiB that rustls keeps.
const RECORDS_BYTES: usize = 16 * 1024;

/// What a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Received {
    /// So many bytes. Fewer than there was room for: there are no more now.
    Bytes(usize),
    /// Nothing now.
    Nothing,
    /// The other side sends no more.
    End,
}

/// What a write came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Sent {
    /// So many bytes were taken.
    Taken(usize),
    /// There is no room.
    Full,
}

/// What a flush came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Flushed {
    /// The socket has everything.
    All,
    /// The socket is full; the rest waits for room.
    Blocked,
}

/// A socket, plain or with TLS around it, that never blocks. With TLS the handshake goes on with every call: what is written
/// before it is over waits for it.
#[derive(Debug)]
pub(crate) struct Line {
    socket: OwnedFd,
    /// Boxed: plain lines should not pay for it.
    tls: Option<Box<ClientConnection>>,
}

impl Line {
    /// `socket` as it is.
    pub(crate) fn plain(socket: OwnedFd) -> Self {
        Self { socket, tls: None }
    }

    /// `socket` with TLS around it, to a server that must have a certificate for `name`.
    ///
    /// # Errors
    /// If `config` is of no use.
    pub(crate) fn tls(
        socket: OwnedFd,
        config: &Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, rustls::Error> {
        let connection = ClientConnection::new(Arc::clone(config), name)?;
        Ok(Self { socket, tls: Some(Box::new(connection)) })
    }

    /// Reads what there is, up to the length of `into`, which is not empty.
    ///
    /// Costs one system call, unless `into` was filled or nothing came of the bytes that were there.
    ///
    /// # Errors
    /// Those of the socket; and of TLS, after which the line is of no use.
    pub(crate) fn recv(&mut self, into: &mut [u8]) -> io::Result<Received> {
        match &mut self.tls {
            None => match recv(&self.socket, into, RecvFlags::DONTWAIT) {
                Ok((0, _)) => Ok(Received::End),
                Ok((count, _)) => Ok(Received::Bytes(count)),
                Err(Errno::AGAIN | Errno::INTR) => Ok(Received::Nothing),
                Err(error) => Err(error.into()),
            },
            Some(tls) => open(tls, &self.socket, into),
        }
    }

    /// Writes as much of `bytes` as there is room for. TLS may keep records of what it has taken, see [`Line::flush`].
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<Sent> {
        let Some(tls) = &mut self.tls else { return send_plain(&self.socket, bytes) };
        match flush(tls, &self.socket)? {
            Flushed::Blocked => Ok(Sent::Full),
            Flushed::All => match tls.writer().write(bytes)? {
                0 => Ok(Sent::Full),
                taken => {
                    // What the socket has no room for now goes with the next one.
                    let _: Flushed = flush(tls, &self.socket)?;
                    Ok(Sent::Taken(taken))
                }
            },
        }
    }

    /// Writes the records that TLS has kept.
    ///
    /// # Errors
    /// Those of the socket.
    pub(crate) fn flush(&mut self) -> io::Result<Flushed> {
        match &mut self.tls {
            None => Ok(Flushed::All),
            Some(tls) => flush(tls, &self.socket),
        }
    }

    /// Whether TLS has records for the socket, also those that answer what was read.
    pub(crate) fn has_unsent(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Whether its TLS handshake was a resumption.
    pub(crate) fn is_resumed(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.handshake_kind() == Some(HandshakeKind::Resumed))
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn send_plain(socket: &OwnedFd, bytes: &[u8]) -> io::Result<Sent> {
    loop {
        return match send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(count) => Ok(Sent::Taken(count)),
            Err(Errno::AGAIN) => Ok(Sent::Full),
            Err(Errno::INTR) => continue,
            Err(error) => Err(error.into()),
        };
    }
}

/// Reads records and opens them.
///
/// Whoever polls for edges takes a read that did not fill `into` for the last one. So this goes on until the socket has no
/// more; and until something came of it, or a record cut in two would hide the end behind it.
fn open(tls: &mut ClientConnection, socket: &OwnedFd, into: &mut [u8]) -> io::Result<Received> {
    let mut filled = match tls.reader().read(into) {
        Ok(0) => return Ok(Received::End),
        read => or_nothing(read)?,
    };
    let so_far = |filled: usize, nothing: Received| if filled > 0 { Received::Bytes(filled) } else { nothing };
    while filled < into.len() {
        let asked = RECORDS_BYTES.min(into.len() - filled);
        let mut room = [MaybeUninit::uninit(); RECORDS_BYTES];
        let mut records: &[u8] = match recv(socket, &mut room[..asked], RecvFlags::DONTWAIT) {
            Ok(((records, _), _)) => records,
            Err(Errno::AGAIN) => return Ok(so_far(filled, Received::Nothing)),
            Err(Errno::INTR) => continue,
            Err(error) if filled == 0 => return Err(error.into()),
            // The next read tells of the end.
            Err(_) => return Ok(Received::Bytes(filled)),
        };
        if records.is_empty() {
            return Ok(so_far(filled, Received::End));
        }
        let is_drained = records.len() < asked;
        while !records.is_empty() {
            tls.read_tls(&mut records)?;
            let state = tls.process_new_packets();
            if state.is_err() {
                // The server is told why, if it can be.
                let _ = flush(tls, socket);
            }
            let state = state.map_err(io::Error::other)?;
            filled += or_nothing(tls.reader().read(&mut into[filled..]))?;
            if state.peer_has_closed() {
                return Ok(so_far(filled, Received::End));
            }
        }
        // What blocks is told by `has_unsent`.
        let _: Flushed = flush(tls, socket)?;
        if is_drained && filled > 0 {
            break;
        }
    }
    Ok(Received::Bytes(filled))
}

fn or_nothing(read: io::Result<usize>) -> io::Result<usize> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        read => read,
    }
}

fn flush(tls: &mut ClientConnection, socket: &OwnedFd) -> io::Result<Flushed> {
    while tls.wants_write() {
        match tls.write_tls(&mut Records(socket)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Flushed::Blocked),
            Err(error) => return Err(error),
        }
    }
    Ok(Flushed::All)
}

/// A socket as rustls writes to it.
struct Records<'a>(&'a OwnedFd);

impl Write for Records<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match send_plain(self.0, bytes)? {
            Sent::Taken(count) => Ok(count),
            Sent::Full => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ServerConfig, ServerConnection};

    use super::*;
    use crate::clock;
    use crate::server::certificate::{self, Certificate};

    /// A line, and the server at its other end.
    struct Pair {
        line: Line,
        server: ServerConnection,
        socket: UnixStream,
    }

    impl Pair {
        fn new() -> Self {
            let name = format!("fanfare-line-{}-{}", std::process::id(), clock::now_ns());
            let folder = std::env::temp_dir().join(name);
            std::fs::create_dir(&folder).unwrap();
            let files = Certificate::write(&folder).unwrap();
            let chain = vec![CertificateDer::from_pem_file(&files.certificate).unwrap()];
            let key = PrivateKeyDer::from_pem_file(&files.key).unwrap();
            std::fs::remove_dir_all(&folder).unwrap();
            let server = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
            let (own, socket) = UnixStream::pair().unwrap();
            socket.set_nonblocking(true).unwrap();
            let client = Arc::new(files.client().unwrap());
            let line = Line::tls(own.into(), &client, certificate::name().unwrap()).unwrap();
            Self { line, server: ServerConnection::new(Arc::new(server)).unwrap(), socket }
        }

        /// One whose handshake is over, and `said` was written before it was.
        fn open(said: &[u8]) -> Self {
            let mut pair = Self::new();
            assert_eq!(pair.line.send(said).unwrap(), Sent::Taken(said.len()));
            assert_eq!(pair.line.flush().unwrap(), Flushed::All);
            for _ in 0..3 {
                pair.serve();
                assert_eq!(pair.line.recv(&mut [0; 64]).unwrap(), Received::Nothing);
            }
            let mut heard = vec![0; said.len()];
            pair.server.reader().read_exact(&mut heard).unwrap();
            assert_eq!(heard, said);
            pair
        }

        /// The server reads and writes what it can.
        fn serve(&mut self) {
            while self.server.read_tls(&mut self.socket).is_ok_and(|count| count > 0) {
                self.server.process_new_packets().unwrap();
            }
            self.write();
        }

        fn write(&mut self) {
            while self.server.wants_write() {
                self.server.write_tls(&mut self.socket).unwrap();
            }
        }

        fn say(&mut self, bytes: &[u8]) {
            self.server.writer().write_all(bytes).unwrap();
            self.write();
        }
    }

    #[test]
    fn what_is_opened_and_finds_no_room_comes_with_the_next_reads() {
        let mut pair = Pair::open(b"hello");
        let said: Vec<u8> = (0..40_000_u32).map(|at| at as u8).collect();
        pair.say(&said);
        let mut heard = Vec::new();
        let mut buffer = [0; 100];
        while let Received::Bytes(count) = pair.line.recv(&mut buffer).unwrap() {
            assert!(count == buffer.len() || heard.len() + count == said.len(), "short although there was more");
            heard.extend_from_slice(&buffer[..count]);
        }
        assert_eq!(heard, said);
    }

    #[test]
    fn one_read_takes_all_that_the_socket_has() {
        let mut pair = Pair::open(b"hello");
        for _ in 0..300 {
            pair.server.writer().write_all(&[7; 128]).unwrap();
        }
        pair.write();
        let mut buffer = vec![0; 100_000];
        assert_eq!(pair.line.recv(&mut buffer).unwrap(), Received::Bytes(300 * 128));
        assert_eq!(pair.line.recv(&mut buffer).unwrap(), Received::Nothing);
    }

    #[test]
    fn the_end_is_told_behind_what_came_and_behind_half_a_record() {
        let mut pair = Pair::open(b"hello");
        pair.say(b"last words");
        pair.server.send_close_notify();
        pair.write();
        let mut buffer = [0; 100];
        assert_eq!(pair.line.recv(&mut buffer).unwrap(), Received::Bytes(10));
        assert_eq!(pair.line.recv(&mut buffer).unwrap(), Received::End);

        let mut pair = Pair::open(b"hello");
        let mut record = Vec::new();
        pair.server.writer().write_all(b"never whole").unwrap();
        pair.server.write_tls(&mut record).unwrap();
        pair.socket.write_all(&record[..record.len() / 2]).unwrap();
        assert_eq!(pair.line.recv(&mut buffer).unwrap(), Received::Nothing);
        drop(pair.socket);
        assert_eq!(pair.line.recv(&mut buffer).unwrap(), Received::End);
    }

    #[test]
    fn records_without_room_are_kept_and_are_told() {
        let mut pair = Pair::open(b"hello");
        let (mut taken, piece) = (0, [9; 10_000]);
        while let Sent::Taken(count) = pair.line.send(&piece).unwrap() {
            taken += count;
            assert!(taken < 100_000_000, "the socket is never full");
        }
        assert!(pair.line.has_unsent());
        assert_eq!(pair.line.flush().unwrap(), Flushed::Blocked);
        let mut heard = 0;
        while heard < taken {
            if pair.server.read_tls(&mut pair.socket).is_ok() {
                pair.server.process_new_packets().unwrap();
            }
            let mut buffer = [0; 50_000];
            heard += or_nothing(pair.server.reader().read(&mut buffer)).unwrap();
            let _ = pair.line.flush().unwrap();
        }
        assert_eq!((heard, pair.line.has_unsent()), (taken, false));
    }

    #[test]
    fn a_server_with_another_certificate_is_refused_and_told_so() {
        let (mut pair, other) = (Pair::new(), Pair::new());
        pair.server = other.server;
        assert_eq!(pair.line.flush().unwrap(), Flushed::All);
        pair.serve();
        let error = pair.line.recv(&mut [0; 64]).unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
        assert!(pair.server.read_tls(&mut pair.socket).unwrap() > 0);
        assert!(pair.server.process_new_packets().is_err(), "an alert");
    }
}

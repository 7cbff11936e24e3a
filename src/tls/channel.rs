//! One TLS connection, the server's side.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};

use super::identity::CHALLENGE_PROTOCOL;

/// Plaintext of one record at most (RFC 8446 §5.1).
pub(crate) const RECORD_BYTES: usize = 16 * 1024;

/// What a record has besides its plaintext at most: header, content type and tag of TLS 1.3 (RFC 8446 §5.2), or header,
/// nonce and tag of TLS 1.2 (RFC 5288 §3). rustls says when it needs more.
const OVERHEAD_BYTES: usize = 64;

/// Bytes of an unfinished record or handshake message that are kept. A record is at most 16 KiB and 261 bytes; the largest
/// message of a handshake is a chain of client certificates, of which ten have room. rustls would take 64 KiB.
const PARTIAL_LIMIT_BYTES: usize = 32 * 1024;

/// One TLS connection, the server's side: records come in, plaintext and records come out. Pure.
///
/// It has no buffers while nothing is under way: records are opened where they were read to, and sealed where they are
/// sent from. What rustls itself keeps (its state, keys, the negotiated parameters) makes it 3.8 KiB; `fanfare-loadtest idle
/// --tls` measures all of it.
pub(crate) struct Channel {
    connection: UnbufferedServerConnection,
    /// The beginning of a record or handshake message of which the rest has not come.
    partial: Vec<u8>,
}

/// Whether the peer may send more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Heard {
    /// It may.
    More,
    /// It has said that it will not (close_notify).
    End,
}

impl Channel {
    /// A connection whose client has sent nothing yet.
    ///
    /// # Errors
    /// If `config` is not one that rustls can use with this kind of connection; one of [`super::Identity`] is.
    pub(crate) fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Self { connection: UnbufferedServerConnection::new(config)?, partial: Vec::new() })
    }

    /// Whether the handshake is over, so that bytes can be sealed.
    pub(crate) fn is_established(&self) -> bool {
        !self.connection.is_handshaking()
    }

    /// Whether the peer was an authority that checks our name. It has seen what it wanted: nothing else may be said to it
    /// (RFC 8737 §3).
    pub(crate) fn is_challenge(&self) -> bool {
        self.is_established() && self.connection.alpn_protocol() == Some(CHALLENGE_PROTOCOL)
    }

    /// Takes `records` as they came from the socket, cut anywhere. Their plaintext is added to `plain`, and what has to be
    /// sent because of them (handshake, tickets, alerts, key updates) to `out`, also in case of an error.
    ///
    /// A client's hello costs a signature and a key exchange, a tenth of a millisecond to one; other records cost their
    /// decryption.
    ///
    /// # Errors
    /// If the peer breaks the protocol, or offers nothing that is accepted here. The connection is of no use then.
    pub(crate) fn receive(
        &mut self,
        records: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Heard, rustls::Error> {
        if self.partial.is_empty() {
            let (heard, used) = self.open(records, plain, out)?;
            return self.keep(&records[used..]).map(|()| heard);
        }
        let mut joined = std::mem::take(&mut self.partial);
        joined.extend_from_slice(records);
        let (heard, used) = self.open(&mut joined, plain, out)?;
        self.keep(&joined[used..]).map(|()| heard)
    }

    /// Keeps what is unfinished.
    fn keep(&mut self, rest: &[u8]) -> Result<(), rustls::Error> {
        if rest.len() > PARTIAL_LIMIT_BYTES {
            return Err(rustls::Error::General("an endless handshake message".to_owned()));
        }
        self.partial = rest.to_vec();
        Ok(())
    }

    /// Opens the whole records in `bytes`; says how many bytes are done with.
    fn open(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(Heard, usize), rustls::Error> {
        let mut used = 0;
        let mut heard = Heard::More;
        loop {
            let UnbufferedStatus { mut discard, state } = self.connection.process_tls_records(&mut bytes[used..]);
            let over = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        plain.extend_from_slice(record.payload);
                        discard += record.discard;
                    }
                    false
                }
                Ok(ConnectionState::EncodeTlsData(mut message)) => {
                    write(out, 0, |room| message.encode(room).map_err(Refused::from))?;
                    false
                }
                // It is in `out`, which the caller sends.
                Ok(ConnectionState::TransmitTlsData(sent)) => {
                    sent.done();
                    false
                }
                Ok(ConnectionState::PeerClosed) => {
                    heard = Heard::End;
                    false
                }
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => true,
                Ok(ConnectionState::Closed) => {
                    heard = Heard::End;
                    used = bytes.len();
                    discard = 0;
                    true
                }
                // Early data is not offered (a replayed publication would be published twice); rustls has no other states.
                Ok(_) => return Err(rustls::Error::General("an unknown state".to_owned())),
                Err(error) => {
                    self.say_alerts(&mut bytes[used + discard..], out);
                    return Err(error);
                }
            };
            used += discard;
            if over {
                return Ok((heard, used));
            }
        }
    }

    /// What the peer is told of an error in `bytes`, of which rustls may want to see the rest again.
    fn say_alerts(&mut self, bytes: &mut [u8], out: &mut Vec<u8>) {
        // Not once more than that: it would read what it could not read before.
        while self.connection.wants_write() {
            let UnbufferedStatus { state, .. } = self.connection.process_tls_records(bytes);
            let Ok(ConnectionState::EncodeTlsData(mut alert)) = state else { return };
            if write(out, 0, |room| alert.encode(room).map_err(Refused::from)).is_err() {
                return;
            }
        }
    }

    /// Adds `plain`, at most [`RECORD_BYTES`] of it, to `out` as one record.
    ///
    /// # Errors
    /// Before the handshake is over, after close_notify, or when the keys are used up (2^24 records and more; rustls
    /// updates them before that).
    pub(crate) fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), rustls::Error> {
        debug_assert!(plain.len() <= RECORD_BYTES);
        loop {
            // rustls keeps places in what is unfinished: it has to see that each time, or it looks beyond an end.
            let UnbufferedStatus { discard, state } = self.connection.process_tls_records(&mut self.partial);
            match state? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    let room_bytes = plain.len() + OVERHEAD_BYTES;
                    return write(out, room_bytes, |room| traffic.encrypt(plain, room).map_err(Refused::from));
                }
                // A message that rustls had in mind before: a key update.
                ConnectionState::EncodeTlsData(mut message) => {
                    write(out, 0, |room| message.encode(room).map_err(Refused::from))?;
                }
                ConnectionState::TransmitTlsData(sent) => sent.done(),
                // It has said that it sends nothing more; we may.
                ConnectionState::PeerClosed => {}
                _ => return Err(rustls::Error::HandshakeNotComplete),
            }
            self.partial.drain(..discard);
        }
    }

    /// Adds what says that nothing more will be sent (close_notify) to `out`. Nothing, if that cannot be said.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) {
        if let UnbufferedStatus { state: Ok(ConnectionState::WriteTraffic(mut traffic)), .. } =
            self.connection.process_tls_records(&mut self.partial)
        {
            // What it refuses has been said before.
            let _ = write(out, OVERHEAD_BYTES, |room| traffic.queue_close_notify(room).map_err(Refused::from));
        }
    }

    /// Bytes of an unfinished record.
    #[cfg(test)]
    pub(super) fn partial_bytes(&self) -> usize {
        self.partial.capacity()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("established", &self.is_established()).finish_non_exhaustive()
    }
}

/// Why nothing was written.
enum Refused {
    TooSmall { needed: usize },
    Never(&'static str),
}

impl From<EncodeError> for Refused {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::InsufficientSize(size) => Self::TooSmall { needed: size.required_size },
            EncodeError::AlreadyEncoded => Self::Never("encoded twice"),
        }
    }
}

impl From<EncryptError> for Refused {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::InsufficientSize(size) => Self::TooSmall { needed: size.required_size },
            EncryptError::EncryptExhausted => Self::Never("the keys are used up"),
        }
    }
}

/// Has `writer` write behind what is in `out`, into `room_bytes`, or as much room as it asks for.
fn write(
    out: &mut Vec<u8>,
    room_bytes: usize,
    mut writer: impl FnMut(&mut [u8]) -> Result<usize, Refused>,
) -> Result<(), rustls::Error> {
    let from = out.len();
    out.resize(from + room_bytes, 0);
    loop {
        match writer(&mut out[from..]) {
            Ok(written) => {
                out.truncate(from + written);
                return Ok(());
            }
            Err(Refused::TooSmall { needed }) if needed > out.len() - from => out.resize(from + needed, 0),
            Err(Refused::TooSmall { .. }) => {
                return Err(rustls::Error::General("room that is never enough".to_owned()));
            }
            Err(Refused::Never(why)) => {
                out.truncate(from);
                return Err(rustls::Error::General(why.to_owned()));
            }
        }
    }
}

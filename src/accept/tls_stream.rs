//! A TLS connection in tokio's hands: for plain HTTP, which hyper serves in a task.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::tls::{Channel, Heard, RECORD_BYTES};

/// A TLS connection in tokio's hands. tokio-rustls would begin the handshake itself; ours is over, and goes on after this.
#[derive(Debug)]
pub(super) struct TlsStream {
    stream: TcpStream,
    channel: Box<Channel>,
    /// Opened, and not read yet. At most what one read from the socket had.
    plain: BytesMut,
    /// Sealed, and not written yet. At most one record and what TLS says of its own.
    sealed: BytesMut,
    has_ended: bool,
    has_closed: bool,
}

/// A TLS connection, out of tokio's hands.
pub(super) struct Parts {
    pub(super) stream: TcpStream,
    pub(super) channel: Box<Channel>,
    /// What was opened and not read.
    pub(super) plain: Bytes,
    /// What was sealed and not written: it goes first.
    pub(super) sealed: Bytes,
}

impl TlsStream {
    /// A connection whose handshake is over.
    pub(super) fn new(stream: TcpStream, channel: Box<Channel>) -> Self {
        let (plain, sealed) = (BytesMut::new(), BytesMut::new());
        Self { stream, channel, plain, sealed, has_ended: false, has_closed: false }
    }

    /// Whether something is sealed that the socket has not taken.
    pub(super) fn has_unsent(&self) -> bool {
        self.sealed.has_remaining()
    }

    /// Takes it apart.
    pub(super) fn into_parts(self) -> Parts {
        let Self { stream, channel, plain, sealed, .. } = self;
        Parts { stream, channel, plain: plain.freeze(), sealed: sealed.freeze() }
    }

    /// Writes what is sealed.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sealed.has_remaining() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.sealed))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sealed.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.plain.has_remaining() {
                let taken = this.plain.len().min(buffer.remaining());
                buffer.put_slice(&this.plain.split_to(taken));
                return Poll::Ready(Ok(()));
            }
            if this.has_ended {
                return Poll::Ready(Ok(()));
            }
            let mut records = [0; RECORD_BYTES];
            let mut fresh = ReadBuf::new(&mut records);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut fresh))?;
            let fresh = fresh.filled_mut();
            if fresh.is_empty() {
                // Without close_notify the end may be an attacker's: HTTP knows where its messages end, and hyper looks.
                this.has_ended = true;
                continue;
            }
            let (mut plain, mut out) = (Vec::new(), Vec::new());
            let heard = this.channel.receive(fresh, &mut plain, &mut out);
            this.plain.extend_from_slice(&plain);
            this.sealed.extend_from_slice(&out);
            // If there is no room for it now, the next write or flush takes it along.
            if let Poll::Ready(Err(error)) = this.poll_drain(cx) {
                return Poll::Ready(Err(error));
            }
            match heard {
                Ok(Heard::More) => {}
                Ok(Heard::End) => this.has_ended = true,
                Err(error) => return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error))),
            }
        }
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        let taken = bytes.len().min(RECORD_BYTES);
        let mut record = Vec::new();
        this.channel.seal(&bytes[..taken], &mut record).map_err(io::Error::other)?;
        this.sealed.extend_from_slice(&record);
        // What the socket does not take now goes with the next write or flush: the bytes are taken.
        match this.poll_drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken)),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut joined = Vec::with_capacity(slices.iter().map(|slice| slice.len()).sum::<usize>().min(RECORD_BYTES));
        for slice in slices {
            let room = RECORD_BYTES - joined.len();
            joined.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        self.poll_write(cx, &joined)
    }

    /// Head and body of an answer go into one record.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_drain(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.has_closed {
            this.has_closed = true;
            let mut out = Vec::new();
            this.channel.close(&mut out);
            this.sealed.extend_from_slice(&out);
        }
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

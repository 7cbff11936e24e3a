//! What stands before a request head: a PROXY header, a TLS handshake, or both.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::greeting::head_end;
use super::writing::send;
use crate::accept::proxy_header::{self, Parsed};
use crate::fanout::Sent;
use crate::refusal::Refusal;
use crate::tls::{Channel, Heard};

/// What stands before a request head, until it has been read.
#[derive(Debug)]
pub(super) struct Preface {
    expects_proxy: bool,
    /// The beginning of a PROXY header.
    partial: Vec<u8>,
    /// The client that a PROXY header named.
    source: Option<SocketAddr>,
    channel: Option<Box<Channel>>,
    /// What TLS has to say and the socket has not taken.
    unsent: Vec<u8>,
    /// Whether it stands in the queue of those whose handshake waits for its turn.
    pub(super) waits: bool,
}

/// What came of a read.
#[derive(Debug)]
pub(super) enum Read {
    /// The socket has no more now.
    More,
    /// The head is whole.
    Whole,
    /// The head is longer than `limits.header`.
    TooLarge,
    /// The client is gone.
    Gone,
    /// An authority has seen that we answer to a name.
    Proven,
    /// It is none of ours, and why.
    Refused(Refusal, String),
}

impl Preface {
    pub(super) fn new(expects_proxy: bool, channel: Option<Channel>) -> Self {
        let channel = channel.map(Box::new);
        Self { expects_proxy, partial: Vec::new(), source: None, channel, unsent: Vec::new(), waits: false }
    }

    /// Whether the next bytes may cost what a step of a TLS handshake costs.
    pub(super) fn is_shaking_hands(&self) -> bool {
        self.channel.as_ref().is_some_and(|channel| !channel.is_established())
    }

    /// Whether it speaks TLS.
    pub(super) fn has_tls(&self) -> bool {
        self.channel.is_some()
    }

    /// Whether it waits for room in the socket.
    pub(super) fn is_blocked(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// The client that a PROXY header named, once.
    pub(super) fn take_source(&mut self) -> Option<SocketAddr> {
        self.source.take()
    }

    /// What goes on when the head is whole.
    pub(super) fn into_channel(self) -> Option<Box<Channel>> {
        self.channel
    }

    /// Reads until the socket has no more, the head is whole, or something is wrong. What is behind the preface is added to
    /// `head`.
    pub(super) fn read(&mut self, socket: &OwnedFd, scratch: &mut [u8], head: &mut Vec<u8>, limit: usize) -> Read {
        let was_blocked = self.is_blocked();
        if let Err(gone) = self.flush(socket) {
            return gone;
        }
        if was_blocked && let Some(whole) = self.whole(head, 0, limit) {
            return whole;
        }
        loop {
            let fresh = match rustix::net::recv(socket, &mut *scratch, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return self.end(),
                Ok((fresh, _)) => fresh,
                Err(Errno::AGAIN) => return Read::More,
                Err(Errno::INTR) => continue,
                Err(_) => return Read::Gone,
            };
            let from = head.len().saturating_sub(3);
            let taken = self.take(&mut scratch[..fresh], head);
            // Also what it says about a failure.
            let flushed = self.flush(socket);
            match (taken, flushed) {
                (Err(refused), _) => return refused,
                (Ok(()), Err(gone)) => return gone,
                (Ok(()), Ok(())) => {}
            }
            if let Some(whole) = self.whole(head, from, limit) {
                return whole;
            }
        }
    }

    /// Whether `head` is whole, or can be no head any more. Nothing may be written past what is unsent, so as long as
    /// something is, the answer to it has to wait.
    fn whole(&self, head: &[u8], from: usize, limit: usize) -> Option<Read> {
        if self.is_blocked() {
            // One who sends on and on, and takes nothing.
            return (head.len() > limit).then_some(Read::Gone);
        }
        match head_end(head, from) {
            Some(end) if end > limit => Some(Read::TooLarge),
            Some(_) => Some(Read::Whole),
            None => (head.len() > limit).then_some(Read::TooLarge),
        }
    }

    /// Takes bytes as they came from the socket.
    fn take(&mut self, bytes: &mut [u8], head: &mut Vec<u8>) -> Result<(), Read> {
        if !self.expects_proxy {
            return self.open(bytes, head);
        }
        self.partial.extend_from_slice(bytes);
        match proxy_header::parse(&self.partial) {
            Parsed::NeedsMore => Ok(()),
            Parsed::Bad(bad) => Err(Read::Refused(Refusal::BadProxyHeader, bad.to_string())),
            Parsed::Header { length, source } => {
                self.expects_proxy = false;
                self.source = source;
                let mut partial = std::mem::take(&mut self.partial);
                self.open(&mut partial[length..], head)
            }
        }
    }

    fn open(&mut self, bytes: &mut [u8], head: &mut Vec<u8>) -> Result<(), Read> {
        let Some(channel) = &mut self.channel else {
            head.extend_from_slice(bytes);
            return Ok(());
        };
        match channel.receive(bytes, head, &mut self.unsent) {
            Ok(Heard::More | Heard::End) if channel.is_challenge() => {
                channel.close(&mut self.unsent);
                Err(Read::Proven)
            }
            Ok(Heard::More) => Ok(()),
            Ok(Heard::End) => Err(self.end()),
            Err(error) => Err(Read::Refused(Refusal::TlsFailed, error.to_string())),
        }
    }

    /// The client sends nothing more. In the middle of a handshake that is its answer to our certificate.
    fn end(&self) -> Read {
        if self.is_shaking_hands() {
            return Read::Refused(Refusal::TlsFailed, "the client went away in the middle of the handshake".to_owned());
        }
        Read::Gone
    }

    fn flush(&mut self, socket: &OwnedFd) -> Result<(), Read> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        match send(socket, &[IoSlice::new(&self.unsent)], &mut []) {
            Sent::Wrote(written) | Sent::Full(written) => {
                self.unsent.drain(..written);
                Ok(())
            }
            Sent::Blocked => Ok(()),
            Sent::Dead => Err(Read::Gone),
        }
    }
}

//! A socket and what its worker knows of it while it is open.

use std::fmt;
use std::os::fd::OwnedFd;

use super::liveness::Liveness;
use crate::accept::ListenerId;
use crate::accept::addresses::AddressKey;
use crate::close_reason::CloseReason;
use crate::fanout::ConnectionId;
use crate::session::Session;
use crate::tls::Channel;
use crate::ws::{Decoder, Window};

/// A socket and what its worker knows of it: no buffers, no queue, no task. What it is owed is in the fan-out's slot of
/// the same index.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: OwnedFd,
    /// Its TLS, if it speaks that. Boxed: the others should not pay for it.
    pub(crate) tls: Option<Box<Channel>>,
    /// What its client is counted as, if anyone is counted.
    pub(crate) counted: Option<AddressKey>,
    pub(crate) listener: ListenerId,
    pub(crate) id: ConnectionId,
    pub(crate) session: Session,
    pub(crate) state: State,
    pub(crate) reading: Reading,
    /// Whether the poller tells when it has room again: since it was blocked for the first time.
    pub(crate) room_is_watched: bool,
    /// The window that compression was agreed on for, if it was.
    pub(crate) compression: Option<Window>,
    pub(crate) liveness: Liveness,
    pub(crate) decoder: Decoder,
}

/// How far its end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Messages are read and publications written.
    Open,
    /// Our close frame is queued; after it the socket is shut down for writing. Whether we still wait for the client's
    /// close frame then (we closed first) or not (it closed, or broke the rules).
    Closing { for_answer: bool },
    /// Our close frame is out. The client's close frame is awaited.
    AwaitingAnswer,
    /// Shut down for writing: what still comes is read and dropped, until the client closes. Closing the socket with
    /// unread bytes would send a reset, which may overtake the close frame.
    Lingering,
}

impl fmt::Display for ConnectionId {
    /// As it stands in the log: slot and generation, unique on its worker.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// Why it is not being read, if it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It is read when the poller says so.
    Polled,
    /// It is in the list of those to be read in the next turn.
    Queued,
    /// Its outbox is over its limit: it asks and does not read the answers.
    OutboxFull,
    /// Its publication waits for room in a mailbox.
    Paused,
    /// It sent as much as its rate allows.
    Throttled,
    /// Somebody was asked whether its client may come in.
    Awaiting,
}

impl Connection {
    /// Whether messages of its client still count.
    pub(crate) fn is_open(&self) -> bool {
        self.state == State::Open
    }
}

/// Why a connection that is being closed is: kept beside the connections, since few have one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending {
    pub(crate) id: ConnectionId,
    pub(crate) reason: CloseReason,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(size_of::<Option<Connection>>() <= 64, "{} bytes", size_of::<Option<Connection>>());
    }
}

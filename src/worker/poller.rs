//! One epoll per worker for all of its sockets. The worker sleeps in it; while tasks of its tokio runtime want to be woken,
//! too, it sits in that runtime as a single `AsyncFd`.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::Timespec;
use tokio::io::unix::AsyncFd;

use crate::fanout::ConnectionId;

/// Events taken from the kernel at once.
const EVENTS: usize = 256;

/// Whose event it is. The generation keeps an event of a closed connection from its successor in the same slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    /// Another thread wants the worker to look up.
    Wake,
    /// A listener, by index.
    Listener(u32),
    /// A socket whose request head is not whole yet.
    Greeting { index: u32, serial: u32 },
    /// A connection.
    Connection(ConnectionId),
}

/// The bits of a generation or serial number that fit beside an index and a kind.
const GENERATION: u32 = (1 << 30) - 1;

impl Token {
    fn pack(self) -> u64 {
        let (kind, generation, index) = match self {
            Self::Wake => (0u64, 0, 0),
            Self::Listener(index) => (1, 0, index),
            Self::Greeting { index, serial } => (2, serial & GENERATION, index),
            Self::Connection(id) => (3, id.generation & GENERATION, id.index),
        };
        kind << 62 | u64::from(generation) << 32 | u64::from(index)
    }

    fn unpack(data: u64) -> Self {
        let index = data as u32;
        let generation = (data >> 32) as u32 & GENERATION;
        match data >> 62 {
            0 => Self::Wake,
            1 => Self::Listener(index),
            2 => Self::Greeting { index, serial: generation },
            _ => Self::Connection(ConnectionId { index, generation }),
        }
    }

    /// Whether `generation` is the one this token was made with.
    pub(crate) fn same_generation(token: u32, actual: u32) -> bool {
        token == actual & GENERATION
    }
}

/// What happened to a socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ready {
    pub(crate) token: Token,
    pub(crate) readable: bool,
    /// The peer sends nothing more. Behind the last bytes only an empty read tells that, and no further event comes.
    pub(crate) ended: bool,
    pub(crate) writable: bool,
}

/// What other threads ring to make a worker look up.
#[derive(Debug, Clone)]
pub(crate) struct Bell(Arc<OwnedFd>);

impl Bell {
    /// # Errors
    /// If the process has no descriptor left.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)))
    }

    /// Rings it: one `write`.
    pub(crate) fn ring(&self) {
        // Fails only with EAGAIN at 2^64 - 2 unread rings, when the worker is awake anyway.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }
}

/// The poller of one worker.
pub(crate) struct Poller {
    /// Shared with the runtime while it watches: a duplicate would be one more descriptor, asked for when there may be none.
    epoll: Arc<OwnedFd>,
    events: Vec<Event>,
}

impl Poller {
    /// A poller that reports [`Token::Wake`] each time `bell` is rung.
    pub(crate) fn new(bell: &Bell) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        // Edge-triggered, so it is never read: each write is an edge, and 2^64 of them do not happen.
        epoll::add(&epoll, &*bell.0, EventData::new_u64(Token::Wake.pack()), Self::flags(Token::Wake))?;
        Ok(Self { epoll: Arc::new(epoll), events: Vec::with_capacity(EVENTS) })
    }

    /// The same epoll, watched by the tokio runtime of this thread. Takes no descriptor.
    ///
    /// # Errors
    /// If the kernel has no memory for one more watch.
    #[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor that its types cannot express")]
    pub(crate) fn watch(&self) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
        // SAFETY: `register` wants a descriptor that is open, and the same from every `as_raw_fd`, for as long as the
        // `AsyncFd` lives. An `OwnedFd` is open until it is dropped and never changes its number, and it is not dropped
        // while the `Arc` in the `AsyncFd` is there.
        Ok(unsafe { AsyncFd::register(Arc::clone(&self.epoll)) }?)
    }

    /// Watches what comes from a connection or a greeting, edge-triggered.
    pub(crate) fn add(&self, socket: impl AsFd, token: Token) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(token.pack()), Self::flags(token))?)
    }

    /// Watches it under another token. An edge that is already there is reported again.
    pub(crate) fn rename(&self, socket: impl AsFd, token: Token) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, socket, EventData::new_u64(token.pack()), Self::flags(token))?)
    }

    /// Watches a connection's room to write from now on, too; if there is room already, that is an event. Not from the
    /// start: a new connection has room, and the event that says so would cost a tenth of a handshake.
    pub(crate) fn watch_room(&self, socket: impl AsFd, token: Token) -> io::Result<()> {
        let flags = Self::flags(token) | EventFlags::OUT;
        Ok(epoll::modify(&self.epoll, socket, EventData::new_u64(token.pack()), flags)?)
    }

    /// Forgets it. Closing a socket does that by itself.
    pub(crate) fn delete(&self, socket: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, socket)?)
    }

    fn flags(token: Token) -> EventFlags {
        match token {
            // Level-triggered: accepting stops at a batch and goes on in the next turn. Exclusive: one that all shards share
            // wakes one of them.
            Token::Listener(_) => EventFlags::IN | EventFlags::EXCLUSIVE,
            Token::Wake => EventFlags::IN | EventFlags::ET,
            Token::Greeting { .. } | Token::Connection(_) => EventFlags::IN | EventFlags::RDHUP | EventFlags::ET,
        }
    }

    /// Takes what is ready now into `ready`, without waiting. `true` if there may be more.
    pub(crate) fn poll(&mut self, ready: &mut Vec<Ready>) -> io::Result<bool> {
        self.wait(ready, Duration::ZERO)
    }

    /// The same, but blocks the thread until something is ready, or for `longest`, in whole milliseconds.
    pub(crate) fn wait(&mut self, ready: &mut Vec<Ready>, longest: Duration) -> io::Result<bool> {
        self.events.clear();
        let longest = Timespec { tv_sec: longest.as_secs().cast_signed(), tv_nsec: longest.subsec_nanos().into() };
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&longest)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        ready.extend(self.events.iter().map(|event| {
            let flags = event.flags;
            let broken = flags.intersects(EventFlags::ERR | EventFlags::HUP);
            let ended = broken || flags.contains(EventFlags::RDHUP);
            Ready {
                token: Token::unpack(event.data.u64()),
                readable: ended || flags.contains(EventFlags::IN),
                ended,
                writable: broken || flags.contains(EventFlags::OUT),
            }
        }));
        Ok(self.events.len() == self.events.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_comes_back_as_it_was() {
        for token in [
            Token::Wake,
            Token::Listener(3),
            Token::Greeting { index: u32::MAX, serial: 77 },
            Token::Connection(ConnectionId { index: 99_999, generation: GENERATION }),
        ] {
            assert_eq!(Token::unpack(token.pack()), token);
        }
    }

    #[test]
    fn a_wake_from_another_thread_is_an_event_each_time() {
        let bell = Bell::new().unwrap();
        let mut poller = Poller::new(&bell).unwrap();
        for _ in 0..3 {
            std::thread::scope(|scope| scope.spawn(|| bell.ring()).join().unwrap());
            let mut ready = Vec::new();
            poller.poll(&mut ready).unwrap();
            assert_eq!(ready.len(), 1);
            assert_eq!(ready[0].token, Token::Wake);
            poller.poll(&mut ready).unwrap();
            assert_eq!(ready.len(), 1, "one write is one event");
        }
    }
}

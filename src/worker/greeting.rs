//! From an accepted socket to a connection: no task, no tokio socket, no buffer unless the head comes in pieces.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::poller::Token;
use super::turn::ACCEPTS;
use super::worker::{Accepting, Arrival, Due, Worker};
use crate::accept::handshake;
use crate::refusal::Refusal;

/// The first pause after the process ran out of descriptors, in ticks; each further one doubles it.
const PAUSE_TICKS: u32 = 1;

/// The longest pause: clients that wait in the kernel's backlog should not give up.
const PAUSE_LIMIT_TICKS: u32 = 16;

/// A socket whose request head is not whole yet.
#[derive(Debug)]
struct Greeting {
    socket: OwnedFd,
    serial: u32,
    head: Vec<u8>,
}

/// The greetings of a worker. Bounded by `limits.connections`: each holds a place.
#[derive(Debug, Default)]
pub(super) struct Greetings {
    slots: slab::Slab<Greeting>,
    next_serial: u32,
}

impl Greetings {
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }
}

/// What a read of a head brought.
enum Head {
    Whole,
    Partial,
    TooLarge,
    Gone,
}

impl Head {
    /// A head that ends behind `bytes`: what follows it does not count, and one that comes in one piece is bound by the
    /// limit as well.
    fn whole(bytes: usize, limit: usize) -> Self {
        if bytes > limit { Self::TooLarge } else { Self::Whole }
    }
}

impl Worker {
    /// Takes sockets from a listener. `true` if there may be more.
    pub(super) fn accept(&mut self, index: usize) -> bool {
        for _ in 0..ACCEPTS {
            // Its event may have been taken in just before the drain closed it.
            let Some(listener) = self.seat.listeners.get(index) else { return false };
            match listener.accept() {
                Ok(None) => {
                    self.accepting_works();
                    return false;
                }
                Ok(Some(socket)) => {
                    self.accepting_works();
                    self.place(socket);
                }
                Err(error) => {
                    self.pause_accepting(&error);
                    return false;
                }
            }
        }
        true
    }

    fn accepting_works(&mut self) {
        if let Accepting::Paused { .. } = self.accepting {
            self.accepting = Accepting::Yes;
            tracing::info!(worker = self.seat.id.0, "accepting again");
        }
    }

    /// Out of descriptors or memory: those who are here are served, and the listeners are left alone for a while.
    /// Watching them would report the same connection again and again.
    fn pause_accepting(&mut self, error: &std::io::Error) {
        self.counters().accept_errors.add(1);
        let ticks = match self.accepting {
            Accepting::Paused { ticks, .. } => (ticks * 2).min(PAUSE_LIMIT_TICKS),
            Accepting::Yes | Accepting::Over => {
                let worker = self.seat.id.0;
                tracing::warn!(worker, %error, "cannot accept: raise the descriptor limit (ulimit -n), or lower limits.connections");
                PAUSE_TICKS
            }
        };
        self.accepting = Accepting::Paused { until: self.tick + ticks, ticks };
        for listener in &self.seat.listeners {
            // Fails only if it was not watched.
            let _ = self.poller.delete(listener);
        }
    }

    /// Gives a socket to the least loaded worker, before its handshake.
    fn place(&mut self, socket: OwnedFd) {
        let here = self.seat.id;
        let Ok(worker) = self.seat.placement.place(here) else {
            self.turn_away(&socket);
            return;
        };
        if worker == here {
            self.greet(socket);
            return;
        }
        match self.seat.ways[usize::from(worker.0)].try_send(Arrival::Accepted(socket)) {
            Ok(()) => self.seat.surface.hub.mailbox(worker).wake(),
            Err(_) => {
                // Its arrivals are full: it is far behind. Closing the socket sheds load; the client comes back.
                self.counters().accept_errors.add(1);
                self.seat.placement.leave(worker);
            }
        }
    }

    /// `limits.connections` is reached.
    fn turn_away(&self, socket: &OwnedFd) {
        self.seat.surface.counters.refuse(Refusal::TooManyConnections);
        const BODY: &str = r#"{"status":503,"code":"too-many-connections","title":"server is full"}"#;
        let answer = format!(
            "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 5\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n{BODY}",
            BODY.len()
        );
        let _ = rustix::net::send(socket, answer.as_bytes(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    }

    /// Starts to read the request head of a socket that has its place here.
    pub(super) fn greet(&mut self, socket: OwnedFd) {
        let serial = self.greetings.next_serial;
        self.greetings.next_serial = serial.wrapping_add(1);
        let index = self.greetings.slots.insert(Greeting { socket, serial, head: Vec::new() }) as u32;
        // Most clients have sent their request by now: then the poller hears of the socket only as a connection.
        if self.progress(index, false) {
            self.watch_greeting(index, serial);
        }
    }

    /// The poller says that more of a head has come.
    pub(super) fn read_head(&mut self, index: u32, serial: u32) {
        let Some(greeting) = self.greetings.slots.get(index as usize) else { return };
        if Token::same_generation(serial, greeting.serial) {
            self.progress(index, true);
        }
    }

    /// The head did not come in time.
    pub(super) fn drop_greeting(&mut self, index: u32, serial: u32) {
        let Some(greeting) = self.greetings.slots.get(index as usize) else { return };
        if greeting.serial == serial {
            self.end_greeting(index);
        }
    }

    /// All greetings end: the worker drains.
    pub(super) fn drop_greetings(&mut self) {
        let indices: Vec<u32> = self.greetings.slots.iter().map(|(index, _)| index as u32).collect();
        for index in indices {
            self.end_greeting(index);
        }
    }

    fn end_greeting(&mut self, index: u32) {
        self.greetings.slots.remove(index as usize);
        self.seat.placement.leave(self.seat.id);
    }

    /// Reads what there is of a head, and goes on if it is whole. `true` if the greeting still waits.
    fn progress(&mut self, index: u32, polled: bool) -> bool {
        let mut scratch = std::mem::take(&mut self.scratch);
        let limit = self.seat.surface.config.limits.header.bytes();
        let greeting = &mut self.greetings.slots[index as usize];
        let (head, fresh) = receive_head(greeting, &mut scratch, limit);
        let waits = match head {
            Head::Partial => true,
            Head::Gone => {
                self.end_greeting(index);
                false
            }
            Head::Whole => {
                let Greeting { socket, head, .. } = self.take_greeting(index);
                self.serve_head(socket, if head.is_empty() { &scratch[..fresh] } else { &head }, polled);
                false
            }
            // Hyper says so in the answer.
            Head::TooLarge => {
                let Greeting { socket, head, .. } = self.take_greeting(index);
                self.serve_http(socket, if head.is_empty() { &scratch[..fresh] } else { &head }, polled);
                false
            }
        };
        self.scratch = scratch;
        waits
    }

    fn take_greeting(&mut self, index: u32) -> Greeting {
        self.has_socket_in_hand = true;
        self.greetings.slots.remove(index as usize)
    }

    /// The greetings of a worker that failed begin here once more.
    pub(super) fn take_over_greetings(&mut self, greetings: Greetings) {
        self.greetings = greetings;
        let all: Vec<_> =
            self.greetings.slots.iter().map(|(index, greeting)| (index as u32, greeting.serial)).collect();
        for (index, serial) in all {
            self.watch_greeting(index, serial);
        }
    }

    /// Waits for more of a head, for so long.
    fn watch_greeting(&mut self, index: u32, serial: u32) {
        let greeting = &self.greetings.slots[index as usize];
        if self.poller.add(&greeting.socket, Token::Greeting { index, serial }).is_err() {
            self.end_greeting(index);
            return;
        }
        let timeout = Self::ticks(self.seat.surface.config.limits.header_timeout);
        self.wheel.schedule(Due::Head { index, serial }, self.tick.wrapping_add(timeout));
    }

    /// A request head: either it opens a connection at once, or it takes the ordinary way.
    fn serve_head(&mut self, socket: OwnedFd, bytes: &[u8], polled: bool) {
        self.handshakes = (self.handshakes.0 + 1, self.tick);
        #[cfg(test)]
        super::restart::panic_if_asked("a handshake", bytes);
        match handshake::in_place(&self.seat.surface, bytes) {
            Some(opened) if !self.is_draining() => {
                self.open_polled(socket, polled, Some(opened.response), opened.opening, &opened.rest);
            }
            _ => self.serve_http(socket, bytes, polled),
        }
    }
}

/// Reads until the head is whole or the socket has no more. A head that came in one piece stays in `scratch`, of which
/// the number of fresh bytes is returned; else it is gathered in the greeting.
fn receive_head(greeting: &mut Greeting, scratch: &mut [u8], limit: usize) -> (Head, usize) {
    loop {
        let fresh = match rustix::net::recv(&greeting.socket, &mut *scratch, RecvFlags::DONTWAIT) {
            Ok((0, _)) => return (Head::Gone, 0),
            Ok((fresh, _)) => fresh,
            Err(Errno::AGAIN) => return (Head::Partial, 0),
            Err(Errno::INTR) => continue,
            Err(_) => return (Head::Gone, 0),
        };
        if greeting.head.is_empty() {
            if let Some(end) = head_end(&scratch[..fresh], 0) {
                return (Head::whole(end, limit), fresh);
            }
            greeting.head.extend_from_slice(&scratch[..fresh]);
        } else {
            let old = greeting.head.len();
            greeting.head.extend_from_slice(&scratch[..fresh]);
            if let Some(end) = head_end(&greeting.head, old.saturating_sub(3)) {
                return (Head::whole(end, limit), 0);
            }
        }
        if greeting.head.len() > limit {
            return (Head::TooLarge, 0);
        }
    }
}

/// Where the request head in `bytes` ends, if the empty line that ends it stands there from `from` on.
///
/// Empty lines before it are passed over, as RFC 9112 §2.2 wants it: they are no head, and whoever sends nothing else has
/// only the time of a head.
fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    let begin = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let from = from.max(begin);
    memchr::memchr_iter(b'\n', &bytes[from..])
        .map(|at| from + at + 1)
        .find(|&end| bytes[from..end].ends_with(b"\r\n\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lines_before_a_head_are_no_head() {
        assert_eq!(head_end(b"\r\n\r\n\r\n", 0), None);
        assert_eq!(head_end(b"\r\nGET / HTTP/1.1\r\n\r\n", 0), Some(20));
    }

    #[test]
    fn a_head_ends_with_an_empty_line_wherever_it_is_cut() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for cut in 1..head.len() {
            assert_eq!(head_end(&head[..cut], 0), None, "cut at {cut}");
            assert_eq!(head_end(head, cut.saturating_sub(3)), Some(head.len()), "cut at {cut}");
        }
    }
}

//! From an accepted socket to a connection: no task, no tokio socket, no buffer unless the head comes in pieces.

use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::accepting::refusal_head;
use super::opening::Wire;
use super::poller::Token;
use super::preface::{Preface, Read};
use super::worker::{Due, Worker};
use super::writing::send;
use crate::accept::Accepted;
use crate::accept::addresses::AddressKey;
use crate::accept::fair_queue::FairQueue;
use crate::accept::handshake::{self, Caller};
use crate::refusal::Refusal;
use crate::tls::Channel;

/// Steps of TLS handshakes in a turn: what a publication may have to wait for before its sweep. The dearest is a client's
/// hello; a whole handshake takes about 100 µs of CPU with a key for ECDSA (`fanfare-loadtest storm --tls`), more with RSA.
const STEPS: usize = 4;

/// A socket whose request head is not whole yet.
#[derive(Debug)]
struct Greeting {
    socket: OwnedFd,
    serial: u32,
    caller: Caller,
    counted: Option<AddressKey>,
    /// What stands before the head, if anything does.
    preface: Option<Box<Preface>>,
    head: Vec<u8>,
}

/// The greetings of a worker. Bounded by `limits.connections`: each holds a place.
#[derive(Debug, Default)]
pub(super) struct Greetings {
    slots: slab::Slab<Greeting>,
    next_serial: u32,
    /// Those whose TLS handshake waits for its turn: by index and serial.
    hands: FairQueue<(u32, u32)>,
    /// Steps of TLS handshakes that this turn may still take.
    steps_left: usize,
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
    /// Starts to read the request head of a socket that has its place here.
    pub(super) fn greet(&mut self, accepted: Accepted, counted: Option<AddressKey>) {
        let Accepted { socket, listener, peer } = accepted;
        let reach = self.seat.surface.reach(listener);
        let expects_proxy = reach.proxy_protocol;
        let preface = match reach.identity.as_ref().map(|identity| Channel::new(identity.config())) {
            None if !expects_proxy => None,
            None => Some(Box::new(Preface::new(expects_proxy, None))),
            Some(Ok(channel)) => Some(Box::new(Preface::new(expects_proxy, Some(channel)))),
            Some(Err(error)) => {
                tracing::warn!(%error, "no TLS connection can be made");
                self.leave_place(listener, counted);
                return;
            }
        };
        let serial = self.greetings.next_serial;
        self.greetings.next_serial = serial.wrapping_add(1);
        let caller = Caller { listener, peer };
        let greeting = Greeting { socket, serial, caller, counted, preface, head: Vec::new() };
        let index = self.greetings.slots.insert(greeting) as u32;
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
        let Greeting { caller, counted, .. } = self.greetings.slots.remove(index as usize);
        self.leave_place(caller.listener, counted);
    }

    /// Lets TLS handshakes go on that wait for their turn. `true` if some still wait.
    pub(super) fn shake_hands(&mut self) -> bool {
        self.greetings.steps_left = STEPS;
        while self.greetings.steps_left > 0
            && let Some((index, serial)) = self.greetings.hands.pop()
        {
            let greeting = self.greetings.slots.get_mut(index as usize).filter(|greeting| greeting.serial == serial);
            if let Some(preface) = greeting.and_then(|greeting| greeting.preface.as_mut()) {
                preface.waits = false;
                self.progress(index, true);
            }
        }
        self.greetings.hands.len() > 0
    }

    /// Reads what there is of a head, and goes on if it is whole. `true` if the greeting still waits.
    fn progress(&mut self, index: u32, polled: bool) -> bool {
        if self.greetings.slots[index as usize].preface.is_some() {
            return self.progress_prefaced(index, polled);
        }
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
                let (taken, head) = self.take_greeting(index).taken(polled);
                self.serve_head(taken, if head.is_empty() { &scratch[..fresh] } else { &head });
                false
            }
            // Hyper says so in the answer.
            Head::TooLarge => {
                let (taken, head) = self.take_greeting(index).taken(polled);
                self.serve_http(taken, if head.is_empty() { &scratch[..fresh] } else { &head });
                false
            }
        };
        self.scratch = scratch;
        waits
    }

    /// The same behind a preface: a PROXY header, TLS, or both.
    fn progress_prefaced(&mut self, index: u32, polled: bool) -> bool {
        let greeting = &mut self.greetings.slots[index as usize];
        let Some(preface) = greeting.preface.as_mut() else { return true };
        if preface.is_shaking_hands() {
            if preface.waits {
                return true;
            }
            let Some(steps_left) = self.greetings.steps_left.checked_sub(1) else {
                preface.waits = true;
                let address = greeting.caller.peer.map(AddressKey::of);
                self.greetings.hands.push(address, (index, greeting.serial));
                return true;
            };
            self.greetings.steps_left = steps_left;
        }
        let limit = self.seat.surface.config.limits.header.bytes();
        let read = catch_unwind(AssertUnwindSafe(|| {
            preface.read(&greeting.socket, &mut self.scratch, &mut greeting.head, limit)
        }));
        let read = read.unwrap_or_else(|_| {
            self.seat.surface.counters.shards[usize::from(self.seat.id.0)].panics.add(1);
            Read::Refused(Refusal::InternalError, "what stands before the request panicked".to_owned())
        });
        if let Some(source) = preface.take_source() {
            greeting.caller.peer = Some(source.ip());
            match self.seat.surface.admit(greeting.caller.peer) {
                Ok(counted) => greeting.counted = counted,
                Err(crowded) => {
                    let answer = greeting.preface.as_mut().is_some_and(|preface| !preface.has_tls());
                    self.seat.surface.counters.refuse(crowded.refusal());
                    if answer {
                        let answer = refusal_head(crowded.refusal());
                        let _ = send(&greeting.socket, &[IoSlice::new(answer.as_bytes())], &mut []);
                    }
                    self.end_greeting(index);
                    return false;
                }
            }
        }
        match read {
            Read::More => {
                if polled {
                    self.watch_greeting_if_blocked(index);
                }
                return true;
            }
            Read::Gone => self.end_greeting(index),
            Read::Proven => {
                tracing::debug!(peer = ?greeting.caller.peer, "shown to an authority that checks a name");
                self.end_greeting(index);
            }
            Read::Refused(refusal, detail) => {
                self.seat.surface.counters.refuse(refusal);
                tracing::debug!(code = refusal.code(), detail, peer = ?greeting.caller.peer, "refused before its request");
                self.end_greeting(index);
            }
            Read::Whole => {
                let (taken, head) = self.take_greeting(index).taken(polled);
                self.serve_head(taken, &head);
            }
            Read::TooLarge => {
                let (taken, head) = self.take_greeting(index).taken(polled);
                self.serve_http(taken, &head);
            }
        }
        false
    }

    fn take_greeting(&mut self, index: u32) -> Greeting {
        let greeting = self.greetings.slots.remove(index as usize);
        self.in_hand = Some((greeting.caller.listener, greeting.counted));
        greeting
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
        self.watch_greeting_if_blocked(index);
        let timeout = Self::ticks(self.seat.surface.config.limits.header_timeout);
        self.wheel.schedule(Due::Head { index, serial }, self.tick.wrapping_add(timeout));
    }

    /// Has the poller tell when a handshake has room to go on, if it waits for that.
    fn watch_greeting_if_blocked(&self, index: u32) {
        let greeting = &self.greetings.slots[index as usize];
        if greeting.preface.as_ref().is_some_and(|preface| preface.is_blocked()) {
            let token = Token::Greeting { index, serial: greeting.serial };
            // Fails only in a kernel out of memory: then the time for the head ends it.
            let _ = self.poller.watch_room(&greeting.socket, token);
        }
    }

    /// A request head: either it opens a connection at once, or it takes the ordinary way.
    fn serve_head(&mut self, taken: Taken, bytes: &[u8]) {
        self.burst = (self.burst.0 + 1, self.tick);
        #[cfg(test)]
        super::restart::panic_if_asked("a handshake", bytes);
        let opened = match handshake::in_place(&self.seat.surface, taken.caller, bytes) {
            Some(opened) if !self.is_draining() => opened,
            _ => return self.serve_http(taken, bytes),
        };
        let Taken { mut wire, .. } = taken;
        if wire.counted.is_none() {
            match self.seat.surface.admit(opened.client) {
                Ok(counted) => {
                    wire.counted = counted;
                    self.in_hand = Some((wire.listener, counted));
                }
                // The ordinary way finds the same, and says so.
                Err(_) => return self.serve_http(Taken { wire, caller: taken.caller }, bytes),
            }
        }
        self.open(wire, Some(opened.response), opened.opening, &opened.rest);
    }
}

/// A socket whose head is whole, and where it came from.
pub(super) struct Taken {
    pub(super) wire: Wire,
    pub(super) caller: Caller,
}

impl Greeting {
    /// What goes on when its head is whole, and what was gathered of that.
    fn taken(self, is_polled: bool) -> (Taken, Vec<u8>) {
        let tls = self.preface.and_then(|preface| preface.into_channel());
        let Caller { listener, .. } = self.caller;
        let wire = Wire { socket: self.socket, tls, sealed: Bytes::new(), listener, counted: self.counted, is_polled };
        (Taken { wire, caller: self.caller }, self.head)
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
pub(super) fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
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

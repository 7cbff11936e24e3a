//! From an accepted socket to a connection: no task, no tokio socket, no buffer unless the head comes in pieces.

use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::opening::Wire;
use super::poller::Token;
use super::preface::{Preface, Read};
use super::turn::ACCEPTS;
use super::worker::{Accepting, Arrival, Due, Worker};
use super::writing::send;
use crate::accept::addresses::{AddressKey, Crowded};
use crate::accept::fair_queue::FairQueue;
use crate::accept::handshake::{self, Caller};
use crate::accept::http::{self, Ended, Plain};
use crate::accept::{Accepted, AllTaken, ListenerId};
use crate::admin::counters::Protocol;
use crate::close_reason::CloseReason;
use crate::hub::WorkerId;
use crate::refusal::Refusal;
use crate::tls::Channel;

/// Steps of TLS handshakes in a turn. The dearest, a client's hello, takes a tenth of a millisecond to one, by the kind of
/// key: so a storm of them delays a publication by as much as a full sweep does.
const STEPS: usize = 4;

/// The first pause after the process ran out of descriptors, in ticks; each further one doubles it.
const PAUSE_TICKS: u32 = 1;

/// The longest pause: clients that wait in the kernel's backlog should not give up.
const PAUSE_LIMIT_TICKS: u32 = 16;

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
                Ok(Some(accepted)) => {
                    self.accepting_works();
                    self.place(accepted);
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
    fn place(&mut self, accepted: Accepted) {
        let here = self.seat.id;
        let (worker, counted) = match self.take_place(&accepted) {
            Ok(taken) => taken,
            Err(refusal) => {
                self.turn_away(&accepted.socket, accepted.listener, refusal);
                return;
            }
        };
        if worker == here {
            self.greet(accepted, counted);
            return;
        }
        let listener = accepted.listener;
        match self.seat.ways[usize::from(worker.0)].try_send(Arrival::Accepted(accepted, counted)) {
            Ok(()) => self.seat.surface.hub.mailbox(worker).wake(),
            Err(_) => {
                // Its arrivals are full: it is far behind. Closing the socket sheds load; the client comes back.
                self.counters().accept_errors.add(1);
                self.give_place_back(worker, listener, counted);
            }
        }
    }

    /// A place for a socket on a worker, in its listener, and among those of its address.
    fn take_place(&self, accepted: &Accepted) -> Result<(WorkerId, Option<AddressKey>), Refusal> {
        let surface = &self.seat.surface;
        let reach = surface.reach(accepted.listener);
        let is_proxy = accepted.peer.is_some_and(|peer| reach.trusted_proxies.contains(peer));
        if reach.proxy_protocol && !is_proxy && accepted.peer.is_some() {
            return Err(Refusal::BadProxyHeader);
        }
        // The clients of a proxy are counted, once they are known.
        let counted = match accepted.peer.filter(|_| !is_proxy) {
            Some(peer) => surface.admit(Some(peer)).map_err(Crowded::refusal)?,
            None => None,
        };
        if !reach.take_place() {
            surface.release(counted);
            return Err(Refusal::TooManyConnections);
        }
        let worker = self.seat.placement.place(self.seat.id).map_err(|AllTaken| {
            reach.leave_place();
            surface.release(counted);
            Refusal::TooManyConnections
        })?;
        Ok((worker, counted))
    }

    /// Gives back what a connection of this worker has taken.
    pub(super) fn leave_place(&self, listener: ListenerId, counted: Option<AddressKey>) {
        self.give_place_back(self.seat.id, listener, counted);
    }

    fn give_place_back(&self, worker: WorkerId, listener: ListenerId, counted: Option<AddressKey>) {
        self.seat.placement.leave(worker);
        self.seat.surface.reach(listener).leave_place();
        self.seat.surface.release(counted);
    }

    /// Refuses a socket before anything was read of it. A client of TLS, or a proxy that speaks first, sees it closed.
    fn turn_away(&self, socket: &OwnedFd, listener: ListenerId, refusal: Refusal) {
        self.seat.surface.counters.refuse(refusal);
        tracing::debug!(code = refusal.code(), listener = listener.0, "turned away");
        let has_preface =
            self.seat.surface.reach(listener).identity.is_some() || self.seat.surface.reach(listener).proxy_protocol;
        if !has_preface {
            let answer = refusal_head(refusal);
            let _ = rustix::net::send(socket, answer.as_bytes(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
        }
    }

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
            let greeting = &self.greetings.slots[index as usize];
            if self.poller.add(&greeting.socket, Token::Greeting { index, serial }).is_err() {
                self.end_greeting(index);
                return;
            }
            self.watch_greeting_if_blocked(index);
            let timeout = Self::ticks(self.seat.surface.config.limits.header_timeout);
            self.wheel.schedule(Due::Head { index, serial }, self.tick.wrapping_add(timeout));
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
                let (taken, head) = self.greetings.slots.remove(index as usize).taken(polled);
                self.serve_head(taken, if head.is_empty() { &scratch[..fresh] } else { &head });
                false
            }
            // Hyper says so in the answer.
            Head::TooLarge => {
                let (taken, head) = self.greetings.slots.remove(index as usize).taken(polled);
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
            Read::Refused(refusal, detail) => {
                self.seat.surface.counters.refuse(refusal);
                tracing::debug!(code = refusal.code(), detail, peer = ?greeting.caller.peer, "refused before its request");
                self.end_greeting(index);
            }
            Read::Whole => {
                let (taken, head) = self.greetings.slots.remove(index as usize).taken(polled);
                self.serve_head(taken, &head);
            }
            Read::TooLarge => {
                let (taken, head) = self.greetings.slots.remove(index as usize).taken(polled);
                self.serve_http(taken, &head);
            }
        }
        false
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
        self.handshakes = (self.handshakes.0 + 1, self.tick);
        let opened = match handshake::in_place(&self.seat.surface, taken.caller, bytes) {
            Some(opened) if !self.is_draining() => opened,
            _ => return self.serve_http(taken, bytes),
        };
        let Taken { mut wire, .. } = taken;
        if wire.counted.is_none() {
            match self.seat.surface.admit(opened.client) {
                Ok(counted) => wire.counted = counted,
                // The ordinary way finds the same, and says so.
                Err(_) => return self.serve_http(Taken { wire, caller: taken.caller }, bytes),
            }
        }
        self.open(wire, Some(opened.response), opened.opening, &opened.rest);
    }

    /// The ordinary way: a task with a hyper connection.
    fn serve_http(&mut self, taken: Taken, head: &[u8]) {
        let Taken { wire: Wire { socket, tls, listener, counted, is_polled }, caller } = taken;
        if is_polled {
            let _ = self.poller.delete(&socket);
        }
        let plain = Plain { socket, tls, caller, counted, head: Bytes::copy_from_slice(head) };
        let surface = Arc::clone(&self.seat.surface);
        let way = self.seat.ways[usize::from(self.seat.id.0)].clone();
        let mailbox = Arc::clone(&self.mailbox);
        let placement = Arc::clone(&self.seat.placement);
        let here = self.seat.id;
        let tasks = std::rc::Rc::clone(&self.http_tasks);
        tasks.set(tasks.get() + 1);
        self.count_opened(Protocol::Http);
        let draining = self.seat.draining.clone();
        tokio::task::spawn_local(async move {
            let shard = usize::from(here.0);
            let served = http::serve(Arc::clone(&surface), plain, draining).await;
            let counters = &surface.counters.shards[shard];
            counters.connections[Protocol::Http.index()].add(-1);
            counters.closed[Protocol::Http.index()][CloseReason::ClientClosed.index()].add(1);
            match served {
                Ok(Ended::Opened(opened)) => {
                    // Its place goes with it. The way to oneself is full only if other shards fill it: then wait.
                    let mut arrival = Arrival::Opened(opened);
                    while let Err(full) = way.try_send(arrival) {
                        arrival = full.into_inner();
                        mailbox.wake();
                        tokio::task::yield_now().await;
                    }
                    mailbox.wake();
                    return;
                }
                Ok(Ended::Closed) => {}
                Err(error) => tracing::debug!(%error, "HTTP connection failed"),
            }
            tasks.set(tasks.get() - 1);
            placement.leave(here);
            surface.reach(listener).leave_place();
            surface.release(counted);
        });
    }

    /// A plain HTTP connection of this worker became a connection: it is no longer counted as a task.
    pub(super) fn http_tasks_to_connection(&self) {
        self.http_tasks.set(self.http_tasks.get() - 1);
    }
}

/// A socket whose head is whole, and where it came from.
struct Taken {
    wire: Wire,
    caller: Caller,
}

impl Greeting {
    /// What goes on when its head is whole, and what was gathered of that.
    fn taken(self, is_polled: bool) -> (Taken, Vec<u8>) {
        let tls = self.preface.and_then(|preface| preface.into_channel());
        let Caller { listener, .. } = self.caller;
        let wire = Wire { socket: self.socket, tls, listener, counted: self.counted, is_polled };
        (Taken { wire, caller: self.caller }, self.head)
    }
}

/// The answer to a client that is turned away before its request was read.
fn refusal_head(refusal: Refusal) -> String {
    let status = refusal.status();
    let retry_after = refusal.retry_after_seconds().map(|seconds| format!("retry-after: {seconds}\r\n"));
    let retry_after = retry_after.unwrap_or_default();
    let body =
        format!(r#"{{"status":{},"code":"{}","title":"{}"}}"#, status.as_u16(), refusal.code(), refusal.summary());
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\n{retry_after}\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
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

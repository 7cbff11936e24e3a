//! From a listening socket to a place on a worker, or a word why not.

use std::os::fd::OwnedFd;

use rustix::net::SendFlags;

use super::turn::ACCEPTS;
use super::worker::{Accepting, Arrival, Worker};
use crate::accept::addresses::{AddressKey, Crowded};
use crate::accept::{Accepted, AllTaken, ListenerId};
use crate::hub::WorkerId;
use crate::refusal::Refusal;

/// The first pause after the process ran out of descriptors, in ticks; each further one doubles it.
const PAUSE_TICKS: u32 = 1;

/// The longest pause: clients that wait in the kernel's backlog should not give up.
const PAUSE_LIMIT_TICKS: u32 = 16;

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
}

/// The answer to a client that is turned away before its request was read.
pub(super) fn refusal_head(refusal: Refusal) -> String {
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

//! Plain HTTP on this worker's thread: a task per connection, with a place of its own.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::greeting::Taken;
use super::opening::Wire;
use super::worker::{Arrival, Worker};
use crate::accept::addresses::AddressKey;
use crate::accept::http::{self, Ended, Plain};
use crate::accept::{ListenerId, Placement};
use crate::admin::counters::Protocol;
use crate::api::Surface;
use crate::close_reason::CloseReason;
use crate::hub::WorkerId;

/// What the task of a plain HTTP connection has to give back when it is over, also by a panic: the runtime catches that,
/// and nobody else is told.
struct Serving {
    surface: Arc<Surface>,
    placement: Arc<Placement>,
    /// The tasks of this worker.
    tasks: Rc<Cell<usize>>,
    here: WorkerId,
    listener: ListenerId,
    counted: Option<AddressKey>,
    fate: Fate,
}

/// What becomes of a plain HTTP connection when its task is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is closed.
    Over,
    /// It is on its way to become a connection of the worker, keeps its place, and counts as a task until it arrives.
    Arriving,
}

impl Serving {
    fn arrives(&mut self) {
        self.fate = Fate::Arriving;
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let panics = std::thread::panicking();
        let reason = if panics { CloseReason::InternalError } else { CloseReason::ClientClosed };
        match self.fate {
            Fate::Over => {
                self.tasks.set(self.tasks.get() - 1);
                self.placement.leave(self.here);
                self.surface.reach(self.listener).leave_place();
                self.surface.release(self.counted);
            }
            Fate::Arriving => {}
        }
        // Last: whoever sees that it is closed may count on its place.
        let counters = &self.surface.counters.shards[self.here.index()];
        counters.panics.add(u64::from(panics));
        counters.closed[Protocol::Http.index()].of(reason).add(1);
        counters.connections[Protocol::Http.index()].add(-1);
    }
}

impl Worker {
    /// The ordinary way of a request: a task with a hyper connection.
    pub(super) fn serve_http(&mut self, taken: Taken, head: &[u8]) {
        let Taken { wire: Wire { socket, tls, listener, counted, is_polled, .. }, caller } = taken;
        if is_polled {
            let _ = self.poller.delete(&socket);
        }
        let plain = Plain { socket, tls, caller, counted, head: Bytes::copy_from_slice(head) };
        let way = self.seat.ways[self.seat.id.index()].clone();
        let mailbox = Arc::clone(&self.mailbox);
        let draining = self.seat.draining.clone();
        let mut serving = Serving {
            surface: Arc::clone(&self.seat.surface),
            placement: Arc::clone(&self.seat.placement),
            tasks: Rc::clone(&self.http_tasks),
            here: self.seat.id,
            listener,
            counted,
            fate: Fate::Over,
        };
        self.http_tasks.set(self.http_tasks.get() + 1);
        self.in_hand = None;
        self.count_opened(Protocol::Http);
        tokio::task::spawn_local(async move {
            #[cfg(test)]
            super::restart::panic_if_asked("plain HTTP", &plain.head);
            match http::serve(Arc::clone(&serving.surface), plain, draining).await {
                Ok(Ended::Opened(opened)) => {
                    // The way to oneself is full only if other shards fill it: then wait.
                    let mut arrival = Arrival::Opened(opened);
                    while let Err(full) = way.try_send(arrival) {
                        arrival = full.into_inner();
                        mailbox.wake();
                        tokio::task::yield_now().await;
                    }
                    serving.arrives();
                    mailbox.wake();
                }
                Ok(Ended::Closed) => {}
                Err(error) => tracing::debug!(%error, "HTTP connection failed"),
            }
        });
    }

    /// A plain HTTP connection of this worker became a connection: it is no longer counted as a task.
    pub(super) fn http_tasks_to_connection(&self) {
        self.http_tasks.set(self.http_tasks.get() - 1);
    }
}

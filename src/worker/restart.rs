//! What a worker that panicked leaves to the next one on its seat, and how that one goes on.
//!
//! A panic in a session is caught there and ends one connection. Anywhere else the worker's own state is in doubt: its logs,
//! cursors and timers are thrown away, and a new worker begins with an empty fan-out on the same thread, listeners and
//! mailbox. What is kept is what others count on: sockets, which are closed in order, places, interest and charges.

use std::any::Any;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::connection::{Connection, Reading, State};
use super::liveness::Liveness;
use super::poller::Token;
use super::worker::{Accepting, Seat, Worker};
use crate::accept::ListenerId;
use crate::accept::addresses::AddressKey;
use crate::close_reason::CloseReason;
use crate::fanout::Remains;
use crate::hub::Topic;
use crate::session::Session;
use crate::tls::Channel;
use crate::ws::Decoder;

/// A worker that panics more often than this within [`WINDOW`] is not started again: the hub ends with an error, and
/// whatever supervises it starts a new process.
const RESTARTS: usize = 10;

const WINDOW: Duration = Duration::from_secs(60);

/// The restarts of a worker within the last [`WINDOW`], oldest first.
#[derive(Debug, Default)]
struct Restarts(VecDeque<Instant>);

/// What becomes of a worker that panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
enum Verdict {
    Restart,
    GiveUp,
}

impl Restarts {
    /// It panicked at `now`.
    fn judge(&mut self, now: Instant) -> Verdict {
        while self.0.front().is_some_and(|&first| now.duration_since(first) >= WINDOW) {
            self.0.pop_front();
        }
        if self.0.len() >= RESTARTS {
            return Verdict::GiveUp;
        }
        self.0.push_back(now);
        Verdict::Restart
    }
}

/// Runs the worker of a seat until its drain is over, and another one in its place whenever it panics. Must be called in a
/// `LocalSet` of a current-thread runtime, whose tasks go on.
///
/// # Errors
/// If the poller fails, which is a bug or a kernel out of memory or descriptors.
///
/// # Panics
/// If the worker panics again and again, or cannot be replaced.
pub(crate) async fn run(seat: Seat) -> io::Result<()> {
    let mut worker = Worker::new(seat)?;
    let mut restarts = Restarts::default();
    loop {
        let panic = match run_caught(&mut worker).await {
            Ok(ended) => return ended,
            Err(panic) => panic,
        };
        if restarts.judge(Instant::now()) == Verdict::GiveUp {
            resume_unwind(panic);
        }
        let replaced = catch_unwind(AssertUnwindSafe(|| worker.restart(&message(&*panic))));
        worker = replaced.unwrap_or_else(|panic| resume_unwind(panic))?;
    }
}

/// The outcome of a worker that ended, or what it panicked with.
async fn run_caught(worker: &mut Worker) -> Result<io::Result<()>, Box<dyn Any + Send>> {
    let mut running = pin!(worker.run());
    // Not polled again after a panic. What of the worker can be trusted then is the business of `restart`.
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

/// The text of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text").to_owned()
}

/// A connection of a worker that panicked.
struct Survivor {
    socket: OwnedFd,
    tls: Option<Box<Channel>>,
    counted: Option<AddressKey>,
    listener: ListenerId,
    session: Session,
    state: State,
    /// Why it is closed, or was being closed already.
    reason: CloseReason,
    /// `None` if it can be written nothing more, or if how far its stream has come is not known.
    remains: Option<Remains>,
    /// What an endpoint's client leaves.
    topic: Option<Arc<Topic>>,
}

impl Worker {
    /// The worker that goes on in place of this one, which panicked. All connections are told to reconnect.
    fn restart(mut self, message: &str) -> io::Result<Self> {
        let survivors = self.take_survivors();
        let worker = self.seat.id.0;
        tracing::error!(
            worker,
            message,
            connections = survivors.len(),
            "a worker panicked; its clients are told to reconnect, and it starts again"
        );
        self.leave_everything();
        let Self { seat, greetings, farewells, drain, http_tasks, poller, .. } = self;
        // Its descriptor may be the last there was.
        drop(poller);
        let mut next = Self::new(seat)?;
        next.counters().restarts.add(1);
        next.farewells = farewells;
        next.http_tasks = http_tasks;
        next.drain = drain.taken_over();
        if next.is_draining() {
            next.accepting = Accepting::Over;
        }
        next.take_over_greetings(greetings);
        for survivor in survivors {
            next.take_over(survivor);
        }
        Ok(next)
    }

    fn take_survivors(&mut self) -> Vec<Survivor> {
        let connections = std::mem::take(&mut self.connections);
        let survivors = connections.into_values().map(
            |Connection { socket, tls, counted, listener, id, session, state, .. }| {
                let ending = self.endings.get(&id.index).filter(|ending| ending.id == id);
                Survivor {
                    socket,
                    tls,
                    counted,
                    listener,
                    session,
                    state,
                    reason: ending.map_or(CloseReason::WorkerRestarted, |ending| ending.reason),
                    remains: if self.visited == Some(id) { None } else { self.fanout.remains(id) },
                    topic: match session {
                        Session::Endpoint { .. } => self.topic_of(id),
                        Session::Topic { .. } | Session::Stream { .. } | Session::Client { .. } => None,
                    },
                }
            },
        );
        survivors.collect()
    }

    /// Gives back what others count on: subscriptions, places, charges; and counts what was not counted yet.
    fn leave_everything(&mut self) {
        for (topic, members) in self.memberships.topics() {
            self.seat.surface.hub.unsubscribe_all(topic, self.seat.id, members);
        }
        for client in std::mem::take(&mut self.clients).into_values() {
            if !client.user.is_empty() {
                self.seat.surface.hub.directory().leave(&client.user, client.id);
            }
            for subscription in &client.subscriptions {
                if let Some(member) = &subscription.member {
                    self.seat.surface.hub.presence().leave(subscription.topic.id(), member.client);
                }
            }
        }
        if let Some((listener, counted)) = self.in_hand {
            // It was dropped on the way from a greeting to a connection.
            self.leave_place(listener, counted);
        }
        self.release_letter();
        self.give_up_held();
        self.count_losses();
        self.count_compressed();
    }

    /// A connection of the worker before this one. It is closed as any other: in order, with a close frame behind what its
    /// stream lacks, and within `limits.close_timeout`.
    fn take_over(&mut self, survivor: Survivor) {
        let Survivor { socket, tls, counted, listener, session, state, reason, remains, topic } = survivor;
        let id = self.fanout.connect();
        let watched = self.poller.add(&socket, Token::Connection(id));
        let connection = Connection {
            socket,
            tls,
            counted,
            listener,
            id,
            session,
            state,
            reading: Reading::Polled,
            room_is_watched: false,
            compression: None,
            liveness: Liveness::new(self.tick, 1, self.rhythm(session)),
            // What it was in the midst of is not gone on with: nothing more is heard from it than its end.
            decoder: Decoder::new(),
        };
        self.connections.insert(id.index, connection);
        if let Some(topic) = topic {
            self.announce_leave(session, topic);
        }
        let Some(Remains { sealed, frames, close }) = remains.filter(|_| watched.is_ok()) else {
            self.drop_connection(id, reason);
            return;
        };
        if let Some(sealed) = sealed {
            self.fanout.owe_sealed(id, sealed);
        }
        for frame in frames {
            self.fanout.reply(id, frame);
        }
        match state {
            State::Open => self.fail(id, reason),
            State::Closing { .. } => {
                if let Some(connection) = self.connection(id) {
                    connection.state = State::Closing { for_answer: false };
                }
                self.fanout.finish_now(id, close);
                self.note_ending(id, reason);
            }
            State::AwaitingAnswer | State::Lingering => {
                self.note_ending(id, reason);
                self.linger(id);
            }
        }
    }
}

/// Panics if a test asks for it with what its client sends, where it is said to: nothing that a client can send is known to
/// make a worker panic.
#[cfg(test)]
pub(super) fn panic_if_asked(place: &str, bytes: &[u8]) {
    let wish = format!("panic in {place}");
    assert!(memchr::memmem::find(bytes, wish.as_bytes()).is_none(), "a test asks for this panic");
}

#[cfg(test)]
mod tests;

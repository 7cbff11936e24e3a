//! The graceful stop of a worker.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::worker::{Accepting, Worker};
use crate::close_reason::CloseReason;
use crate::fanout::ConnectionId;

/// How many workers know of the drain.
///
/// Publishers run on workers, and each publish is over before its worker looks for the drain. So when all have seen it,
/// whatever was or will be acknowledged is in the mailboxes.
#[derive(Debug, Default)]
pub(crate) struct Quiet(AtomicUsize);

impl Quiet {
    fn enter(&self) -> usize {
        self.0.fetch_add(1, Ordering::AcqRel) + 1
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

/// How far the drain is.
#[derive(Debug, Default)]
pub(super) struct Drain {
    course: Option<Course>,
}

/// The plan of a drain that has begun.
#[derive(Debug)]
struct Course {
    deadline: Instant,
    /// Until when those are waited for that have not seen the drain yet: a worker that stands still, or is gone.
    patience: Instant,
    /// Everything that was acknowledged is in the logs; since then connections are closed.
    closing_since: Option<Instant>,
    /// The time over which close frames are spread.
    spread: Duration,
    /// Those who were here when it began, in the order in which they will be closed.
    waiting: Vec<ConnectionId>,
    total: usize,
}

/// Connections a worker closes per second at least: spreading few of them over seconds would only delay the end.
const CLOSES_PER_SECOND: usize = 1000;

impl Drain {
    /// The same drain for the worker that takes over: all whom it is to close are being closed already.
    pub(super) fn taken_over(mut self) -> Self {
        if let Some(course) = &mut self.course {
            course.waiting.clear();
        }
        self
    }
}

impl Worker {
    pub(super) fn is_draining(&self) -> bool {
        self.drain.course.is_some()
    }

    /// Stops accepting, and plans the end of every connection. The hub refuses publishes already.
    pub(super) fn start_drain(&mut self) {
        if self.is_draining() {
            return;
        }
        self.accepting = Accepting::Over;
        for listener in self.seat.listeners.drain(..) {
            // Fails only if accepting was paused.
            let _ = self.poller.delete(&listener);
        }
        self.drop_greetings();
        let now = Instant::now();
        let window = self.seat.surface.config.server.drain.0;
        let waiting: Vec<ConnectionId> = self.connections.iter().map(|connection| connection.id).collect();
        let total = waiting.len();
        let quickest = Duration::from_millis((total * 1000 / CLOSES_PER_SECOND) as u64);
        let spread = quickest.min(window / 2);
        let (deadline, patience) = (now + window, now + window / 4);
        tracing::info!(worker = self.seat.id.0, connections = total, spread_ms = spread.as_millis() as u64, "draining");
        self.drain.course = Some(Course { deadline, patience, closing_since: None, spread, waiting, total });
        let workers = self.seat.ways.len();
        if self.seat.quiet.enter() == workers {
            self.seat.surface.hub.wake_workers();
        }
    }

    /// Closes those whose turn it is: a fleet that is told to reconnect in the same moment comes back in the same
    /// moment, somewhere else.
    pub(super) fn pace_drain(&mut self) {
        let Some(course) = &mut self.drain.course else { return };
        if course.waiting.is_empty() {
            return;
        }
        let now = Instant::now();
        let began = match course.closing_since {
            Some(began) => began,
            None => {
                let quiet = self.seat.quiet.count() == self.seat.ways.len();
                let delivered = quiet && self.mailbox.depth() == 0 && self.stuck.is_none();
                if !delivered && now < course.patience {
                    return;
                }
                *course.closing_since.insert(now)
            }
        };
        let elapsed = now.duration_since(began);
        let due = if course.spread.is_zero() {
            course.total
        } else {
            (course.total as f64 * elapsed.as_secs_f64() / course.spread.as_secs_f64()).ceil() as usize
        };
        let closed = course.total - course.waiting.len();
        let now = due.saturating_sub(closed).min(course.waiting.len());
        let batch: Vec<ConnectionId> = course.waiting.split_off(course.waiting.len() - now);
        for id in batch {
            self.close(id, CloseReason::ServerDraining);
        }
    }

    /// Whether nothing is left to do, or no time to do it in.
    pub(super) fn drain_is_over(&self) -> bool {
        let Some(course) = &self.drain.course else { return false };
        let idle = self.connections.len() == 0 && self.greetings.len() == 0 && self.http_tasks.get() == 0;
        if !idle && Instant::now() >= course.deadline {
            tracing::warn!(
                worker = self.seat.id.0,
                connections = self.connections.len(),
                requests = self.http_tasks.get(),
                "the drain's deadline has passed; what is left is cut off"
            );
            return true;
        }
        // Arrivals that are still on their way would be dropped with their socket: that is what a deadline is for.
        idle && self.mailbox.depth() == 0
    }
}

//! The graceful stop of a worker.

use std::time::{Duration, Instant};

use super::worker::{Accepting, Worker};
use crate::close_reason::CloseReason;
use crate::fanout::ConnectionId;

/// How far the drain is.
#[derive(Debug, Default)]
pub(super) struct Drain {
    course: Option<Course>,
}

/// The plan of a drain that has begun.
#[derive(Debug)]
struct Course {
    began: Instant,
    deadline: Instant,
    /// The time over which close frames are spread.
    spread: Duration,
    /// Those who were here when it began, in the order in which they will be closed.
    waiting: Vec<ConnectionId>,
    total: usize,
}

/// Connections a worker closes per second at least: spreading few of them over seconds would only delay the end.
const CLOSES_PER_SECOND: usize = 1000;

impl Worker {
    pub(super) fn is_draining(&self) -> bool {
        self.drain.course.is_some()
    }

    /// Stops accepting, and plans the end of every connection. The hub refuses publishes already, so what is in the
    /// mailbox now is all there will be.
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
        let course = Course { began: now, deadline: now + window, spread: quickest.min(window / 2), waiting, total };
        tracing::info!(
            worker = self.seat.id.0,
            connections = total,
            spread_ms = course.spread.as_millis() as u64,
            "draining"
        );
        self.drain.course = Some(course);
        self.pace_drain();
    }

    /// Closes those whose turn it is: a fleet that is told to reconnect in the same moment comes back in the same
    /// moment, somewhere else.
    pub(super) fn pace_drain(&mut self) {
        let Some(course) = &mut self.drain.course else { return };
        let elapsed = Instant::now().duration_since(course.began);
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

//! Liveness and readiness. Ready means that every worker reads its mailbox, not that a port is open.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hyper::{Response, StatusCode};
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::timeout_at;

use crate::api::{Body, Surface, answer, problem};
use crate::hub::{Canary, Hub, WorkerId};
use crate::refusal::Refusal;

/// How long the workers have to read a canary from their mailboxes, in a running hub.
pub const DEADLINE: Duration = Duration::from_secs(1);

/// How long a finding is good for: checks that come faster share one, so that they cannot load the workers.
pub const FRESH: Duration = Duration::from_millis(250);

/// What a readiness check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Every worker read its canary in time.
    Ready,
    /// The hub refuses publishes, because it stops.
    Draining,
    /// These workers did not.
    Silent(Vec<WorkerId>),
}

/// The readiness check of a process, and what it last found.
#[derive(Debug)]
pub struct Health {
    deadline: Duration,
    fresh: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    found: Option<(Instant, Readiness)>,
    /// The canary that a worker has not read yet, by worker: it gets no second one before, so a stuck worker's mailbox
    /// holds at most one.
    pending: Vec<Option<Arc<Canary>>>,
}

impl Default for Health {
    fn default() -> Self {
        Self::new(DEADLINE, FRESH)
    }
}

impl Health {
    /// Nothing checked yet. Workers have `deadline` to answer, and a finding is shared for `fresh`.
    pub fn new(deadline: Duration, fresh: Duration) -> Self {
        Self { deadline, fresh, state: Mutex::default() }
    }

    /// Sends a canary through the mailboxes of workers 0 to `workers`, and waits for them until the deadline.
    ///
    /// Concurrent and quickly repeated checks share one finding. Cancel safe.
    pub async fn check(&self, hub: &Hub, workers: usize) -> Readiness {
        if hub.is_draining() {
            return Readiness::Draining;
        }
        let mut state = self.state.lock().await;
        if let Some((at, found)) = &state.found
            && at.elapsed() < self.fresh
        {
            return found.clone();
        }
        let silent = ask(hub, workers, &mut state.pending, self.deadline).await;
        let found = if silent.is_empty() { Readiness::Ready } else { Readiness::Silent(silent) };
        state.found = Some((Instant::now(), found.clone()));
        found
    }
}

/// The workers that do not read their canary in time.
async fn ask(hub: &Hub, workers: usize, pending: &mut Vec<Option<Arc<Canary>>>, deadline: Duration) -> Vec<WorkerId> {
    let deadline = Instant::now() + deadline;
    pending.resize_with(workers, || None);
    let mut waits = Vec::with_capacity(workers);
    for (index, pending) in pending.iter_mut().enumerate() {
        let worker = WorkerId(u16::try_from(index).expect("invariant: WorkerId counts the workers"));
        // Only the mailbox's own reference shows that the canary is still in there.
        let still_there = pending.take().filter(|canary| is_missing(canary) && Arc::strong_count(canary) > 1);
        let canary = still_there.unwrap_or_else(|| hub.send_canary_to(worker));
        waits.push((worker, Arc::clone(pending.insert(canary))));
    }
    let mut silent = Vec::new();
    for (worker, canary) in waits {
        // The canary remembers that it was seen for one waiter, which is this one.
        if is_missing(&canary)
            && timeout_at(deadline.into(), canary.done.notified()).await.is_err()
            && is_missing(&canary)
        {
            silent.push(worker);
        }
    }
    silent
}

fn is_missing(canary: &Canary) -> bool {
    canary.missing.load(Ordering::Acquire) > 0
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
}

/// `GET /health`: `{}`, as Centrifugo has it, for checks that were made for that one. It says what [`live`] says.
pub fn centrifugo() -> Response<Body> {
    answer::json_bytes("{}")
}

/// `GET /health/live`: 200 as long as the process answers at all.
pub fn live() -> Response<Body> {
    answer::json(&Status { status: "live" })
}

/// `GET /health/ready`: 200 when a publication would be delivered, else 503 with the reason.
pub async fn ready(surface: &Surface) -> Response<Body> {
    match surface.health.check(&surface.hub, surface.counters.shards.len()).await {
        Readiness::Ready => answer::json(&Status { status: "ready" }),
        Readiness::Draining => not_ready(surface, Refusal::Draining, "the hub is draining"),
        Readiness::Silent(workers) => {
            let workers = workers.iter().map(|worker| worker.0.to_string()).collect::<Vec<_>>().join(", ");
            let detail = format!("worker {workers} did not read its mailbox within {:?}", surface.health.deadline);
            tracing::warn!(workers, "not ready");
            not_ready(surface, Refusal::Overloaded, &detail)
        }
    }
}

fn not_ready(surface: &Surface, refusal: Refusal, detail: &str) -> Response<Body> {
    let response = problem(refusal, detail, surface);
    debug_assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    response
}

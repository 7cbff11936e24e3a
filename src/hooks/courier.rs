//! The thread that makes the calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use tokio::time::{sleep_until, timeout, timeout_at};

use super::backend::Backend;
use super::backlog::Parcel;
use super::breaker::{Change, Pass, Verdict};
use super::desk::{CallId, Next};
use super::failure::Failure;
use super::hooks::{Job, Shared, tell_all};
use super::passed::Passed;

/// Names that are looked up at the same time; the system's resolver blocks.
pub(super) const RESOLVERS: usize = 4;

/// Time for a batch of events, if `hooks.timeout` is less: nobody waits for it, and one that is given up too early is
/// only sent again.
const BATCH_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes calls and delivers events until the hub ends and nothing is left, or its deadline passes.
pub(super) async fn run(shared: Arc<Shared>, backend: Backend) {
    loop {
        let now = Instant::now();
        let calls_at = start_calls(&shared, &backend, now);
        let events_at = start_events(&shared, &backend, now);
        let deadline = shared.deadline();
        let left: usize = shared.telling().backlogs.iter().map(|backlog| backlog.len()).sum();
        if deadline.is_some_and(|deadline| left == 0 || deadline <= now) {
            break;
        }
        let woken = shared.wake.notified();
        match [calls_at, events_at, deadline].into_iter().flatten().min() {
            None => woken.await,
            Some(at) => tokio::select! {
                () = woken => {}
                () = sleep_until(at.into()) => {}
            },
        }
    }
    give_up(&shared);
}

/// Starts what has its turn. When to look again, if nothing else happens before.
fn start_calls(shared: &Arc<Shared>, backend: &Backend, now: Instant) -> Option<Instant> {
    loop {
        let next = shared.desk().next(now);
        match next {
            Next::Make { id, job, target, pass, deadline } => {
                let call = Call { id, job, target, pass, deadline };
                tokio::spawn(make(Arc::clone(shared), backend.clone(), call));
            }
            Next::Fail { dones, job, failure, .. } => {
                shared.counters.took(job.hook, now.saturating_duration_since(job.asked));
                shared.failed(job.hook, &failure, dones.len());
                tell_all(dones, &Err(failure));
            }
            Next::Nothing(at) => return at,
        }
    }
}

struct Call {
    id: CallId,
    job: Job,
    target: usize,
    pass: Pass,
    deadline: Instant,
}

async fn make(shared: Arc<Shared>, backend: Backend, call: Call) {
    let Call { id, job, target, pass, deadline } = call;
    let asking = backend.post(shared.url(target).uri(), &job.passed, job.body.clone());
    let outcome = match timeout_at(deadline.into(), asking).await {
        Err(_) => Err(Failure::Timeout),
        Ok(Err(failure)) => Err(failure),
        Ok(Ok(reply)) if reply.status != StatusCode::OK => Err(Failure::Status(reply.status.as_u16())),
        Ok(Ok(reply)) => (job.check)(&reply.body).map(|()| reply.body).map_err(Failure::from),
    };
    let verdict = match &outcome {
        Err(failure) if failure.is_illness() => Verdict::Ill,
        Ok(_) | Err(_) => Verdict::Well,
    };
    let now = Instant::now();
    let (dones, change) = shared.desk().finish(id, target, pass, verdict, now);
    // There is a place for the next one.
    shared.wake.notify_one();
    shared.counters.took(job.hook, now.saturating_duration_since(job.asked));
    if let Err(failure) = &outcome {
        shared.failed(job.hook, failure, dones.len());
    }
    let url = shared.url(target).without_query();
    match change {
        None => {}
        Some(Change::Opened(pause)) => {
            tracing::error!(url, pause_ms = pause.as_millis() as u64, "hooks of this URL fail; it is left alone");
        }
        Some(Change::Closed) => tracing::info!(url, "hooks of this URL work again"),
    }
    tell_all(dones, &outcome);
}

/// Sends the batches that are due. When to look again, if nothing else happens before.
fn start_events(shared: &Arc<Shared>, backend: &Backend, now: Instant) -> Option<Instant> {
    let mut telling = shared.telling();
    for (target, backlog) in telling.backlogs.iter_mut().enumerate() {
        if let Some(parcel) = backlog.due(now) {
            tokio::spawn(deliver(Arc::clone(shared), backend.clone(), target, parcel));
        }
    }
    telling.backlogs.iter().filter_map(|backlog| backlog.due_at()).min()
}

async fn deliver(shared: Arc<Shared>, backend: Backend, target: usize, parcel: Parcel) {
    let hook = shared.told(target);
    let began = Instant::now();
    let none = Passed::default();
    let telling = backend.post(shared.url(target).uri(), &none, parcel.to_body());
    let outcome = match timeout(shared.timeout.max(BATCH_TIMEOUT), telling).await {
        Err(_) => Err(Failure::Timeout),
        Ok(Err(failure)) => Err(failure),
        Ok(Ok(reply)) if !reply.status.is_success() => Err(Failure::Status(reply.status.as_u16())),
        Ok(Ok(_)) => Ok(()),
    };
    let now = Instant::now();
    shared.counters.took(hook, now.saturating_duration_since(began));
    match outcome {
        Ok(()) => shared.telling().backlogs[target].delivered(),
        Err(failure) => {
            shared.telling().backlogs[target].failed(now);
            shared.failed(hook, &failure, 1);
        }
    }
    shared.wake.notify_one();
}

/// What is left when the time is over is lost, and that is said.
fn give_up(shared: &Shared) {
    let mut telling = shared.telling();
    telling.is_over = true;
    for (target, backlog) in telling.backlogs.iter_mut().enumerate() {
        let events = backlog.abandon();
        if events > 0 {
            let (hook, url) = (shared.told(target), shared.url(target).without_query());
            shared.counters.lose(hook, u64::try_from(events).unwrap_or(u64::MAX));
            tracing::error!(
                hook = hook.label(),
                url,
                events,
                "events are lost: the hub ends, and the backend did not confirm them"
            );
        }
    }
}

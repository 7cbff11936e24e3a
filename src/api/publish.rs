//! Publishing over HTTP, with backpressure: a full mailbox makes the request wait, then gives it 503.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::surface::Surface;
use crate::hub::{Draft, Outcome, Receipt, Topic};
use crate::refusal::Refusal;

/// A disk that needs longer for a commit is as good as gone.
const COMMIT_PATIENCE: Duration = Duration::from_secs(10);

/// Publishes `draft` on `topic`; waits for room in the mailboxes until `deadline`, then answers
/// [`Refusal::Overloaded`]. Counts what it did.
///
/// Cancel safe: a publication is accepted whole or not at all, at the moment of a poll; on a topic on disk it may be
/// accepted after the caller has gone.
pub async fn publish(
    surface: &Surface,
    topic: &Arc<Topic>,
    draft: Draft,
    deadline: Instant,
) -> Result<Receipt, Refusal> {
    let outcome = publish_when_roomy(surface, topic, draft, deadline).await;
    match outcome {
        Ok(_) => surface.counters.published_http.add(1),
        Err(refusal) => surface.counters.reject_http(refusal),
    }
    outcome
}

async fn publish_when_roomy(
    surface: &Surface,
    topic: &Arc<Topic>,
    draft: Draft,
    deadline: Instant,
) -> Result<Receipt, Refusal> {
    let (mut draft, mut full) = match attempt(surface, topic, draft, deadline).await {
        Outcome::Accepted(receipt) => return Ok(receipt),
        Outcome::Refused(refusal) => return Err(refusal),
        Outcome::Full { draft, queue } => (draft, queue),
    };
    loop {
        let mut room = pin!(surface.hub.room(full).notified());
        // Enabled before the next attempt: room made between the attempt and the wait is not missed.
        room.as_mut().enable();
        match attempt(surface, topic, draft, deadline).await {
            Outcome::Accepted(receipt) => return Ok(receipt),
            Outcome::Refused(refusal) => return Err(refusal),
            // Another queue is full now: it is that one's room that matters.
            Outcome::Full { draft: back, queue } if queue != full => {
                (draft, full) = (back, queue);
                if Instant::now() >= deadline {
                    return Err(Refusal::Overloaded);
                }
            }
            Outcome::Full { draft: back, queue: _ } => {
                draft = back;
                if timeout_at(deadline.into(), room).await.is_err() {
                    return Err(Refusal::Overloaded);
                }
            }
        }
    }
}

/// For topics in memory the outcome is known at once; for those on disk, when it is written.
async fn attempt(surface: &Surface, topic: &Arc<Topic>, draft: Draft, deadline: Instant) -> Outcome {
    let mut answer = None;
    let known = surface.hub.publish(topic, draft, Instant::now(), || {
        let (tell, told) = oneshot::channel();
        answer = Some(told);
        Box::new(move |outcome| drop(tell.send(outcome)))
    });
    match (known, answer) {
        (Some(outcome), _) => outcome,
        (None, Some(told)) => match timeout_at((deadline + COMMIT_PATIENCE).into(), told).await {
            Ok(Ok(outcome)) => outcome,
            // The thread is gone, or waits for the disk: it may have been accepted or not.
            Ok(Err(_)) | Err(_) => Outcome::Refused(Refusal::HistoryUnavailable),
        },
        (None, None) => unreachable!("whoever answers later has asked where to"),
    }
}

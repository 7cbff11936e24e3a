//! Publishing over HTTP, with backpressure: a full mailbox makes the request wait, then gives it 503.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::surface::Surface;
use crate::hub::{Draft, Outcome, Receipt, Topic, Turn};
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
    publish_as(surface, topic, draft, None, deadline).await
}

/// The same for whoever has the turn of an idempotency key. The turn is done when the publication is accepted, whether or not
/// the caller is still there; else somebody else gets it.
pub async fn publish_as(
    surface: &Surface,
    topic: &Arc<Topic>,
    draft: Draft,
    turn: Option<Turn>,
    deadline: Instant,
) -> Result<Receipt, Refusal> {
    let outcome = publish_when_roomy(surface, topic, draft, turn, deadline).await;
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
    mut turn: Option<Turn>,
    deadline: Instant,
) -> Result<Receipt, Refusal> {
    let (mut draft, mut full) = match attempt(surface, topic, draft, &mut turn, deadline).await {
        Outcome::Accepted(receipt) => return Ok(receipt),
        Outcome::Refused(refusal) => return Err(refusal),
        Outcome::Full { draft, queue } => (draft, queue),
    };
    loop {
        let mut room = pin!(surface.hub.room(full).notified());
        // Enabled before the next attempt: room made between the attempt and the wait is not missed.
        room.as_mut().enable();
        match attempt(surface, topic, draft, &mut turn, deadline).await {
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
async fn attempt(
    surface: &Surface,
    topic: &Arc<Topic>,
    draft: Draft,
    turn: &mut Option<Turn>,
    deadline: Instant,
) -> Outcome {
    let mut answer = None;
    let key = turn.as_ref().map(|turn| turn.key().clone());
    let known = surface.hub.publish_under(topic, draft, key.as_ref(), Instant::now(), || {
        let (tell, told) = oneshot::channel();
        answer = Some(told);
        let mut turn = turn.take();
        Box::new(move |outcome| {
            settle(&mut turn, &outcome);
            drop(tell.send(outcome));
        })
    });
    match (known, answer) {
        (Some(outcome), _) => {
            settle(turn, &outcome);
            outcome
        }
        (None, Some(told)) => match timeout_at((deadline + COMMIT_PATIENCE).into(), told).await {
            Ok(Ok(outcome)) => outcome,
            // The thread is gone, or waits for the disk: it may have been accepted or not.
            Ok(Err(_)) | Err(_) => Outcome::Refused(Refusal::HistoryUnavailable),
        },
        (None, None) => unreachable!("whoever answers later has asked where to"),
    }
}

fn settle(turn: &mut Option<Turn>, outcome: &Outcome) {
    match outcome {
        Outcome::Accepted(receipt) => {
            if let Some(turn) = turn.take() {
                turn.done(*receipt, Instant::now());
            }
        }
        Outcome::Full { .. } | Outcome::Refused(_) => {}
    }
}

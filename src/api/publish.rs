//! Publishing over HTTP, with backpressure: a full mailbox makes the request wait, then gives it 503.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use tokio::time::timeout_at;

use super::surface::Surface;
use crate::hub::{Draft, Outcome, Receipt, Topic};
use crate::refusal::Refusal;

/// Publishes `draft` on `topic`; waits for room in the mailboxes until `deadline`, then answers
/// [`Refusal::Overloaded`]. Counts what it did.
///
/// Cancel safe: a publication is accepted whole or not at all, at the moment of a poll.
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
    let (mut draft, mut full) = match attempt(surface, topic, draft) {
        Outcome::Accepted(receipt) => return Ok(receipt),
        Outcome::Refused(refusal) => return Err(refusal),
        Outcome::Full { draft, worker } => (draft, worker),
    };
    loop {
        let mut room = pin!(surface.hub.mailbox(full).room().notified());
        // Enabled before the next attempt: room made between the attempt and the wait is not missed.
        room.as_mut().enable();
        match attempt(surface, topic, draft) {
            Outcome::Accepted(receipt) => return Ok(receipt),
            Outcome::Refused(refusal) => return Err(refusal),
            // Another worker's mailbox is full now: it is that one's room that matters.
            Outcome::Full { draft: back, worker } if worker != full => {
                (draft, full) = (back, worker);
                if Instant::now() >= deadline {
                    return Err(Refusal::Overloaded);
                }
            }
            Outcome::Full { draft: back, worker: _ } => {
                draft = back;
                if timeout_at(deadline.into(), room).await.is_err() {
                    return Err(Refusal::Overloaded);
                }
            }
        }
    }
}

fn attempt(surface: &Surface, topic: &Arc<Topic>, draft: Draft) -> Outcome {
    let mut answered = None;
    surface.hub.publish(topic, draft, Instant::now(), |outcome| answered = Some(outcome));
    // The memory engine answers at once. A remote engine will answer later, and this will become a oneshot then.
    answered.unwrap_or(Outcome::Refused(Refusal::InternalError))
}

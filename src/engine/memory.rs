//! The memory engine: each topic counts its own offsets.

use std::sync::Arc;
use std::time::Instant;

use crate::hub::{Draft, Node, Outcome, Topic};

/// Publishes on this node alone; the outcome is known when it returns.
pub(crate) fn publish(topic: &Arc<Topic>, draft: Draft, now: Instant, node: &Node) -> Outcome {
    topic.publish(draft, now, node)
}

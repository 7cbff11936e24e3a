//! The memory engine: each topic counts its own offsets.

use std::sync::Arc;
use std::time::Instant;

use crate::hub::{Draft, Match, Node, Outcome, Topic};

/// Publishes on this node alone, on `topic` and for the subscribers of `matches`; the outcome is known when it returns.
pub(crate) fn publish(topic: &Arc<Topic>, draft: Draft, now: Instant, matches: &[Match], node: &Node) -> Outcome {
    topic.publish(draft, now, matches, node)
}

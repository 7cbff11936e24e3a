//! Topics that may be free to go.

use std::collections::VecDeque;
use std::sync::Arc;

use super::sync::{Mutex, lock};
use super::topic::Topic;

/// The topics that nobody subscribes to and that keep nothing, oldest first, each at most once: so never more than there
/// are topics. Some are in use again or still held by someone; that is looked at when their turn comes.
#[derive(Debug, Default)]
pub(super) struct Idle {
    topics: Mutex<VecDeque<Arc<Topic>>>,
}

impl Idle {
    pub(super) fn push(&self, topic: Arc<Topic>) {
        lock(&self.topics).push_back(topic);
    }

    /// The one that waits longest; it stays the caller's to free, to drop as in use, or to push again.
    pub(super) fn pop(&self) -> Option<Arc<Topic>> {
        let mut topics = lock(&self.topics);
        let topic = topics.pop_front();
        if topics.is_empty() && topics.capacity() > 1024 {
            // After a million topics were freed, their places go, too.
            *topics = VecDeque::new();
        }
        topic
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.topics).len()
    }
}

//! What was in the store when it was opened.

use super::entry::{Key, Record};
use super::store::SyncMode;
use crate::hub::{Epoch, Offset, TopicName};

/// What was in the store when it was opened.
#[derive(Debug)]
pub struct Kept {
    /// The topics, the one that was published on last at the end. No name stands there twice.
    pub topics: Vec<KeptTopic>,
    /// The idempotency keys that have not expired, in no order. Of a topic that is not there any more, one has the epoch in
    /// which it was used; else that of the topic.
    pub keys: Vec<Key>,
    /// How the last run ended.
    pub stopped: Stopped,
    /// At least as high as every epoch there ever was in the store.
    pub last_epoch: Epoch,
}

/// One topic as it is kept.
#[derive(Debug, PartialEq, Eq)]
pub struct KeptTopic {
    /// Its name.
    pub name: TopicName,
    /// Its epoch from now on: another than before if something acknowledged may be missing.
    pub epoch: Epoch,
    /// The last offset there was.
    pub top: Offset,
    /// Publications without a gap up to the top, oldest first; some may be more than its history keeps, or have expired.
    /// Empty if all have gone.
    pub records: Vec<Record>,
}

/// How the last run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// In order; everything is there. Also if there was none.
    Cleanly,
    /// In the middle of its work. With [`SyncMode::Always`] everything acknowledged is there; with [`SyncMode::Interval`] the last of
    /// it may be missing, so all topics have new epochs.
    Suddenly(SyncMode),
}

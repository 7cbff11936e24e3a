//! History on its way to a connection that joined with it.

use std::sync::Arc;
use std::vec::IntoIter;

use bytes::Bytes;

use super::bundle::Replay;
use super::worker::Worker;
use crate::fanout::{ConnectionId, LogId};
use crate::hub::{Epoch, Joined, Offset, Position, Retained, Topic};
use crate::protocol::{self, Encoding};

/// Encoded history that may wait in a connection's outbox. The rest stays what it is in the topic's history: shared
/// bytes, so that ten thousand who join at once with a long history cost references and not copies.
pub(super) const FEED_BYTES: usize = 64 * 1024;

/// History on its way to one connection. Until it is through, the connection is held in its log: publications gather
/// there, and none is written before the history.
#[derive(Debug)]
pub(super) struct CatchUp {
    id: ConnectionId,
    log: LogId,
    /// The log's position that the history reaches: what comes after it comes from the log.
    top: Offset,
    frames: Frames,
}

/// How the history is encoded.
#[derive(Debug)]
enum Frames {
    /// One topic.
    Topic { topic: Arc<Topic>, encoding: Encoding, epoch: Epoch, items: IntoIter<Retained> },
    /// A stream of several topics.
    Bundle(Replay),
}

impl CatchUp {
    pub(super) fn new(id: ConnectionId, topic: Arc<Topic>, encoding: Encoding, log: LogId, joined: Joined) -> Self {
        let Joined { top, replay, .. } = joined;
        let frames = Frames::Topic { topic, encoding, epoch: top.epoch, items: replay.into_iter() };
        Self { id, log, top: top.offset, frames }
    }

    /// The history of a stream of several topics.
    pub(super) fn bundle(id: ConnectionId, log: LogId, top: Offset, replay: Replay) -> Self {
        Self { id, log, top, frames: Frames::Bundle(replay) }
    }

    fn next(&mut self) -> Option<Bytes> {
        match &mut self.frames {
            Frames::Topic { topic, encoding, epoch, items } => items.next().map(|item| {
                let position = Position { epoch: *epoch, offset: item.offset };
                protocol::encode(*encoding, topic.name().as_str(), position, item.kind, &item.payload)
            }),
            Frames::Bundle(replay) => replay.next(),
        }
    }
}

impl Worker {
    /// Moves history into the outbox as far as it has room; at its end the log takes over.
    pub(super) fn feed_catch_up(&mut self, id: ConnectionId) {
        let Some(catch_up) = self.catch_ups.get_mut(&id.index) else { return };
        while self.fanout.outbox_bytes(id) < FEED_BYTES {
            let Some(frame) = catch_up.next() else {
                debug_assert_eq!(catch_up.id, id);
                self.fanout.release(catch_up.log, id, catch_up.top);
                self.catch_ups.remove(&id.index);
                return;
            };
            self.fanout.reply(id, frame);
        }
    }
}

//! History on its way to a connection that joined with it.

use std::sync::Arc;
use std::vec::IntoIter;

use bytes::Bytes;

use super::bundle::Replay;
use super::replayed::Replayed;
use super::worker::Worker;
use crate::fanout::{ConnectionId, LogId};
use crate::hub::{Epoch, Joined, Offset, Position, Retained, Topic};
use crate::protocol::{self, Content, Encoding};
use crate::ws::Deflater;

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
    /// The histories of its other topics, the next one last: each waits in its own log until those before it are
    /// through. None for nearly all.
    then: Vec<CatchUp>,
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
        Self { id, log, top: top.offset, frames, then: Vec::new() }
    }

    /// The history of a stream of several topics.
    pub(super) fn bundle(id: ConnectionId, log: LogId, top: Offset, replay: Replay) -> Self {
        Self { id, log, top, frames: Frames::Bundle(replay), then: Vec::new() }
    }

    /// The histories of several topics of one connection, to go out one after the other. `None` if there is none.
    pub(super) fn in_turn(mut histories: Vec<Self>) -> Option<Self> {
        histories.reverse();
        let first = histories.pop()?;
        Some(Self { then: histories, ..first })
    }

    fn next(&mut self, replayed: &mut Replayed, deflater: &mut Deflater) -> Option<Bytes> {
        match &mut self.frames {
            Frames::Topic { topic, encoding, epoch, items } => items.next().map(|item| {
                let position = Position { epoch: *epoch, offset: item.offset };
                let content = Content::plain(topic.name().as_str(), position, item.kind, &item.payload);
                let frame = || protocol::encode(*encoding, &content);
                replayed.frame(topic.id(), item.offset, *encoding, frame, deflater)
            }),
            Frames::Bundle(replay) => replay.next(),
        }
    }
}

impl Worker {
    /// Moves history into the outbox as far as it has room; at its end the log takes over, and the next history begins.
    pub(super) fn feed_catch_up(&mut self, id: ConnectionId) {
        let Some(catch_up) = self.catch_ups.get_mut(&id.index) else { return };
        while self.fanout.outbox_bytes(id) < FEED_BYTES {
            let Some(frame) = catch_up.next(&mut self.replayed, &mut self.deflater) else {
                debug_assert_eq!(catch_up.id, id);
                self.fanout.release(catch_up.log, id, catch_up.top);
                if let Some(next) = catch_up.then.pop() {
                    let then = std::mem::take(&mut catch_up.then);
                    *catch_up = CatchUp { then, ..next };
                    continue;
                }
                self.catch_ups.remove(&id.index);
                return;
            };
            self.fanout.reply(id, frame);
        }
    }
}

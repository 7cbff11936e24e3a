//! Input of connections that wait: for room in a mailbox, until their client reads, or until they may send again.

use std::sync::Arc;

use super::connection::Reading;
use super::reading::{OUTBOX_LIMIT_BYTES, Went};
use super::worker::Worker;
use crate::fanout::ConnectionId;
use crate::hub::{Draft, Topic};
use crate::refusal::Refusal;

/// Input and drafts of paused publishers that a worker holds. Over it, nobody is read until some of it is published.
pub(super) const HELD_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// Input of a connection that waits.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The publication that had no room.
    draft: Option<(Arc<Topic>, Draft)>,
    /// Commands of a client of the Centrifuge protocol: the first of them had no room, or they wait until it is let in.
    commands: Vec<u8>,
    /// Bytes behind it, not decoded yet.
    rest: Vec<u8>,
    /// It waits for its own client: to read what it asked for, or to have something left of its rate.
    is_apart: bool,
}

impl Held {
    /// What counts towards [`HELD_LIMIT_BYTES`]. Not what waits for its own client: over that limit nobody is read, and
    /// some who do not read, or send too fast, would make everyone wait, for ever if they like. What is held of each has a
    /// bound of its own: one read, or what came with the handshake.
    fn bytes(&self) -> usize {
        if self.is_apart {
            return 0;
        }
        self.rest.len() + self.commands.len() + self.draft.as_ref().map_or(0, |(_, draft)| draft.payload().len())
    }
}

impl Worker {
    pub(super) fn hold(&mut self, id: ConnectionId, draft: Option<(Arc<Topic>, Draft)>, rest: &[u8]) {
        let held = self.held.entry(id.index).or_default();
        self.held_bytes -= held.bytes();
        if draft.is_some() {
            held.draft = draft;
        }
        held.rest.extend_from_slice(rest);
        self.held_bytes += held.bytes();
    }

    /// What was read of a connection that waits for its own client.
    pub(super) fn hold_apart(&mut self, id: ConnectionId, rest: &[u8]) {
        let held = self.held.entry(id.index).or_default();
        self.held_bytes -= held.bytes();
        held.is_apart = true;
        held.rest.extend_from_slice(rest);
    }

    /// Commands of which the first had no room: they are done when there is.
    pub(super) fn pause_commands(&mut self, id: ConnectionId, commands: &[u8]) {
        let Some(connection) = self.connection(id) else { return };
        connection.reading = Reading::Paused;
        self.paused.push_back(id);
        self.hold_commands(id, commands);
    }

    /// Commands that wait until their client is let in. They count for nobody but their client, who is the only one that waits;
    /// there is one frame of them.
    pub(super) fn await_commands(&mut self, id: ConnectionId, commands: &[u8]) {
        let Some(connection) = self.connection(id) else { return };
        connection.reading = Reading::Awaiting;
        let held = self.held.entry(id.index).or_default();
        self.held_bytes -= held.bytes();
        held.is_apart = true;
        held.commands.extend_from_slice(commands);
    }

    fn hold_commands(&mut self, id: ConnectionId, commands: &[u8]) {
        let held = self.held.entry(id.index).or_default();
        self.held_bytes -= held.bytes();
        held.commands.extend_from_slice(commands);
        self.held_bytes += held.bytes();
    }

    /// A client was let in, or not: what it said meanwhile is done in the next turn.
    pub(super) fn resume_commands(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connection(id)
            && connection.reading == Reading::Awaiting
        {
            connection.reading = Reading::Queued;
            self.queued.push_back(id);
        }
    }

    /// A connection is being closed: what it had to publish goes, and what is behind that is read on, because the
    /// client's close frame comes there.
    pub(super) fn read_to_the_close_frame(&mut self, id: ConnectionId) {
        if let Some(held) = self.held.get_mut(&id.index) {
            self.held_bytes -= held.bytes();
            // Neither is acknowledged.
            held.commands = Vec::new();
            let draft = held.draft.take();
            self.held_bytes += held.bytes();
            if draft.is_some() {
                self.count_given_up();
            }
        }
        let Some(connection) = self.connection(id) else { return };
        match connection.reading {
            Reading::Polled | Reading::Queued => {}
            Reading::OutboxFull | Reading::Paused | Reading::Throttled | Reading::Awaiting => {
                connection.reading = Reading::Queued;
                self.queued.push_back(id);
            }
        }
    }

    /// What is held of a connection that ends.
    pub(super) fn forget_held(&mut self, id: ConnectionId) {
        if let Some(held) = self.held.remove(&id.index) {
            self.held_bytes -= held.bytes();
            if held.draft.is_some() {
                self.count_given_up();
            }
        }
    }

    /// All that is held goes: the worker failed.
    pub(super) fn give_up_held(&mut self) {
        let held = std::mem::take(&mut self.held);
        held.values().filter(|held| held.draft.is_some()).for_each(|_| self.count_given_up());
    }

    /// A publication that still waited for room when its connection ended: it was never acknowledged, and is counted.
    fn count_given_up(&self) {
        self.seat.surface.counters.reject_client(Refusal::Overloaded);
    }

    /// Publications that waited for room, oldest first, until one has none again.
    pub(super) fn retry_paused(&mut self) {
        while let Some(&id) = self.paused.front() {
            let held = self.connection(id).is_some().then(|| self.held.remove(&id.index)).flatten();
            let Some(held) = held else {
                self.paused.pop_front();
                continue;
            };
            self.held_bytes -= held.bytes();
            let Held { draft, commands, rest, .. } = held;
            if draft.is_some() || !commands.is_empty() {
                let waiting = self.paused.len();
                match draft {
                    Some((topic, draft)) => {
                        let went = self.publish(id, topic, draft);
                        debug_assert!(went == Went::On || self.paused.len() > waiting);
                    }
                    None => {
                        let _ = self.converse_caught(id, &commands);
                    }
                }
                if self.paused.len() > waiting {
                    // Queued once more at the back: it keeps its place at the front instead.
                    self.paused.pop_back();
                    self.hold(id, None, &rest);
                    return;
                }
            }
            self.paused.pop_front();
            if !rest.is_empty() {
                self.hold(id, None, &rest);
            }
            if let Some(connection) = self.connection(id) {
                connection.reading = Reading::Queued;
                self.queued.push_back(id);
            }
        }
    }

    /// Goes on with input that was held.
    pub(super) fn resume_held(&mut self, id: ConnectionId) -> Went {
        let Some(held) = self.held.remove(&id.index) else { return Went::On };
        self.held_bytes -= held.bytes();
        debug_assert!(held.draft.is_none(), "paused connections are not queued");
        let Held { commands, mut rest, .. } = held;
        if !commands.is_empty() && self.converse_caught(id, &commands) == Went::Stopped {
            // It waits once more: what is behind waits with it.
            if self.connection(id).is_some() {
                self.hold_apart(id, &rest);
            }
            return Went::Stopped;
        }
        self.receive(id, &mut rest)
    }

    /// A connection whose outbox was full has been written to.
    pub(super) fn resume_reading(&mut self, id: ConnectionId) {
        if self.fanout.outbox_bytes(id) > OUTBOX_LIMIT_BYTES {
            return;
        }
        if let Some(connection) = self.connection(id)
            && connection.reading == Reading::OutboxFull
        {
            connection.reading = Reading::Queued;
            self.queued.push_back(id);
        }
    }
}

//! What clients of the Centrifuge protocol say, and what they are answered.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use super::connection::Reading;
use super::reading::{OUTBOX_LIMIT_BYTES, Went};
use super::worker::Worker;
use crate::close_reason::CloseReason;
use crate::fanout::ConnectionId;
use crate::protocol::Shape;
use crate::protocol::centrifuge::{
    Batch, Command, Commands, DisconnectCode, Envelope, ErrorCode, Format, Method, Push, Reply,
};
use crate::session::{Session, Stage};

/// Room for the replies to one frame of commands, to begin with.
const REPLIES_BYTES: usize = 256;

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Done {
    /// The next one is due.
    On,
    /// It waits for room in a mailbox, and nothing of it is done: it and those behind it are done later.
    NoRoom,
    /// Those behind it wait until somebody has answered.
    Waits,
    /// The connection is ending.
    Ended,
}

impl Worker {
    /// As [`Worker::converse`]. A panic in it ends this connection only.
    pub(super) fn converse_caught(&mut self, id: ConnectionId, frame: &[u8]) -> Went {
        let conversed = catch_unwind(AssertUnwindSafe(|| self.converse(id, frame)));
        conversed.unwrap_or_else(|_| {
            self.counters().panics.add(1);
            tracing::error!(connection = %id, "a command panicked; its connection is closed");
            self.fail(id, CloseReason::InternalError);
            Went::Stopped
        })
    }

    /// Does the commands of one frame, and answers them in one.
    pub(super) fn converse(&mut self, id: ConnectionId, frame: &[u8]) -> Went {
        if self.clients.get(id.index).is_some_and(|client| client.is_ending) {
            return Went::On;
        }
        let Some(shape) = self.shape_of(id) else { return Went::Stopped };
        if shape.envelope() == Envelope::Bare {
            return self.converse_bare(id, shape, frame);
        }
        let mut replies = Batch::new(shape.transport(), REPLIES_BYTES);
        let mut commands = Commands::new(shape.format(), frame);
        let done = loop {
            let before = commands.rest();
            let command = match commands.next() {
                None => break Done::On,
                Some(Ok(command)) => command,
                Some(Err(malformed)) => {
                    tracing::debug!(connection = %id, %malformed, "a frame of no commands");
                    break self.disconnect_client(id, DisconnectCode::BadRequest);
                }
            };
            match self.command(id, command, &mut replies) {
                Done::On => {}
                Done::NoRoom => {
                    self.pause_commands(id, before);
                    break Done::NoRoom;
                }
                Done::Waits => {
                    self.await_commands(id, commands.rest());
                    break Done::Waits;
                }
                Done::Ended => break Done::Ended,
            }
        };
        self.fanout.reply(id, replies.finish());
        match done {
            Done::On => self.went_on(id),
            Done::NoRoom | Done::Waits => Went::Stopped,
            // On to the client's close frame, which may be in this very input.
            Done::Ended => Went::On,
        }
    }

    /// Whether a client that was answered is read on.
    fn went_on(&mut self, id: ConnectionId) -> Went {
        if self.fanout.outbox_bytes(id) > OUTBOX_LIMIT_BYTES
            && let Some(connection) = self.connection(id)
            && connection.reading == Reading::Polled
        {
            connection.reading = Reading::OutboxFull;
            return Went::Stopped;
        }
        Went::On
    }

    fn command(&mut self, id: ConnectionId, command: Command<'_>, replies: &mut Batch) -> Done {
        let Command { id: number, method } = command;
        let Some(client) = self.clients.get_mut(id.index) else { return Done::Ended };
        if let Err(code) = client.gate(&method) {
            tracing::debug!(connection = %id, stage = ?client.stage, "a command that may not come now");
            return self.disconnect_client(id, code);
        }
        match method {
            Method::Pong => {
                let tick = self.tick;
                self.counters().pongs.add(1);
                if let Some(connection) = self.connection(id) {
                    connection.liveness.heard(tick);
                }
                Done::On
            }
            Method::Connect(connect) => self.connect(id, number, &connect, replies),
            Method::Subscribe(subscribe) => self.subscribe_client(id, number, &subscribe, replies),
            Method::Unsubscribe(unsubscribe) if unsubscribe.channel.is_empty() => {
                self.disconnect_client(id, DisconnectCode::BadRequest)
            }
            Method::Unsubscribe(unsubscribe) => {
                self.unsubscribe_client(id, &unsubscribe.channel);
                replies.reply(number, &Reply::Unsubscribe);
                Done::On
            }
            Method::Publish(publish) => self.publish_client(id, number, &publish, replies),
            Method::Presence(presence) => self.tell_presence(id, number, &presence.channel, replies),
            Method::PresenceStats(presence) => self.tell_presence_stats(id, number, &presence.channel, replies),
            Method::History(history) => self.tell_history(id, number, &history, replies),
            Method::Rpc(rpc) => self.rpc(id, number, &rpc, replies),
            // There is nobody to send it to.
            Method::Send(_) => self.disconnect_client(id, DisconnectCode::NotAvailable),
            Method::Refresh(refresh) => self.refresh_client(id, number, &refresh.token),
            Method::SubRefresh(refresh) => self.refresh_subscription(id, number, &refresh, replies),
            Method::Ping => self.disconnect_client(id, DisconnectCode::BadRequest),
        }
    }

    /// How a client's frames look.
    pub(super) fn shape_of(&self, id: ConnectionId) -> Option<Shape> {
        let connection = self.connections.get(id.index).filter(|connection| connection.id == id)?;
        match connection.session {
            Session::Client { shape, .. } => Some(shape),
            Session::Topic { .. } | Session::Endpoint { .. } | Session::Stream { .. } => None,
        }
    }

    /// Tells a client one thing that it did not ask for.
    pub(super) fn push_to(&mut self, id: ConnectionId, channel: &str, push: &Push<'_>) {
        let Some(shape) = self.shape_of(id) else { return };
        self.fanout.reply(id, Batch::of_push(shape.transport(), shape.envelope(), channel, push));
    }

    /// Answers one command, outside of its frame.
    pub(super) fn reply_to(&mut self, id: ConnectionId, command: u32, reply: &Reply<'_>) {
        let Some(shape) = self.shape_of(id) else { return };
        let mut batch = Batch::new(shape.transport(), REPLIES_BYTES);
        batch.reply(command, reply);
        self.fanout.reply(id, batch.finish());
    }

    /// The bytes of the server's ping.
    pub(super) fn ping_of(shape: Shape) -> Bytes {
        let mut batch = Batch::new(shape.transport(), 0);
        batch.ping();
        batch.finish()
    }

    /// Ends a client's connection with a code of its protocol.
    pub(super) fn disconnect_client(&mut self, id: ConnectionId, code: DisconnectCode) -> Done {
        self.close_with(id, CloseReason::Client(code), code.code(), code.reason());
        Done::Ended
    }
}

/// A refusal as a reply.
pub(super) fn refused(replies: &mut Batch, command: u32, error: ErrorCode) -> Done {
    replies.reply(command, &Reply::from(error));
    Done::On
}

/// Whether a client can be let in still.
pub(super) fn is_pending(stage: Stage) -> bool {
    match stage {
        Stage::New | Stage::Connecting => true,
        Stage::Connected | Stage::Refused => false,
    }
}

/// Whether `payload` can be published by a client of this format, and as what.
pub(super) fn kind_of(format: Format, payload: &[u8]) -> crate::hub::Kind {
    match format {
        // What stands in a JSON command is JSON.
        Format::Json => crate::hub::Kind::Text,
        Format::Protobuf => match simdutf8::basic::from_utf8(payload) {
            Ok(_) => crate::hub::Kind::Text,
            Err(_) => crate::hub::Kind::Binary,
        },
    }
}

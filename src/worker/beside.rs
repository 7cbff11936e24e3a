//! Clients whose connection is a stream: what they said with its request, and what they say beside it, by requests of their
//! own.

use bytes::Bytes;

use super::connection::Reading;
use super::held::HELD_LIMIT_BYTES;
use super::orders::place_of;
use super::reading::Went;
use super::worker::Worker;
use crate::close_reason::CloseReason;
use crate::fanout::ConnectionId;
use crate::hub::{SessionKey, Waiting, Whereabouts};
use crate::protocol::Shape;
use crate::protocol::centrifuge::{Batch, Connect, DisconnectCode, Envelope, ErrorCode, Reply};
use crate::session::Stage;

/// Commands of one request, in the order of the requests. How many there are is bounded by [`crate::hub::Sessions`].
#[derive(Debug)]
pub(super) struct Said {
    commands: Bytes,
    /// Counts them until they are done, or given up.
    _waiting: Waiting,
}

/// What a client is told of its session.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Its secret; empty on a WebSocket.
    pub(super) session: String,
    /// The node to which its commands go; empty if it has none to give.
    pub(super) node: String,
}

impl Worker {
    /// A client that is let in on a stream gets a secret. One that only listens gets one, too, because clients of such
    /// streams expect it, and it opens nothing.
    pub(super) fn open_session(&mut self, id: ConnectionId, shape: Shape) -> Told {
        let surface = &self.seat.surface;
        match (shape.delimiting(), shape.envelope()) {
            (None, Envelope::Wrapped) => Told::default(),
            (_, Envelope::Bare) => Told { session: SessionKey::random().to_string(), node: String::new() },
            (Some(_), Envelope::Wrapped) => {
                let Some(client) = self.clients.get_mut(id.index) else { return Told::default() };
                let place = Whereabouts { client: client.id, worker: self.seat.id, place: place_of(id) };
                let registered = client.session.insert(Box::new(surface.sessions.enter(place)));
                Told { session: registered.key().to_string(), node: surface.node.clone() }
            }
        }
    }

    /// What a client said with the request that opened its connection.
    pub(super) fn hear_first(&mut self, id: ConnectionId, first: &[u8]) {
        if self.count_said(id, first.len()) == Went::On {
            let _ = self.converse_caught(id, first);
        }
    }

    /// Commands came beside a stream.
    pub(super) fn take_said(&mut self, id: ConnectionId, commands: Bytes, waiting: Waiting) {
        self.said.entry(id.index).or_default().push_back(Said { commands, _waiting: waiting });
        self.hear(id);
    }

    /// Does what was said beside a stream, in its order, until something has to wait: for room in a mailbox, for its client
    /// to read, for its rate. Then the rest is done when that is over: whatever is waited for ends in
    /// [`Worker::read_queued`], which comes here.
    pub(super) fn hear(&mut self, id: ConnectionId) {
        while self.said.contains_key(&id.index) {
            let held_enough = self.held_bytes > HELD_LIMIT_BYTES;
            let tick = self.tick;
            let Some(connection) = self.connection(id) else { return };
            if !connection.is_open() {
                self.forget_said(id);
                return;
            }
            if connection.reading != Reading::Polled {
                return;
            }
            if held_enough {
                connection.reading = Reading::Queued;
                self.queued.push_back(id);
                return;
            }
            connection.liveness.heard(tick);
            if self.must_wait_to_speak(id) {
                self.throttle(id);
                return;
            }
            let Some(said) = self.next_said(id) else { return };
            if self.count_said(id, said.commands.len()) == Went::Stopped {
                return;
            }
            self.note_spoken(id);
            let _ = self.converse_caught(id, &said.commands);
        }
    }

    fn next_said(&mut self, id: ConnectionId) -> Option<Said> {
        let all = self.said.get_mut(&id.index)?;
        let first = all.pop_front();
        if all.is_empty() {
            self.said.remove(&id.index);
        }
        first
    }

    /// What was said to a connection that ends is not done.
    pub(super) fn forget_said(&mut self, id: ConnectionId) {
        if !self.said.is_empty() {
            self.said.remove(&id.index);
        }
    }

    /// A client that only listens says who it is, and nothing else: what it says later means nothing.
    pub(super) fn converse_bare(&mut self, id: ConnectionId, shape: Shape, frame: &[u8]) -> Went {
        if self.clients.get(id.index).is_none_or(|client| client.stage != Stage::New) {
            return Went::On;
        }
        let connect = match Connect::read_bare(shape.format(), frame) {
            Ok(connect) => connect,
            Err(malformed) => {
                tracing::debug!(connection = %id, %malformed, "no connect request");
                let _ = self.disconnect_client(id, DisconnectCode::BadRequest);
                return Went::On;
            }
        };
        let mut replies = Batch::new(shape.transport(), 256);
        let _ = self.connect(id, 0, &connect, &mut replies);
        match self.clients.get(id.index).map(|client| client.stage) {
            Some(Stage::Connected) => self.fanout.reply(id, replies.finish()),
            Some(Stage::Connecting) | None => {}
            // Whatever stands in the replies has no place in a stream of pushes.
            Some(Stage::New | Stage::Refused) => {
                let _ = self.disconnect_client(id, DisconnectCode::Internal);
            }
        }
        Went::On
    }

    /// A client that only listens is not let in. There are no replies on its stream, so it is told by the end of that.
    pub(super) fn refuse_bare(&mut self, id: ConnectionId, reply: &Reply<'_>) {
        let Reply::Error { code, message, temporary } = *reply else { return };
        let _ = match code {
            code if code == ErrorCode::TokenExpired.code() => {
                self.disconnect_client(id, DisconnectCode::ConnectionExpired)
            }
            _ if temporary => self.disconnect_client(id, DisconnectCode::Internal),
            _ => {
                let code = DisconnectCode::ForceDisconnect.code();
                self.close_with(id, CloseReason::Ordered, code, message);
                super::conversation::Done::Ended
            }
        };
    }
}

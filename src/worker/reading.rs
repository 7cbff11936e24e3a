//! From a readable socket to effects.

use std::io::IoSlice;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::connection::{Reading, State};
use super::held::HELD_LIMIT_BYTES;
use super::membership::Carried;
use super::worker::Worker;
use super::writing::send;
use crate::close_reason::CloseReason;
use crate::fanout::ConnectionId;
use crate::hub::{Draft, Outcome, Topic};
use crate::refusal::Refusal;
use crate::session::{Behaviour, Effect, Session};
use crate::tls::Heard;
use crate::ws::{Message, MessageLimits};

/// The worker's one read buffer.
pub(super) const SCRATCH_BYTES: usize = 64 * 1024;

/// What one connection may have read in a turn. The rest waits its turn, so that one that talks without pause does not
/// keep the others from being heard.
const READ_BUDGET_BYTES: usize = 64 * 1024;

/// Outbox bytes over which a connection is not read: a client that pings and never reads must not grow its outbox.
pub(super) const OUTBOX_LIMIT_BYTES: usize = 16 * 1024;

/// How far a socket is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// Until a read brings less than it could: what comes later is a new event. Saves the call that brings nothing.
    ToAShortRead,
    /// Until a read brings nothing: an end that the poller has told already, or may have told while nobody looked, is
    /// not told again.
    ToTheEnd,
}

/// Whether a connection can be read further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Went {
    On,
    /// It waits, or is gone.
    Stopped,
}

impl Worker {
    /// The poller says that there is something to read.
    pub(super) fn read(&mut self, id: ConnectionId, depth: Depth) {
        let held_enough = self.held_bytes > HELD_LIMIT_BYTES;
        let Some(connection) = self.connection(id) else { return };
        match connection.reading {
            Reading::Polled if held_enough && connection.is_open() => {
                connection.reading = Reading::Queued;
                self.queued.push_back(id);
            }
            Reading::Polled => self.read_now(id, depth),
            // It is in a list already; what is there now will be read then.
            Reading::Queued | Reading::OutboxFull | Reading::Paused | Reading::Throttled | Reading::Awaiting => {}
        }
    }

    /// Whether someone waits who can be read at once. Those who cannot wait until something that is held was published.
    pub(super) fn can_read_queued(&self) -> bool {
        !self.queued.is_empty() && self.held_bytes <= HELD_LIMIT_BYTES
    }

    /// Those whose budget was used up, or who may be read again.
    ///
    /// Over the limit on held input only what is held is gone on with: it is what the limit waits for.
    pub(super) fn read_queued(&mut self) {
        for _ in 0..self.queued.len() {
            let Some(id) = self.queued.pop_front() else { break };
            let Some(connection) = self.connection(id) else { continue };
            let is_open = connection.is_open();
            connection.reading = Reading::Polled;
            if self.resume_held(id) == Went::Stopped {
                continue;
            }
            if self.held_bytes <= HELD_LIMIT_BYTES || !is_open {
                self.read_now(id, Depth::ToTheEnd);
                self.hear(id);
            } else if let Some(connection) = self.connection(id) {
                connection.reading = Reading::Queued;
                self.queued.push_back(id);
            }
        }
    }

    fn read_now(&mut self, id: ConnectionId, depth: Depth) {
        let mut scratch = std::mem::take(&mut self.scratch);
        self.read_into(id, depth, &mut scratch);
        self.scratch = scratch;
    }

    /// Reads until the socket has no more, which the poller (edge-triggered) needs, or the budget is used up.
    fn read_into(&mut self, id: ConnectionId, depth: Depth, scratch: &mut [u8]) {
        let mut budget = READ_BUDGET_BYTES;
        loop {
            let mut window = scratch.len();
            if self.pacing.makes_wait() {
                window = window.min(self.readable_bytes(id));
                if window == 0 {
                    self.throttle(id);
                    return;
                }
            }
            let Some(connection) = self.connection(id) else { return };
            let fresh = match rustix::net::recv(&connection.socket, &mut scratch[..window], RecvFlags::DONTWAIT) {
                Ok((0, _)) => {
                    self.drop_connection(id, CloseReason::Gone);
                    return;
                }
                Ok((fresh, _)) => fresh,
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => continue,
                Err(_) => {
                    self.drop_connection(id, CloseReason::Gone);
                    return;
                }
            };
            let has_tls = connection.tls.is_some();
            if self.pacing.counts_bytes() && self.count_bytes(id, fresh) == Went::Stopped {
                return;
            }
            let went = match has_tls {
                false => self.receive(id, &mut scratch[..fresh]),
                true => self.receive_sealed(id, &mut scratch[..fresh]),
            };
            if went == Went::Stopped {
                return;
            }
            if fresh < window && depth == Depth::ToAShortRead {
                return;
            }
            budget = budget.saturating_sub(fresh);
            if budget == 0 {
                let Some(connection) = self.connection(id) else { return };
                connection.reading = Reading::Queued;
                self.queued.push_back(id);
                return;
            }
        }
    }

    /// Bytes that came with the handshake.
    pub(super) fn receive_rest(&mut self, id: ConnectionId, rest: &[u8]) {
        let mut rest = rest.to_vec();
        if self.count_bytes(id, rest.len()) == Went::On {
            let _ = self.receive(id, &mut rest);
        }
    }

    /// Opens TLS records, and does what is in them.
    fn receive_sealed(&mut self, id: ConnectionId, records: &mut [u8]) -> Went {
        let mut opened = std::mem::take(&mut self.opened);
        opened.clear();
        let mut answer = Vec::new();
        let Some(channel) = self.connection(id).and_then(|connection| connection.tls.as_mut()) else {
            return Went::Stopped;
        };
        // rustls is used in a way that few use it: if it panics, that ends this connection only.
        let heard = catch_unwind(AssertUnwindSafe(|| channel.receive(records, &mut opened, &mut answer)));
        let heard = heard.unwrap_or_else(|_| {
            self.counters().panics.add(1);
            Err(rustls::Error::General("TLS panicked".to_owned()))
        });
        self.fanout.owe_sealed(id, Bytes::from(answer));
        let mut went = if opened.is_empty() { Went::On } else { self.receive(id, &mut opened) };
        self.opened = opened;
        match heard {
            Ok(Heard::More) => {}
            Ok(Heard::End) => {
                self.drop_connection(id, CloseReason::Gone);
                went = Went::Stopped;
            }
            Err(error) => {
                tracing::debug!(connection = %id, %error, "TLS failed");
                self.say_alert(id);
                self.drop_connection(id, CloseReason::Protocol("a TLS record that cannot be opened"));
                went = Went::Stopped;
            }
        }
        went
    }

    /// Tells a client whose TLS has failed why. If something is on its way that the socket does not take, it is not told.
    fn say_alert(&mut self, id: ConnectionId) {
        let (Some(alert), Some(connection)) = (self.fanout.sealed(id), self.connections.get(id.index)) else { return };
        let _ = send(&connection.socket, &[IoSlice::new(alert)], &mut []);
    }

    /// Decodes and does what `input` says.
    pub(super) fn receive(&mut self, id: ConnectionId, input: &mut [u8]) -> Went {
        let tick = self.tick;
        let limits = &self.seat.surface.config.limits;
        let limits = MessageLimits { bytes: limits.message.bytes(), fragments: limits.fragments };
        let behaviours = Arc::clone(&self.seat.behaviours);
        #[cfg(test)]
        super::restart::panic_if_asked("reading", input);
        let Some(connection) = self.connection(id) else { return Went::Stopped };
        let session = connection.session;
        if !session.is_websocket() || connection.state == State::Lingering {
            return Went::On;
        }
        connection.liveness.heard(tick);
        if connection.is_open() && connection.decoder.is_lone_pong(input) && !logs_lifecycle(session, &behaviours) {
            self.counters().pongs.add(1);
            return Went::On;
        }
        let mut decoder = std::mem::take(&mut connection.decoder);
        let may_compress = connection.compression.is_some();
        let mut inflater = std::mem::take(&mut self.inflater);
        let mut at = 0;
        let mut began_before = decoder.is_mid_message();
        let went = loop {
            if began_before && at > 0 {
                began_before = decoder.is_mid_message();
            }
            if self.pacing.makes_wait() && at < input.len() && self.must_wait(id) {
                self.throttle(id);
                break Went::Stopped;
            }
            let step = match decoder.next(&mut input[at..], limits, may_compress.then_some(&mut inflater)) {
                Ok(step) => step,
                Err(violation) => {
                    self.fail(id, CloseReason::from(violation));
                    break Went::Stopped;
                }
            };
            at += step.consumed;
            let Some(message) = step.message else { break Went::On };
            let open = self.connection(id).is_some_and(|connection| connection.is_open());
            if !open {
                // We closed first: all that is still of interest is the client's close frame.
                if matches!(message, Message::Close(_)) {
                    self.close_answered(id);
                    break Went::Stopped;
                }
                continue;
            }
            if self.admit(id, &message) == Went::Stopped {
                break Went::Stopped;
            }
            self.note_message(id, session, &message);
            if let (Session::Client { .. }, Message::Text(_) | Message::Binary(_)) = (session, &message) {
                let commands = match message {
                    Message::Text(text) => text.as_bytes(),
                    Message::Binary(bytes) => bytes,
                    Message::Ping(_) | Message::Pong(_) | Message::Close(_) => &[],
                };
                if self.converse_caught(id, commands) == Went::Stopped {
                    break Went::Stopped;
                }
                continue;
            }
            // A panic in what a session does ends this connection only.
            let received = catch_unwind(AssertUnwindSafe(|| session.receive(&message, &behaviours)));
            let Ok(effects) = received else {
                self.counters().panics.add(1);
                tracing::error!(connection = %id, "a session panicked; its connection is closed");
                self.fail(id, CloseReason::InternalError);
                break Went::Stopped;
            };
            let mut went = Went::On;
            for effect in effects {
                if self.effect(id, effect) == Went::Stopped {
                    went = Went::Stopped;
                }
            }
            if went == Went::Stopped {
                break Went::Stopped;
            }
        };
        let is_under_way = decoder.is_mid_message();
        if is_under_way || self.lifetime.has_unfinished() {
            self.note_under_way(id, is_under_way, began_before);
        }
        inflater.let_go();
        self.inflater = inflater;
        if let Some(connection) = self.connection(id) {
            connection.decoder = decoder;
            if went == Went::Stopped && at < input.len() {
                match connection.reading {
                    Reading::Polled => {}
                    Reading::OutboxFull | Reading::Throttled | Reading::Awaiting => self.hold_apart(id, &input[at..]),
                    Reading::Queued | Reading::Paused => self.hold(id, None, &input[at..]),
                }
            }
        }
        went
    }

    /// Counts a message of an open connection for its rates and against its silence, before anything is done with it.
    fn admit(&mut self, id: ConnectionId, message: &Message<'_>) -> Went {
        match message {
            Message::Text(_) | Message::Binary(_) => {
                if self.lifetime.notes_messages() {
                    self.note_spoken(id);
                }
                if self.pacing.counts_messages() { self.count_message(id) } else { Went::On }
            }
            Message::Ping(_) | Message::Pong(_) => self.count_control(id),
            Message::Close(_) => Went::On,
        }
    }

    fn effect(&mut self, id: ConnectionId, effect: Effect) -> Went {
        match effect {
            Effect::Reply(frame) => {
                self.fanout.reply(id, frame);
                if self.fanout.outbox_bytes(id) > OUTBOX_LIMIT_BYTES
                    && let Some(connection) = self.connection(id)
                    && connection.reading != Reading::Paused
                {
                    connection.reading = Reading::OutboxFull;
                    return Went::Stopped;
                }
                Went::On
            }
            Effect::Refuse(refusal, frame) => {
                self.seat.surface.counters.reject_client(refusal);
                self.effect(id, Effect::Reply(frame))
            }
            Effect::Publish(draft) => match self.topic_of(id) {
                Some(topic) => self.publish(id, topic, draft),
                None => Went::On,
            },
            Effect::Close(reason) => {
                if reason == CloseReason::PublishNotAllowed {
                    self.seat.surface.counters.reject_client(Refusal::PublishNotAllowed);
                }
                self.close(id, reason);
                // On to the client's close frame, which may be in this very input.
                Went::On
            }
            Effect::Closed(answer) => {
                self.answer_close(id, answer);
                Went::Stopped
            }
        }
    }

    pub(super) fn publish(&mut self, id: ConnectionId, topic: Arc<Topic>, draft: Draft) -> Went {
        let hub = Arc::clone(&self.seat.surface.hub);
        match hub.publish(&topic, draft, self.now, || self.answer_later(id, None)) {
            Some(Outcome::Accepted(_)) => {
                self.seat.surface.counters.published_client.add(1);
                Went::On
            }
            Some(Outcome::Full { draft, queue }) => {
                hub.wake_when_roomy(queue, &self.mailbox);
                if let Some(connection) = self.connection(id) {
                    connection.reading = Reading::Paused;
                    self.paused.push_back(id);
                    self.hold(id, Some((topic, draft)), &[]);
                }
                Went::Stopped
            }
            Some(Outcome::Refused(refusal)) => {
                self.seat.surface.counters.reject_client(refusal);
                self.tell_refused(id, refusal);
                Went::On
            }
            // The disk answers later, by an order; the publication comes back through the mailbox.
            None => Went::On,
        }
    }

    /// The topic that a connection's messages are published on: of several, the one it joined first.
    pub(super) fn topic_of(&self, id: ConnectionId) -> Option<Arc<Topic>> {
        let log = self.fanout.logs_of(id).next()?;
        match self.memberships.carried(log)? {
            Carried::Topic(topic, _) => Some(Arc::clone(topic)),
            Carried::Bundle(_) => None,
        }
    }

    fn note_message(&mut self, id: ConnectionId, session: Session, message: &Message<'_>) {
        if matches!(message, Message::Pong(_)) {
            self.counters().pongs.add(1);
        }
        let Session::Endpoint { index } = session else { return };
        if !logs_lifecycle(session, &self.seat.behaviours) {
            return;
        }
        let behaviour = &self.seat.behaviours[usize::from(index)];
        let endpoint = behaviour.path.as_str();
        match message {
            Message::Text(text) => tracing::info!(endpoint, connection = %id, bytes = text.len(), "message (text)"),
            Message::Binary(bytes) => {
                tracing::info!(endpoint, connection = %id, bytes = bytes.len(), "message (binary)");
            }
            Message::Ping(_) => tracing::info!(endpoint, connection = %id, "ping"),
            Message::Pong(_) => tracing::info!(endpoint, connection = %id, "pong"),
            Message::Close(code) => {
                let code = code.map(|(code, _)| code);
                tracing::info!(endpoint, connection = %id, code, "close frame");
            }
        }
    }
}

/// Whether each message of this session's client stands in the log.
fn logs_lifecycle(session: Session, behaviours: &[Behaviour]) -> bool {
    match session {
        Session::Endpoint { index } => behaviours[usize::from(index)].log_lifecycle,
        Session::Topic { .. } | Session::Stream { .. } | Session::Client { .. } => false,
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::path::Path;
    use std::time::Duration;

    use crate::config::{Config, Loaded, Source};
    use crate::server::Server;
    use crate::session::Session;

    const CONFIG: &str = r#"
        [server]
        listen = ["127.0.0.1:0"]
        workers = 1
        [[endpoints]]
        path = "/echo"
        reply = "{message}"
    "#;

    fn connect(server: &Server) -> TcpStream {
        let mut socket = TcpStream::connect(server.addresses()[0]).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let head = "GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        socket.write_all(head.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            answer.extend(byte);
        }
        assert!(answer.starts_with(b"HTTP/1.1 101 "));
        socket
    }

    fn say(socket: &mut TcpStream, text: &[u8]) {
        // Masked with zeros: the payload stays as it is.
        let header = [0x81, 0x80 | text.len() as u8, 0, 0, 0, 0];
        socket.write_all(&[&header, text].concat()).unwrap();
    }

    #[test]
    fn a_panic_in_a_session_ends_its_connection_only_and_is_counted() {
        let config = Config::from_toml(CONFIG, Path::new("")).unwrap();
        let loaded = Loaded { config, source: Source::File("test.toml".into()), warnings: Vec::new() };
        let server = Server::start(&loaded, || {}).unwrap();
        let (mut unlucky, mut other) = (connect(&server), connect(&server));
        say(&mut unlucky, Session::PANIC);
        let mut close = [0; 4];
        unlucky.read_exact(&mut close).unwrap();
        assert_eq!((close[0], u16::from_be_bytes([close[2], close[3]])), (0x88, 1011));
        say(&mut other, b"still here");
        let mut reply = [0; 12];
        other.read_exact(&mut reply).unwrap();
        assert_eq!(&reply[2..], b"still here");
        let panics: u64 = server.surface().counters.shards.iter().map(|shard| shard.panics.get()).sum();
        assert_eq!(panics, 1);
        drop((unlucky, other));
        server.drain();
        server.join().unwrap();
    }
}

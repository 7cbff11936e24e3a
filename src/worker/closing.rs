//! The end of a connection, whoever begins it, and its pings.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;
use rustix::net::Shutdown;
use smallvec::SmallVec;

use super::bundle::BundleId;
use super::connection::{Connection, Ending, Reading, State};
use super::conversation::is_pending;
use super::liveness::{Due as Ping, Rhythm};
use super::membership::{Carried, Interest, Variant};
use super::opening::protocol_of;
use super::worker::{Due, Worker};
use super::writing::send;
use crate::close_reason::CloseReason;
use crate::fanout::{Cause, ConnectionId, Doomed, LogId, Members, Sent};
use crate::hooks::Gone;
use crate::hub::Topic;
use crate::protocol::centrifuge::{Envelope, Format, Push, Transport};
use crate::protocol::sse::{self, Delimiting};
use crate::protocol::{self, Notice, Shape};
use crate::refusal::Refusal;
use crate::session::{Client, Session, Stage};
use crate::ws;

/// Between the last words of a stream and its end: a tenth to two tenths of a second.
const STREAM_END_TICKS: u32 = 2;

impl Worker {
    /// Closes a connection from our side: what it was published so far is delivered, then the close frame, and the
    /// client's is awaited for `limits.close_timeout`.
    pub(super) fn close(&mut self, id: ConnectionId, reason: CloseReason) {
        self.begin_close(id, reason, false);
    }

    /// Fails a connection: its topics' frames are dropped, the close frame goes out, and nothing more is read
    /// (RFC 6455 §7.1.7).
    pub(super) fn fail(&mut self, id: ConnectionId, reason: CloseReason) {
        self.begin_close(id, reason, true);
    }

    /// As [`Worker::close`], with a code and words that are not those of the reason.
    pub(super) fn close_with(&mut self, id: ConnectionId, reason: CloseReason, code: u16, text: &str) {
        self.end(id, reason, false, code, text);
    }

    fn begin_close(&mut self, id: ConnectionId, reason: CloseReason, at_once: bool) {
        let Some(connection) = self.connection(id) else { return };
        let (code, text) = match (connection.session, reason.for_client()) {
            (Session::Client { .. }, Some(code)) => (code.code(), code.reason()),
            (Session::Client { .. } | Session::Topic { .. } | Session::Endpoint { .. } | Session::Stream { .. }, _) => {
                (reason.code(), reason.text())
            }
        };
        self.end(id, reason, at_once, code, text);
    }

    fn end(&mut self, id: ConnectionId, reason: CloseReason, at_once: bool, code: u16, text: &str) {
        let Some(connection) = self.connection(id) else { return };
        if !connection.is_open() {
            return;
        }
        let session = connection.session;
        if let Session::Client { shape, .. } = session {
            if self.clients.get(id.index).is_some_and(|client| client.is_ending) {
                return;
            }
            self.say_disconnect(id, shape, code, text);
            if shape.delimiting().is_some() && !at_once {
                self.end_stream_soon(id, reason, code, text);
                return;
            }
        }
        self.finish(id, reason, at_once, code, text);
    }

    /// A stream of the Centrifuge protocol ends a moment after the push that says why. centrifuge-js handles what it has read
    /// in a later turn of its loop; if the end of the body has come by then, it takes the stream for broken and reconnects,
    /// whatever the code was.
    fn end_stream_soon(&mut self, id: ConnectionId, reason: CloseReason, code: u16, text: &str) {
        let Some(client) = self.clients.get_mut(id.index) else { return };
        client.is_ending = true;
        // Nothing more is published to it behind its last words.
        for subscription in std::mem::take(&mut client.subscriptions) {
            self.end_subscription(id, &subscription, code, text);
        }
        self.note_ending(id, reason);
        self.forget_held(id);
        self.wheel.schedule(Due::End(id), self.tick.wrapping_add(STREAM_END_TICKS));
    }

    /// The moment is over.
    pub(super) fn end_stream(&mut self, id: ConnectionId) {
        if !self.clients.get(id.index).is_some_and(|client| client.is_ending) {
            return;
        }
        let Some(reason) = self.endings.get(&id.index).filter(|ending| ending.id == id).map(|ending| ending.reason)
        else {
            return;
        };
        self.finish(id, reason, false, reason.code(), reason.text());
    }

    fn finish(&mut self, id: ConnectionId, reason: CloseReason, at_once: bool, code: u16, text: &str) {
        let Some(connection) = self.connection(id).filter(|connection| connection.is_open()) else { return };
        let session = connection.session;
        connection.state = State::Closing { for_answer: session.is_websocket() && !at_once };
        let last = if session.is_websocket() {
            Some(ws::frame::close(code, text))
        } else {
            match session.encoding().delimiting() {
                Some(Delimiting::Chunked) => Some(Bytes::from_static(sse::LAST_CHUNK)),
                Some(Delimiting::UntilClose) | None => None,
            }
        };
        if at_once {
            self.fanout.finish_now(id, last);
            self.forget_held(id);
        } else {
            self.fanout.finish(id, last);
            self.read_to_the_close_frame(id);
        }
        self.note_ending(id, reason);
    }

    /// Where there is no close frame, or the client is not to be expected to look at it, a push says why it ends.
    fn say_disconnect(&mut self, id: ConnectionId, shape: Shape, code: u16, text: &str) {
        match (shape.delimiting(), shape.envelope()) {
            (None, Envelope::Wrapped) => {}
            (Some(_), _) | (None, Envelope::Bare) => {
                self.push_to(id, "", &Push::Disconnect { code: code.into(), reason: text });
            }
        }
    }

    /// The client closed: its close frame is answered behind the replies it is owed. What else was published to it is
    /// not: it said that it will not read on.
    pub(super) fn answer_close(&mut self, id: ConnectionId, answer: Bytes) {
        let Some(connection) = self.connection(id) else { return };
        connection.state = State::Closing { for_answer: false };
        self.fanout.finish_now(id, Some(answer));
        self.forget_held(id);
        self.note_ending(id, CloseReason::ClientClosed);
    }

    pub(super) fn note_ending(&mut self, id: ConnectionId, reason: CloseReason) {
        self.endings.insert(id.index, Ending { id, reason });
        self.catch_ups.remove(&id.index);
        let timeout = Self::ticks(self.seat.surface.config.limits.close_timeout);
        self.wheel.schedule(Due::Close(id), self.tick.wrapping_add(timeout));
    }

    /// All that a closing connection was owed is written.
    pub(super) fn close_frame_is_out(&mut self, id: ConnectionId) {
        let Some(connection) = self.connection(id) else { return };
        match connection.state {
            State::Closing { for_answer: true } => connection.state = State::AwaitingAnswer,
            State::Closing { for_answer: false } => self.linger(id),
            State::Open | State::AwaitingAnswer | State::Lingering => {}
        }
    }

    /// The client answered our close frame.
    pub(super) fn close_answered(&mut self, id: ConnectionId) {
        let Some(connection) = self.connection(id) else { return };
        match connection.state {
            // Both have said that they are done: the server closes (RFC 6455 §7.1.1). Nothing can be unread but what a
            // client sent against the rules.
            State::AwaitingAnswer => self.drop_connection(id, CloseReason::ClientClosed),
            // It closed while ours was on its way: nothing more is awaited.
            State::Closing { .. } => connection.state = State::Closing { for_answer: false },
            State::Open | State::Lingering => {}
        }
    }

    /// Says that nothing more will be written, and waits for the client to close its side.
    pub(super) fn linger(&mut self, id: ConnectionId) {
        let Some(connection) = self.connection(id) else { return };
        connection.state = State::Lingering;
        connection.reading = Reading::Queued;
        say_end(connection);
        if rustix::net::shutdown(&connection.socket, Shutdown::Write).is_err() {
            self.drop_connection(id, CloseReason::Gone);
            return;
        }
        // What came before this moment will not be reported again. Read in the next turn: this may be a sweep.
        self.queued.push_back(id);
    }

    /// The close handshake took too long.
    pub(super) fn close_is_overdue(&mut self, id: ConnectionId) {
        let Some(connection) = self.connection(id) else { return };
        match connection.state {
            State::Closing { .. } | State::AwaitingAnswer => self.drop_connection(id, CloseReason::CloseTimeout),
            // Everything was said; only the client's FIN is missing.
            State::Lingering => self.drop_connection(id, CloseReason::Gone),
            State::Open => {}
        }
    }

    /// Closes those whom a slow-consumer policy doomed.
    pub(super) fn close_doomed(&mut self) {
        while let Some(Doomed { connection: id, cause, missed }) = self.fanout.doomed() {
            let missed = missed.map_or(0, |missed| missed.count);
            tracing::debug!(connection = %id, ?cause, missed, "slow consumer is disconnected");
            if cause == Cause::Budget {
                // What it was owed is gone, a close frame included.
                self.note_ending(id, CloseReason::SlowConsumer);
                self.drop_connection(id, CloseReason::SlowConsumer);
                continue;
            }
            // Its logs are free of it at once. The close frame goes out if it reads again before the close timeout.
            self.fail(id, CloseReason::SlowConsumer);
        }
    }

    /// The connection is gone: everything that was its own is given back, and those who stay are told if they asked.
    pub(super) fn drop_connection(&mut self, id: ConnectionId, reason: CloseReason) {
        if self.connection(id).is_none() {
            return;
        }
        let Some(connection) = self.connections.remove(id.index) else { return };
        self.forget_held(id);
        self.forget_said(id);
        self.forget_meter(id);
        self.end_lifetime(id);
        self.catch_ups.remove(&id.index);
        let reason = match self.endings.remove(&id.index) {
            Some(ending) if ending.id == id => ending.reason,
            Some(_) | None => reason,
        };
        self.burst = (self.burst.0 + 1, self.tick);
        // Counted before anything that could fail: who is not in the slab is not counted again.
        self.leave_place(connection.listener, connection.counted);
        let counters = self.counters();
        let protocol = protocol_of(connection.session).index();
        counters.connections[protocol].add(-1);
        counters.closed[protocol].of(reason).add(1);
        let topic = self.topic_of(id);
        for parted in self.fanout.disconnect(id) {
            self.leave_log(id, parted.log, parted.left);
        }
        if let Some(client) = self.clients.remove(id.index) {
            self.forget_client(&client, connection.session, reason);
        }
        tracing::debug!(connection = %id, reason = reason.label(), "closed");
        self.say_farewell(id, connection.session, reason, topic);
    }

    /// Others see a client no more.
    fn forget_client(&mut self, client: &Client, session: Session, reason: CloseReason) {
        let Session::Client { shape, .. } = session else { return };
        if client.stage != Stage::Connected {
            return;
        }
        if !client.user.is_empty() {
            self.seat.surface.hub.directory().leave(&client.user, client.id);
        }
        let (code, text) = match reason.for_client() {
            Some(code) => (code.code(), code.reason()),
            None => (reason.code(), reason.text()),
        };
        for subscription in &client.subscriptions {
            self.say_gone(subscription);
            let name = subscription.topic.name().as_str();
            self.tell_gone(client, shape, Gone::Subscription(name), code, text);
        }
        self.tell_gone(client, shape, Gone::Connection, code, text);
    }

    fn say_farewell(&mut self, id: ConnectionId, session: Session, reason: CloseReason, topic: Option<Arc<Topic>>) {
        let Session::Endpoint { index } = session else { return };
        let behaviour = &self.seat.behaviours[usize::from(index)];
        if behaviour.log_lifecycle {
            tracing::info!(endpoint = behaviour.path, connection = %id, reason = reason.label(), "closed");
        }
        if let Some(topic) = topic {
            self.announce_leave(session, topic);
        }
    }

    /// Tells those who stay on a topic, if its endpoint does so.
    pub(super) fn announce_leave(&mut self, session: Session, topic: Arc<Topic>) {
        let Session::Endpoint { index } = session else { return };
        if let Some(announcement) = self.seat.behaviours[usize::from(index)].leave.clone()
            && !self.is_draining()
        {
            let _ = self.publish_or_queue(topic, announcement);
        }
    }

    /// A member of a log is gone; without members the log is closed, and without logs the topic is left.
    pub(super) fn leave_log(&mut self, id: ConnectionId, log: LogId, left: Members) {
        if !self.newcomers.is_empty() {
            self.newcomers.remove(log, id);
        }
        let topics: SmallVec<[Arc<Topic>; 1]> = match self.memberships.carried(log) {
            Some(Carried::Topic(topic, variant)) => {
                if let Variant::Filtered(filtered) = variant {
                    self.filtered.leave(filtered);
                }
                SmallVec::from_elem(Arc::clone(topic), 1)
            }
            Some(Carried::Bundle(bundle)) => self.bundles.topics(bundle).iter().cloned().collect(),
            None => return,
        };
        if left == Members(0) {
            self.fanout.close_log(log);
            if let Some(bundle) = self.memberships.closed(log) {
                self.forget_bundle(bundle);
            }
        }
        for topic in &topics {
            self.leave_topic(topic);
        }
    }

    fn forget_bundle(&mut self, bundle: BundleId) {
        for topic in self.bundles.remove(bundle) {
            self.memberships.unbundled(topic.id(), bundle);
        }
    }

    /// One subscriber of a topic less.
    pub(super) fn leave_topic(&mut self, topic: &Arc<Topic>) {
        let last = self.memberships.leave(topic.id()) == Interest::Lost;
        self.seat.surface.hub.unsubscribe(Arc::clone(topic), self.seat.id, last, self.now);
    }

    /// Tells a client that what it sent was not published.
    pub(super) fn tell_refused(&mut self, id: ConnectionId, refusal: Refusal) {
        let Some(connection) = self.connection(id) else { return };
        let encoding = connection.session.encoding();
        let json = protocol::error_json(refusal.code(), refusal.summary());
        self.fanout.reply(id, protocol::notice(encoding, Notice::Error, &json));
    }

    /// How a session's connection is watched.
    pub(super) fn rhythm(&self, session: Session) -> Rhythm {
        let config = &self.seat.surface.config;
        let usual = config.liveness.ping_interval;
        let (interval, on_schedule) = match session {
            Session::Topic { .. } => (usual, false),
            // Nothing is heard from a stream's client, and proxies close what is silent. Clients of the Centrifuge protocol
            // are told when to expect the next ping, and some reckon with nothing else.
            Session::Stream { .. } | Session::Client { .. } => (usual, true),
            Session::Endpoint { index } => match config.endpoints[usize::from(index)].ping_interval {
                Some(interval) => (interval, true),
                None => (usual, false),
            },
        };
        let timeout = Self::ticks(config.liveness.pong_timeout);
        Rhythm { interval: Self::ticks(interval), timeout, on_schedule }
    }

    /// A connection's ping may be due, or its pong overdue.
    pub(super) fn check_liveness(&mut self, id: ConnectionId) {
        let tick = self.tick;
        let Some(session) = self.connection(id).filter(|one| one.is_open()).map(|one| one.session) else { return };
        if self.clients.get(id.index).is_some_and(|client| is_pending(client.stage)) {
            // Pings begin when a client is let in. Until then `centrifuge.connect_timeout` is what ends it.
            self.schedule_first_ping(id, session);
            return;
        }
        let rhythm = self.rhythm(session);
        let Some(connection) = self.connection(id) else { return };
        if !session.answers_pings() || connection.reading != Reading::Polled {
            // It cannot be heard: a stream says nothing, and the others we are not listening to.
            connection.liveness.heard(tick);
        }
        match connection.liveness.poll(tick, rhythm) {
            Ping::Nothing(next) => self.wheel.schedule(Due::Liveness(id), next),
            Ping::Ping(next) => {
                self.wheel.schedule(Due::Liveness(id), next);
                self.counters().pings.add(1);
                match session {
                    Session::Topic { .. } | Session::Endpoint { .. } => self.ping(id, &ws::frame::PING),
                    Session::Stream { encoding } => {
                        if let Some(delimiting) = encoding.delimiting() {
                            self.fanout.reply(id, sse::comment(delimiting, "ping"));
                        }
                    }
                    Session::Client { frame_pings: true, .. } => self.ping(id, &ws::frame::PING),
                    Session::Client { shape, frame_pings: false } => self.ping_client(id, shape),
                }
            }
            Ping::Dead => self.fail(id, CloseReason::NoPong),
        }
    }

    /// Sends a ping of the Centrifuge protocol, for which it wants an answer of its own.
    fn ping_client(&mut self, id: ConnectionId, shape: Shape) {
        if let Some(client) = self.clients.get_mut(id.index) {
            client.owes_pong = true;
        }
        match shape.transport() {
            Transport::WebSocket(Format::Json) => self.ping(id, b"\x81\x02{}"),
            Transport::WebSocket(Format::Protobuf) => self.ping(id, b"\x82\x01\x00"),
            Transport::HttpStream(..) | Transport::EventStream(_) => self.fanout.reply(id, Self::ping_of(shape)),
        }
    }

    /// Sends a ping: at once to who is owed nothing that must come before, which spares the queue and its
    /// allocations (a third of what an idle connection's ping costs besides its system calls).
    fn ping(&mut self, id: ConnectionId, frame: &'static [u8]) {
        let mut rest = frame;
        if self.fanout.is_clear(id)
            && let Some(connection) = self.connections.get(id.index).filter(|connection| connection.tls.is_none())
        {
            match send(&connection.socket, &[IoSlice::new(rest)], &mut []) {
                Sent::Wrote(bytes) | Sent::Full(bytes) => {
                    self.counters().writes.add(1);
                    rest = &rest[bytes..];
                }
                Sent::Blocked => {}
                Sent::Dead => return self.drop_connection(id, CloseReason::Gone),
            }
        }
        // The fan-out passes over what is empty.
        self.fanout.reply(id, Bytes::from_static(rest));
    }
}

/// Tells a client of TLS that nothing more will come (RFC 8446 §6.1). All that was sealed before is written.
fn say_end(connection: &mut Connection) {
    if let Some(channel) = &mut connection.tls {
        let mut farewell = Vec::new();
        channel.close(&mut farewell);
        // If there is no room, the client sees the end of TCP: a WebSocket has said its own farewell before.
        let _ = send(&connection.socket, &[IoSlice::new(&farewell)], &mut []);
    }
}

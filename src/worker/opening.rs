//! What a new connection is sent and subscribed to.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::catch_up::CatchUp;
use super::connection::{Connection, Reading, State};
use super::liveness::Liveness;
use super::membership::Variant;
use super::poller::Token;
use super::worker::{Due, Worker};
use crate::accept::ListenerId;
use crate::accept::addresses::AddressKey;
use crate::accept::http::Opened;
use crate::admin::counters::Protocol;
use crate::close_reason::CloseReason;
use crate::fanout::{ConnectionId, Join, LogId, RulesId};
use crate::hooks::Passed;
use crate::hub::{ClientId, Joined, Recovery, Start, Topic, TopicName};
use crate::protocol::{self, Encoding, Notice, Shape, sse};
use crate::refusal::Refusal;
use crate::session::{Client, Opening, Session, StreamTopics};
use crate::tls::Channel;
use crate::ws::{self, Agreement, Decoder, Deflation};

/// A socket that becomes a connection.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) socket: OwnedFd,
    pub(super) tls: Option<Box<Channel>>,
    /// What TLS has made and the socket has not taken.
    pub(super) sealed: Bytes,
    pub(super) listener: ListenerId,
    pub(super) counted: Option<AddressKey>,
    /// Whether the poller knows it, as a greeting.
    pub(super) is_polled: bool,
}

/// A topic that was subscribed to for a connection.
#[derive(Debug)]
pub(super) struct Seated {
    pub(super) topic: Arc<Topic>,
    pub(super) start: Start,
    pub(super) joined: Joined,
}

impl Worker {
    /// A socket that tokio gave back becomes a connection.
    pub(super) fn open_opened(&mut self, opened: Opened) {
        let Opened { socket, tls, sealed, listener, counted, opening, rest } = opened;
        let wire = Wire { socket, tls, sealed, listener, counted, is_polled: false };
        self.open(wire, None, opening, &rest);
    }

    /// A socket becomes a connection. `response` is the answer to its handshake if that is still to be sent: it goes out in
    /// one write with whatever comes first.
    pub(super) fn open(&mut self, wire: Wire, response: Option<Vec<u8>>, opening: Opening, rest: &[u8]) {
        let Wire { socket, tls, sealed, listener, counted, is_polled } = wire;
        let session = match &opening {
            Opening::Topic { encoding, may_publish, .. } => {
                Session::Topic { encoding: *encoding, may_publish: *may_publish }
            }
            Opening::Endpoint { index, .. } => Session::Endpoint { index: *index },
            Opening::Stream { encoding, .. } => Session::Stream { encoding: *encoding },
            Opening::Client { shape, frame_pings, .. } => Session::Client { shape: *shape, frame_pings: *frame_pings },
        };
        let id = self.fanout.connect();
        let token = Token::Connection(id);
        let watched = if is_polled { self.poller.rename(&socket, token) } else { self.poller.add(&socket, token) };
        let connection = Connection {
            socket,
            tls,
            counted,
            listener,
            id,
            session,
            state: State::Open,
            reading: Reading::Polled,
            room_is_watched: false,
            compression: opening.compression().map(Agreement::window),
            liveness: Liveness::new(self.tick, 1, self.rhythm(session)),
            decoder: Decoder::new(),
        };
        self.connections.insert(id.index, connection);
        self.in_hand = None;
        self.count_opened(protocol_of(session));
        if watched.is_err() {
            self.drop_connection(id, CloseReason::InternalError);
            return;
        }
        self.fanout.owe_sealed(id, sealed);
        if let Some(response) = response {
            self.fanout.reply(id, Bytes::from(response));
        }
        self.schedule_first_ping(id, session);
        self.begin_lifetime(id);
        let begun = match opening {
            Opening::Topic { topic, start, also, encoding, .. } if also.is_empty() => {
                self.join(id, &topic, encoding, start)
            }
            Opening::Topic { topic, start, also, encoding, .. } => {
                self.join_several(id, (topic, start), also, encoding)
            }
            Opening::Endpoint { index, .. } => self.open_endpoint(id, usize::from(index)),
            Opening::Stream { topics, encoding } => self.open_stream(id, topics, encoding),
            Opening::Client { shape, first, passed, .. } => self.open_client(id, shape, first, passed),
        };
        if let Err(refusal) = begun {
            tracing::warn!(code = refusal.code(), "a connection cannot join its topic");
            self.seat.surface.counters.refuse(refusal);
            self.close(id, CloseReason::Overloaded);
            return;
        }
        if !rest.is_empty() {
            self.receive_rest(id, rest);
        }
        if self.is_draining() {
            // Its handshake was under way when the drain began, so it is not among those who will be closed.
            self.close(id, CloseReason::ServerDraining);
        }
    }

    pub(super) fn schedule_first_ping(&mut self, id: ConnectionId, session: Session) {
        let rhythm = self.rhythm(session);
        // Those who came together are not pinged together.
        let first_ping = 1 + self.roll(rhythm.interval);
        let tick = self.tick;
        if let Some(connection) = self.connection(id) {
            connection.liveness = Liveness::new(tick, first_ping, rhythm);
        }
        self.wheel.schedule(Due::Liveness(id), tick.wrapping_add(first_ping));
    }

    /// The id, the welcome, the history, and the announcement, in this order.
    fn open_endpoint(&mut self, id: ConnectionId, index: usize) -> Result<(), Refusal> {
        let behaviours = Arc::clone(&self.seat.behaviours);
        let behaviour = &behaviours[index];
        if behaviour.log_lifecycle {
            tracing::info!(endpoint = behaviour.path, connection = %id, "opened");
        }
        if behaviour.identify {
            let mut text = uuid::Uuid::encode_buffer();
            let uid = uuid::Uuid::new_v4();
            self.fanout.reply(id, ws::frame::text(uid.hyphenated().encode_lower(&mut text)));
        }
        if let Some(welcome) = &behaviour.welcome {
            self.fanout.reply(id, welcome.clone());
        }
        let Some(name) = &behaviour.topic else { return Ok(()) };
        let start = if behaviour.replay { Start::Last(usize::MAX) } else { Start::Now };
        self.join(id, name, Encoding::Plain, start)?;
        if let Some(announcement) = &behaviour.join
            && let Some(topic) = self.topic_of(id)
        {
            let _ = self.publish_or_queue(topic, announcement.clone());
        }
        Ok(())
    }

    /// A client of the Centrifuge protocol, which says who it is with its request or later.
    fn open_client(
        &mut self,
        id: ConnectionId,
        shape: Shape,
        first: Option<Bytes>,
        passed: Passed,
    ) -> Result<(), Refusal> {
        let client = Client { passed, ..Client::new(ClientId::random()) };
        self.clients.insert(id.index, Box::new(client));
        self.schedule_connect_timeout(id);
        self.fanout.reply(id, Bytes::from_static(shape.transport().opening()));
        if let Some(first) = first {
            self.hear_first(id, &first);
        }
        Ok(())
    }

    fn open_stream(&mut self, id: ConnectionId, topics: StreamTopics, encoding: Encoding) -> Result<(), Refusal> {
        let delimiting = encoding.delimiting().expect("invariant: streams have an SSE encoding");
        let mean = self.seat.surface.config.sse.retry.0;
        let retry = mean / 2 + mean.mul_f64(f64::from(self.roll(1000)) / 1000.0);
        self.fanout.reply(id, sse::retry(delimiting, retry.max(Duration::from_millis(1))));
        let StreamTopics(mut topics) = topics;
        match topics.len() {
            1 => {
                let (name, start) = topics.remove(0);
                self.join(id, &name, encoding, start)
            }
            _ => self.join_bundle(id, topics, encoding),
        }
    }

    /// Subscribes a connection to one topic: what it missed first, then the log from there on.
    fn join(&mut self, id: ConnectionId, name: &TopicName, encoding: Encoding, start: Start) -> Result<(), Refusal> {
        let (topic, joined) = self.subscribe(name, start)?;
        if let Some(history) = self.take_seat(id, Seated { topic, start, joined }, encoding) {
            self.catch_ups.insert(id.index, history);
            self.feed_catch_up(id);
        }
        Ok(())
    }

    /// Subscribes a connection to several topics, that of its path first. Each is a membership in the log that all
    /// subscribers of the topic share: a publication says itself which topic and position it has.
    fn join_several(
        &mut self,
        id: ConnectionId,
        first: (TopicName, Start),
        also: Vec<(TopicName, Start)>,
        encoding: Encoding,
    ) -> Result<(), Refusal> {
        let all = self.subscribe_all(std::iter::once(first).chain(also))?;
        let histories = all.into_iter().filter_map(|one| self.take_seat(id, one, encoding)).collect();
        if let Some(histories) = CatchUp::in_turn(histories) {
            self.catch_ups.insert(id.index, histories);
            self.feed_catch_up(id);
        }
        Ok(())
    }

    /// Makes a connection a member of the log of a topic that was subscribed to for it. What it is to get before that
    /// is returned, and then it is held until that is through.
    fn take_seat(&mut self, id: ConnectionId, seated: Seated, encoding: Encoding) -> Option<CatchUp> {
        let Seated { topic, start, joined } = seated;
        self.tell_recovery(id, &topic, encoding, start, &joined);
        let encoding = self.compressed(id, &topic, encoding);
        let log = self.log(&topic, encoding, joined.top.offset);
        if joined.replay.is_empty() {
            let is_wildcard = self.seat.surface.hub.is_wildcard(&topic);
            let top = if is_wildcard { self.fanout.last(log) } else { joined.top.offset };
            self.fanout.subscribe(log, id, Join::At(top));
            return None;
        }
        self.fanout.subscribe(log, id, Join::Held);
        Some(CatchUp::new(id, topic, encoding, log, joined))
    }

    /// How the publications of `topic` look to a connection that asked for `encoding`: compressed, if that was agreed on
    /// and the topic's rules have nothing against it.
    pub(super) fn compressed(&mut self, id: ConnectionId, topic: &Topic, encoding: Encoding) -> Encoding {
        let agreed = self.connection(id).and_then(|connection| Some((connection.compression?, connection.listener)));
        let surface = &self.seat.surface;
        let Some((window, listener)) = agreed.filter(|_| surface.hub.rules()[topic.rules()].compress) else {
            return encoding;
        };
        match surface.reach(listener).compression {
            Some(threshold) => encoding.deflated(Deflation { window, threshold }),
            None => encoding,
        }
    }

    /// Joins the hub's topics for one subscriber of this worker: all of them, or none.
    pub(super) fn subscribe_all(
        &mut self,
        wanted: impl IntoIterator<Item = (TopicName, Start)>,
    ) -> Result<Vec<Seated>, Refusal> {
        let mut all: Vec<Seated> = Vec::new();
        for (name, start) in wanted {
            match self.subscribe(&name, start) {
                Ok((topic, joined)) => all.push(Seated { topic, start, joined }),
                Err(refusal) => {
                    for one in all {
                        self.leave_topic(&one.topic);
                    }
                    return Err(refusal);
                }
            }
        }
        Ok(all)
    }

    /// Joins the hub's topic for one subscriber of this worker.
    fn subscribe(&mut self, name: &TopicName, start: Start) -> Result<(Arc<Topic>, Joined), Refusal> {
        let hub = &self.seat.surface.hub;
        let topic = hub.topic(name)?;
        let joined = hub.subscribe(&topic, self.seat.id, start, self.now);
        self.memberships.join(&topic);
        let recoveries = &self.seat.surface.counters.recoveries;
        match joined.recovery {
            Recovery::Complete => recoveries[0].add(1),
            Recovery::Gap => recoveries[1].add(1),
            Recovery::NotAsked => recoveries[2].add(1),
        }
        Ok((topic, joined))
    }

    /// Tells a client that came back whether it misses something. A plain socket is told only if it does.
    pub(super) fn tell_recovery(
        &mut self,
        id: ConnectionId,
        topic: &Topic,
        encoding: Encoding,
        start: Start,
        joined: &Joined,
    ) {
        let recovered = match joined.recovery {
            Recovery::NotAsked => {
                if let Some(delimiting) = encoding.delimiting().filter(|_| start == Start::Now) {
                    // A position before the first event: a browser that loses its connection now can resume, too.
                    self.fanout.reply(id, sse::position(delimiting, &joined.top.to_string()));
                }
                return;
            }
            Recovery::Complete if encoding == Encoding::Plain => return,
            Recovery::Complete => true,
            Recovery::Gap => false,
        };
        let json = protocol::recovered_json(topic.name().as_str(), joined.top, recovered);
        self.fanout.reply(id, protocol::notice(encoding, Notice::Recovered, &json));
        // A stream of several topics gets its id when all of them are known.
        let alone = matches!(encoding, Encoding::Sse | Encoding::SseChunked);
        if !recovered
            && alone
            && let Some(delimiting) = encoding.delimiting()
        {
            self.fanout.reply(id, sse::position(delimiting, &joined.top.to_string()));
        }
    }

    /// The log of a topic in an encoding, opened if there is none.
    fn log(&mut self, topic: &Arc<Topic>, encoding: Encoding, top: crate::hub::Offset) -> LogId {
        if let Some(log) = self.memberships.log(topic.id(), Variant::Of(encoding)) {
            return log;
        }
        let is_wildcard = self.seat.surface.hub.is_wildcard(topic);
        let rules = if is_wildcard { self.unskipping_rules(topic) } else { RulesId(topic.rules() as u16) };
        let log = self.fanout.open(rules, top);
        self.memberships.opened(log, topic.id(), Variant::Of(encoding));
        log
    }

    pub(super) fn count_opened(&self, protocol: Protocol) {
        let counters = self.counters();
        counters.connections[protocol.index()].add(1);
        counters.opened[protocol.index()].add(1);
    }
}

/// The metric label of a session.
pub(super) fn protocol_of(session: Session) -> Protocol {
    match session {
        Session::Topic { .. } => Protocol::Topic,
        Session::Endpoint { .. } => Protocol::Endpoint,
        Session::Stream { .. } => Protocol::Sse,
        Session::Client { .. } => Protocol::Centrifuge,
    }
}

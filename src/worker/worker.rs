//! The worker: its parts, and how it is made.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender};
use rustc_hash::FxHashMap;
use tokio::sync::watch;

use super::accepting::HandshakesLeft;
use super::asking::{Ask, AskId};
use super::beside::Said;
use super::bundle::Bundles;
use super::catch_up::CatchUp;
use super::connection::{Connection, Ending};
use super::drain::{Drain, Quiet};
use super::farewells::Farewells;
use super::filtered::FilteredTable;
use super::greeting::Greetings;
use super::held::Held;
use super::lifetime::Lifetime;
use super::liveness::Wheel;
use super::membership::Memberships;
use super::newcomers::Newcomers;
use super::orders::Order;
use super::pacing::Pacing;
use super::poller::{Bell, Poller, Ready, Token};
use super::reading::SCRATCH_BYTES;
use super::replayed::Replayed;
use super::slab::Slab;
use super::turn::Stuck;
use crate::accept::addresses::AddressKey;
use crate::accept::http::Opened;
use crate::accept::{Accepted, Listener, ListenerId, Placement};
use crate::admin::counters::ShardCounters;
use crate::api::Surface;
use crate::config::{SlowConsumer, SlowPolicy, Span, TopicRules};
use crate::fanout::{ConnectionId, Fanout, LogRules, Moment, Policy, Settings};
use crate::hub::{Mailbox, WorkerId};
use crate::session::{Behaviour, Client};
use crate::ws::{Deflater, Inflater};

/// Coarse time: units of 100 ms since the worker's start, as in the fan-out and the liveness wheel.
pub(super) const TICK_MS: u64 = 100;

/// Deadlines up to here (51 s) are looked at once; 24 bytes per tick.
const WHEEL_TICKS: u32 = 512;

/// A socket that comes to a worker from elsewhere.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// Just accepted, by another shard.
    Accepted(Accepted, Option<AddressKey>),
    /// Opened by a request on a plain HTTP connection of this worker. Boxed: it is the rarer one, and without it the
    /// ring of arrivals is 5 times as large, all of which ends up resident.
    Opened(Box<Opened>),
}

/// The way to a worker for sockets. Bounded: a shard that accepts faster than this one works drops what does not fit.
pub(crate) type Arrivals = Sender<Arrival>;

/// What a worker is given when it is made.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Its number.
    pub(crate) id: WorkerId,
    /// What HTTP handlers reach, the hub among it.
    pub(crate) surface: Arc<Surface>,
    /// Which worker gets a connection.
    pub(crate) placement: Arc<Placement>,
    /// What the endpoints do, by index.
    pub(crate) behaviours: Arc<[Behaviour]>,
    /// One listener per address.
    pub(crate) listeners: Vec<Listener>,
    /// The event that makes this worker look up; its mailbox writes it.
    pub(crate) bell: Bell,
    /// Sockets that come here.
    pub(crate) arrivals: Receiver<Arrival>,
    /// What others want of its clients.
    pub(crate) orders: Receiver<Order>,
    /// The ways to all workers, by number.
    pub(crate) ways: Arc<[Arrivals]>,
    /// Turns true when the drain starts.
    pub(crate) draining: watch::Receiver<bool>,
    /// Who has seen that.
    pub(crate) quiet: Arc<Quiet>,
    /// Called about a second after a burst of connections: hyper's handshake buffers are all that is left of it, and
    /// an allocator gives pages back only when it is called.
    pub(crate) collect: fn(),
}

/// One worker: everything about its connections, in one thread, without locks.
pub(crate) struct Worker {
    pub(super) seat: Seat,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) poller: Poller,
    pub(super) accepting: Accepting,
    pub(super) handshakes_left: Option<HandshakesLeft>,
    pub(super) greetings: Greetings,
    /// A socket was taken out of the greetings or the arrivals and is no connection yet, and no task.
    pub(super) in_hand: Option<(ListenerId, Option<AddressKey>)>,
    pub(super) connections: Slab<Connection>,
    /// Who is being written to: until that is settled, how far its stream has come is not known.
    pub(super) visited: Option<ConnectionId>,
    pub(super) fanout: Fanout,
    pub(super) memberships: Memberships,
    pub(super) bundles: Bundles,
    pub(super) filtered: FilteredTable,
    pub(super) newcomers: Newcomers,
    /// Clients of the Centrifuge protocol, by connection.
    pub(super) clients: Slab<Box<Client>>,
    /// What they said beside their streams and is not done yet, by connection. Few.
    pub(super) said: FxHashMap<u32, VecDeque<Said>>,
    /// What somebody was asked for them. Bounded by who is asked.
    pub(super) asks: FxHashMap<AskId, Ask>,
    /// History on its way, by connection. Few.
    pub(super) catch_ups: FxHashMap<u32, CatchUp>,
    /// Input that waits, by connection. Few, and bounded together: see `held`.
    pub(super) held: FxHashMap<u32, Held>,
    pub(super) held_bytes: usize,
    /// How fast connections may talk, and have talked.
    pub(super) pacing: Pacing,
    /// How long connections may take.
    pub(super) lifetime: Lifetime,
    /// Why connections that are being closed are. Few.
    pub(super) endings: FxHashMap<u32, Ending>,
    pub(super) wheel: Wheel<Due>,
    /// The budget of a turn ended before the deadlines of this tick did.
    pub(super) deadlines_left: bool,
    pub(super) ready: Vec<Ready>,
    /// Turns since the poller was looked at.
    pub(super) unpolled: u32,
    /// Connections to read in the next turn.
    pub(super) queued: VecDeque<ConnectionId>,
    /// Connections whose publication waits for room, oldest first.
    pub(super) paused: VecDeque<ConnectionId>,
    pub(super) scratch: Vec<u8>,
    /// What TLS opened of what was read, and what it sealed of what is to be written: one connection at a time.
    pub(super) opened: Vec<u8>,
    pub(super) sealed: Vec<u8>,
    /// Inflates what clients send: one message at a time, whoever it is from.
    pub(super) inflater: Inflater,
    /// Compresses publications that no other worker has compressed yet.
    pub(super) deflater: Deflater,
    /// History that was compressed lately.
    pub(super) replayed: Replayed,
    /// The charge of the publication that was taken from the mailbox last, until it is given back.
    pub(super) unreleased_bytes: usize,
    /// A publication that not all logs had room for.
    pub(super) stuck: Option<Stuck>,
    /// Announcements of clients that came or went, waiting for room. Bounded: see `opening`.
    pub(super) farewells: Farewells,
    pub(super) drain: Drain,
    /// Plain HTTP connections in tasks of this thread.
    pub(super) http_tasks: Rc<Cell<usize>>,
    pub(super) started: Instant,
    pub(super) now: Instant,
    pub(super) tick: u32,
    /// When the next write delay is over, if a log waits for one.
    pub(super) next_write: Option<Moment>,
    /// Handshakes and endings since the last collection, and the tick of the last one.
    pub(super) burst: (usize, u32),
    /// A small generator for spreading pings and reconnections; nothing secret depends on it.
    pub(super) dice: u64,
}

/// Whether the listeners are being accepted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepting {
    /// Yes.
    Yes,
    /// Not until this tick, because the process was out of descriptors or memory; then the pause doubles.
    Paused { until: u32, ticks: u32 },
    /// Not until this tick, because `limits.handshakes` is used up.
    Paced { until: u32 },
    /// No more: draining.
    Over,
}

/// What a deadline is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// The request head of a greeting.
    Head { index: u32, serial: u32 },
    /// Pings of a connection.
    Liveness(ConnectionId),
    /// The close handshake of a connection.
    Close(ConnectionId),
    /// The wait of a connection that was over its rate.
    Resume(ConnectionId),
    /// What is counted of a connection, which may be forgotten.
    Meter(ConnectionId),
    /// A message that was under way.
    Message(ConnectionId),
    /// The silence of a connection.
    Idle(ConnectionId),
    /// The age of a connection.
    Age(ConnectionId),
    /// The times of a client.
    Client(ConnectionId),
    /// The end of a stream behind its last words.
    End(ConnectionId),
}

impl Worker {
    /// The worker of a seat. Call it on the thread where it will run.
    ///
    /// # Errors
    /// If the kernel has no more descriptors for its poller.
    pub(crate) fn new(seat: Seat) -> io::Result<Self> {
        let poller = Poller::new(&seat.bell)?;
        for (index, listener) in (0..).zip(&seat.listeners) {
            poller.add(listener, Token::Listener(index))?;
        }
        let config = &seat.surface.config;
        let workers = seat.ways.len();
        let settings = Settings {
            outbound_limit_bytes: config.limits.outbound_total.bytes() / workers.max(1),
            ..Settings::default()
        };
        let mut rules: Vec<LogRules> =
            seat.surface.hub.rules().iter().map(|rules| log_rules(&rules.slow_consumer, rules.write_delay)).collect();
        // The last one is for bundles: a stream of several topics comes back by itself and resumes each exactly. Their
        // topics' delays may differ, so they have none.
        let disconnect = SlowConsumer { policy: SlowPolicy::Disconnect, ..SlowConsumer::default() };
        rules.push(log_rules(&disconnect, Span::secs(0)));
        // Once more for clients of the Centrifuge protocol, which has no word for what was skipped.
        rules.extend(seat.surface.hub.rules().iter().map(|rules| {
            let slow_consumer = SlowConsumer { policy: unskipped(rules), ..rules.slow_consumer };
            log_rules(&slow_consumer, rules.write_delay)
        }));
        let started = Instant::now();
        Ok(Self {
            mailbox: Arc::clone(seat.surface.hub.mailbox(seat.id)),
            poller,
            accepting: Accepting::Yes,
            handshakes_left: HandshakesLeft::new(config.limits.handshakes, workers),
            greetings: Greetings::default(),
            in_hand: None,
            connections: Slab::new(),
            visited: None,
            fanout: Fanout::new(settings, rules),
            memberships: Memberships::default(),
            bundles: Bundles::default(),
            filtered: FilteredTable::default(),
            newcomers: Newcomers::default(),
            clients: Slab::new(),
            said: FxHashMap::default(),
            asks: FxHashMap::default(),
            catch_ups: FxHashMap::default(),
            held: FxHashMap::default(),
            held_bytes: 0,
            pacing: Pacing::new(&seat.surface.config.limits),
            lifetime: Lifetime::new(&seat.surface.config.limits),
            endings: FxHashMap::default(),
            wheel: Wheel::new(WHEEL_TICKS, 0),
            deadlines_left: false,
            ready: Vec::new(),
            unpolled: 0,
            queued: VecDeque::new(),
            paused: VecDeque::new(),
            scratch: vec![0; SCRATCH_BYTES],
            opened: Vec::new(),
            sealed: Vec::new(),
            inflater: Inflater::new(),
            deflater: Deflater::new(config.compression.level, seat.surface.thresholds.clone()),
            replayed: Replayed::default(),
            unreleased_bytes: 0,
            stuck: None,
            farewells: Farewells::default(),
            drain: Drain::default(),
            http_tasks: Rc::new(Cell::new(0)),
            started,
            now: started,
            tick: 0,
            next_write: None,
            burst: (0, 0),
            dice: 0x9e37_79b9_7f4a_7c15 ^ u64::from(std::process::id()) << 16 ^ u64::from(seat.id.0),
            seat,
        })
    }

    pub(super) fn counters(&self) -> &ShardCounters {
        &self.seat.surface.counters.shards[usize::from(self.seat.id.0)]
    }

    /// Whole ticks in `span`, at least one.
    pub(super) fn ticks(span: crate::config::Span) -> u32 {
        u32::try_from(span.0.as_millis() as u64 / TICK_MS).unwrap_or(u32::MAX).max(1)
    }

    /// A number below `limit` (which is not 0), for spreading things in time.
    pub(super) fn roll(&mut self, limit: u32) -> u32 {
        // xorshift64 (Marsaglia 2003).
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        (self.dice >> 32) as u32 % limit
    }

    /// The connection of `id`, if it still is.
    pub(super) fn connection(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(id.index).filter(|connection| connection.id == id)
    }
}

/// The policy of a topic for those who cannot be told what they missed: what can be recovered is, and nothing is skipped
/// unless the topic says that only the newest counts.
fn unskipped(rules: &TopicRules) -> SlowPolicy {
    match rules.slow_consumer.policy {
        SlowPolicy::Latest if rules.history.size == 0 && !rules.delta => SlowPolicy::Latest,
        SlowPolicy::Disconnect | SlowPolicy::Skip | SlowPolicy::Latest => SlowPolicy::Disconnect,
    }
}

fn log_rules(rules: &SlowConsumer, write_delay: Span) -> LogRules {
    LogRules {
        policy: match rules.policy {
            SlowPolicy::Disconnect => Policy::Disconnect,
            SlowPolicy::Skip => Policy::Skip,
            SlowPolicy::Latest => Policy::Latest,
        },
        lag_bytes: u32::try_from(rules.lag.0).unwrap_or(u32::MAX),
        lag_ticks: Worker::ticks(rules.age),
        write_delay_us: u32::try_from(write_delay.0.as_micros()).unwrap_or(u32::MAX),
    }
}

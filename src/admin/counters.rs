//! Counters that are cheap to bump: one padded set per shard, written by its own worker, summed when read.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use crate::close_reason::CloseReason;
use crate::refusal::Refusal;

/// Metric label `protocol` of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// A WebSocket on `/topics/{topic}`.
    Topic,
    /// A WebSocket on a configured endpoint.
    Endpoint,
    /// Server-Sent Events.
    Sse,
    /// A client of the Centrifuge protocol.
    Centrifuge,
    /// Plain HTTP.
    Http,
}

impl Protocol {
    /// All of them, in the order of [`Protocol::index`].
    pub const ALL: [Self; 5] = [Self::Topic, Self::Endpoint, Self::Sse, Self::Centrifuge, Self::Http];
    /// Its place in [`Protocol::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
    /// The label's value.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Endpoint => "endpoint",
            Self::Sse => "sse",
            Self::Centrifuge => "centrifuge",
            Self::Http => "http",
        }
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds `n`, which may be negative.
    pub fn add(&self, n: i64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }
    /// Sets it.
    pub fn set(&self, n: i64) {
        self.0.store(n, Ordering::Relaxed);
    }
    /// Its value.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Connections of one protocol ever closed, by [`CloseReason::index`].
#[derive(Debug)]
pub struct Closed([Counter; CloseReason::ALL.len()]);

impl Default for Closed {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl Closed {
    /// Those of one reason.
    pub fn of(&self, reason: CloseReason) -> &Counter {
        &self.0[reason.index()]
    }
}

/// The counters of one shard.
#[derive(Debug, Default)]
pub struct ShardCounters {
    /// Open connections by [`Protocol::index`].
    pub connections: [Gauge; Protocol::ALL.len()],
    /// Connections ever opened by [`Protocol::index`].
    pub opened: [Counter; Protocol::ALL.len()],
    /// Connections ever closed by [`Protocol::index`] and [`CloseReason::index`].
    pub closed: [Closed; Protocol::ALL.len()],
    /// Publications handed to the kernel whole, by [`Protocol::index`].
    pub deliveries: [Counter; Protocol::ALL.len()],
    /// Their bytes, by [`Protocol::index`].
    pub delivered_bytes: [Counter; Protocol::ALL.len()],
    /// Publications that a subscriber did not get, by policy: disconnect, skip, latest.
    pub lost: [Counter; 3],
    /// Joins and leaves that a topic was told of.
    pub notices_told: Counter,
    /// Joins and leaves that it was not told of, because they were too many.
    pub notices_dropped: Counter,
    /// Connections that are blocked and behind.
    pub slow_consumers: Gauge,
    /// Bytes in this worker's logs, tails and outboxes.
    pub outbound_pending_bytes: Gauge,
    /// Payload bytes of publications before they were compressed.
    pub compression_in_bytes: Counter,
    /// The same after.
    pub compression_out_bytes: Counter,
    /// Letters waiting in the mailbox when last looked at.
    pub mailbox_depth: Gauge,
    /// Times the worker was woken.
    pub wakeups: Counter,
    /// System calls that wrote to connections.
    pub writes: Counter,
    /// Nanoseconds of turns.
    pub busy_ns: Counter,
    /// Pings sent.
    pub pings: Counter,
    /// Pongs received.
    pub pongs: Counter,
    /// Times that reading from a connection was paused for its rate.
    pub throttled: Counter,
    /// Sessions and plain HTTP connections that panicked.
    pub panics: Counter,
    /// Times that the worker panicked outside of any session and was replaced.
    pub restarts: Counter,
    /// Times that accepting was paused for `limits.handshakes`.
    pub accept_pauses: Counter,
    /// accept() errors.
    pub accept_errors: Counter,
}

/// All counters of the process.
#[derive(Debug)]
pub struct Counters {
    /// One set per shard.
    pub shards: Box<[CachePadded<ShardCounters>]>,
    /// Publications accepted over HTTP.
    pub published_http: Counter,
    /// Publications accepted from clients.
    pub published_client: Counter,
    /// Refusals by [`Refusal::index`]: handshakes and HTTP requests.
    pub refused: Box<[Counter]>,
    /// Publishes over HTTP that were refused, by [`Refusal::index`].
    pub rejected_http: Box<[Counter]>,
    /// Publishes from clients that were refused, by [`Refusal::index`].
    pub rejected_client: Box<[Counter]>,
    /// Clients that were not let in for what they said of themselves, and keys that could not be fetched, by
    /// [`Refusal::index`].
    pub auth_failures: Box<[Counter]>,
    /// Recoveries: complete, gap, none.
    pub recoveries: [Counter; 3],
}

impl Counters {
    /// Zeros for `shards` shards.
    pub fn new(shards: usize) -> Self {
        Self {
            shards: (0..shards).map(|_| CachePadded::default()).collect(),
            published_http: Counter::default(),
            published_client: Counter::default(),
            refused: Refusal::ALL.iter().map(|_| Counter::default()).collect(),
            rejected_http: Refusal::ALL.iter().map(|_| Counter::default()).collect(),
            rejected_client: Refusal::ALL.iter().map(|_| Counter::default()).collect(),
            auth_failures: Refusal::ALL.iter().map(|_| Counter::default()).collect(),
            recoveries: Default::default(),
        }
    }
    /// Counts a refusal.
    pub fn refuse(&self, refusal: Refusal) {
        self.refused[refusal.index()].add(1);
    }
    /// Counts a publish over HTTP that was refused.
    pub fn reject_http(&self, refusal: Refusal) {
        self.rejected_http[refusal.index()].add(1);
    }
    /// Counts one of [`Refusal::OF_IDENTITY`].
    pub fn fail_auth(&self, refusal: Refusal) {
        self.auth_failures[refusal.index()].add(1);
    }
    /// Counts a publish from a client that was refused.
    pub fn reject_client(&self, refusal: Refusal) {
        self.rejected_client[refusal.index()].add(1);
    }
}

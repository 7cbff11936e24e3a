//! What a client wants and somebody else is asked about: a set of keys that is still to be fetched, the application's
//! backend. The client's other commands go on meanwhile, once it is let in.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::orders::Prolonged;
use super::worker::Worker;
use crate::fanout::ConnectionId;
use crate::hub::TopicName;
use crate::session::{Admission, Grant};

/// What is awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct AskId(u64);

impl AskId {
    /// A number that no other has, on any worker: an answer may come to one that has started anew.
    pub(super) fn fresh() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// What an answer will be for.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) id: ConnectionId,
    /// The command that is answered with it; 0 if none is.
    pub(super) command: u32,
    pub(super) about: About,
}

/// What was asked.
#[derive(Debug)]
pub(super) enum About {
    /// Whether the client may come in.
    Connect(Box<super::admission::Coming>),
    /// Whether it may subscribe.
    Subscribe(TopicName, Box<super::subscription::Wanted>),
    /// Whether it may publish this.
    Publish(TopicName, Bytes),
    /// A procedure of the backend.
    Rpc,
    /// Whether it may stay.
    Refresh,
    /// Whether it may stay subscribed.
    SubRefresh(TopicName),
}

/// What was answered.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It may come in.
    Admitted(Admission),
    /// It may subscribe.
    Granted(Grant),
    /// It may publish: this instead of what it sent, if anything.
    Publish { data: Option<Bytes>, skip_history: bool },
    /// What a procedure returned.
    Value(Option<Bytes>),
    /// How long it may stay, and what others see of it from now on, if that changes.
    Prolonged(Prolonged, Option<Bytes>),
    /// No, for a reason that the client is told.
    Error { code: u32, message: Box<str>, temporary: bool },
    /// No, and the connection ends.
    Disconnect { code: u16, reason: Box<str> },
}

impl Worker {
    /// Remembers what an answer will be for. How many there are is bounded by whoever is asked.
    pub(super) fn await_answer(&mut self, id: ConnectionId, command: u32, about: About) -> AskId {
        let ask = AskId::fresh();
        self.asks.insert(ask, Ask { id, command, about });
        ask
    }

    /// An answer came. Its client may be gone, or on its way out.
    pub(super) fn take_answer(&mut self, ask: AskId, answer: Answer) {
        let Some(Ask { id, command, about }) = self.asks.remove(&ask) else { return };
        if !self.connection(id).is_some_and(|connection| connection.is_open()) {
            return;
        }
        match about {
            About::Connect(coming) => self.connect_answered(id, command, *coming, answer),
            About::Subscribe(name, wanted) => self.subscribe_answered(id, command, &name, *wanted, answer),
            About::Publish(name, data) => self.publish_answered(id, command, &name, &data, answer),
            About::Rpc => self.rpc_answered(id, command, answer),
            About::Refresh => self.refresh_answered(id, command, answer),
            About::SubRefresh(name) => self.sub_refresh_answered(id, command, &name, answer),
        }
    }
}

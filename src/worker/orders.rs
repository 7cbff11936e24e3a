//! What others want of a worker's clients: the API, and the answers of those who were asked.

use std::sync::Arc;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender};

use super::asking::{Answer, AskId};
use super::worker::Worker;
use crate::close_reason::CloseReason;
use crate::fanout::ConnectionId;
use crate::hub::{ClientId, Hub, Offset, Receipt, TopicName, Waiting, Whereabouts, WorkerId};
use crate::protocol::centrifuge::{ClaimedEpoch, UnsubscribeCode};
use crate::refusal::Refusal;
use crate::session::{Expiry, Grant, Stage};

/// Orders that may wait for one worker, and one more for each thread that gives some at that moment. Whoever has more to say is
/// told to come back later.
const LIMIT: usize = 65_536;

/// Orders done in a turn.
const TURN: usize = 256;

/// What a worker is to do for somebody else.
#[derive(Debug)]
pub(crate) enum Order {
    /// End a client's connection.
    Disconnect { to: To, code: u16, reason: Box<str> },
    /// End its subscription to a topic, or to all.
    Unsubscribe { to: To, topic: Option<TopicName>, code: UnsubscribeCode },
    /// Subscribe it to a topic.
    Subscribe { to: To, topic: TopicName, grant: Box<Grant>, since: Option<(ClaimedEpoch, Offset)> },
    /// Prolong its time, or end it.
    Refresh { to: To, expires: Prolonged, info: Option<Bytes> },
    /// What became of a publish of a connection; `command` waits for it.
    Published { id: ConnectionId, command: Option<u32>, outcome: Result<Receipt, Refusal> },
    /// An answer to what was asked for it.
    Answered { ask: AskId, answer: Box<Answer> },
    /// What its client says beside its stream.
    Commands { to: To, commands: Bytes, waiting: Waiting },
}

/// How long a client may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prolonged {
    /// As long as it likes.
    ForEver,
    /// Until then.
    Until(Expiry),
    /// It is to go.
    Over,
}

impl Prolonged {
    /// When its time ends, if it has an end that is not here.
    pub(super) fn expiry(self) -> Option<Expiry> {
        match self {
            Self::Until(expiry) => Some(expiry),
            Self::ForEver | Self::Over => None,
        }
    }
}

/// Which client an order is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct To {
    /// Its id.
    pub(crate) client: ClientId,
    /// Its place on its worker, as the directory has it, or [`To::ANYWHERE`].
    pub(crate) place: u64,
}

impl To {
    /// The place of a client that has no user, and so is in no directory: each worker looks through its own for it, which costs
    /// as much as it has.
    pub(crate) const ANYWHERE: u64 = u64::MAX;
}

/// The ways of orders to all workers.
#[derive(Debug)]
pub(crate) struct Orders {
    hub: Arc<Hub>,
    ways: Box<[(Sender<Order>, Receiver<Order>)]>,
}

/// A worker has as many orders as may wait; this one is given back.
#[derive(Debug)]
pub(crate) struct TooManyOrders(pub(crate) Order);

impl Orders {
    /// The ways to this many workers.
    pub(crate) fn new(hub: Arc<Hub>, workers: usize) -> Self {
        // A bounded channel would take memory for all that may ever wait at once: 6 MB per worker.
        Self { hub, ways: (0..workers).map(|_| crossbeam_channel::unbounded()).collect() }
    }

    /// Where a worker finds its orders.
    pub(crate) fn end(&self, worker: WorkerId) -> Receiver<Order> {
        self.ways[worker.index()].1.clone()
    }

    /// Has `worker` do what is ordered, soon.
    ///
    /// # Errors
    /// If too many wait for it already.
    pub(crate) fn give(&self, worker: WorkerId, order: Order) -> Result<(), TooManyOrders> {
        let way = &self.ways[worker.index()].0;
        if way.len() >= LIMIT {
            return Err(TooManyOrders(order));
        }
        way.send(order).map_err(|refused| TooManyOrders(refused.into_inner()))?;
        self.hub.mailbox(worker).wake();
        Ok(())
    }

    /// Has the worker of a connection do what its client says beside it, behind what it said before.
    ///
    /// # Errors
    /// If too many orders wait for it already.
    pub(crate) fn give_commands(
        &self,
        at: Whereabouts,
        commands: Bytes,
        waiting: Waiting,
    ) -> Result<(), TooManyOrders> {
        let Whereabouts { client, worker, place } = at;
        self.give(worker, Order::Commands { to: To { client, place }, commands, waiting })
    }
}

/// The place of a connection, as the directory has it.
pub(super) fn place_of(id: ConnectionId) -> u64 {
    u64::from(id.index) << 32 | u64::from(id.generation)
}

impl Worker {
    /// Does what was ordered. `true` if orders are left.
    pub(super) fn do_orders(&mut self) -> bool {
        for _ in 0..TURN {
            match self.seat.orders.try_recv() {
                Ok(order) => self.do_order(order),
                Err(_) => return false,
            }
        }
        true
    }

    fn do_order(&mut self, order: Order) {
        match order {
            Order::Disconnect { to, code, reason } => {
                if let Some(id) = self.addressee(to) {
                    self.close_with(id, CloseReason::Ordered, code, &reason);
                }
            }
            Order::Unsubscribe { to, topic, code } => {
                if let Some(id) = self.addressee(to) {
                    self.unsubscribe_by_server(id, topic.as_ref(), code);
                }
            }
            Order::Subscribe { to, topic, grant, since } => {
                if let Some(id) = self.addressee(to) {
                    self.subscribe_by_server(id, &topic, *grant, since);
                }
            }
            Order::Refresh { to, expires, info } => {
                if let Some(id) = self.addressee(to) {
                    self.prolong_by_server(id, expires, info);
                }
            }
            Order::Published { id, command, outcome } => self.published(id, command, outcome),
            Order::Answered { ask, answer } => self.take_answer(ask, *answer),
            Order::Commands { to, commands, waiting } => {
                if let Some(id) = self.addressee(to) {
                    self.take_said(id, commands, waiting);
                }
            }
        }
    }

    /// The connection that an order is for, if that is still its client's.
    fn addressee(&self, to: To) -> Option<ConnectionId> {
        if to.place == To::ANYWHERE {
            return self.anonymous(to.client);
        }
        let id = ConnectionId { index: (to.place >> 32) as u32, generation: to.place as u32 };
        let is_there = self.clients.get(id.index).is_some_and(|client| client.id == to.client);
        (is_there && self.connections.get(id.index).is_some_and(|one| one.id == id && one.is_open())).then_some(id)
    }
    /// Where a client without a user is.
    fn anonymous(&self, client: ClientId) -> Option<ConnectionId> {
        let is_it = |id: ConnectionId| {
            self.clients
                .get(id.index)
                .is_some_and(|one| one.id == client && one.user.is_empty() && one.stage == Stage::Connected)
        };
        self.connections.iter().find(|one| one.is_open() && is_it(one.id)).map(|one| one.id)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::config::Config;
    use crate::hub::Mailbox;

    #[test]
    fn a_worker_has_as_many_orders_as_may_wait_and_the_next_is_given_back() {
        let mailboxes = vec![Arc::new(Mailbox::new(1 << 20, Box::new(|| {})))];
        let hub = Hub::open(&Config::default(), mailboxes, Instant::now()).unwrap();
        let orders = Orders::new(hub, 1);
        let give = |index: usize| {
            let id = ConnectionId { index: index as u32, generation: 0 };
            let order = Order::Published { id, command: None, outcome: Err(Refusal::Draining) };
            orders.give(WorkerId(0), order)
        };
        (0..LIMIT).for_each(|index| give(index).unwrap());
        let TooManyOrders(Order::Published { id, .. }) = give(LIMIT).unwrap_err() else { panic!("another order") };
        assert_eq!(id.index as usize, LIMIT);
        orders.end(WorkerId(0)).recv().unwrap();
        give(LIMIT).unwrap();
    }
}

//! A hub without threads or sockets, and the short words the tests use on it.

use crate::config::{Config, History, Span, TopicRules};
use crate::hub::{
    Draft, Hub, Joined, Letter, Mailbox, Outcome, Publication, Receipt, Start, Topic, TopicName, WorkerId,
};
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

pub(super) const TTL: Duration = Duration::from_secs(60);

/// Topics named `keep…` keep `size` publications for [`TTL`], others none.
pub(super) fn config(size: usize) -> Config {
    let history = History { size, ttl: Span(TTL), ..History::default() };
    let keep = TopicRules { pattern: "keep*".to_owned(), history, ..TopicRules::default() };
    Config { topics: vec![keep], ..Config::default() }
}

pub(super) fn hub_of(config: &Config, workers: usize, mailbox_bytes: usize) -> Arc<Hub> {
    let mailboxes = (0..workers).map(|_| Arc::new(Mailbox::new(mailbox_bytes, Box::new(|| {})))).collect();
    Hub::new(config, mailboxes)
}

pub(super) fn hub(workers: usize) -> Arc<Hub> {
    hub_of(&config(100), workers, 16 << 20)
}

pub(super) fn name(text: &str) -> TopicName {
    TopicName::new(text).unwrap()
}

pub(super) fn offer(hub: &Hub, topic: &Arc<Topic>, draft: Draft, now: Instant) -> Outcome {
    hub.publish(topic, draft, now, || unreachable!()).expect("the memory engine answers at once")
}

pub(super) fn publish(hub: &Hub, topic: &Arc<Topic>, text: &str, now: Instant) -> Receipt {
    match offer(hub, topic, Draft::text(text), now) {
        Outcome::Accepted(receipt) => receipt,
        other => panic!("not accepted: {other:?}"),
    }
}

pub(super) fn pop(hub: &Hub, worker: u16) -> Option<Arc<Publication>> {
    let mailbox = hub.mailbox(WorkerId(worker));
    match mailbox.pop()? {
        Letter::Publication(publication) => {
            mailbox.release(publication.charge_bytes());
            Some(publication)
        }
        Letter::Matched(_) => panic!("there is no wildcard"),
        Letter::Canary(_) => panic!("no canary was sent"),
    }
}

pub(super) fn drained(hub: &Hub, worker: u16) -> Vec<u64> {
    std::iter::from_fn(|| pop(hub, worker)).map(|publication| publication.position.offset.0).collect()
}

pub(super) fn join(hub: &Hub, topic: &Arc<Topic>, worker: u16, now: Instant) -> Joined {
    hub.subscribe(topic, WorkerId(worker), Start::Now, now)
}

pub(super) fn replayed(joined: &Joined) -> Vec<u64> {
    joined.replay.iter().map(|one| one.offset.0).collect()
}

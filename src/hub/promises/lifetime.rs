//! Topics come and go by themselves, and nobody notices.

use super::stage::{TTL, config, drained, hub, hub_of, join, name, pop, publish};
use crate::hub::{Recovery, Start, Topic, WorkerId};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

#[test]
fn a_topic_without_history_takes_80_bytes_and_its_reference_counts() {
    assert_eq!(size_of::<Topic>(), 80);
}

#[test]
fn a_topic_that_nobody_needs_is_freed_and_its_next_life_has_a_higher_epoch() {
    let (hub, now) = (hub(1), Instant::now());
    let first = hub.topic(&name("news")).unwrap();
    let _ = join(&hub, &first, 0, now);
    let old = publish(&hub, &first, "a", now).position;
    let id = first.id();
    hub.tidy(now);
    assert_eq!(hub.census().topics, 1);
    hub.unsubscribe(first, WorkerId(0), true, now);
    hub.tidy(now);
    assert_eq!(hub.census().topics, 1, "the letter in the mailbox still holds it");
    assert_eq!(drained(&hub, 0), [1]);
    hub.tidy(now);
    assert!(hub.find(&name("news")).is_none());
    assert_eq!(hub.census().topics, 0);

    let second = hub.topic(&name("news")).unwrap();
    let joined = hub.subscribe(&second, WorkerId(0), Start::Since(old), now);
    assert!(second.id() != id && joined.top.epoch > old.epoch);
    assert_eq!(joined.recovery, Recovery::Gap);
}

#[test]
fn a_topic_that_someone_holds_keeps_its_name_and_its_numbers() {
    let (hub, now) = (hub(1), Instant::now());
    let held = hub.topic(&name("news")).unwrap();
    let first = publish(&hub, &held, "a", now).position;
    for _ in 0..3 {
        hub.tidy(now);
    }
    assert!(Arc::ptr_eq(&hub.find(&name("news")).unwrap(), &held));
    let second = publish(&hub, &held, "b", now).position;
    assert_eq!((second.epoch, second.offset.0), (first.epoch, first.offset.0 + 1));
    drop(held);
    hub.tidy(now);
    assert_eq!(hub.census().topics, 0);
}

#[test]
fn a_topic_lives_while_its_history_does() {
    let (hub, start) = (hub(1), Instant::now());
    publish(&hub, &hub.topic(&name("keep")).unwrap(), "a", start);
    hub.tidy(start + TTL - Duration::from_nanos(1));
    assert_eq!((hub.census().topics, hub.census().history_publications), (1, 1));
    hub.tidy(start + TTL);
    let census = hub.census();
    assert_eq!((census.topics, census.history_publications, census.history_bytes), (0, 0, 0));
}

#[test]
fn nobody_ever_publishes_into_a_topic_that_was_freed() {
    // Every thread is a worker that joins, publishes and must get its own publication, and leaves, while topics are
    // freed as fast as they can be.
    const WORKERS: u16 = 3;
    let (hub, now) = (hub_of(&config(0), usize::from(WORKERS), 1 << 20), Instant::now());
    let stop = &AtomicBool::new(false);
    let lives = thread::scope(|scope| {
        let tidier = {
            let hub = &hub;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    hub.tidy(now);
                }
            })
        };
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let hub = &hub;
                scope.spawn(move || {
                    let mut epochs = std::collections::BTreeSet::new();
                    for round in 0..3_000 {
                        let topic = hub.topic(&name(&format!("t{}", round % 2))).unwrap();
                        let joined = join(hub, &topic, worker, now);
                        let receipt = publish(hub, &topic, "a", now);
                        assert!(receipt.position.epoch == joined.top.epoch && receipt.receivers > 0);
                        assert!(Arc::ptr_eq(&hub.find(topic.name()).unwrap(), &topic));
                        let own =
                            std::iter::from_fn(|| pop(hub, worker)).filter(|one| one.position == receipt.position);
                        assert_eq!(own.filter(|one| Arc::ptr_eq(&one.topic, &topic)).count(), 1);
                        hub.unsubscribe(topic, WorkerId(worker), true, now);
                        epochs.insert(joined.top.epoch);
                    }
                    epochs
                })
            })
            .collect();
        let lives: usize = workers.into_iter().map(|worker| worker.join().unwrap().len()).sum();
        stop.store(true, Ordering::Relaxed);
        tidier.join().unwrap();
        lives
    });
    assert!(lives > 2, "no topic was freed while they were at it");
    for worker in 0..WORKERS {
        let _ = drained(&hub, worker);
    }
    hub.tidy(now);
    assert_eq!((hub.census().topics, hub.census().subscriptions), (0, 0));
}

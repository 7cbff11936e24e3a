//! Who gets a publication, in which order, and what happens when someone has no room.

use super::stage::{config, drained, hub, hub_of, join, name, offer, pop, publish, replayed};
use crate::config::TopicRules;
use crate::hub::{Draft, Letter, Offset, Outcome, Queue, Start, WorkerId};
use crate::refusal::Refusal;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

#[test]
fn a_publication_goes_once_to_each_interested_worker_and_to_no_other() {
    let (hub, now) = (hub(3), Instant::now());
    let topic = hub.topic(&name("news")).unwrap();
    for worker in [0, 0, 2] {
        let _ = join(&hub, &topic, worker, now);
    }
    let receipt = publish(&hub, &topic, "a", now);
    assert_eq!((receipt.position.offset, receipt.receivers), (Offset(1), 3));
    let publication = pop(&hub, 0).unwrap();
    assert_eq!((publication.position, &publication.payload()[..]), (receipt.position, &b"a"[..]));
    assert!(Arc::ptr_eq(&publication.topic, &topic));
    assert_eq!((drained(&hub, 0), drained(&hub, 1), drained(&hub, 2)), (vec![], vec![], vec![1]));

    hub.unsubscribe(Arc::clone(&topic), WorkerId(0), false, now);
    hub.unsubscribe(Arc::clone(&topic), WorkerId(2), true, now);
    assert_eq!(publish(&hub, &topic, "b", now).receivers, 1);
    assert_eq!((drained(&hub, 0), drained(&hub, 2)), (vec![2], vec![]));
}

#[test]
fn more_than_128_workers_are_reached_like_any_other() {
    let (hub, now) = (hub_of(&config(0), 200, 1 << 16), Instant::now());
    let topic = hub.topic(&name("news")).unwrap();
    for worker in [0, 63, 64, 127, 128, 199] {
        let _ = join(&hub, &topic, worker, now);
    }
    publish(&hub, &topic, "a", now);
    let reached: Vec<u16> = (0..200).filter(|&worker| !drained(&hub, worker).is_empty()).collect();
    assert_eq!(reached, [0, 63, 64, 127, 128, 199]);
}

#[test]
fn with_one_mailbox_full_nothing_happens_in_any() {
    let draft = || Draft::text("a");
    let charge = draft().charge_bytes();
    let (hub, now) = (hub_of(&config(100), 3, 3 * charge), Instant::now());
    let topic = hub.topic(&name("keep")).unwrap();
    let other = hub.topic(&name("other")).unwrap();
    let _ = join(&hub, &other, 1, now);
    for worker in 0..3 {
        let _ = join(&hub, &topic, worker, now);
    }
    for _ in 0..3 {
        publish(&hub, &other, "a", now);
    }
    let Outcome::Full { draft: given_back, queue } = offer(&hub, &topic, Draft::text("again"), now) else {
        panic!("worker 1 has room for three");
    };
    assert_eq!((queue, &given_back.payload()[..]), (Queue::Mailbox(WorkerId(1)), &b"again"[..]));
    assert_eq!((drained(&hub, 0), drained(&hub, 2)), (vec![], vec![]));
    let history = hub.history(&topic, Start::Last(10), 10, now);
    assert_eq!((history.top.offset, replayed(&history)), (Offset(0), vec![]));

    // What was reserved for it elsewhere was given back: all three places are free there.
    assert_eq!(drained(&hub, 1), [1, 2, 3]);
    for _ in 0..3 {
        publish(&hub, &topic, "a", now);
    }
    assert!(matches!(offer(&hub, &topic, draft(), now), Outcome::Full { queue: Queue::Mailbox(WorkerId(0)), .. }));
    for worker in 0..3 {
        assert_eq!(drained(&hub, worker), [1, 2, 3]);
    }
}

#[test]
fn all_workers_see_all_publications_in_the_same_order_without_a_gap() {
    const PUBLISHERS: u64 = 4;
    const EACH: u64 = 2_000;
    // Small mailboxes, so that publishers run into full ones all the time.
    let (hub, now) = (hub_of(&config(100), 5, 4_096), Instant::now());
    let topic = hub.topic(&name("keep")).unwrap();
    for worker in 0..5 {
        let _ = join(&hub, &topic, worker, now);
    }
    let full = AtomicUsize::new(0);
    let seen: Vec<Vec<(u64, Vec<u8>)>> = thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let (hub, topic, full) = (&hub, &topic, &full);
            scope.spawn(move || {
                for one in 0..EACH {
                    let mut draft = Draft::text(&format!("{publisher} {one}"));
                    while let Outcome::Full { draft: given_back, .. } = offer(hub, topic, draft, now) {
                        full.fetch_add(1, Ordering::Relaxed);
                        thread::yield_now();
                        draft = given_back;
                    }
                }
            });
        }
        let readers: Vec<_> = (0..5)
            .map(|worker| {
                let hub = &hub;
                scope.spawn(move || {
                    let mut seen = Vec::new();
                    while seen.len() < (PUBLISHERS * EACH) as usize {
                        match pop(hub, worker) {
                            Some(one) => seen.push((one.position.offset.0, one.payload().to_vec())),
                            None => thread::yield_now(),
                        }
                    }
                    seen
                })
            })
            .collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    assert!(full.load(Ordering::Relaxed) > 0, "the mailboxes were never full: the test tests less than it says");
    let offsets: Vec<u64> = seen[0].iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, (1..=PUBLISHERS * EACH).collect::<Vec<_>>());
    for other in &seen[1..] {
        assert!(*other == seen[0]);
    }
    for publisher in 0..PUBLISHERS {
        let prefix = format!("{publisher} ").into_bytes();
        let own: Vec<_> = seen[0].iter().filter(|(_, payload)| payload.starts_with(&prefix)).collect();
        assert!(own.iter().enumerate().all(|(at, (_, payload))| *payload == format!("{publisher} {at}").into_bytes()));
        assert_eq!(own.len() as u64, EACH);
    }
}

#[test]
fn a_draining_hub_refuses_to_publish_and_still_delivers() {
    let (hub, now) = (hub(1), Instant::now());
    let topic = hub.topic(&name("news")).unwrap();
    let _ = join(&hub, &topic, 0, now);
    publish(&hub, &topic, "a", now);
    assert!(!hub.is_draining());
    hub.drain();
    assert!(hub.is_draining());
    assert!(matches!(offer(&hub, &topic, Draft::text("b"), now), Outcome::Refused(Refusal::Draining)));
    assert_eq!(drained(&hub, 0), [1]);
}

#[test]
fn a_canary_passes_through_every_mailbox_behind_what_waits_there() {
    let (hub, now) = (hub(2), Instant::now());
    let topic = hub.topic(&name("news")).unwrap();
    let _ = join(&hub, &topic, 0, now);
    publish(&hub, &topic, "a", now);
    let canary = hub.send_canary();
    assert!(pop(&hub, 0).is_some());
    for worker in [0, 1] {
        match hub.mailbox(WorkerId(worker)).pop() {
            Some(Letter::Canary(found)) => found.seen(),
            other => panic!("not the canary: {other:?}"),
        }
    }
    assert_eq!(canary.missing.load(Ordering::Relaxed), 0);
}

#[test]
fn rules_come_from_the_first_pattern_that_matches() {
    let hub = hub(1);
    assert_eq!(hub.topic(&name("keep1")).unwrap().rules(), 0);
    let built_in = hub.topic(&name("news")).unwrap().rules();
    assert_eq!((built_in, &hub.rules()[built_in]), (1, &TopicRules::default()));
}

//! The limits on topics, history and tidying, at the moment they are reached.

use super::stage::{TTL, config, drained, hub_of, join, name, publish, replayed};
use crate::config::ByteSize;
use crate::hub::{Census, Hub, Offset, Position, Recovery, Retained, Start};
use crate::refusal::Refusal;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

/// A hub whose topics together keep `count` publications of 100 bytes.
fn hub_keeping(count: usize) -> (Arc<Hub>, usize) {
    let entry = 100 + Retained::OVERHEAD_BYTES;
    let mut config = config(1_000);
    config.limits.history_total = ByteSize((count * entry) as u64);
    (hub_of(&config, 1, 1 << 20), entry)
}

#[test]
fn at_the_limit_a_topic_is_refused_unless_an_idle_one_can_go() {
    let mut config = config(0);
    config.limits.topics = 2;
    let (hub, now) = (hub_of(&config, 1, 1 << 20), Instant::now());
    let held = [hub.topic(&name("a")).unwrap(), hub.topic(&name("b")).unwrap()];
    assert!(matches!(hub.topic(&name("c")), Err(Refusal::TooManyTopics)));
    assert!(hub.topic(&name("a")).is_ok());
    let [a, b] = held;
    let _ = join(&hub, &a, 0, now);
    drop((a, b));
    let c = hub.topic(&name("c")).unwrap();
    assert!(hub.find(&name("a")).is_some() && hub.find(&name("b")).is_none());
    assert_eq!(hub.census().topics, 2);
    drop(c);
}

#[test]
fn one_tidy_does_a_bounded_part_and_the_next_ones_the_rest() {
    let (hub, start) = (hub_of(&config(40_000), 1, 1 << 20), Instant::now());
    for one in 0..20_000 {
        drop(hub.topic(&name(&format!("t{one}"))).unwrap());
    }
    hub.tidy(start);
    assert_eq!(hub.census().topics, 20_000 - 16_384);
    hub.tidy(start);
    assert_eq!(hub.census().topics, 0);

    let topic = hub.topic(&name("keep")).unwrap();
    for _ in 0..40_000 {
        publish(&hub, &topic, "", start);
    }
    hub.tidy(start + TTL);
    let left = hub.census().history_publications;
    assert!((1..=40_000 - 32_768).contains(&left), "{left}");
    hub.tidy(start + TTL);
    assert_eq!(hub.census().history_publications, 0);
}

#[test]
fn the_bound_over_all_history_is_kept_by_giving_up_the_oldest_of_any_topic() {
    let (hub, entry) = hub_keeping(6);
    let start = Instant::now();
    let secs = |secs| start + Duration::from_secs(secs);
    let text = "x".repeat(100);
    let topics = ["keep1", "keep2", "keep3"].map(|text| hub.topic(&name(text)).unwrap());
    let kept = |at: usize| replayed(&hub.history(&topics[at], Start::Last(99), 99, secs(9)));
    for round in 0..6 {
        publish(&hub, &topics[round % 2], &text, secs(round as u64));
    }
    assert_eq!((kept(0), kept(1)), (vec![1, 2, 3], vec![1, 2, 3]));
    assert_eq!(hub.census().history_bytes, 6 * entry);

    // One more than fits: the oldest go, in whichever topics they are; two, because a 64th of the bound is made free.
    publish(&hub, &topics[2], &text, secs(6));
    assert!(hub.census().history_bytes <= 6 * entry);
    assert_eq!((kept(0), kept(1), kept(2)), (vec![2, 3], vec![2, 3], vec![1]));
    hub.tidy(secs(9));
    assert_eq!(hub.census().history_publications, 5);
}

#[test]
fn no_more_is_given_up_than_makes_a_64th_of_the_bound_free() {
    let (hub, entry) = hub_keeping(100);
    let now = Instant::now();
    let topic = hub.topic(&name("keep")).unwrap();
    let publish = |times: usize| {
        (0..times).for_each(|_| {
            publish(&hub, &topic, &"x".repeat(100), now);
        })
    };
    publish(100);
    assert_eq!(hub.census().history_bytes, 100 * entry);
    publish(1);
    // 100/64 rounded up is 2 below the bound, and one over it.
    assert_eq!(hub.census().history_publications, 98);
    publish(2);
    assert_eq!(hub.census().history_publications, 100);
}

#[test]
fn a_publication_larger_than_the_bound_is_delivered_and_not_kept() {
    let (hub, _) = hub_keeping(2);
    let now = Instant::now();
    let topic = hub.topic(&name("keep")).unwrap();
    let _ = join(&hub, &topic, 0, now);
    publish(&hub, &topic, &"x".repeat(10_000), now);
    assert_eq!(drained(&hub, 0), [1]);
    let census = hub.census();
    assert_eq!((census.history_publications, census.history_bytes), (0, 0));
    let missed = Position { offset: Offset(0), ..hub.history(&topic, Start::Now, 0, now).top };
    assert_eq!(hub.history(&topic, Start::Since(missed), 9, now).recovery, Recovery::Gap);
}

#[test]
fn under_threads_the_bound_is_passed_by_no_more_than_the_publications_in_flight() {
    const PUBLISHERS: usize = 4;
    let (hub, entry) = hub_keeping(500);
    let (hub, limit) = (&hub, 500 * entry);
    let start = Instant::now();
    thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            scope.spawn(move || {
                let text = "x".repeat(100);
                for one in 0..3_000 {
                    // Own topics and a shared one, with few and with many publications.
                    let to = if one % 3 == 0 { 9 } else { publisher * 10 + one % 7 };
                    let topic = hub.topic(&name(&format!("keep{to}"))).unwrap();
                    publish(hub, &topic, &text, start + Duration::from_micros(one as u64));
                    let bytes = hub.census().history_bytes;
                    assert!(bytes <= limit + (PUBLISHERS - 1) * entry, "{bytes} of {limit}");
                    if one % 100 == 0 {
                        hub.tidy(start);
                    }
                }
            });
        }
    });
    let census = hub.census();
    assert!(census.history_bytes <= limit && census.history_publications * entry == census.history_bytes);
    assert!(census.history_publications > 450, "gave up more than it had to: {census:?}");
    hub.tidy(start + TTL * 2);
    hub.tidy(start + TTL * 2);
    assert_eq!(hub.census(), Census::default());
}

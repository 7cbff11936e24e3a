//! Topics on disk over a restart of the hub: what is there again, and what is not.

use super::stage::{TTL, name, replayed};
use crate::config::{ByteSize, Config, History, HistoryStore, NameRegex, Span, Sync, TopicRules};
use crate::hub::{
    BadTopicName, Claim, Done, Draft, Extras, Hub, Mailbox, Outcome, Position, Receipt, Recovery, Start, Version,
};
use crate::refusal::Refusal;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

fn config(directory: &Path, size: usize, sync: Sync) -> Config {
    let history = History { size, ttl: Span(TTL), store: HistoryStore::Disk };
    let mut config = Config {
        topics: vec![TopicRules { pattern: "disk*".to_owned(), history, ..TopicRules::default() }],
        ..Config::default()
    };
    config.history.path = directory.join("history.redb");
    config.history.sync = sync;
    config
}

fn open(config: &Config) -> Arc<Hub> {
    let mailboxes = vec![Arc::new(Mailbox::new(1 << 20, Box::new(|| {})))];
    Hub::open(config, mailboxes, Instant::now()).unwrap()
}

/// Publishes, and waits for the outcome.
fn outcome(hub: &Hub, topic: &str, draft: Draft) -> Outcome {
    let (tell, told) = mpsc::channel();
    let topic = hub.topic(&name(topic)).unwrap();
    let known = hub.publish(&topic, draft, Instant::now(), || Box::new(move |outcome| tell.send(outcome).unwrap()));
    known.unwrap_or_else(|| told.recv_timeout(Duration::from_secs(30)).unwrap())
}

fn publish(hub: &Hub, topic: &str, text: &str) -> Receipt {
    match outcome(hub, topic, Draft::text(text)) {
        Outcome::Accepted(receipt) => receipt,
        other => panic!("not accepted: {other:?}"),
    }
}

#[test]
fn a_topic_on_disk_goes_on_where_it_was_with_all_that_it_kept() {
    for sync in [Sync::Always, Sync::Every(Span::millis(10))] {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path(), 3, sync);
        let hub = open(&config);
        let tags = Extras { tags: Box::new([("room".into(), "7".into())]), ..Extras::default() };
        let first = publish(&hub, "disk", "a");
        for text in ["b", "c", "d"] {
            assert!(matches!(
                outcome(&hub, "disk", Draft::text(text).with_extras(Arc::new(tags.clone()))),
                Outcome::Accepted(_)
            ));
        }
        hub.close();
        assert!(matches!(outcome(&hub, "disk", Draft::text("late")), Outcome::Refused(Refusal::Draining)));
        let hub = open(&config);
        let topic = hub.find(&name("disk")).expect("it is made before anybody asks for it");
        let now = Instant::now();
        let joined = hub.history(&topic, Start::Since(first.position), usize::MAX, now);
        assert_eq!((joined.recovery, replayed(&joined)), (Recovery::Complete, vec![2, 3, 4]));
        assert_eq!(joined.top.epoch, first.position.epoch);
        assert_eq!(&joined.replay[2].payload[..], b"d");
        assert_eq!(joined.replay[2].extras.as_deref(), Some(&tags));
        // One more and the oldest goes, as ever.
        assert_eq!(publish(&hub, "disk", "e").position.offset.0, 5);
        let joined = hub.history(&topic, Start::Since(first.position), usize::MAX, now);
        assert_eq!(joined.recovery, Recovery::Gap);
        assert_eq!(replayed(&hub.history(&topic, Start::Last(9), usize::MAX, now)), [3, 4, 5]);
        // What was kept expires from when it was accepted, not from the start: before what came after `now`.
        assert_eq!(replayed(&hub.history(&topic, Start::Last(9), usize::MAX, now + TTL)), [5]);
        hub.close();
    }
}

#[test]
fn other_rules_at_the_next_start_are_the_ones_that_count() {
    let directory = tempfile::tempdir().unwrap();
    let mut rules = config(directory.path(), 10, Sync::Always);
    let hub = open(&rules);
    let old = (1..=5).map(|n| publish(&hub, "disk-a", &n.to_string())).reduce(|_, later| later).unwrap();
    publish(&hub, "disk-b", "x");
    publish(&hub, "disk-c", "x");
    hub.close();
    // Fewer are kept, and there is room for two topics: those that were published on last.
    rules.topics[0].history.size = 2;
    rules.limits.topics = 2;
    let hub = open(&rules);
    assert!(hub.find(&name("disk-a")).is_none());
    assert_eq!(hub.census().topics, 2);
    hub.close();
    rules.limits.topics = 10;
    let hub = open(&rules);
    let topic = hub.find(&name("disk-a")).unwrap();
    let joined = hub.history(&topic, Start::Last(9), usize::MAX, Instant::now());
    assert_eq!((joined.top, replayed(&joined)), (old.position, vec![4, 5]));
    hub.close();
    // One whose name is not allowed any more is not made.
    rules.topics[0].name_regex = "-[bc]".parse().unwrap();
    let hub = open(&rules);
    assert!(hub.find(&name("disk-a")).is_none() && hub.find(&name("disk-b")).is_some());
    assert_eq!(hub.topic(&name("disk-a")).unwrap_err(), Refusal::BadTopicName);
    assert_eq!(hub.check_name(&name("disk-a")), Err(BadTopicName::NotAllowed));
    assert_eq!((hub.check_name(&name("disk-b")), hub.check_name(&name("other"))), (Ok(()), Ok(())));
    drop(hub.topic(&name("disk-c")).unwrap());
    assert_eq!(hub.census().topics, 2);
    hub.close();
    rules.topics[0].name_regex = NameRegex::default();
    // Not on disk any more, one does not live: its next life has another epoch.
    rules.topics.insert(0, TopicRules { pattern: "disk-a".to_owned(), ..TopicRules::default() });
    let hub = open(&rules);
    assert!(hub.find(&name("disk-a")).is_none() && hub.find(&name("disk-b")).is_some());
    assert!(publish(&hub, "disk-a", "y").position.epoch > old.position.epoch);
    hub.close();
}

#[test]
fn what_history_lets_go_leaves_the_disk_while_the_hub_runs() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path(), 4, Sync::Always);
    config.limits.message = ByteSize::mib(1);
    let hub = open(&config);
    publish(&hub, "disk-quiet", "kept");
    let payload = "x".repeat(400_000);
    let mut most = 0;
    for _ in 0..150 {
        publish(&hub, "disk-busy", &payload);
        most = most.max(hub.disk_figures().unwrap().used_bytes());
    }
    // 60 MB went through, 1.6 MB are kept; 16 MiB of what is not may lie there, and a group or two more.
    assert!((16 << 20..24 << 20).contains(&most), "{most}");
    hub.close();
    let hub = open(&config);
    let quiet = hub.find(&name("disk-quiet")).unwrap();
    assert_eq!(replayed(&hub.history(&quiet, Start::Last(9), usize::MAX, Instant::now())), [1]);
    let busy = hub.find(&name("disk-busy")).unwrap();
    assert_eq!(replayed(&hub.history(&busy, Start::Last(9), usize::MAX, Instant::now())), [147, 148, 149, 150]);
    hub.close();
}

#[test]
fn a_topic_on_disk_that_nobody_needs_is_freed_and_its_next_life_has_another_epoch() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), 10, Sync::Always);
    let hub = open(&config);
    let first = publish(&hub, "disk", "a");
    // The thread that has told the outcome may still hold the topic for a moment.
    let deadline = Instant::now() + Duration::from_secs(30);
    while hub.census().topics > 0 {
        assert!(Instant::now() < deadline, "the topic is not freed");
        hub.tidy(Instant::now() + TTL);
        std::thread::yield_now();
    }
    let second = publish(&hub, "disk", "b");
    assert!(second.position.epoch > first.position.epoch);
    hub.close();
    let hub = open(&config);
    let topic = hub.find(&name("disk")).unwrap();
    let joined = hub.history(&topic, Start::Since(first.position), usize::MAX, Instant::now());
    assert_eq!((joined.recovery, joined.top), (Recovery::Gap, second.position));
    hub.close();
}

#[test]
fn a_history_that_was_removed_does_not_come_back_and_its_numbers_go_on() {
    for sync in [Sync::Always, Sync::Every(Span::millis(10))] {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path(), 10, sync);
        let hub = open(&config);
        let last = (1..=5).map(|n| publish(&hub, "disk", &n.to_string())).reduce(|_, later| later).unwrap();
        hub.remove_history(&hub.find(&name("disk")).unwrap());
        // Written in the order in which it was done.
        publish(&hub, "disk", "6");
        hub.close();
        let hub = open(&config);
        let topic = hub.find(&name("disk")).unwrap();
        let joined = hub.history(&topic, Start::Last(9), usize::MAX, Instant::now());
        assert_eq!((joined.top.epoch, replayed(&joined)), (last.position.epoch, vec![6]));
        hub.close();
    }
}

#[test]
fn a_history_that_was_removed_in_the_last_moment_does_not_come_back_after_an_end_in_order() {
    for sync in [Sync::Always, Sync::Every(Span::millis(10))] {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path(), 10, sync);
        // Often: the thread that writes is to have no time between the two.
        for _ in 0..10 {
            let hub = open(&config);
            let last = publish(&hub, "disk", "a");
            hub.remove_history(&hub.find(&name("disk")).unwrap());
            hub.close();
            let hub = open(&config);
            let topic = hub.find(&name("disk")).unwrap();
            let joined = hub.history(&topic, Start::Last(9), usize::MAX, Instant::now());
            assert_eq!((joined.top, replayed(&joined)), (last.position, vec![]));
            hub.close();
        }
    }
}

#[test]
fn a_state_that_was_told_already_takes_no_place_on_disk_either() {
    for sync in [Sync::Always, Sync::Every(Span::millis(10))] {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path(), 10, sync);
        let hub = open(&config);
        let topic = hub.topic(&name("disk")).unwrap();
        // At once, so that they come in groups.
        let (tell, told) = mpsc::channel();
        let numbers = [1, 2, 2, 1, 3, 3, 4];
        for number in numbers {
            let version = Some(Box::new(Version { number, epoch: "a".into() }));
            let extras = Arc::new(Extras { version, ..Extras::default() });
            let draft = Draft::text(&number.to_string()).with_extras(extras);
            let tell = tell.clone();
            let later = || -> Done { Box::new(move |outcome| tell.send(outcome).unwrap()) };
            assert!(hub.publish(&topic, draft, Instant::now(), later).is_none());
        }
        let offsets: Vec<u64> = told
            .iter()
            .take(numbers.len())
            .map(|outcome| match outcome {
                Outcome::Accepted(receipt) => receipt.position.offset.0,
                other => panic!("not accepted: {other:?}"),
            })
            .collect();
        assert_eq!(offsets, [1, 2, 2, 2, 3, 3, 4]);
        drop(topic);
        hub.close();
        let hub = open(&config);
        let topic = hub.find(&name("disk")).unwrap();
        let joined = hub.history(&topic, Start::Last(9), usize::MAX, Instant::now());
        assert_eq!(replayed(&joined), [1, 2, 3, 4]);
        // Nor after the restart.
        let extras = Extras { version: joined.replay[3].extras.as_ref().unwrap().version.clone(), ..Extras::default() };
        let Outcome::Accepted(receipt) = outcome(&hub, "disk", Draft::text("4").with_extras(Arc::new(extras))) else {
            panic!("not accepted");
        };
        assert_eq!(receipt.position, joined.top);
        hub.close();
    }
}

/// Publishes under a key, as the server API does: but for a key that waits for another.
fn publish_under(hub: &Hub, topic: &str, draft: Draft, key: &str) -> Position {
    let topic = hub.topic(&name(topic)).unwrap();
    let turn = match hub.idempotency().claim(topic.name(), key, Instant::now()) {
        Claim::First(turn) => turn,
        Claim::Known(receipt) => return receipt.position,
        other @ (Claim::UnderWay(_) | Claim::NoRoom) => panic!("{other:?}"),
    };
    let (tell, told) = mpsc::channel();
    let key = turn.key().clone();
    let known = hub.publish_under(&topic, draft, Some(&key), Instant::now(), || {
        Box::new(move |outcome| tell.send(outcome).unwrap())
    });
    let Outcome::Accepted(receipt) = known.unwrap_or_else(|| told.recv_timeout(Duration::from_secs(30)).unwrap())
    else {
        panic!("not accepted")
    };
    turn.done(receipt, Instant::now());
    receipt.position
}

#[test]
fn keys_of_topics_on_disk_are_known_after_a_restart_and_others_are_not() {
    for sync in [Sync::Always, Sync::Every(Span::millis(10))] {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path(), 10, sync);
        let hub = open(&config);
        let publish = |hub: &Hub, topic: &str, key: &str| publish_under(hub, topic, Draft::text("x"), key);
        let (one, other) = (publish(&hub, "disk-a", "k"), publish(&hub, "disk-b", "k"));
        let memory = publish(&hub, "memory", "k");
        let passing = publish_under(&hub, "disk-a", Draft::text("by").passing(), "passing");
        assert_eq!(passing, one);
        hub.close();
        let hub = open(&config);
        assert_eq!(hub.idempotency().len(), 2);
        assert_eq!((publish(&hub, "disk-a", "k"), publish(&hub, "disk-b", "k")), (one, other));
        assert_ne!(publish(&hub, "memory", "k"), memory);
        // Not kept, and so not written: its key is free again.
        assert_eq!(publish(&hub, "disk-a", "passing").offset.0, 2);
        hub.close();
    }
}

#[test]
fn a_key_of_what_was_told_already_is_known_after_a_restart_too() {
    for sync in [Sync::Always, Sync::Every(Span::millis(10))] {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path(), 10, sync);
        let hub = open(&config);
        let draft = |number| {
            let version = Some(Box::new(Version { number, epoch: "a".into() }));
            Draft::text("x").with_extras(Arc::new(Extras { version, ..Extras::default() }))
        };
        let newest = publish_under(&hub, "disk", draft(7), "newest");
        assert_eq!(publish_under(&hub, "disk", draft(3), "old"), newest);
        hub.close();
        let hub = open(&config);
        assert_eq!(publish_under(&hub, "disk", draft(9), "old"), newest, "under this key nothing more is published");
        hub.close();
    }
}

#[test]
fn a_key_outlives_its_topic_and_the_cleaning_of_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path(), 4, Sync::Always);
    config.limits.message = ByteSize::mib(1);
    let hub = open(&config);
    let first = publish_under(&hub, "disk-short", Draft::text("x"), "k");
    let payload = "x".repeat(400_000);
    for _ in 0..150 {
        publish(&hub, "disk-busy", &payload);
        hub.tidy(Instant::now() + TTL);
    }
    assert!(hub.find(&name("disk-short")).is_none());
    let used = hub.disk_figures().unwrap().used_bytes();
    assert!(used < 24 << 20, "what was let go has left: {used}");
    hub.close();
    let hub = open(&config);
    assert_eq!(publish_under(&hub, "disk-short", Draft::text("again"), "k"), first);
    // Its next life has another epoch: what was told leads nowhere, and to nothing else.
    assert!(publish(&hub, "disk-short", "y").position.epoch > first.epoch);
    hub.close();
}

#[test]
fn what_still_waits_for_the_disk_at_the_end_is_written_with_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), 1_000, Sync::Always);
    let hub = open(&config);
    let topic = hub.topic(&name("disk")).unwrap();
    let keys: Vec<String> = (0..300).map(|n| n.to_string()).collect();
    for key in &keys {
        let Claim::First(turn) = hub.idempotency().claim(topic.name(), key, Instant::now()) else {
            panic!("a new key")
        };
        let used = turn.key().clone();
        // Nobody is there any more who wants to know the outcome.
        let known =
            hub.publish_under(&topic, Draft::text(key), Some(&used), Instant::now(), || Box::new(|_| drop(turn)));
        assert!(known.is_none());
    }
    drop(topic);
    hub.close();
    let hub = open(&config);
    for (offset, key) in (1..).zip(&keys) {
        assert_eq!(publish_under(&hub, "disk", Draft::text("again"), key).offset.0, offset);
    }
    assert_eq!(hub.census().history_publications, keys.len());
    hub.close();
}

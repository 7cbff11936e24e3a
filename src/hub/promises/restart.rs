//! Topics on disk over a restart of the hub: what is there again, and what is not.

use super::stage::{TTL, name, replayed};
use crate::config::{ByteSize, Config, History, HistoryStore, Span, Sync, TopicRules};
use crate::hub::{Done, Draft, Extras, Hub, Mailbox, Outcome, Receipt, Recovery, Start, Version};
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

//! Tests of the hub as a whole: order, all or nothing, recovery, the bounds, and topics that come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::history::Retained;
use super::{
    Draft, Epoch, Hub, Joined, Letter, Mailbox, Offset, Outcome, Position, Publication, Receipt, Recovery, Start,
    Topic, TopicName, WorkerId,
};
use crate::config::{ByteSize, Config, History, Span, TopicRules};
use crate::refusal::Refusal;

const TTL: Duration = Duration::from_secs(60);

/// Topics named `keep…` keep `size` publications for [`TTL`], others none.
fn config(size: usize) -> Config {
    let history = History { size, ttl: Span(TTL) };
    let keep = TopicRules { pattern: "keep*".to_owned(), history, ..TopicRules::default() };
    Config { topics: vec![keep], ..Config::default() }
}

fn hub_of(config: &Config, workers: usize, mailbox_bytes: usize) -> Arc<Hub> {
    let mailboxes = (0..workers).map(|_| Arc::new(Mailbox::new(mailbox_bytes, Box::new(|| {})))).collect();
    Hub::new(config, mailboxes)
}

fn hub(workers: usize) -> Arc<Hub> {
    hub_of(&config(100), workers, 16 << 20)
}

fn name(text: &str) -> TopicName {
    TopicName::new(text).unwrap()
}

fn offer(hub: &Hub, topic: &Arc<Topic>, draft: Draft, now: Instant) -> Outcome {
    let mut outcome = None;
    hub.publish(topic, draft, now, |answer| outcome = Some(answer));
    outcome.expect("the memory engine answers at once")
}

fn publish(hub: &Hub, topic: &Arc<Topic>, text: &str, now: Instant) -> Receipt {
    match offer(hub, topic, Draft::text(text), now) {
        Outcome::Accepted(receipt) => receipt,
        other => panic!("not accepted: {other:?}"),
    }
}

fn pop(hub: &Hub, worker: u16) -> Option<Arc<Publication>> {
    let mailbox = hub.mailbox(WorkerId(worker));
    match mailbox.pop()? {
        Letter::Publication(publication) => {
            mailbox.release(publication.charge_bytes());
            Some(publication)
        }
        Letter::Canary(_) => panic!("no canary was sent"),
    }
}

fn drained(hub: &Hub, worker: u16) -> Vec<u64> {
    std::iter::from_fn(|| pop(hub, worker)).map(|publication| publication.position.offset.0).collect()
}

fn join(hub: &Hub, topic: &Arc<Topic>, worker: u16, now: Instant) -> Joined {
    hub.subscribe(topic, WorkerId(worker), Start::Now, now)
}

fn replayed(joined: &Joined) -> Vec<u64> {
    joined.replay.iter().map(|one| one.offset.0).collect()
}

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
    assert_eq!((publication.position, &publication.payload[..]), (receipt.position, &b"a"[..]));
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
    let Outcome::Full { draft: given_back, worker } = offer(&hub, &topic, Draft::text("again"), now) else {
        panic!("worker 1 has room for three");
    };
    assert_eq!((worker, &given_back.payload()[..]), (WorkerId(1), &b"again"[..]));
    assert_eq!((drained(&hub, 0), drained(&hub, 2)), (vec![], vec![]));
    let history = hub.history(&topic, Start::Last(10), 10, now);
    assert_eq!((history.top.offset, replayed(&history)), (Offset(0), vec![]));

    // What was reserved for it elsewhere was given back: all three places are free there.
    assert_eq!(drained(&hub, 1), [1, 2, 3]);
    for _ in 0..3 {
        publish(&hub, &topic, "a", now);
    }
    assert!(matches!(offer(&hub, &topic, draft(), now), Outcome::Full { worker: WorkerId(0), .. }));
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
                            Some(one) => seen.push((one.position.offset.0, one.payload.to_vec())),
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
fn replay_and_live_meet_without_gap_or_overlap_while_publishing() {
    const JOINS: usize = 300;
    let (hub, now) = (hub(1), Instant::now());
    let topic = hub.topic(&name("keep")).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                if let Outcome::Full { .. } = offer(&hub, &topic, Draft::text("a"), now) {
                    thread::yield_now();
                }
            }
        });
        let mut last = None;
        for _ in 0..JOINS {
            // Alternates between coming back from a position and joining with history; the worker is this thread.
            let start = last.map_or(Start::Last(3), Start::Since);
            let joined = hub.subscribe(&topic, WorkerId(0), start, now);
            let mut got = replayed(&joined);
            while got.last().is_none_or(|&offset| offset <= joined.top.offset.0 + 2) {
                let live = drained(&hub, 0).into_iter().filter(|&offset| offset > joined.top.offset.0);
                got.extend(live);
                thread::yield_now();
            }
            hub.unsubscribe(Arc::clone(&topic), WorkerId(0), true, now);
            assert!(got.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{joined:?} {got:?}");
            match (start, joined.recovery) {
                (Start::Since(position), Recovery::Complete) => assert_eq!(got[0], position.offset.0 + 1),
                (Start::Since(position), Recovery::Gap) => assert!(got[0] > position.offset.0 + 1),
                (Start::Last(_) | Start::Now, Recovery::NotAsked) => {}
                (start, recovery) => panic!("{start:?} gave {recovery:?}"),
            }
            let top = Position { epoch: joined.top.epoch, offset: Offset(*got.last().unwrap()) };
            last = (last.is_none()).then_some(top);
        }
        stop.store(true, Ordering::Relaxed);
        publisher.join().unwrap();
    });
}

#[test]
fn recovery_is_complete_exactly_if_nothing_after_the_position_is_gone() {
    let (hub, start) = (hub_of(&config(3), 1, 1 << 20), Instant::now());
    let topic = hub.topic(&name("keep")).unwrap();
    let epoch = hub.history(&topic, Start::Now, 0, start).top.epoch;
    let at = |offset| Start::Since(Position { epoch, offset: Offset(offset) });
    let recover = |from: Start, now: Instant| {
        let joined = hub.history(&topic, from, usize::MAX, now);
        (replayed(&joined), joined.recovery)
    };
    assert_eq!(recover(at(0), start), (vec![], Recovery::Complete));
    for _ in 0..5 {
        publish(&hub, &topic, "a", start);
    }
    assert_eq!(recover(at(5), start), (vec![], Recovery::Complete));
    assert_eq!(recover(at(2), start), (vec![3, 4, 5], Recovery::Complete));
    assert_eq!(recover(at(1), start), (vec![], Recovery::Gap));
    assert_eq!(recover(at(6), start), (vec![], Recovery::Gap));
    let other = Start::Since(Position { epoch: Epoch(epoch.0 - 1), offset: Offset(5) });
    assert_eq!(recover(other, start), (vec![], Recovery::Gap));
    assert_eq!(recover(Start::Last(2), start), (vec![4, 5], Recovery::NotAsked));
    assert_eq!(recover(Start::Now, start), (vec![], Recovery::NotAsked));
    // Expired, although nobody has tidied up yet.
    assert_eq!(recover(at(4), start + TTL), (vec![], Recovery::Gap));
    assert_eq!(recover(at(5), start + TTL), (vec![], Recovery::Complete));
    assert_eq!(recover(Start::Last(2), start + TTL), (vec![], Recovery::NotAsked));
}

#[test]
fn history_is_read_in_pages() {
    let (hub, now) = (hub(1), Instant::now());
    let topic = hub.topic(&name("keep")).unwrap();
    for _ in 0..5 {
        publish(&hub, &topic, "a", now);
    }
    let mut position = Position { offset: Offset(0), ..hub.history(&topic, Start::Now, 0, now).top };
    let mut pages = Vec::new();
    loop {
        let page = hub.history(&topic, Start::Since(position), 2, now);
        assert_eq!((page.top.offset, page.recovery), (Offset(5), Recovery::Complete));
        let Some(last) = page.replay.last() else { break };
        position.offset = last.offset;
        pages.push(replayed(&page));
    }
    assert_eq!(pages, [vec![1, 2], vec![3, 4], vec![5]]);
    assert_eq!(replayed(&hub.history(&topic, Start::Last(9), 2, now)), [4, 5]);
}

#[test]
fn a_publisher_with_an_older_clock_reading_does_not_upset_expiry() {
    let (hub, start) = (hub(1), Instant::now() + TTL);
    let topic = hub.topic(&name("keep")).unwrap();
    publish(&hub, &topic, "a", start);
    publish(&hub, &topic, "b", start - Duration::from_secs(1));
    let kept = hub.history(&topic, Start::Last(2), 2, start).replay;
    assert_eq!((kept[0].accepted, kept[1].accepted), (start, start));
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

/// A hub whose topics together keep `count` publications of 100 bytes.
fn hub_keeping(count: usize) -> (Arc<Hub>, usize) {
    let entry = 100 + Retained::OVERHEAD_BYTES;
    let mut config = config(1_000);
    config.limits.history_total = ByteSize((count * entry) as u64);
    (hub_of(&config, 1, 1 << 20), entry)
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
    assert_eq!(hub.census(), super::Census::default());
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

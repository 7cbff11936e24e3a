//! What a subscriber gets first, and whether that is all it missed.

use super::stage::{TTL, config, drained, hub, hub_of, name, offer, publish, replayed};
use crate::hub::{Draft, Epoch, Offset, Outcome, Position, Recovery, Start, WorkerId};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

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

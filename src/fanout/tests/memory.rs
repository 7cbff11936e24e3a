//! What is kept, how large it is, and that it goes.

use super::super::connection::Connection;
use super::super::log::{Log, Member};
use super::super::{Policy, Settings};
use super::stage::{Stage, UNLIMITED, rules};

#[test]
fn what_is_idle_is_small() {
    assert!(size_of::<Log>() <= 56, "{} bytes per topic", size_of::<Log>());
    assert!(size_of::<Member>() == 16, "{} bytes per member", size_of::<Member>());
    assert!(size_of::<Connection>() <= 48, "{} bytes per connection", size_of::<Connection>());
}

#[test]
fn an_idle_topic_with_one_member_and_a_connection_with_two_topics_allocate_nothing() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (one, members) = stage.log(1);
    let (two, _) = stage.log(0);
    stage.join(two, members[0]);
    stage.publish(one, "a");
    stage.reply(members[0], "pong");
    stage.sweep();
    for log in [one, two] {
        let log = &stage.fanout.logs[log.0];
        assert!(log.active.is_none() && !log.members.spilled());
    }
    let conn = &stage.fanout.connections[members[0].index];
    assert!(conn.owed.is_none() && !conn.seats.spilled());
}

#[test]
fn a_log_is_freed_when_the_last_one_behind_has_got_it_or_gone() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 100_000));
    let (log, members) = stage.log(3);
    stage.block(members[0]);
    stage.block(members[1]);
    for _ in 0..100 {
        stage.publish(log, "0123456789");
    }
    stage.sweep();
    assert!(stage.fanout.retained_bytes() >= 1000);
    stage.make_room(members[0], UNLIMITED);
    stage.sweep();
    assert!(stage.fanout.retained_bytes() >= 1000);
    stage.fanout.disconnect(members[1]);
    assert_eq!((stage.fanout.retained_bytes(), stage.fanout.outbound_bytes()), (0, 0));
}

/// Pitfall 2: each append restarts the round, so the end of a round is never reached.
#[test]
fn segments_that_all_are_past_are_freed_under_steady_publishing() {
    let settings = Settings { by_reference_bytes: 100, ..Settings::default() };
    let mut stage = Stage::with(settings, rules(Policy::Disconnect, 1_000_000));
    let (log, _) = stage.log(8);
    let frame = "x".repeat(1000);
    let mut largest = 0;
    for _ in 0..1000 {
        stage.publish(log, &frame);
        // Half a round per publication: someone is always behind, and no round ends.
        for _ in 0..4 {
            if let Some(id) = stage.fanout.next() {
                let _ = stage.visit(id);
            }
        }
        largest = largest.max(stage.fanout.retained_bytes());
    }
    assert!(largest < 10_000, "{largest} bytes for members that are two frames behind");
}

#[test]
fn segments_that_the_last_member_of_a_round_is_past_are_freed_at_its_end() {
    let settings = Settings { by_reference_bytes: 10, ..Settings::default() };
    let mut stage = Stage::with(settings, rules(Policy::Disconnect, 1_000_000));
    let (log, members) = stage.log(3);
    stage.make_room(members[2], 0);
    stage.reply(members[2], "!");
    let _ = stage.visit(members[2]);
    // The round stops behind the first member: it will be the last of the round to come.
    stage.publish(log, "0123456789");
    assert_eq!(stage.fanout.next(), Some(members[0]));
    let _ = stage.visit(members[0]);
    for _ in 0..5 {
        stage.publish(log, "0123456789");
    }
    let _ = stage.visit(members[1]);
    stage.make_room(members[1], 0);
    stage.reply(members[1], "!");
    let _ = stage.visit(members[1]);
    stage.publish(log, "0123456789");
    stage.fanout.disconnect(members[2]);
    stage.sweep();
    assert_eq!(stage.fanout.retained_bytes(), 10 + 16, "one is behind, by one frame");
}

#[test]
fn segments_before_a_laggard_are_freed_when_the_one_before_it_leaves() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1_000_000));
    let (log, members) = stage.log(2);
    stage.block(members[0]);
    for _ in 0..1000 {
        stage.publish(log, &"x".repeat(100));
    }
    stage.sweep();
    stage.block(members[1]);
    stage.publish(log, "last");
    assert!(stage.fanout.retained_bytes() > 100_000);
    stage.fanout.disconnect(members[0]);
    stage.sweep();
    assert!(stage.fanout.retained_bytes() < 20_000);
}

/// Pitfall 10.
#[test]
fn a_log_with_one_laggard_takes_little_more_than_its_frame() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1_000_000));
    // A busy topic has freed full segments before.
    let (busy, _) = stage.log(1);
    for _ in 0..1000 {
        stage.publish(busy, &"x".repeat(100));
    }
    stage.sweep();
    let (log, members) = stage.log(1);
    stage.block(members[0]);
    stage.publish(log, "a frame");
    let segments = &stage.fanout.logs[log.0].active.as_ref().expect("active").segments;
    assert!(segments.iter().map(|segment| segment.room_bytes()).sum::<usize>() <= 1024);
}

#[test]
fn a_thousand_laggards_cost_no_more_than_one() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1_000_000));
    let (log, members) = stage.log(1000);
    members.iter().for_each(|&member| stage.block(member));
    let owed = stage.fanout.outbound_bytes();
    for _ in 0..500 {
        stage.publish(log, &"x".repeat(100));
    }
    stage.sweep();
    assert_eq!(stage.fanout.outbound_bytes() - owed, 500 * (100 + 16));
    assert_eq!(stage.fanout.slow_consumers(), 1000);
}

#[test]
fn large_frames_are_kept_by_reference() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1_000_000));
    let (log, members) = stage.log(1);
    let frame = bytes::Bytes::from(vec![b'x'; 4096]);
    let entry =
        super::super::Entry { offset: crate::hub::Offset(1), frame: &frame, key: 0, exclude: None, is_numbered: true };
    assert_eq!(stage.fanout.append(log, entry, stage.tick), super::super::Appended::Ok);
    let mut notice = |_, _| bytes::Bytes::new();
    let _ = stage.fanout.visit(members[0], stage.tick, &mut notice, |slices| {
        assert_eq!(slices[0].as_ptr(), frame.as_ptr());
        super::super::Sent::Wrote(1)
    });
    assert!(!frame.is_unique(), "the tail of the cut frame is a reference too");
}

#[test]
fn a_topic_that_loses_most_members_gives_their_memory_back() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(10_000);
    let largest = stage.fanout.logs[log.0].members.capacity();
    assert!(largest <= 12_600, "room for {largest}: more than a quarter too much");
    for &member in &members[100..] {
        stage.fanout.disconnect(member);
    }
    assert!(stage.fanout.logs[log.0].members.capacity() <= 200);
}

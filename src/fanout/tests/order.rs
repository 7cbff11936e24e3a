//! What comes before what on one connection.

use bytes::Bytes;

use super::super::Policy;
use super::stage::{Stage, UNLIMITED, rules};

#[test]
fn a_publication_reaches_every_member_once_in_the_order_of_offsets() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(3);
    stage.publish(log, "a");
    stage.publish(log, "b");
    stage.sweep();
    stage.publish(log, "c");
    stage.sweep();
    for member in members {
        assert_eq!(stage.got(member), "abc");
    }
}

/// Pitfall 7.
#[test]
fn replies_go_before_publications_that_were_there_first() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(1);
    stage.publish(log, "data");
    stage.reply(members[0], "pong1 ");
    stage.reply(members[0], "pong2 ");
    stage.sweep();
    assert_eq!(stage.got(members[0]), "pong1 pong2 data");
}

#[test]
fn a_subscribe_reply_stands_before_the_first_publication_and_an_unsubscribe_reply_behind_the_last() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, _) = stage.log(1);
    let member = stage.connect();
    stage.join(log, member);
    stage.reply(member, "[joined]");
    stage.publish(log, "a");
    stage.sweep();
    stage.publish(log, "b");
    assert_eq!(stage.fanout.unsubscribe(log, member).0, 1);
    stage.reply(member, "[left]");
    stage.publish(log, "c");
    stage.sweep();
    assert_eq!(stage.got(member), "[joined]a[left]");
}

#[test]
fn a_cut_frame_is_completed_before_anything_else() {
    for cut in 1..5 {
        let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
        let (log, members) = stage.log(1);
        stage.publish(log, "first");
        stage.publish(log, "second");
        stage.make_room(members[0], cut);
        stage.sweep();
        assert!(stage.fanout.is_blocked(members[0]));
        stage.reply(members[0], "|pong|");
        stage.make_room(members[0], UNLIMITED);
        stage.sweep();
        assert_eq!(stage.got(members[0]), "first|pong|second", "cut at {cut}");
    }
}

#[test]
fn a_write_that_ends_between_frames_cuts_none() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(1);
    stage.publish(log, "first");
    stage.publish(log, "second");
    stage.make_room(members[0], 5);
    stage.sweep();
    stage.reply(members[0], "|pong|");
    stage.make_room(members[0], UNLIMITED);
    stage.sweep();
    assert_eq!(stage.got(members[0]), "first|pong|second");
}

#[test]
fn everything_arrives_whatever_the_socket_takes_at_a_time() {
    for step in 1..12 {
        let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
        let (one, members) = stage.log(1);
        let (two, _) = stage.log(0);
        stage.join(two, members[0]);
        stage.reply(members[0], "reply ");
        for text in ["a1 ", "a2 ", "a3 "] {
            stage.publish(one, text);
        }
        stage.publish(two, "b1 ");
        stage.fanout.finish(members[0], Some(Bytes::from_static(b"bye")));
        let mut got = String::new();
        for _ in 0..40 {
            stage.make_room(members[0], step);
            stage.sweep();
            got += &stage.got(members[0]);
        }
        assert!(got.starts_with("reply ") && got.ends_with("bye"), "{got} in steps of {step}");
        assert_eq!(got.replace("b1 ", ""), "reply a1 a2 a3 bye");
        assert!(!stage.fanout.is_live(members[0]));
    }
}

/// Pitfall 11.
#[test]
fn an_outbox_longer_than_one_plan_keeps_the_topics_out_of_it() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    stage.fanout.settings.visit_slices = 2;
    let (log, members) = stage.log(1);
    stage.publish(log, "data");
    for text in ["1 ", "2 ", "3 ", "4 "] {
        stage.reply(members[0], text);
    }
    stage.sweep();
    assert_eq!(stage.got(members[0]), "1 2 3 4 data");
    assert_eq!(stage.writes, [2, 2, 1]);
}

#[test]
fn one_write_gathers_all_topics_of_a_connection() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (one, members) = stage.log(1);
    let (two, _) = stage.log(0);
    stage.join(two, members[0]);
    stage.publish(one, "a");
    stage.publish(two, "x");
    stage.publish(one, "b");
    stage.sweep();
    assert_eq!(stage.got(members[0]), "abx");
    assert_eq!(stage.writes, [2], "one write, and one slice for both frames of a topic");
}

#[test]
fn a_busy_topic_does_not_starve_the_others_of_its_connection() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 100_000));
    stage.fanout.settings.visit_bytes = 10;
    stage.fanout.settings.segment_bytes = 10;
    let (busy, members) = stage.log(1);
    let (quiet, _) = stage.log(0);
    stage.join(quiet, members[0]);
    stage.publish(quiet, "?");
    let mut waited = 0;
    while !stage.got(members[0]).contains('?') {
        stage.publish(busy, "0123456789");
        stage.publish(busy, "0123456789");
        let _ = stage.visit(members[0]);
        waited += 1;
        assert!(waited < 4, "the quiet topic has had no turn");
    }
}

#[test]
fn a_visit_counts_a_publication_when_its_last_byte_is_taken() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(1);
    stage.publish(log, "first");
    stage.publish(log, "second");
    stage.make_room(members[0], 8);
    let visited = stage.visit(members[0]);
    assert_eq!((visited.publications, visited.bytes), (1, 5));
    stage.make_room(members[0], UNLIMITED);
    let visited = stage.visit(members[0]);
    assert_eq!((visited.publications, visited.bytes), (1, 6));
}

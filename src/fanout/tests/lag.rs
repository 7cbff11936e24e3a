//! What happens to members that lag, and how exactly it is counted.

use super::super::{Appended, Cause, LogRules, Losses, Missed, Policy, Tick};
use super::stage::{Stage, UNLIMITED, rules};
use crate::hub::Offset;

fn missed(first: u64, last: u64, count: u64) -> Option<Missed> {
    Some(Missed { first: Offset(first), last: Offset(last), count })
}

#[test]
fn a_blocked_member_within_the_limit_waits_and_gets_everything() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 20));
    let (log, members) = stage.log(2);
    stage.block(members[0]);
    for text in ["aaaaa", "bbbbb", "ccccc", "ddddd"] {
        stage.publish(log, text);
        stage.sweep();
    }
    assert_eq!(stage.fanout.doomed(), None);
    stage.make_room(members[0], UNLIMITED);
    stage.sweep();
    assert_eq!(stage.got(members[0]), "!aaaaabbbbbcccccddddd");
}

#[test]
fn disconnect_dooms_the_member_that_one_more_frame_would_take_over_the_limit() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 20));
    let (log, members) = stage.log(2);
    stage.block(members[0]);
    for _ in 0..5 {
        stage.publish(log, "12345");
        stage.sweep();
    }
    let doomed = stage.fanout.doomed().expect("the fifth frame is too much");
    assert_eq!((doomed.connection, doomed.cause), (members[0], Cause::Lag(log)));
    assert_eq!(doomed.missed, missed(1, 4, 4));
    assert_eq!(stage.fanout.doomed(), None);
    assert_eq!(stage.fanout.losses(), Losses { disconnect: 4, skip: 0, latest: 0 });
    assert_eq!(stage.fanout.losses(), Losses::default(), "counted once");
    assert_eq!(stage.fanout.retained_bytes(), 0, "its frames are free before it is closed");
    let parted = stage.fanout.disconnect(members[0]);
    assert_eq!((parted[0].log, parted[0].left.0, parted[0].missed), (log, 1, missed(1, 4, 4)));
    assert_eq!(stage.got(members[1]), "12345".repeat(5), "the others have noticed nothing");
}

#[test]
fn a_doomed_connection_can_still_be_told_why() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 8));
    let (log, members) = stage.log(1);
    stage.make_room(members[0], 2);
    for _ in 0..4 {
        stage.publish(log, "12345");
        stage.sweep();
    }
    let doomed = stage.fanout.doomed().expect("doomed");
    stage.fanout.finish_now(doomed.connection, Some("close".into()));
    stage.make_room(members[0], UNLIMITED);
    stage.sweep();
    assert_eq!(stage.got(members[0]), "12345close", "the cut frame is completed first");
    assert!(!stage.fanout.is_live(members[0]));
}

#[test]
fn skip_jumps_to_the_newest_and_tells_exactly_what_was_missed() {
    let mut stage = Stage::new(rules(Policy::Skip, 20));
    let (log, members) = stage.log(2);
    stage.block(members[0]);
    for text in ["aaaaa", "bbbbb", "ccccc", "ddddd", "eeeee"] {
        stage.publish(log, text);
        stage.sweep();
    }
    assert_eq!(stage.fanout.losses(), Losses { disconnect: 0, skip: 3, latest: 0 });
    stage.make_room(members[0], UNLIMITED);
    stage.sweep();
    assert_eq!(stage.got(members[0]), "!<0:1-3=3>dddddeeeee");
    assert_eq!(stage.got(members[1]), "aaaaabbbbbcccccdddddeeeee");
    assert!(stage.fanout.doomed().is_none() && stage.fanout.specials.len() == 0);
}

/// Invariant 7.
#[test]
fn skips_before_the_notice_is_written_are_one_notice() {
    let mut stage = Stage::new(rules(Policy::Skip, 10));
    let (log, members) = stage.log(1);
    stage.block(members[0]);
    for _ in 0..9 {
        stage.publish(log, "12345");
    }
    stage.make_room(members[0], UNLIMITED);
    stage.sweep();
    let got = stage.got(members[0]);
    assert_eq!(got.matches('<').count(), 1);
    assert_eq!(got, "!<0:1-7=7>1234512345");
    assert_eq!(stage.fanout.losses().skip, 7);
}

#[test]
fn a_notice_that_is_cut_is_completed_and_not_told_again() {
    let mut stage = Stage::new(rules(Policy::Skip, 10));
    let (log, members) = stage.log(1);
    stage.block(members[0]);
    for _ in 0..3 {
        stage.publish(log, "12345");
    }
    stage.make_room(members[0], 4);
    stage.sweep();
    stage.publish(log, "67890");
    stage.make_room(members[0], UNLIMITED);
    stage.sweep();
    let got = stage.got(members[0]);
    assert!(got.starts_with("!<0:1-1=1>") && got.ends_with("67890"), "{got}");
}

#[test]
fn what_a_member_was_not_meant_to_get_is_not_missed() {
    let mut stage = Stage::new(rules(Policy::Skip, 20));
    let (log, members) = stage.log(1);
    stage.block(members[0]);
    stage.publish(log, "aaaaa");
    assert_eq!(stage.offer_with(log, "bbbbb", 0, Some(members[0])), Appended::Ok);
    stage.publish(log, "ccccc");
    stage.publish(log, "ddddd");
    stage.publish(log, "eeeee");
    stage.make_room(members[0], UNLIMITED);
    stage.sweep();
    assert_eq!(stage.got(members[0]), "!<0:1-3=2>dddddeeeee");
}

#[test]
fn latest_keeps_the_newest_of_each_key_in_order() {
    let mut stage = Stage::new(rules(Policy::Latest, 1200));
    let (log, members) = stage.log(1);
    stage.block(members[0]);
    let pad = |text: &str| format!("{text:.<150}");
    for (text, key) in [("a1", 1), ("b1", 2), ("a2", 1), ("a3", 1), ("c1", 3), ("b2", 2), ("a4", 1), ("x", 9)] {
        assert_eq!(stage.offer_with(log, &pad(text), key, None), Appended::Ok);
    }
    // Full at eight frames of 150 bytes: the ninth conflates.
    assert_eq!(stage.offer_with(log, &pad("c2"), 3, None), Appended::Ok);
    stage.make_room(members[0], UNLIMITED);
    stage.sweep();
    let got = stage.got(members[0]).replace('.', " ");
    assert_eq!(got.split_whitespace().collect::<Vec<_>>(), ["!c1", "b2", "a4", "x", "c2"]);
    assert_eq!(stage.fanout.losses(), Losses { disconnect: 0, skip: 0, latest: 4 });
    assert_eq!((stage.fanout.outbound_bytes(), stage.fanout.specials.len()), (0, 0));
}

#[test]
fn a_newer_frame_replaces_a_kept_one_of_its_key() {
    let mut stage = Stage::new(rules(Policy::Latest, 20));
    let (log, members) = stage.log(1);
    stage.block(members[0]);
    for number in 10..99 {
        stage.publish(log, &format!("price={number} "));
    }
    assert!(stage.fanout.outbound_bytes() < 100, "one is kept, two may wait in the log");
    stage.make_room(members[0], UNLIMITED);
    stage.sweep();
    let got = stage.got(members[0]);
    assert!(got.ends_with("price=98 "), "{got}");
    let delivered = got.matches("price").count() as u64;
    assert_eq!(stage.fanout.losses().latest + delivered, 89);
}

#[test]
fn more_keys_than_the_limit_has_room_for_doom_the_member() {
    let mut stage = Stage::new(rules(Policy::Latest, 200));
    let (log, members) = stage.log(1);
    stage.block(members[0]);
    let mut published = 0;
    let doomed = loop {
        assert_eq!(stage.offer_with(log, "0123456789", published + 1, None), Appended::Ok);
        published += 1;
        if let Some(doomed) = stage.fanout.doomed() {
            break doomed;
        }
        assert!(published < 1000, "its set has no bound");
    };
    assert_eq!((doomed.connection, doomed.cause), (members[0], Cause::Lag(log)));
    assert_eq!(doomed.missed, missed(1, published - 1, published - 1));
    assert_eq!(stage.fanout.losses().disconnect, published - 1);
}

/// Pitfall 11.
#[test]
fn conflated_frames_of_two_topics_in_one_plan_go_out_each_with_its_own() {
    let mut stage = Stage::new(rules(Policy::Latest, 10));
    let (one, members) = stage.log(1);
    let (two, _) = stage.log(0);
    stage.join(two, members[0]);
    stage.block(members[0]);
    for round in 0..4 {
        stage.publish(one, &format!("one{round} "));
        stage.publish(two, &format!("two{round} "));
    }
    stage.make_room(members[0], 9);
    stage.sweep();
    stage.make_room(members[0], UNLIMITED);
    stage.sweep();
    let got = stage.got(members[0]);
    for topic in ["one", "two"] {
        let rounds: Vec<char> = got.split(' ').filter_map(|word| word.split(topic).nth(1)?.chars().next()).collect();
        assert!(rounds.is_sorted() && rounds.last() == Some(&'3'), "{got}");
    }
    assert_eq!(stage.fanout.outbound_bytes(), 0);
}

/// Invariant 6.
#[test]
fn a_member_that_the_sweep_has_not_reached_is_no_laggard_but_back_pressure() {
    for policy in [Policy::Disconnect, Policy::Skip, Policy::Latest] {
        let mut stage = Stage::new(rules(policy, 20));
        stage.fanout.settings.segment_bytes = 10;
        let (log, members) = stage.log(2);
        let mut published = String::new();
        let refused = loop {
            match stage.offer(log, "12345") {
                Appended::Ok => published += "12345",
                Appended::Full => break published.len(),
            }
        };
        assert_eq!(refused, 30, "the limit and one segment");
        assert_eq!((stage.fanout.doomed(), stage.fanout.losses()), (None, Losses::default()));
        stage.fanout.sweep_log_first(log);
        stage.sweep();
        stage.publish(log, "67890");
        stage.sweep();
        for member in members {
            assert_eq!(stage.got(member), format!("{published}67890"));
        }
    }
}

#[test]
fn laggards_never_make_a_log_full() {
    for policy in [Policy::Disconnect, Policy::Skip, Policy::Latest] {
        for len in [1, 5, 9, 10, 11, 30, 300] {
            let mut stage = Stage::new(rules(policy, 100));
            stage.fanout.settings.segment_bytes = 40;
            stage.fanout.settings.by_reference_bytes = 20;
            let (log, members) = stage.log(2);
            stage.block(members[0]);
            for _ in 0..500 {
                stage.publish(log, &"x".repeat(len));
                stage.sweep();
                let retained = stage.fanout.logs[log.0].retained_bytes();
                assert!(retained <= 140.max(len as u64), "{retained} of {len} under {policy:?}");
            }
            assert_eq!(stage.got(members[1]).len(), 500 * len);
        }
    }
}

#[test]
fn a_single_frame_may_be_larger_than_the_limit() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 10));
    let (log, members) = stage.log(1);
    stage.block(members[0]);
    stage.publish(log, "a frame of more than ten bytes");
    assert_eq!(stage.fanout.doomed(), None);
    stage.make_room(members[0], UNLIMITED);
    stage.sweep();
    assert_eq!(stage.got(members[0]), "!a frame of more than ten bytes");
}

#[test]
fn a_blocked_member_whose_first_frame_waits_too_long_meets_the_policy() {
    for (policy, cause) in [(Policy::Disconnect, true), (Policy::Skip, false), (Policy::Latest, false)] {
        let mut stage = Stage::new(LogRules { policy, lag_bytes: 1000, lag_ticks: 5, write_delay_us: 0 });
        let (log, members) = stage.log(1);
        stage.tick = Tick(100);
        stage.block(members[0]);
        for tick in 100..104 {
            stage.tick = Tick(tick);
            stage.publish(log, &format!("{tick} "));
        }
        stage.fanout.enforce(Tick(105));
        assert_eq!((stage.fanout.doomed(), stage.fanout.losses()), (None, Losses::default()), "not over 5 ticks yet");
        stage.fanout.enforce(Tick(106));
        let doomed = stage.fanout.doomed();
        assert_eq!(doomed.map(|doomed| doomed.cause), cause.then_some(Cause::Age(log)));
        let losses = stage.fanout.losses();
        assert_eq!(losses.disconnect + losses.skip + losses.latest, if cause { 4 } else { 3 });
        if !cause {
            stage.make_room(members[0], UNLIMITED);
            stage.sweep();
            assert!(stage.got(members[0]).ends_with("103 "));
        }
    }
}

#[test]
fn a_member_that_is_not_blocked_does_not_age() {
    let mut stage =
        Stage::new(LogRules { policy: Policy::Disconnect, lag_bytes: 1000, lag_ticks: 5, write_delay_us: 0 });
    let (log, members) = stage.log(1);
    stage.publish(log, "old");
    stage.fanout.enforce(Tick(1000));
    assert_eq!(stage.fanout.doomed(), None);
    stage.sweep();
    assert_eq!(stage.got(members[0]), "old");
}

#[test]
fn a_connection_that_owes_only_a_cut_frame_or_a_reply_lags_behind_no_log_and_is_doomed_when_it_stalls() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    stage.fanout.settings.stalled_ticks = 50;
    let (log, members) = stage.log(2);
    stage.tick = Tick(10);
    stage.make_room(members[0], 2);
    stage.publish(log, "cut");
    stage.sweep();
    stage.block(members[1]);
    assert_eq!(stage.fanout.retained_bytes(), 0);
    stage.fanout.enforce(Tick(60));
    assert_eq!(stage.fanout.doomed(), None);
    // One byte is progress.
    stage.tick = Tick(60);
    stage.make_room(members[1], UNLIMITED);
    stage.sweep();
    stage.fanout.enforce(Tick(61));
    let doomed = stage.fanout.doomed().expect("stalled");
    assert_eq!((doomed.connection, doomed.cause, doomed.missed), (members[0], Cause::Stalled, None));
    assert_eq!(stage.fanout.doomed(), None);
    let parted = stage.fanout.disconnect(members[0]);
    assert_eq!(parted[0].missed, missed(1, 1, 1), "the cut publication did not arrive");
    assert_eq!(stage.fanout.losses().disconnect, 1);
}

#[test]
fn a_blocked_connection_that_is_owed_nothing_does_not_stall() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(1);
    stage.publish(log, "one");
    stage.publish(log, "two");
    stage.make_room(members[0], 3);
    stage.sweep();
    stage.fanout.unsubscribe(log, members[0]);
    assert!(stage.fanout.is_blocked(members[0]) && stage.fanout.is_idle(members[0]));
    stage.fanout.enforce(Tick(100_000));
    assert_eq!(stage.fanout.doomed(), None);
}

#[test]
fn a_connection_that_left_before_its_doom_was_asked_for_is_not_named() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 5));
    let (log, members) = stage.log(1);
    stage.block(members[0]);
    stage.publish(log, "12345");
    stage.publish(log, "12345");
    stage.fanout.disconnect(members[0]);
    let successor = stage.connect();
    assert_eq!(successor.index, members[0].index);
    assert_eq!(stage.fanout.doomed(), None);
}

//! Who is visited when, and that nobody is forgotten.

use super::super::{Policy, Settings};
use super::stage::{Stage, UNLIMITED, rules};

#[test]
fn a_sweep_ends_after_its_visits_and_the_next_goes_on() {
    let settings = Settings { sweep_visits: 4, ..Settings::default() };
    let mut stage = Stage::with(settings, rules(Policy::Disconnect, 1000));
    let (log, _) = stage.log(10);
    stage.publish(log, "a");
    let mut sweeps = Vec::new();
    while stage.fanout.has_work() {
        let mut visits = 0;
        while let Some(id) = stage.fanout.next() {
            let _ = stage.visit(id);
            visits += 1;
        }
        sweeps.push(visits);
    }
    assert_eq!(sweeps, [4, 4, 2]);
}

#[test]
fn logs_take_turns_of_sixteen_members() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (one, ones) = stage.log(40);
    let (two, _) = stage.log(20);
    stage.publish(one, "a");
    stage.publish(two, "b");
    let mut turns = Vec::new();
    while let Some(id) = stage.fanout.next() {
        turns.push(if ones.contains(&id) { 1 } else { 2 });
        let _ = stage.visit(id);
    }
    let expected = [(1, 16), (2, 16), (1, 16), (2, 4), (1, 8)];
    assert_eq!(turns, expected.iter().flat_map(|&(log, count)| vec![log; count]).collect::<Vec<_>>());
}

#[test]
fn those_who_are_owed_a_reply_or_became_writable_come_before_the_logs() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(20);
    stage.block(members[18]);
    stage.publish(log, "a");
    assert_eq!(stage.fanout.next(), Some(members[0]));
    stage.reply(members[19], "pong");
    stage.make_room(members[18], UNLIMITED);
    assert_eq!((stage.fanout.next(), stage.fanout.next()), (Some(members[19]), Some(members[18])));
    assert_eq!(stage.fanout.next(), Some(members[1]));
}

#[test]
fn the_log_that_a_publication_waits_for_comes_first() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (one, _) = stage.log(3);
    let (two, twos) = stage.log(3);
    stage.publish(one, "a");
    stage.publish(two, "b");
    stage.fanout.sweep_log_first(two);
    let first: Vec<_> = (0..3).filter_map(|_| stage.fanout.next()).collect();
    assert_eq!(first, twos);
}

#[test]
fn a_blocked_connection_is_not_visited_until_it_is_writable() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(1);
    stage.block(members[0]);
    stage.writes.clear();
    stage.publish(log, "a");
    stage.reply(members[0], "pong");
    stage.sweep();
    let _ = stage.visit(members[0]);
    assert!(stage.writes.is_empty(), "never send past a socket that said no (pitfall 12)");
    stage.make_room(members[0], UNLIMITED);
    stage.sweep();
    assert_eq!(stage.got(members[0]), "!ponga");
}

/// Pitfall 1.
#[test]
fn whoever_joins_or_leaves_in_mid_sweep_nobody_is_left_behind() {
    for leaver in 0..6 {
        for pause in 0..6 {
            let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
            let (log, members) = stage.log(6);
            stage.publish(log, "a");
            for _ in 0..pause {
                let id = stage.fanout.next().expect("six are behind");
                let _ = stage.visit(id);
            }
            let joiner = stage.connect();
            stage.join(log, joiner);
            stage.fanout.unsubscribe(log, members[leaver]);
            stage.sweep();
            for (index, &member) in members.iter().enumerate().filter(|&(index, _)| index != leaver) {
                assert_eq!(stage.got(member), "a", "{index} when {leaver} left after {pause}");
            }
            assert_eq!(stage.got(joiner), "");
            assert_eq!(stage.fanout.retained_bytes(), 0);
        }
    }
}

/// Pitfalls 3 and 5.
#[test]
fn a_capped_plan_comes_again_until_all_is_sent() {
    let settings = Settings { visit_bytes: 10, segment_bytes: 10, ..Settings::default() };
    let mut stage = Stage::with(settings, rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(2);
    for _ in 0..10 {
        stage.publish(log, "12345");
    }
    stage.sweep();
    for member in members {
        assert_eq!(stage.got(member), "12345".repeat(10));
    }
    assert_eq!(stage.writes.len(), 10);
}

#[test]
fn one_who_was_served_and_is_owed_again_is_visited_again() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(3);
    for round in 0..20 {
        stage.publish(log, "a");
        if round % 2 == 0
            && let Some(id) = stage.fanout.next()
        {
            let _ = stage.visit(id);
        }
    }
    stage.sweep();
    for member in members {
        assert_eq!(stage.got(member), "a".repeat(20));
    }
}

#[test]
fn a_frame_beyond_the_visit_limit_goes_out_whole() {
    let settings = Settings { visit_bytes: 100, by_reference_bytes: 50, ..Settings::default() };
    let mut stage = Stage::with(settings, rules(Policy::Disconnect, 10_000));
    let (log, members) = stage.log(1);
    stage.publish(log, &"x".repeat(5000));
    assert_eq!(stage.visit(members[0]).bytes, 5000);
}

#[test]
fn a_dead_sink_is_said_to_be_dead() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(1);
    stage.publish(log, "a");
    let mut notice = |_, _| bytes::Bytes::new();
    let visited = stage.fanout.visit(members[0], stage.tick, &mut notice, |_| super::super::Sent::Dead);
    assert_eq!((visited.writer, visited.publications), (super::super::Writer::Dead, 0));
    assert_eq!(stage.fanout.disconnect(members[0])[0].missed.map(|missed| missed.count), Some(1));
}

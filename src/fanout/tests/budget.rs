//! The outbound budget of a worker: when it is used up, the largest laggards go first.

use super::super::{Appended, Cause, Policy, Settings, Writer};
use super::stage::{Stage, UNLIMITED, rules};

fn stage(limit_bytes: usize) -> Stage {
    let settings = Settings { outbound_limit_bytes: limit_bytes, ..Settings::default() };
    Stage::with(settings, rules(Policy::Skip, 1_000_000))
}

#[test]
fn the_largest_laggard_goes_first_and_no_more_than_needed() {
    let mut stage = stage(10_000);
    let (log, members) = stage.log(3);
    stage.block(members[1]);
    stage.publish(log, &"x".repeat(3000));
    stage.sweep();
    stage.block(members[0]);
    stage.reply(members[1], &"r".repeat(4000));
    stage.publish(log, &"y".repeat(2000));
    stage.sweep();
    assert_eq!(stage.fanout.doomed(), None);
    stage.publish(log, &"z".repeat(2500));
    let doomed = stage.fanout.doomed().expect("one is doomed");
    assert_eq!((doomed.connection, doomed.cause), (members[1], Cause::Budget));
    assert_eq!(stage.fanout.doomed(), None, "the other laggard may stay");
    assert!(stage.fanout.outbound_bytes() <= 10_000);
    assert_eq!(stage.fanout.losses().disconnect, 2);
    // Nothing can be written to it any more, and its replies are gone.
    assert_eq!(stage.visit(members[1]).writer, Writer::Dead);
    stage.make_room(members[0], UNLIMITED);
    stage.sweep();
    assert_eq!(stage.got(members[0]).len(), 3000 + 1 + 2000 + 2500);
    assert_eq!(stage.got(members[2]).len(), 7500);
}

#[test]
fn while_the_sweep_has_members_to_reach_nobody_is_doomed() {
    let mut stage = stage(5000);
    let (log, members) = stage.log(2);
    let (other, others) = stage.log(1);
    stage.block(members[0]);
    stage.publish(log, &"x".repeat(2000));
    stage.publish(other, &"y".repeat(2000));
    assert_eq!(stage.offer(log, &"z".repeat(2000)), Appended::Full);
    assert_eq!(stage.fanout.doomed(), None);
    stage.fanout.sweep_log_first(log);
    stage.sweep();
    stage.publish(log, &"z".repeat(2000));
    assert_eq!(stage.fanout.doomed(), None, "the sweep made room enough");
    assert_eq!(stage.got(others[0]).len(), 2000);
}

#[test]
fn joining_and_leaving_does_not_hide_laggards_from_the_budget() {
    let mut stage = stage(5000);
    let (log, members) = stage.log(2);
    stage.block(members[0]);
    stage.publish(log, &"x".repeat(3000));
    stage.sweep();
    // Puts the log into the ring again, though nobody there can be written to.
    stage.fanout.unsubscribe(log, members[1]);
    stage.join(log, members[1]);
    assert!(stage.fanout.has_work());
    stage.publish(log, &"y".repeat(3000));
    assert_eq!(stage.fanout.doomed().map(|doomed| doomed.connection), Some(members[0]));
}

#[test]
fn replies_over_the_budget_doom_at_the_next_tick() {
    let mut stage = stage(5000);
    let clients = [stage.connect(), stage.connect()];
    for (client, len) in clients.into_iter().zip([2000, 4000]) {
        stage.make_room(client, 0);
        stage.reply(client, &"r".repeat(len));
    }
    stage.sweep();
    assert!(stage.fanout.outbound_bytes() > 5000);
    stage.fanout.enforce(stage.tick);
    let doomed = stage.fanout.doomed().expect("the larger one");
    assert_eq!((doomed.connection, doomed.cause), (clients[1], Cause::Budget));
    assert_eq!(stage.fanout.doomed(), None);
    assert_eq!(stage.fanout.outbound_bytes(), 2000);
}

#[test]
fn a_held_member_is_a_laggard_to_the_budget_too() {
    let mut stage = stage(3000);
    let (log, _) = stage.log(1);
    let held = stage.connect();
    stage.fanout.subscribe(log, held, super::super::Join::Held);
    stage.publish(log, &"x".repeat(2000));
    stage.sweep();
    stage.publish(log, &"y".repeat(2000));
    assert_eq!(stage.fanout.doomed().map(|doomed| doomed.connection), Some(held));
}

/// Pitfall 8.
#[test]
fn a_large_frame_that_many_are_in_the_middle_of_is_counted_once() {
    let mut stage = stage(1_000_000);
    let (log, members) = stage.log(50);
    for &member in &members {
        stage.make_room(member, 10);
    }
    stage.publish(log, &"x".repeat(100_000));
    stage.sweep();
    assert!(members.iter().all(|&member| stage.fanout.is_blocked(member)));
    assert_eq!(stage.fanout.retained_bytes(), 0, "the tails are all that is left");
    assert_eq!(stage.fanout.outbound_bytes(), 100_000);
    assert_eq!(stage.fanout.doomed(), None);
    for &member in &members {
        stage.make_room(member, UNLIMITED);
    }
    stage.sweep();
    assert_eq!(stage.fanout.outbound_bytes(), 0);
}

#[test]
fn the_publication_that_was_cut_counts_as_lost_when_the_budget_takes_it() {
    let mut stage = stage(6000);
    let (log, members) = stage.log(1);
    stage.make_room(members[0], 10);
    stage.publish(log, &"x".repeat(5000));
    stage.sweep();
    stage.publish(log, &"y".repeat(3000));
    let doomed = stage.fanout.doomed().expect("doomed");
    assert_eq!(doomed.cause, Cause::Budget);
    assert_eq!(stage.fanout.losses().disconnect, 1);
    let parted = stage.fanout.disconnect(members[0]);
    assert_eq!(parted[0].missed.map(|missed| (missed.first.0, missed.count)), Some((1, 1)));
    assert_eq!(stage.fanout.outbound_bytes(), 0);
}

//! How connections end, and what is left of them: nothing.

use bytes::Bytes;

use super::super::{Join, Losses, Missed, Policy, Writer};
use super::stage::{Stage, UNLIMITED, rules};
use crate::hub::Offset;

const BYE: Option<Bytes> = Some(Bytes::from_static(b"bye"));

/// Pitfall 4.
#[test]
fn a_finished_connection_gets_what_was_there_and_nothing_that_comes_later() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(2);
    stage.make_room(members[0], 0);
    stage.publish(log, "a");
    stage.sweep();
    stage.fanout.finish(members[0], BYE);
    stage.publish(log, "b");
    stage.reply(members[0], "pong ");
    stage.make_room(members[0], UNLIMITED);
    stage.sweep();
    stage.publish(log, "c");
    stage.sweep();
    assert_eq!((stage.got(members[0]), stage.got(members[1])), ("pong abye".into(), "abc".into()));
    assert!(!stage.fanout.is_live(members[0]), "its visit said finished");
    assert_eq!(stage.fanout.members(log), 1);
}

#[test]
fn a_finished_connection_that_is_blocked_does_not_keep_later_publications() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 100));
    let (log, members) = stage.log(2);
    stage.block(members[0]);
    stage.fanout.finish(members[0], BYE);
    for _ in 0..100 {
        stage.publish(log, "12345");
        stage.sweep();
        assert_eq!(stage.fanout.retained_bytes(), 0);
    }
    assert_eq!(stage.fanout.doomed(), None, "it lags behind nothing that is for it");
}

#[test]
fn a_connection_is_clear_when_a_frame_of_ours_may_be_the_next_that_it_gets() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(3);
    assert!(stage.fanout.is_clear(members[0]));
    stage.publish(log, "abc");
    assert!(stage.fanout.is_clear(members[0]), "a control frame comes before the topics");
    stage.make_room(members[0], 2);
    stage.sweep();
    assert!(!stage.fanout.is_clear(members[0]), "a frame was cut");
    stage.reply(members[1], "reply");
    assert!(!stage.fanout.is_clear(members[1]), "a reply was first");
    stage.sweep();
    assert!(stage.fanout.is_clear(members[1]));
    stage.fanout.finish(members[1], BYE);
    assert!(!stage.fanout.is_clear(members[1]), "nothing may follow a close frame");
    stage.fanout.disconnect(members[2]);
    assert!(!stage.fanout.is_clear(members[2]), "gone");
}

#[test]
fn finishing_an_idle_connection_sends_the_close_frame_at_once() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let member = stage.connect();
    stage.fanout.finish(member, BYE);
    assert_eq!(stage.fanout.next(), Some(member));
    assert_eq!(stage.visit(member).writer, Writer::Finished);
    assert_eq!(stage.got(member), "bye");
}

#[test]
fn finishing_without_a_close_frame_is_finished_when_all_is_sent() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(1);
    stage.publish(log, "a");
    stage.fanout.finish(members[0], None);
    assert_eq!(stage.visit(members[0]).writer, Writer::Finished);
    assert_eq!(stage.got(members[0]), "a");
    let idle = stage.connect();
    stage.fanout.finish(idle, None);
    assert_eq!(stage.visit(idle).writer, Writer::Finished);
}

#[test]
fn nothing_follows_a_close_frame() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let member = stage.connect();
    stage.fanout.finish(member, BYE);
    stage.make_room(member, 2);
    assert_eq!(stage.visit(member).writer, Writer::Blocked);
    stage.reply(member, "late");
    stage.fanout.finish_now(member, Some("again".into()));
    stage.make_room(member, UNLIMITED);
    assert_eq!(stage.visit(member).writer, Writer::Finished);
    assert_eq!(stage.got(member), "bye");
}

#[test]
fn finish_now_drops_what_is_waiting_and_says_so_when_it_parts() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(1);
    stage.publish(log, "a");
    stage.publish(log, "b");
    stage.reply(members[0], "reply ");
    stage.fanout.finish_now(members[0], BYE);
    assert_eq!(stage.fanout.retained_bytes(), 0);
    assert_eq!(stage.visit(members[0]).writer, Writer::Finished);
    assert_eq!(stage.got(members[0]), "reply bye");
    let parted = stage.fanout.disconnect(members[0]);
    assert_eq!(parted[0].missed, Some(Missed { first: Offset(1), last: Offset(2), count: 2 }));
    assert_eq!(stage.fanout.losses(), Losses::default(), "no policy has lost them");
}

#[test]
fn a_held_membership_gets_nothing_when_its_connection_finishes() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, _) = stage.log(1);
    let held = stage.connect();
    stage.fanout.subscribe(log, held, Join::Held);
    stage.publish(log, "a");
    stage.fanout.finish(held, BYE);
    stage.sweep();
    assert_eq!(stage.got(held), "bye");
    assert_eq!(stage.fanout.held, 0);
}

#[test]
fn joining_while_finishing_is_a_membership_that_gets_nothing() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(1);
    let late = stage.connect();
    stage.make_room(late, 0);
    stage.reply(late, "reply ");
    stage.sweep();
    stage.fanout.finish(late, BYE);
    stage.join(log, late);
    stage.publish(log, "a");
    stage.make_room(late, UNLIMITED);
    let _ = stage.visit(late);
    assert_eq!(stage.got(late), "reply bye");
    let parted = stage.fanout.disconnect(late);
    assert_eq!((parted.len(), parted[0].log, parted[0].left.0), (1, log, 1));
    stage.sweep();
    assert_eq!(stage.got(members[0]), "a");
}

#[test]
fn disconnect_names_every_log_it_left_and_what_it_had_not_got() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (one, members) = stage.log(1);
    let (two, _) = stage.log(1);
    stage.join(two, members[0]);
    stage.publish(one, "12345");
    stage.publish(one, "67890");
    stage.make_room(members[0], 3);
    stage.sweep();
    let mut parted = stage.fanout.disconnect(members[0]).to_vec();
    parted.sort_by_key(|parted| parted.log.0);
    let both = Missed { first: Offset(1), last: Offset(2), count: 2 };
    assert_eq!((parted[0].log, parted[0].left.0, parted[0].missed), (one, 0, Some(both)));
    assert_eq!((parted[1].log, parted[1].left.0, parted[1].missed), (two, 1, None));
    assert!(!stage.fanout.is_live(members[0]));
    assert_eq!(stage.fanout.outbound_bytes(), 0);
    assert_eq!(stage.fanout.slow_consumers(), 0);
    assert!(stage.fanout.disconnect(members[0]).is_empty(), "it is nobody now");
}

/// Pitfall 11.
#[test]
fn a_slot_that_is_still_queued_when_its_owner_goes_serves_its_successor() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let first = stage.connect();
    stage.reply(first, "old");
    stage.fanout.disconnect(first);
    let second = stage.connect();
    assert_eq!((second.index, second.generation), (first.index, first.generation + 1));
    stage.reply(second, "new");
    assert_eq!(stage.fanout.ready.len(), 1, "the slot has one place in the list");
    stage.sweep();
    assert_eq!(stage.got(second), "new");
    assert_eq!(stage.visit(first).writer, Writer::Dead);
}

#[test]
fn calls_that_name_an_old_generation_do_nothing() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(1);
    let old = members[0];
    stage.fanout.disconnect(old);
    let new = stage.connect();
    assert_eq!(new.index, old.index);
    stage.reply(old, "reply");
    stage.join(log, old);
    stage.fanout.finish(old, BYE);
    stage.fanout.finish_now(old, BYE);
    stage.fanout.writable(old);
    assert_eq!(stage.fanout.unsubscribe(log, old).0, 0);
    assert_eq!((stage.fanout.outbox_bytes(old), stage.fanout.logs_of(old).count()), (0, 0));
    stage.sweep();
    assert_eq!(stage.got(new), "");
    assert!(stage.fanout.is_live(new) && stage.fanout.is_idle(new));
}

#[test]
fn a_log_is_opened_again_in_the_slot_of_one_that_was_closed() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(1);
    stage.publish(log, "old");
    assert_eq!(stage.fanout.unsubscribe(log, members[0]).0, 0);
    stage.fanout.close_log(log);
    let (again, others) = stage.log(1);
    assert_eq!(again, log);
    stage.publish(again, "new");
    stage.sweep();
    assert_eq!((stage.got(members[0]), stage.got(others[0])), (String::new(), "new".into()));
}

//! Where a member starts, and what is not for it.

use super::super::{Appended, Cause, Entry, Join, Policy, RulesId};
use super::stage::{Stage, rules};
use crate::hub::Offset;
use bytes::Bytes;

#[test]
fn a_member_gets_what_is_appended_after_it_joined() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(1);
    stage.publish(log, "a");
    let late = stage.connect();
    stage.join(log, late);
    stage.publish(log, "b");
    stage.sweep();
    assert_eq!((stage.got(members[0]), stage.got(late)), ("ab".into(), "b".into()));
}

#[test]
fn publications_up_to_the_join_point_that_are_still_to_be_appended_are_not_sent() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(1);
    let late = stage.connect();
    // Its history ended with offset 2, which is still in the mailbox.
    stage.fanout.subscribe(log, late, Join::At(Offset(2)));
    for text in ["1", "2", "3", "4"] {
        stage.publish(log, text);
    }
    stage.sweep();
    assert_eq!((stage.got(members[0]), stage.got(late)), ("1234".into(), "34".into()));
    assert_eq!(stage.fanout.specials.len(), 0, "it is a plain member now");
}

#[test]
fn a_held_member_gets_nothing_until_released_and_then_what_its_history_does_not_have() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, _) = stage.log(1);
    let held = stage.connect();
    stage.fanout.subscribe(log, held, Join::Held);
    for text in ["1", "2", "3"] {
        stage.publish(log, text);
    }
    stage.reply(held, "[wait]");
    stage.sweep();
    assert_eq!(stage.got(held), "[wait]");
    stage.fanout.release(log, held, Offset(2));
    stage.sweep();
    assert_eq!(stage.got(held), "3");
    assert_eq!(stage.fanout.retained_bytes(), 0);
}

#[test]
fn a_held_member_may_be_released_ahead_of_its_log() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, _) = stage.log(1);
    let held = stage.connect();
    stage.fanout.subscribe(log, held, Join::Held);
    stage.publish(log, "1");
    stage.fanout.release(log, held, Offset(2));
    stage.publish(log, "2");
    stage.publish(log, "3");
    stage.sweep();
    assert_eq!(stage.got(held), "3");
}

#[test]
fn a_held_member_that_lags_is_doomed_whatever_the_policy() {
    for policy in [Policy::Disconnect, Policy::Skip, Policy::Latest] {
        let mut stage = Stage::new(rules(policy, 10));
        let (log, _) = stage.log(1);
        let held = stage.connect();
        stage.fanout.subscribe(log, held, Join::Held);
        for _ in 0..3 {
            stage.publish(log, "12345");
            stage.sweep();
        }
        let doomed = stage.fanout.doomed().expect("doomed");
        assert_eq!((doomed.connection, doomed.cause), (held, Cause::Lag(log)));
        assert_eq!(doomed.missed, None, "what its history would have had is not known");
        assert_eq!(stage.fanout.retained_bytes(), 0);
    }
}

#[test]
fn the_excluded_connection_gets_everything_but_that() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(2);
    stage.publish(log, "a");
    assert_eq!(stage.offer_with(log, "b", 0, Some(members[0])), Appended::Ok);
    stage.publish(log, "c");
    stage.sweep();
    assert_eq!((stage.got(members[0]), stage.got(members[1])), ("ac".into(), "abc".into()));
    assert_eq!(stage.fanout.specials.len(), 0);
    assert!(stage.fanout.is_idle(members[0]));
}

#[test]
fn a_publication_only_for_others_costs_its_publisher_no_write() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(1);
    assert_eq!(stage.offer_with(log, "b", 0, Some(members[0])), Appended::Ok);
    stage.sweep();
    assert!(stage.writes.is_empty() && stage.fanout.is_idle(members[0]));
}

/// Pitfall 11.
#[test]
fn an_exclusion_names_a_generation_not_a_slot() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(2);
    stage.fanout.disconnect(members[1]);
    let successor = stage.connect();
    assert_eq!(successor.index, members[1].index);
    stage.join(log, successor);
    assert_eq!(stage.offer_with(log, "a", 0, Some(members[1])), Appended::Ok);
    stage.sweep();
    assert_eq!(stage.got(successor), "a");
}

/// Pitfall 6: the retry of a publication that one of two logs had no room for.
#[test]
fn appending_an_offset_again_changes_nothing() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(1);
    let frame = Bytes::from_static(b"a");
    for offset in [3, 3, 2, 3] {
        let entry = Entry { offset: Offset(offset), frame: &frame, key: 0, exclude: None, is_numbered: true };
        assert_eq!(stage.fanout.append(log, entry, stage.tick), Appended::Ok);
    }
    stage.sweep();
    assert_eq!(stage.got(members[0]), "a");
}

#[test]
fn a_log_starts_behind_the_offset_it_was_opened_with() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let log = stage.fanout.open(RulesId(0), Offset(7));
    let member = stage.connect();
    stage.fanout.subscribe(log, member, Join::At(Offset(7)));
    for offset in [6, 7, 8] {
        let frame = Bytes::from(format!("{offset} "));
        let entry = Entry { offset: Offset(offset), frame: &frame, key: 0, exclude: None, is_numbered: true };
        assert_eq!(stage.fanout.append(log, entry, stage.tick), Appended::Ok);
    }
    stage.sweep();
    assert_eq!(stage.got(member), "8 ");
}

#[test]
fn joining_twice_is_joining_once() {
    let mut stage = Stage::new(rules(Policy::Disconnect, 1000));
    let (log, members) = stage.log(1);
    stage.join(log, members[0]);
    assert_eq!(stage.fanout.members(log), 1);
    assert_eq!(stage.fanout.logs_of(members[0]).collect::<Vec<_>>(), [log]);
}

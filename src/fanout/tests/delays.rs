//! Write delays: what may wait goes out together, in time, and what may not does not wait.

use super::super::{Appended, LogRules, Moment, Policy, RulesId, Settings};
use super::stage::{Stage, UNLIMITED, rules};

const DELAY_US: u32 = 5000;

const AT_ONCE: RulesId = RulesId(1);

/// Logs are delayed, those with [`AT_ONCE`] are not.
fn stage_with(settings: Settings, lag_bytes: u32) -> Stage {
    let usual = rules(Policy::Disconnect, lag_bytes);
    Stage::with_rules(settings, vec![LogRules { write_delay_us: DELAY_US, ..usual }, usual])
}

fn stage() -> Stage {
    stage_with(Settings::default(), 1000)
}

#[test]
fn a_burst_within_the_delay_goes_out_in_one_write_when_the_first_has_waited_for_it() {
    let mut stage = stage();
    let (log, members) = stage.log(2);
    stage.publish(log, "a");
    assert_eq!(stage.fanout.release_delayed(Moment(1000)), Some(Moment(6000)));
    stage.publish(log, "b");
    assert_eq!(stage.fanout.release_delayed(Moment(5999)), Some(Moment(6000)));
    stage.publish(log, "c");
    stage.sweep();
    assert!(stage.writes.is_empty() && !stage.fanout.has_work());
    assert_eq!(stage.fanout.release_delayed(Moment(6000)), None);
    stage.sweep();
    assert_eq!(stage.writes, [1, 1]);
    for member in members {
        assert_eq!(stage.got(member), "abc");
    }
    assert!(!stage.fanout.has_delayed());
}

#[test]
fn each_log_has_its_own_moment_and_one_without_delay_does_not_wait() {
    let mut stage = stage();
    let (early, _) = stage.log(1);
    let (late, _) = stage.log(1);
    let (other, others) = stage.log_by(AT_ONCE, 1);
    stage.publish(early, "a");
    assert_eq!(stage.fanout.release_delayed(Moment(0)), Some(Moment(5000)));
    stage.publish(late, "b");
    stage.publish(other, "c");
    assert_eq!(stage.fanout.release_delayed(Moment(2000)), Some(Moment(5000)));
    stage.sweep();
    assert_eq!((stage.writes.len(), stage.got(others[0]).as_str()), (1, "c"));
    assert_eq!(stage.fanout.release_delayed(Moment(5000)), Some(Moment(7000)));
    stage.sweep();
    assert_eq!(stage.writes.len(), 2);
    assert_eq!(stage.fanout.release_delayed(Moment(9000)), None);
    stage.sweep();
    assert_eq!(stage.writes.len(), 3);
}

#[test]
fn who_is_visited_for_another_reason_takes_what_waits() {
    let mut stage = stage();
    let (log, members) = stage.log(3);
    let (other, _) = stage.log_by(AT_ONCE, 0);
    stage.join(other, members[1]);
    stage.publish(log, "a");
    stage.reply(members[0], "pong");
    stage.publish(other, "b");
    stage.sweep();
    assert_eq!([0, 1, 2].map(|at| stage.got(members[at])), ["ponga", "ab", ""]);
    assert!(stage.fanout.release_delayed(Moment(0)).is_some());
    let _ = stage.fanout.release_delayed(Moment(5000));
    stage.sweep();
    assert_eq!([0, 1, 2].map(|at| stage.got(members[at])), ["", "", "a"]);
}

#[test]
fn when_all_were_visited_for_other_reasons_the_next_publication_waits_no_longer_than_it_may() {
    let mut stage = stage();
    let (log, members) = stage.log(1);
    stage.publish(log, "a");
    let _ = stage.fanout.release_delayed(Moment(0));
    stage.reply(members[0], "pong");
    stage.sweep();
    assert_eq!(stage.got(members[0]), "ponga");
    stage.publish(log, "b");
    assert_eq!(stage.fanout.release_delayed(Moment(4000)), Some(Moment(5000)));
    assert_eq!(stage.fanout.release_delayed(Moment(5000)), None);
    stage.sweep();
    assert_eq!(stage.got(members[0]), "b");
}

#[test]
fn a_round_that_is_under_way_goes_on_and_those_it_has_passed_wait_for_the_next() {
    let mut stage = stage();
    let (log, members) = stage.log(3);
    stage.publish(log, "a");
    stage.fanout.release_all_delayed();
    let first = stage.fanout.next().unwrap();
    let _ = stage.visit(first);
    stage.publish(log, "b");
    stage.sweep();
    assert_eq!([0, 1, 2].map(|at| stage.got(members[at])), ["a", "ab", "ab"]);
    let _ = stage.fanout.release_delayed(Moment(0));
    let _ = stage.fanout.release_delayed(Moment(5000));
    stage.sweep();
    assert_eq!([0, 1, 2].map(|at| stage.got(members[at])), ["b", "", ""]);
    assert_eq!(stage.writes.len(), 4);
}

#[test]
fn who_comes_and_goes_does_not_end_the_delay_of_the_others() {
    let mut stage = stage();
    let (log, members) = stage.log(3);
    stage.publish(log, "a");
    let joiner = stage.connect();
    stage.join(log, joiner);
    stage.fanout.unsubscribe(log, members[0]);
    assert!(!stage.fanout.has_work());
    stage.fanout.release_all_delayed();
    stage.sweep();
    assert_eq!([members[1], members[2], joiner].map(|one| stage.got(one)), ["a", "a", ""]);
}

#[test]
fn a_full_log_is_swept_at_once() {
    let mut stage = stage_with(Settings { segment_bytes: 2, ..Settings::default() }, 10);
    let (log, members) = stage.log(2);
    stage.publish(log, "12345678");
    assert_eq!(stage.offer(log, "90abcd"), Appended::Full);
    stage.fanout.sweep_log_first(log);
    stage.sweep();
    assert_eq!(stage.got(members[1]), "12345678");
    stage.publish(log, "90abcd");
}

#[test]
fn what_fills_a_whole_write_waits_for_no_more() {
    let settings = Settings { visit_bytes: 20, ..Settings::default() };
    let mut stage = stage_with(settings, 1000);
    let (log, members) = stage.log(1);
    stage.publish(log, "0123456789");
    assert!(!stage.fanout.has_work());
    stage.publish(log, "0123456789");
    stage.sweep();
    assert_eq!(stage.got(members[0]).len(), 20);
    // And so on, while its first moment has not come.
    stage.publish(log, "0123456789");
    assert!(!stage.fanout.has_work());
    stage.publish(log, "0123456789");
    assert!(stage.fanout.has_work());
}

#[test]
fn a_laggard_does_not_make_every_publication_look_like_a_whole_write() {
    let settings = Settings { visit_bytes: 20, ..Settings::default() };
    let mut stage = stage_with(settings, 1000);
    let (log, members) = stage.log(2);
    stage.block(members[0]);
    for _ in 0..3 {
        stage.publish(log, "0123456789");
        stage.fanout.release_all_delayed();
        stage.sweep();
    }
    stage.publish(log, "0123456789");
    assert!(!stage.fanout.has_work());
    stage.make_room(members[0], UNLIMITED);
    stage.sweep();
    assert_eq!(stage.got(members[0]).len(), 41, "who becomes writable takes all");
}

#[test]
fn used_up_memory_ends_all_delays() {
    let settings = Settings { outbound_limit_bytes: 100, ..Settings::default() };
    let mut stage = stage_with(settings, 1000);
    let (one, ones) = stage.log(1);
    let (two, _) = stage.log(1);
    stage.publish(one, &"x".repeat(60));
    assert_eq!(stage.offer(two, &"y".repeat(60)), Appended::Full);
    stage.sweep();
    assert_eq!(stage.got(ones[0]).len(), 60);
    stage.publish(two, &"y".repeat(60));
}

#[test]
fn an_orderly_end_does_not_wait() {
    let mut stage = stage();
    let (log, members) = stage.log(1);
    stage.publish(log, "a");
    stage.fanout.finish(members[0], Some("close".into()));
    stage.sweep();
    assert_eq!(stage.got(members[0]), "aclose");
}

#[test]
fn the_slot_of_a_closed_log_is_not_given_to_another_before_its_moment() {
    let mut stage = stage();
    let (log, members) = stage.log(1);
    stage.publish(log, "a");
    let _ = stage.fanout.release_delayed(Moment(0));
    stage.fanout.unsubscribe(log, members[0]);
    stage.fanout.close_log(log);
    let (other, _) = stage.log(1);
    assert_ne!(other, log);
    assert_eq!(stage.fanout.release_delayed(Moment(5000)), None);
    let (next, nexts) = stage.log(1);
    assert_eq!(next, log);
    stage.publish(next, "b");
    assert!(!stage.fanout.has_work());
    stage.fanout.release_all_delayed();
    stage.sweep();
    assert_eq!(stage.got(nexts[0]), "b");
}

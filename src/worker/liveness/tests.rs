use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// 25 s and 10 s.
const LAZY: Rhythm = Rhythm { interval: 250, timeout: 100, on_schedule: false };
/// Every second, whatever was heard.
const STRICT: Rhythm = Rhythm { interval: 10, timeout: 100, on_schedule: true };

fn drain<K: Copy>(wheel: &mut Wheel<K>, now: u32) -> Vec<K> {
    std::iter::from_fn(|| wheel.poll(now)).collect()
}

/// Looks when told to, until `end`; tells at which ticks pings went out, and when the peer was given up.
fn watch(rhythm: Rhythm, start: u32, end: u32, mut answers: impl FnMut(u32) -> bool) -> (Vec<u32>, Option<u32>) {
    let mut peer = Liveness::new(start, rhythm.interval, rhythm);
    let mut now = start;
    let mut pings = Vec::new();
    while is_at_or_after(end, now) {
        let next = match peer.poll(now, rhythm) {
            Due::Nothing(next) => next,
            Due::Ping(next) => {
                pings.push(now);
                if answers(now) {
                    peer.heard(now);
                }
                next
            }
            Due::Dead => return (pings, Some(now)),
        };
        assert!(next != now && is_at_or_after(next, now), "the next look is later");
        now = next;
    }
    (pings, None)
}

#[test]
fn a_peer_costs_12_bytes_and_a_wheel_entry_12() {
    assert_eq!(size_of::<Liveness>(), 12);
    assert_eq!(size_of::<Entry<(u32, u32)>>(), 12);
}

#[test]
fn a_silent_peer_is_pinged_once_and_then_given_up() {
    assert_eq!(watch(LAZY, 1000, 9000, |_| false), (vec![1250], Some(1350)));
}

#[test]
fn a_peer_that_answers_is_pinged_each_interval_and_lives() {
    assert_eq!(watch(LAZY, 0, 1000, |_| true), (vec![250, 500, 750, 1000], None));
}

#[test]
fn a_timeout_longer_than_the_interval_does_not_stretch_the_interval() {
    let patient = Rhythm { interval: 10, timeout: 35, on_schedule: false };
    assert_eq!(watch(patient, 0, 50, |_| true), (vec![10, 20, 30, 40, 50], None));
    assert_eq!(watch(patient, 0, 900, |now| now < 20), (vec![10, 20], Some(55)));
}

#[test]
fn a_peer_that_stops_answering_is_given_up_after_its_last_ping() {
    assert_eq!(watch(LAZY, 0, 9000, |now| now < 500), (vec![250, 500], Some(600)));
}

#[test]
fn a_peer_heard_within_the_interval_needs_no_ping() {
    let mut peer = Liveness::new(0, 250, LAZY);
    peer.heard(240);
    assert_eq!(peer.poll(250, LAZY), Due::Nothing(490));
    peer.heard(489);
    assert_eq!(peer.poll(490, LAZY), Due::Nothing(739));
    assert_eq!(peer.poll(739, LAZY), Due::Ping(839));
}

#[test]
fn any_byte_answers_a_ping_even_within_the_same_tick() {
    let mut peer = Liveness::new(0, 250, LAZY);
    assert_eq!(peer.poll(250, LAZY), Due::Ping(350));
    assert!(peer.is_waiting());
    peer.heard(250);
    assert!(!peer.is_waiting());
    assert_eq!(peer.poll(350, LAZY), Due::Nothing(500));
}

#[test]
fn an_answer_in_the_last_tick_is_in_time_and_one_later_is_not() {
    let waiting = |answered_at: Option<u32>, polled_at| {
        let mut peer = Liveness::new(0, 250, LAZY);
        assert_eq!(peer.poll(250, LAZY), Due::Ping(350));
        if let Some(tick) = answered_at {
            peer.heard(tick);
        }
        peer.poll(polled_at, LAZY)
    };
    assert_eq!(waiting(None, 349), Due::Nothing(350));
    assert_eq!(waiting(Some(349), 350), Due::Nothing(599));
    assert_eq!(waiting(None, 350), Due::Dead);
}

#[test]
fn early_and_repeated_looks_change_nothing() {
    let mut peer = Liveness::new(0, 250, LAZY);
    for now in 0..250 {
        assert_eq!(peer.poll(now, LAZY), Due::Nothing(250));
    }
    assert_eq!(peer.poll(250, LAZY), Due::Ping(350));
    for now in 250..350 {
        assert_eq!(peer.poll(now, LAZY), Due::Nothing(350));
    }
}

#[test]
fn first_pings_are_spread_by_what_the_caller_draws() {
    for first_ping in [1, 7, 250] {
        let mut peer = Liveness::new(0, first_ping, LAZY);
        assert_eq!(peer.poll(first_ping - 1, LAZY), Due::Nothing(first_ping));
        assert_eq!(peer.poll(first_ping, LAZY), Due::Ping(first_ping + 100));
        peer.heard(first_ping + 2);
        assert_eq!(peer.poll(first_ping + 100, LAZY), Due::Nothing(first_ping + 252));
    }
}

#[test]
fn on_schedule_pings_go_out_to_a_peer_that_is_heard_all_the_time() {
    let mut peer = Liveness::new(0, 10, STRICT);
    let mut pings = Vec::new();
    for now in 0..=50 {
        peer.heard(now);
        if let Due::Ping(next) = peer.poll(now, STRICT) {
            assert_eq!(next, now + 10);
            pings.push(now);
        }
    }
    assert_eq!(pings, [10, 20, 30, 40, 50]);
}

#[test]
fn on_schedule_the_timeout_counts_from_the_first_ping_that_was_not_answered() {
    let (pings, dead) = watch(STRICT, 0, 9000, |now| now < 30);
    assert_eq!(pings, (10..130).step_by(10).collect::<Vec<u32>>());
    assert_eq!(dead, Some(130));
}

#[test]
fn a_late_look_sends_one_ping_and_not_one_per_missed_interval() {
    let mut peer = Liveness::new(0, 10, STRICT);
    assert_eq!(peer.poll(95, STRICT), Due::Ping(105));
    assert_eq!(peer.poll(96, STRICT), Due::Nothing(105));
}

#[test]
fn a_byte_stamped_later_than_the_look_is_not_taken_for_an_age_old_one() {
    let mut peer = Liveness::new(0, 250, LAZY);
    peer.heard(251);
    assert_eq!(peer.poll(250, LAZY), Due::Nothing(500));
}

#[test]
fn ticks_may_wrap() {
    let start = u32::MAX - 300;
    let (pings, dead) = watch(LAZY, start, start.wrapping_add(9000), |now| now != start.wrapping_add(500));
    assert_eq!(pings, [start.wrapping_add(250), start.wrapping_add(500)]);
    assert_eq!(dead, Some(start.wrapping_add(600)));
    let mut wheel = Wheel::new(512, start);
    wheel.schedule('a', start.wrapping_add(299));
    wheel.schedule('b', start.wrapping_add(310));
    wheel.schedule('c', start.wrapping_add(900));
    assert_eq!(drain(&mut wheel, start.wrapping_add(298)), []);
    assert_eq!(drain(&mut wheel, start.wrapping_add(309)), ['a']);
    assert_eq!(drain(&mut wheel, start.wrapping_add(899)), ['b']);
    assert_eq!(drain(&mut wheel, start.wrapping_add(900)), ['c']);
}

#[test]
fn a_key_comes_back_at_its_tick_and_only_once() {
    let mut wheel = Wheel::new(512, 0);
    wheel.schedule('a', 5);
    assert_eq!(drain(&mut wheel, 4), []);
    assert_eq!(drain(&mut wheel, 5), ['a']);
    assert_eq!(drain(&mut wheel, 1000), []);
    assert!(wheel.is_empty());
}

#[test]
fn a_deadline_of_many_turns_stays_until_it_is_due() {
    let mut wheel = Wheel::new(8, 0);
    wheel.schedule('a', 8 * 5 + 3);
    for now in 0..8 * 5 + 3 {
        assert_eq!(drain(&mut wheel, now), [], "{now}");
    }
    assert_eq!(drain(&mut wheel, 8 * 5 + 3), ['a']);
}

#[test]
fn a_tick_that_is_past_comes_back_at_the_next_one() {
    let mut wheel = Wheel::new(8, 100);
    wheel.schedule('a', 3);
    assert_eq!(drain(&mut wheel, 100), []);
    assert_eq!(drain(&mut wheel, 101), ['a']);
}

#[test]
fn a_key_scheduled_again_for_now_does_not_keep_the_drain_going() {
    let mut wheel = Wheel::new(8, 0);
    wheel.schedule('a', 3);
    let mut times = 0;
    while let Some(key) = wheel.poll(3) {
        times += 1;
        wheel.schedule(key, 3);
    }
    assert_eq!((times, wheel.len()), (1, 1));
}

#[test]
fn a_drain_that_stops_at_a_budget_goes_on_where_it_was() {
    let mut wheel = Wheel::new(8, 0);
    (0..10).for_each(|key| wheel.schedule(key, 3));
    let first: Vec<i32> = (0..4).filter_map(|_| wheel.poll(3)).collect();
    let rest = drain(&mut wheel, 4);
    let mut all = [first, rest].concat();
    all.sort_unstable();
    assert_eq!(all, (0..10).collect::<Vec<i32>>());
}

#[test]
fn a_wheel_not_polled_for_long_gives_all_that_is_due_and_nothing_else() {
    let mut wheel = Wheel::new(8, 0);
    (1..200).for_each(|due| wheel.schedule(due, due));
    let mut late = drain(&mut wheel, 150);
    late.sort_unstable();
    assert_eq!(late, (1..=150).collect::<Vec<u32>>());
    assert_eq!(wheel.len(), 49);
}

#[test]
fn the_next_look_is_never_later_than_a_deadline() {
    let mut wheel = Wheel::new(8, 0);
    assert_eq!(wheel.next_look(), None);
    wheel.schedule('a', 5);
    assert_eq!(wheel.next_look(), Some(5));
    // Two turns ahead: told a turn early, then told right.
    let mut wheel = Wheel::new(8, 0);
    wheel.schedule('a', 13);
    assert_eq!(wheel.next_look(), Some(5));
    assert_eq!(drain(&mut wheel, 5), []);
    assert_eq!(wheel.next_look(), Some(13));
}

#[test]
fn the_room_of_a_storm_is_given_back_bucket_by_bucket() {
    const STORM: u32 = 10_000;
    let mut wheel = Wheel::new(512, 0);
    let entry_bytes = size_of::<Entry<u32>>();
    let at_rest = wheel.capacity_bytes();
    (0..STORM).for_each(|key| wheel.schedule(key, 1));
    // The whole storm moves on together through 100 other buckets.
    for now in 1..=100 {
        for key in drain(&mut wheel, now) {
            wheel.schedule(key, now + 1);
        }
        // The bucket that is filled, by doubling, and the one that is being left.
        assert!(wheel.capacity_bytes() <= at_rest + 4 * STORM as usize * entry_bytes);
    }
    assert_eq!(drain(&mut wheel, 101).len(), STORM as usize);
    assert_eq!(wheel.poll(102), None);
    assert!(wheel.capacity_bytes() <= at_rest + 512 * 16 * entry_bytes);
}

proptest! {
    #[test]
    fn the_wheel_gives_each_key_at_the_first_poll_at_or_after_its_tick(
        span in 1..40_u32,
        start in prop_oneof![Just(0_u32), Just(u32::MAX - 60), any::<u32>()],
        steps in prop::collection::vec((0..50_u32, prop::collection::vec(0..120_u32, 0..4), 0..6_usize), 1..30),
    ) {
        let mut wheel = Wheel::new(span, start);
        // Key -> ticks after start at which it is due.
        let mut naive: BTreeMap<usize, u32> = BTreeMap::new();
        let (mut now, mut polled, mut keys) = (0_u32, 0_u32, 0_usize..);
        for (forward, delays, budget) in steps {
            for delay in delays {
                let key = keys.next().unwrap();
                wheel.schedule(key, start.wrapping_add(now + delay));
                naive.insert(key, (now + delay).max(polled + 1));
            }
            now += forward;
            // A poll with a budget first: what it gives must be due.
            let mut came: Vec<usize> = (0..budget).map_while(|_| wheel.poll(start.wrapping_add(now))).collect();
            came.extend(drain(&mut wheel, start.wrapping_add(now)));
            polled = now;
            came.sort_unstable();
            let due: Vec<usize> = naive.iter().filter(|&(_, &due)| due <= now).map(|(&key, _)| key).collect();
            prop_assert_eq!(came, due);
            naive.retain(|_, due| *due > now);
            prop_assert_eq!(wheel.len(), naive.len());
            let next = wheel.next_look().map(|tick| tick.wrapping_sub(start));
            prop_assert_eq!(next.is_none(), naive.is_empty());
            prop_assert!(next.is_none_or(|tick| tick > now && naive.values().all(|&due| tick <= due)));
        }
    }
}

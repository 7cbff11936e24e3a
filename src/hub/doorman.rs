//! Says of those who come and go whether their topic is told, no faster than a rate. Pure: `now` comes in.

use std::time::{Duration, Instant};

use dashmap::{DashMap, Entry};

use super::topic::TopicId;

/// How much of a rate may be told at once. Two seconds' worth: a page of people whose network comes back is told whole.
const BURST: Duration = Duration::from_secs(2);

/// What of it is kept for the leaves of those whose join was told: see [`Doorman::leave`].
const KEPT_BACK: Duration = Duration::from_secs(1);

/// Whether those of a topic who want to know are told that a member came, or that it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Notice {
    /// They are.
    Told,
    /// They are not: too many come, or too many go.
    Dropped,
}

/// Lets joins and leaves of each topic pass at a rate, and drops what is over it.
///
/// Each join is a push to every subscriber: when n come at once, they are n² pushes, before which nothing else of the topic
/// has a chance. Joins and leaves have a rate each, so that a crowd that comes does not silence those who go.
///
/// Nothing is kept of a topic in which nobody came or went for [`BURST`]: about 50 bytes for each of the others.
#[derive(Debug, Default)]
pub struct Doorman {
    topics: DashMap<TopicId, Busy>,
}

/// Until when the rates of a topic are used up: what leaky buckets hold, as times (GCRA).
#[derive(Debug, Clone, Copy)]
struct Busy {
    joins: Instant,
    leaves: Instant,
}

impl Doorman {
    /// A member comes to `topic`, of whose joins at most `per_second` are told; 0 is no limit.
    pub fn join(&self, topic: TopicId, per_second: u32, now: Instant) -> Notice {
        self.pass(topic, per_second, now, |busy| (&mut busy.joins, BURST))
    }

    /// A member goes of whose join it was said `join`.
    ///
    /// Where more go than may be told, those come first whose join was told, since everyone may believe them to be there: the
    /// others have half of the burst only. So in a crowd that comes and goes for long, nearly all of those whose joins are told
    /// have their leaves told as well; and when the crowd has settled, everyone's leave is, for who came later has the others from
    /// the topic's presence.
    pub fn leave(&self, topic: TopicId, per_second: u32, join: Notice, now: Instant) -> Notice {
        let within = match join {
            Notice::Told => BURST,
            Notice::Dropped => BURST - KEPT_BACK,
        };
        self.pass(topic, per_second, now, |busy| (&mut busy.leaves, within))
    }

    /// Forgets topics of which everything may be told again. Call it about once a second. O(topics that are known).
    pub fn tidy(&self, now: Instant) {
        self.topics.retain(|_, busy| busy.joins > now || busy.leaves > now);
    }

    /// Topics of which something is known.
    pub fn len(&self) -> usize {
        self.topics.len()
    }

    /// Whether nobody came or went lately.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    fn pass(
        &self,
        topic: TopicId,
        per_second: u32,
        now: Instant,
        of: impl FnOnce(&mut Busy) -> (&mut Instant, Duration),
    ) -> Notice {
        if per_second == 0 {
            return Notice::Told;
        }
        let mut busy = match self.topics.entry(topic) {
            Entry::Occupied(entry) => entry.into_ref(),
            Entry::Vacant(entry) => entry.insert(Busy { joins: now, leaves: now }),
        };
        let (until, within) = of(&mut busy);
        let after = (*until).max(now) + Duration::from_secs(1) / per_second;
        if after > now + within {
            return Notice::Dropped;
        }
        *until = after;
        Notice::Told
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const TOPIC: TopicId = TopicId(7);

    fn told(count: usize, mut one: impl FnMut() -> Notice) -> usize {
        (0..count).filter(|_| one() == Notice::Told).count()
    }

    #[test]
    fn two_seconds_worth_is_told_at_once_and_then_the_rate() {
        let (doorman, start) = (Doorman::default(), Instant::now());
        let join = |now| doorman.join(TOPIC, 50, now);
        assert_eq!(told(1000, || join(start)), 100);
        assert_eq!(join(start + Duration::from_millis(19)), Notice::Dropped);
        assert_eq!(join(start + Duration::from_millis(20)), Notice::Told);
        assert_eq!(join(start + Duration::from_millis(20)), Notice::Dropped);
        assert_eq!(told(1000, || join(start + Duration::from_millis(1020))), 50);
        assert_eq!(told(1000, || join(start + Duration::from_secs(60))), 100, "and never more than that");
    }

    #[test]
    fn a_crowd_that_comes_silences_neither_those_who_go_nor_another_topic() {
        let (doorman, now) = (Doorman::default(), Instant::now());
        assert_eq!(told(10, || doorman.join(TOPIC, 1, now)), 2);
        assert_eq!(told(10, || doorman.leave(TOPIC, 1, Notice::Told, now)), 2);
        assert_eq!(told(10, || doorman.join(TopicId(8), 1, now)), 2);
    }

    #[test]
    fn without_a_rate_everything_is_told_and_nothing_is_kept() {
        let (doorman, now) = (Doorman::default(), Instant::now());
        assert_eq!(told(10_000, || doorman.join(TOPIC, 0, now)), 10_000);
        assert!(doorman.is_empty());
    }

    #[test]
    fn a_topic_is_forgotten_when_everything_may_be_told_again_and_not_before() {
        let (doorman, start) = (Doorman::default(), Instant::now());
        assert_eq!(told(100, || doorman.join(TOPIC, 10, start)), 20);
        doorman.tidy(start + Duration::from_millis(1999));
        assert_eq!(doorman.len(), 1);
        doorman.tidy(start + BURST);
        assert!(doorman.is_empty());
        assert_eq!(told(100, || doorman.join(TOPIC, 10, start + BURST)), 20);
    }

    #[test]
    fn a_worker_whose_clock_is_behind_takes_nothing_away() {
        let (doorman, start) = (Doorman::default(), Instant::now());
        let later = start + Duration::from_secs(5);
        assert_eq!(told(100, || doorman.join(TOPIC, 10, later)), 20);
        assert_eq!(doorman.join(TOPIC, 10, start), Notice::Dropped);
        assert_eq!(doorman.join(TOPIC, 10, later + Duration::from_millis(100)), Notice::Told);
    }

    #[test]
    fn in_a_crowd_that_comes_and_goes_nearly_all_who_were_told_to_come_are_told_to_go() {
        let (doorman, start) = (Doorman::default(), Instant::now());
        let mut going: Vec<Vec<Notice>> = vec![Vec::new(); 66_000];
        let (mut joins, mut left, mut pairs) = (0, 0, 0);
        // A thousand come each second, and stay for one to six.
        for ms in 0..60_000_usize {
            let now = start + Duration::from_millis(ms as u64);
            let join = doorman.join(TOPIC, 50, now);
            joins += usize::from(join == Notice::Told);
            going[ms + 1000 + ms * 7919 % 5000].push(join);
            for join in std::mem::take(&mut going[ms]) {
                let leave = doorman.leave(TOPIC, 50, join, now);
                left += usize::from(join == Notice::Told);
                pairs += usize::from((join, leave) == (Notice::Told, Notice::Told));
            }
        }
        assert_eq!(joins, 100 + 60 * 50 - 1);
        // If all were alike, it would be one in twenty.
        assert!(left > 2700 && pairs * 100 > left * 97, "{pairs} of {left}");
    }

    #[test]
    fn when_a_crowd_has_settled_the_leaves_of_all_are_told() {
        let (doorman, start) = (Doorman::default(), Instant::now());
        let joins: Vec<Notice> = (0..1000).map(|_| doorman.join(TOPIC, 50, start)).collect();
        for (after, join) in joins.into_iter().enumerate() {
            let now = start + Duration::from_millis(20 * after as u64);
            assert_eq!(doorman.leave(TOPIC, 50, join, now), Notice::Told);
        }
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_has_more_joins_or_leaves_than_its_rate_and_a_burst(
            per_second in 1..500_u32,
            steps in vec((0..200_u64, 0..3_u8), 1..300),
        ) {
            let (doorman, start) = (Doorman::default(), Instant::now());
            let (mut joins, mut leaves) = (Vec::new(), Vec::new());
            let mut ms = 0;
            for (pause_ms, what) in steps {
                ms += pause_ms;
                let now = start + Duration::from_millis(ms);
                doorman.tidy(now);
                let (notice, list) = match what {
                    0 => (doorman.join(TOPIC, per_second, now), &mut joins),
                    1 => (doorman.leave(TOPIC, per_second, Notice::Told, now), &mut leaves),
                    _ => (doorman.leave(TOPIC, per_second, Notice::Dropped, now), &mut leaves),
                };
                if notice == Notice::Told {
                    list.push(ms);
                }
                for list in [&joins, &leaves] {
                    for since in list.iter().copied().collect::<HashSet<u64>>() {
                        let count = list.iter().filter(|&&at| at >= since).count() as u64;
                        prop_assert!(count * 1000 <= (ms - since + 2000) * u64::from(per_second) + 1000);
                    }
                }
            }
        }
    }
}

//! When keys are fetched: regularly, early if a token needs it, and again soon if it failed. Pure.

use std::time::{Duration, Instant};

/// When the next fetch is due.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    refresh: Duration,
    /// When the last fetch ended.
    last: Option<Instant>,
    /// Fetches that failed in a row.
    failures: u32,
}

impl Schedule {
    /// Between the end of a fetch and the next one: tokens with made-up key ids must not become load on whoever serves
    /// the keys.
    pub(super) const GAP: Duration = Duration::from_secs(5);

    /// After failures, at most this long.
    const LONGEST_PAUSE: Duration = Duration::from_secs(60);

    /// Due at once, then every `refresh`.
    pub(super) fn new(refresh: Duration) -> Self {
        Self { refresh, last: None, failures: 0 }
    }

    /// When the next fetch is due; `None` is at once. `wanted`: a token waits for it.
    pub(super) fn due(&self, wanted: bool) -> Option<Instant> {
        let pause = match (self.failures, wanted) {
            (0, false) => self.refresh,
            (_, true) => Self::GAP.min(self.refresh),
            // 5, 10, 20, 40, 60 seconds; never longer than without a failure.
            (failures, false) => (Self::GAP * (1 << (failures - 1).min(4))).min(Self::LONGEST_PAUSE).min(self.refresh),
        };
        self.last.map(|last| last + pause)
    }

    /// A fetch ended at `now`.
    pub(super) fn ended(&mut self, now: Instant, well: bool) {
        self.last = Some(now);
        self.failures = if well { 0 } else { self.failures.saturating_add(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(schedule: &Schedule, now: Instant) -> (u64, u64) {
        let secs = |wanted| (schedule.due(wanted).unwrap() - now).as_secs();
        (secs(false), secs(true))
    }

    #[test]
    fn the_first_fetch_is_due_at_once_and_the_others_regularly_or_early_if_wanted() {
        let now = Instant::now();
        let mut schedule = Schedule::new(Duration::from_secs(300));
        assert_eq!((schedule.due(false), schedule.due(true)), (None, None));
        schedule.ended(now, true);
        assert_eq!(pauses(&schedule, now), (300, 5));
    }

    #[test]
    fn after_failures_it_is_tried_again_ever_later_and_not_later_than_without() {
        let now = Instant::now();
        let mut schedule = Schedule::new(Duration::from_secs(300));
        for expected in [5, 10, 20, 40, 60, 60, 60] {
            schedule.ended(now, false);
            assert_eq!(pauses(&schedule, now), (expected, 5));
        }
        schedule.failures = u32::MAX;
        schedule.ended(now, false);
        assert_eq!(pauses(&schedule, now), (60, 5));
        schedule.ended(now, true);
        assert_eq!(pauses(&schedule, now), (300, 5));
        let mut often = Schedule::new(Duration::from_secs(2));
        often.ended(now, false);
        assert_eq!(pauses(&often, now), (2, 2));
    }
}

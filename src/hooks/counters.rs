//! What is counted of hooks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::failure::Failure;
use super::hook::Hook;

/// Counters of all hooks, by [`Hook::index`].
#[derive(Debug, Default)]
pub struct HookCounters {
    durations: [Durations; Hook::ALL.len()],
    failures: [[AtomicU64; Failure::CODES.len()]; Hook::ALL.len()],
    lost: [AtomicU64; Hook::ALL.len()],
    coalesced: [AtomicU64; Hook::ALL.len()],
}

/// How long calls took.
#[derive(Debug, Default)]
struct Durations {
    buckets: [AtomicU64; HookCounters::BOUNDS_SECS.len()],
    nanos: AtomicU64,
}

impl HookCounters {
    /// Upper bounds of the buckets, in seconds; the last has none.
    pub const BOUNDS_SECS: [f64; 12] =
        [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, f64::INFINITY];

    /// A call, or a batch of events, ended after `took`, with or without an answer.
    pub(super) fn took(&self, hook: Hook, took: Duration) {
        let durations = &self.durations[hook.index()];
        let bucket = Self::BOUNDS_SECS.iter().position(|&bound| took.as_secs_f64() <= bound);
        durations.buckets[bucket.unwrap_or(Self::BOUNDS_SECS.len() - 1)].fetch_add(1, Ordering::Relaxed);
        durations.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// `count` calls, or a batch, have no answer.
    pub(super) fn failed(&self, hook: Hook, failure: &Failure, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.failures[hook.index()][failure.index()].fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn lose(&self, hook: Hook, count: u64) {
        self.lost[hook.index()].fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn coalesce(&self, hook: Hook) {
        self.coalesced[hook.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// How long calls of a hook took: their number by bucket, and the sum in seconds.
    pub fn durations(&self, hook: Hook) -> ([u64; Self::BOUNDS_SECS.len()], f64) {
        let durations = &self.durations[hook.index()];
        let counts = std::array::from_fn(|index| durations.buckets[index].load(Ordering::Relaxed));
        (counts, durations.nanos.load(Ordering::Relaxed) as f64 / 1e9)
    }

    /// Calls of a hook without an answer, by their place in [`Failure::CODES`].
    pub fn failures(&self, hook: Hook, code: usize) -> u64 {
        self.failures[hook.index()][code].load(Ordering::Relaxed)
    }

    /// Events of a hook that were not delivered and never will be.
    pub fn lost(&self, hook: Hook) -> u64 {
        self.lost[hook.index()].load(Ordering::Relaxed)
    }

    /// Calls of a hook that got the answer of another.
    pub fn coalesced(&self, hook: Hook) -> u64 {
        self.coalesced[hook.index()].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_in_the_first_bucket_that_holds_it() {
        let counters = HookCounters::default();
        for ms in [1, 2, 1000, 60_000] {
            counters.took(Hook::Rpc, Duration::from_millis(ms));
        }
        let (buckets, sum) = counters.durations(Hook::Rpc);
        assert_eq!(buckets, [1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1]);
        assert!((sum - 61.003).abs() < 1e-9, "{sum}");
        assert_eq!(counters.durations(Hook::Connect).0.iter().sum::<u64>(), 0);
    }
}

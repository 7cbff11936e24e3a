//! How much of something one connection may do: a token bucket in whole numbers. Pure: ticks come in.

use super::liveness::elapsed;

/// Seconds' worth of a rate that may be spent at once. Two, so that who sends a second's worth of what it gathered each
/// second is never over.
pub(super) const BURST_SECONDS: u32 = 2;

/// As in [`super::liveness`]: a tick is 100 ms.
const TICKS_PER_SECOND: u64 = 10;

/// Tokens per second, at least 1, and a burst of [`BURST_SECONDS`] of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    per_second: u32,
}

/// What one connection has left of a [`Rate`]. 16 bytes, and only while it is not full: see `pacing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bucket {
    /// Tenths of tokens that it lacks of the burst. Each tick, a tenth of a second, brings back as many as the rate has
    /// whole tokens per second: there is no remainder that could be lost, so it does not drift.
    lacks_tenths: u64,
    /// The tick up to which it was filled.
    filled: u32,
}

/// Whether tokens were there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Taken {
    Within,
    /// They were not, and none was taken.
    Over,
}

impl Rate {
    /// A rate of so many tokens per second; `None` for 0, which stands for no limit. More than 32 bits are taken as
    /// those: no one connection gets there.
    pub(super) fn new(per_second: u64) -> Option<Self> {
        let per_second = u32::try_from(per_second).unwrap_or(u32::MAX);
        (per_second > 0).then_some(Self { per_second })
    }

    /// Tokens of a full bucket.
    pub(super) fn burst(self) -> u64 {
        u64::from(self.per_second) * u64::from(BURST_SECONDS)
    }

    /// Tokens worth waiting for: a quarter of a second's, and one at least. Waking at each single one would be a read
    /// per tick and connection, waiting for all a stutter.
    pub(super) fn worth_waiting_for(self) -> u64 {
        u64::from(self.per_second / 4).max(1)
    }

    fn burst_tenths(self) -> u64 {
        self.burst() * TICKS_PER_SECOND
    }
}

impl Bucket {
    /// A bucket that lacks nothing.
    pub(super) fn full(now: u32) -> Self {
        Self { lacks_tenths: 0, filled: now }
    }

    /// Takes `tokens`, all or none.
    pub(super) fn take(&mut self, tokens: u64, now: u32, rate: Rate) -> Taken {
        if tokens > self.tokens(now, rate) {
            return Taken::Over;
        }
        self.owe(tokens, now, rate);
        Taken::Within
    }

    /// Takes `tokens` whether they are there or not: those that are not come out of what it gets later.
    pub(super) fn owe(&mut self, tokens: u64, now: u32, rate: Rate) {
        self.fill(now, rate);
        self.lacks_tenths = self.lacks_tenths.saturating_add(tokens.saturating_mul(TICKS_PER_SECOND));
    }

    /// Whole tokens that are there.
    pub(super) fn tokens(&mut self, now: u32, rate: Rate) -> u64 {
        self.fill(now, rate);
        rate.burst_tenths().saturating_sub(self.lacks_tenths) / TICKS_PER_SECOND
    }

    /// Ticks until `tokens` are there, at most a burst; 0 if they are.
    pub(super) fn ticks_until(&mut self, tokens: u64, now: u32, rate: Rate) -> u32 {
        self.fill(now, rate);
        let may_lack = rate.burst_tenths().saturating_sub(tokens.saturating_mul(TICKS_PER_SECOND));
        let ticks = self.lacks_tenths.saturating_sub(may_lack).div_ceil(u64::from(rate.per_second));
        // Ticks wrap, so one further off than half their range would be in the past.
        u32::try_from(ticks).unwrap_or(u32::MAX).min(u32::MAX / 4)
    }

    fn fill(&mut self, now: u32, rate: Rate) {
        let ticks = elapsed(now, self.filled);
        self.lacks_tenths = self.lacks_tenths.saturating_sub(u64::from(ticks) * u64::from(rate.per_second));
        self.filled = self.filled.wrapping_add(ticks);
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn rate(per_second: u64) -> Rate {
        Rate::new(per_second).unwrap()
    }

    #[test]
    fn a_rate_of_0_is_no_limit_and_one_of_more_than_32_bits_is_cut() {
        assert_eq!(Rate::new(0), None);
        assert_eq!(Rate::new(u64::MAX), Rate::new(u64::from(u32::MAX)));
    }

    #[test]
    fn two_seconds_worth_is_there_at_once_and_not_one_more() {
        let mut bucket = Bucket::full(7);
        assert_eq!(bucket.take(19, 7, rate(10)), Taken::Within);
        assert_eq!(bucket.take(2, 7, rate(10)), Taken::Over, "all or none");
        assert_eq!(bucket.take(1, 7, rate(10)), Taken::Within);
        assert_eq!(bucket.take(1, 7, rate(10)), Taken::Over);
        assert_eq!(bucket.take(1, 8, rate(10)), Taken::Within, "a tick brings a tenth of a second's");
        assert_eq!(bucket.take(1, 8, rate(10)), Taken::Over);
    }

    #[test]
    fn an_empty_bucket_is_full_again_after_two_seconds_and_never_fuller() {
        let mut bucket = Bucket::full(0);
        bucket.owe(10, 0, rate(5));
        assert_eq!(bucket.ticks_until(1, 0, rate(5)), 2);
        assert_eq!(bucket.ticks_until(10, 0, rate(5)), 20);
        assert_eq!((bucket.tokens(19, rate(5)), bucket.tokens(20, rate(5))), (9, 10));
        assert_eq!(bucket.tokens(1_000_000, rate(5)), 10);
        assert_eq!(bucket.ticks_until(10, 1_000_000, rate(5)), 0);
    }

    #[test]
    fn what_is_owed_is_paid_before_anything_is_there() {
        let mut bucket = Bucket::full(0);
        bucket.owe(40, 0, rate(10));
        assert_eq!(bucket.ticks_until(1, 0, rate(10)), 21);
        assert_eq!((bucket.tokens(20, rate(10)), bucket.tokens(21, rate(10))), (0, 1));
    }

    #[test]
    fn a_clock_that_is_behind_takes_nothing_away_and_one_that_wraps_goes_on() {
        let mut bucket = Bucket::full(u32::MAX - 1);
        bucket.owe(20, u32::MAX - 1, rate(10));
        assert_eq!(bucket.tokens(u32::MAX - 5, rate(10)), 0);
        assert_eq!(bucket.tokens(2, rate(10)), 4);
        assert_eq!(bucket.tokens(1, rate(10)), 4);
    }

    #[test]
    fn what_is_worth_waiting_for_is_less_than_a_burst() {
        for per_second in [1, 2, 3, 4, 5, 1000, u64::from(u32::MAX)] {
            let worth = rate(per_second).worth_waiting_for();
            assert!((1..=rate(per_second).burst() / 2).contains(&worth), "{per_second}: {worth}");
        }
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_grants_more_than_its_rate_and_a_burst(
            per_second in 1..1000_u64,
            asked in vec((0..30_u32, 0..3000_u64), 1..60),
            start in any::<u32>(),
        ) {
            let rate = rate(per_second);
            let mut bucket = Bucket::full(start);
            let mut now = 0;
            let mut granted: Vec<(u32, u64)> = Vec::new();
            for (ticks, tokens) in asked {
                now += ticks;
                if bucket.take(tokens, start.wrapping_add(now), rate) == Taken::Within {
                    granted.push((now, tokens));
                }
                // Of every stretch that ends here.
                let mut sum = 0;
                for &(since, tokens) in granted.iter().rev() {
                    sum += tokens;
                    prop_assert!(sum * 10 <= u64::from(now - since) * per_second + rate.burst() * 10);
                }
            }
        }

        #[test]
        fn who_takes_all_there_is_at_each_tick_gets_exactly_the_rate(per_second in 1..1000_u64, ticks in 0..500_u32) {
            let rate = rate(per_second);
            let mut bucket = Bucket::full(0);
            let mut got = 0;
            for now in 0..=ticks {
                while bucket.take(1, now, rate) == Taken::Within {
                    got += 1;
                }
            }
            prop_assert_eq!(got, rate.burst() + u64::from(ticks) * per_second / 10);
        }

        #[test]
        fn what_is_waited_for_is_there_then_and_not_a_tick_before(
            per_second in 1..1000_u64,
            owed in 0..5000_u64,
            share in 0.0..=1.0_f64,
        ) {
            let rate = rate(per_second);
            let wanted = ((rate.burst() as f64 * share) as u64).max(1);
            let mut bucket = Bucket::full(0);
            bucket.owe(owed, 0, rate);
            let ticks = bucket.ticks_until(wanted, 0, rate);
            let mut earlier = bucket;
            prop_assert!(ticks == 0 || earlier.tokens(ticks - 1, rate) < wanted);
            prop_assert!(bucket.tokens(ticks, rate) >= wanted);
        }
    }
}

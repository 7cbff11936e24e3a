//! When a URL is left alone for a while, because calls of it fail.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// One per URL. Pure: time comes in.
///
/// Closed, every call goes. Once enough calls of the last [`Breaker::WINDOW`] have failed it opens, and no call goes for
/// a pause; then one goes as a probe (half-open). If that succeeds it is closed, and what was counted is forgotten; if
/// it fails the next pause is twice as long, up to [`Breaker::LONGEST_PAUSE`].
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    /// Tallies of the last seconds, the newest last.
    tallies: VecDeque<Tally>,
    /// How often it changed between closed and open: what was let go before a change says nothing after it.
    life: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { until: Instant, pause: Duration },
    HalfOpen { pause: Duration },
}

#[derive(Debug)]
struct Tally {
    began: Instant,
    calls: u32,
    failures: u32,
}

/// What a call that may go has to bring back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) struct Pass {
    life: u64,
}

/// How a call went, for the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The backend is well.
    Well,
    /// It is not.
    Ill,
}

/// A change that is worth telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It opened, for so long.
    Opened(Duration),
    /// It closed.
    Closed,
}

/// As the metric tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    Closed = 0,
    HalfOpen = 1,
    Open = 2,
}

impl Breaker {
    /// What is counted: calls that ended in the last ten seconds.
    pub(super) const WINDOW: Duration = Duration::from_secs(10);
    const TALLY: Duration = Duration::from_secs(1);
    /// Fewer calls than these say nothing.
    pub(super) const FEWEST_CALLS: u32 = 20;
    /// It opens when half of them failed.
    const SHARE: (u32, u32) = (1, 2);
    /// The first pause. As long as a process takes to be started again, at the least.
    pub(super) const FIRST_PAUSE: Duration = Duration::from_secs(1);
    /// No pause is longer: so long a backend that is well again may wait for its first call.
    pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

    pub(super) fn new() -> Self {
        Self { state: State::Closed, tallies: VecDeque::new(), life: 0 }
    }

    /// Whether a call that is asked for now has any prospect.
    pub(super) fn is_passable(&self, now: Instant) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { until, .. } => now >= until,
            State::HalfOpen { .. } => false,
        }
    }

    /// Lets a call go, or not. Bring the pass back with [`Breaker::record`], whatever becomes of the call.
    pub(super) fn pass(&mut self, now: Instant) -> Option<Pass> {
        if !self.is_passable(now) {
            return None;
        }
        if let State::Open { pause, .. } = self.state {
            self.state = State::HalfOpen { pause };
            self.life += 1;
        }
        Some(Pass { life: self.life })
    }

    /// A call that was let go has ended.
    pub(super) fn record(&mut self, pass: Pass, verdict: Verdict, now: Instant) -> Option<Change> {
        if pass.life != self.life {
            return None;
        }
        match (self.state, verdict) {
            (State::Open { .. }, Verdict::Well | Verdict::Ill) => None,
            (State::Closed, Verdict::Well | Verdict::Ill) => {
                self.count(verdict == Verdict::Ill, now);
                self.is_too_much().then(|| self.open(Self::FIRST_PAUSE, now))
            }
            (State::HalfOpen { .. }, Verdict::Well) => {
                self.state = State::Closed;
                self.tallies.clear();
                self.life += 1;
                Some(Change::Closed)
            }
            (State::HalfOpen { pause }, Verdict::Ill) => Some(self.open((pause * 2).min(Self::LONGEST_PAUSE), now)),
        }
    }

    pub(super) fn position(&self) -> Position {
        match self.state {
            State::Closed => Position::Closed,
            State::HalfOpen { .. } => Position::HalfOpen,
            State::Open { .. } => Position::Open,
        }
    }

    fn open(&mut self, pause: Duration, now: Instant) -> Change {
        self.state = State::Open { until: now + pause, pause };
        self.tallies.clear();
        self.life += 1;
        Change::Opened(pause)
    }

    fn count(&mut self, failed: bool, now: Instant) {
        while self.tallies.front().is_some_and(|tally| now.saturating_duration_since(tally.began) >= Self::WINDOW) {
            self.tallies.pop_front();
        }
        if self.tallies.back().is_none_or(|tally| now.saturating_duration_since(tally.began) >= Self::TALLY) {
            self.tallies.push_back(Tally { began: now, calls: 0, failures: 0 });
        }
        let tally = self.tallies.back_mut().expect("invariant: one was pushed if there was none");
        tally.calls = tally.calls.saturating_add(1);
        tally.failures = tally.failures.saturating_add(u32::from(failed));
    }

    fn is_too_much(&self) -> bool {
        let sum = |of: fn(&Tally) -> u32| self.tallies.iter().map(|tally| u64::from(of(tally))).sum::<u64>();
        let (calls, failures) = (sum(|tally| tally.calls), sum(|tally| tally.failures));
        let (part, whole) = Self::SHARE;
        calls >= u64::from(Self::FEWEST_CALLS) && failures * u64::from(whole) >= calls * u64::from(part)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Lets a call go and ends it at once.
    fn call(breaker: &mut Breaker, verdict: Verdict, now: Instant) -> Option<Change> {
        let pass = breaker.pass(now).expect("it is passable");
        breaker.record(pass, verdict, now)
    }

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new();
        for _ in 1..Breaker::FEWEST_CALLS {
            assert_eq!(call(&mut breaker, Verdict::Ill, now), None);
        }
        assert_eq!(call(&mut breaker, Verdict::Ill, now), Some(Change::Opened(Breaker::FIRST_PAUSE)));
        breaker
    }

    #[test]
    fn it_opens_when_half_of_enough_calls_failed_and_not_before() {
        let now = Instant::now();
        let mut breaker = Breaker::new();
        for _ in 0..11 {
            assert_eq!(call(&mut breaker, Verdict::Well, now), None);
        }
        for _ in 0..10 {
            assert_eq!(call(&mut breaker, Verdict::Ill, now), None, "10 of 21 are less than half");
        }
        assert_eq!(call(&mut breaker, Verdict::Ill, now), Some(Change::Opened(ms(1000))));
        assert!(breaker.pass(now + ms(999)).is_none());
    }

    #[test]
    fn failures_that_are_long_ago_do_not_count() {
        let start = Instant::now();
        let mut breaker = Breaker::new();
        for n in 0..200 {
            // One failure a second: never enough calls within the window.
            assert_eq!(call(&mut breaker, Verdict::Ill, start + ms(1000 * n)), None);
        }
        assert!(breaker.tallies.len() <= 10);
    }

    #[test]
    fn one_probe_goes_at_a_time_and_its_success_closes() {
        let start = Instant::now();
        let mut breaker = opened(start);
        assert_eq!(breaker.position(), Position::Open);
        let probe = breaker.pass(start + ms(1000)).unwrap();
        assert_eq!(breaker.position(), Position::HalfOpen);
        assert!(!breaker.is_passable(start + ms(60_000)) && breaker.pass(start + ms(60_000)).is_none());
        assert_eq!(breaker.record(probe, Verdict::Well, start + ms(1100)), Some(Change::Closed));
        assert_eq!(call(&mut breaker, Verdict::Ill, start + ms(1200)), None, "what was counted before is forgotten");
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            now += Breaker::LONGEST_PAUSE;
            match call(&mut breaker, Verdict::Ill, now) {
                Some(Change::Opened(pause)) => pauses.push(pause.as_secs()),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(pauses, [2, 4, 8, 16, 30, 30, 30]);
    }

    #[test]
    fn what_was_under_way_when_it_opened_neither_closes_nor_prolongs_it() {
        let start = Instant::now();
        let mut breaker = Breaker::new();
        let (early, late) = (breaker.pass(start).unwrap(), breaker.pass(start).unwrap());
        for _ in 0..Breaker::FEWEST_CALLS {
            let _ = call(&mut breaker, Verdict::Ill, start);
        }
        assert_eq!(breaker.record(early, Verdict::Well, start + ms(10)), None);
        assert_eq!(breaker.position(), Position::Open);
        let probe = breaker.pass(start + ms(1000)).unwrap();
        assert_eq!(breaker.record(late, Verdict::Ill, start + ms(1001)), None);
        assert_eq!(breaker.record(probe, Verdict::Well, start + ms(1002)), Some(Change::Closed));
    }

    proptest! {
        #[test]
        fn whatever_happens_it_is_bounded_lets_one_probe_go_and_never_stays_open_for_longer_than_the_longest_pause(
            steps in prop::collection::vec((0u64..3_000, 0u8..3, any::<prop::sample::Index>()), 1..400)
        ) {
            let mut now = Instant::now();
            let mut breaker = Breaker::new();
            let mut under_way: Vec<Pass> = Vec::new();
            for (after, what, which) in steps {
                now += ms(after);
                match what {
                    0 => {
                        let before = breaker.position();
                        match breaker.pass(now) {
                            Some(pass) => {
                                prop_assert!(before != Position::HalfOpen);
                                under_way.push(pass);
                            }
                            None => prop_assert!(before != Position::Closed),
                        }
                    }
                    verdict if !under_way.is_empty() => {
                        let pass = under_way.swap_remove(which.index(under_way.len()));
                        let verdict = [Verdict::Well, Verdict::Ill][usize::from(verdict) - 1];
                        let before = breaker.position();
                        let change = breaker.record(pass, verdict, now);
                        if change == Some(Change::Closed) {
                            prop_assert!(before == Position::HalfOpen && verdict == Verdict::Well);
                        }
                    }
                    _ => {}
                }
                prop_assert!(breaker.tallies.len() <= 11);
                if breaker.position() == Position::Open {
                    prop_assert!(breaker.is_passable(now + Breaker::LONGEST_PAUSE));
                }
                // A half-open one waits for a probe that is still under way.
                if breaker.position() == Position::HalfOpen {
                    prop_assert!(under_way.iter().any(|pass| pass.life == breaker.life));
                }
            }
        }
    }
}

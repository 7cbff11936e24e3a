//! Calls that wait, calls under way, and who waits for which.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::breaker::{Breaker, Change, Pass, Position, Verdict};
use super::failure::Failure;

/// What takes calls in and says which is next. Pure: time comes in, and `J`, what is to be sent, and `D`, who is to be
/// told, go through it unseen.
///
/// Bounded: `limits.concurrency` calls are under way; those that wait, and those that wait for another's answer, hold at
/// most `limits.queue_bytes`, and each counts as [`Desk::COST_BYTES`] at least. What waits for longer than
/// `limits.timeout` fails.
#[derive(Debug)]
pub(super) struct Desk<J, D> {
    limits: DeskLimits,
    /// One per URL.
    breakers: Vec<Breaker>,
    waiting: VecDeque<Waiting<J>>,
    /// Everyone who waits for an answer, by call.
    calls: HashMap<CallId, Call<D>>,
    /// Calls that others may join.
    shared: HashMap<Bytes, CallId>,
    held_bytes: usize,
    under_way: usize,
    next: u64,
    is_ending: bool,
}

/// Bounds of a [`Desk`].
#[derive(Debug, Clone, Copy)]
pub(super) struct DeskLimits {
    pub(super) concurrency: usize,
    pub(super) queue_bytes: usize,
    pub(super) timeout: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CallId(u64);

/// A call that is asked for.
#[derive(Debug)]
pub(super) struct Wanted<J> {
    /// What is to be sent.
    pub(super) job: J,
    /// Which URL.
    pub(super) target: usize,
    /// What it holds while it waits.
    pub(super) bytes: usize,
    /// Calls with an equal one under way at the same time are one.
    pub(super) shared: Option<Bytes>,
}

#[derive(Debug)]
struct Waiting<J> {
    id: CallId,
    job: J,
    target: usize,
    cost: usize,
    deadline: Instant,
}

#[derive(Debug)]
struct Call<D> {
    dones: Vec<D>,
    shared: Option<Bytes>,
    /// What those who joined count as.
    joined_bytes: usize,
}

/// What became of a call that was asked for.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Offered<D> {
    /// It waits for its turn.
    Queued,
    /// An equal one is under way, and its answer will be this one's, too.
    Joined,
    /// It will not be made.
    Refused(Failure, D),
}

/// What is to be done next.
#[derive(Debug)]
#[must_use]
pub(super) enum Next<J, D> {
    /// Make this call until `deadline`, then [`Desk::finish`] it.
    Make { id: CallId, job: J, target: usize, pass: Pass, deadline: Instant },
    /// Tell these that theirs failed.
    Fail { dones: Vec<D>, job: J, failure: Failure },
    /// Nothing, before this time or something else happens.
    Nothing(Option<Instant>),
}

impl<J, D> Desk<J, D> {
    /// What a call counts as beside its body and headers: the structures it waits in, and the closure that is told.
    pub(super) const COST_BYTES: usize = 512;

    pub(super) fn new(limits: DeskLimits, targets: usize) -> Self {
        Self {
            limits,
            breakers: (0..targets).map(|_| Breaker::new()).collect(),
            waiting: VecDeque::new(),
            calls: HashMap::new(),
            shared: HashMap::new(),
            held_bytes: 0,
            under_way: 0,
            next: 0,
            is_ending: false,
        }
    }

    /// Takes a call in; `done` is given back with its answer, or at once if it is not made.
    pub(super) fn offer(&mut self, wanted: Wanted<J>, done: D, now: Instant) -> Offered<D> {
        let Wanted { job, target, bytes, shared, .. } = wanted;
        if self.is_ending {
            return Offered::Refused(Failure::Ending, done);
        }
        if let Some(&id) = shared.as_ref().and_then(|key| self.shared.get(key)) {
            if !self.has_room(Self::COST_BYTES) {
                return Offered::Refused(Failure::Busy, done);
            }
            let call = self.calls.get_mut(&id).expect("invariant: what is shared is a call");
            call.dones.push(done);
            call.joined_bytes += Self::COST_BYTES;
            self.held_bytes += Self::COST_BYTES;
            return Offered::Joined;
        }
        if !self.breakers[target].is_passable(now) {
            return Offered::Refused(Failure::Open, done);
        }
        // The key is held as long as the call is.
        let cost = bytes + shared.as_ref().map_or(0, Bytes::len) + Self::COST_BYTES;
        if !self.has_room(cost) {
            return Offered::Refused(Failure::Busy, done);
        }
        let id = CallId(self.next);
        self.next += 1;
        self.held_bytes += cost;
        if let Some(key) = &shared {
            self.shared.insert(key.clone(), id);
        }
        self.calls.insert(id, Call { dones: vec![done], shared, joined_bytes: 0 });
        self.waiting.push_back(Waiting { id, job, target, cost, deadline: now + self.limits.timeout });
        Offered::Queued
    }

    /// What is to be done at `now`. Call again until there is nothing.
    pub(super) fn next(&mut self, now: Instant) -> Next<J, D> {
        // All wait for equally long, so the first in the queue is the first whose time is over.
        let Some(first) = self.waiting.front() else { return Next::Nothing(None) };
        let is_late = first.deadline <= now;
        if !is_late && self.under_way >= self.limits.concurrency {
            return Next::Nothing(Some(first.deadline));
        }
        let Waiting { id, job, target, cost, deadline } =
            self.waiting.pop_front().expect("invariant: there is a first one");
        self.held_bytes -= cost;
        if is_late {
            let dones = self.close(id);
            return Next::Fail { dones, job, failure: Failure::Waited };
        }
        match self.breakers[target].pass(now) {
            None => Next::Fail { dones: self.close(id), job, failure: Failure::Open },
            Some(pass) => {
                self.under_way += 1;
                Next::Make { id, job, target, pass, deadline }
            }
        }
    }

    /// A call that was made has ended: who is to be told, and whether its URL's breaker changed.
    pub(super) fn finish(
        &mut self,
        id: CallId,
        target: usize,
        pass: Pass,
        verdict: Verdict,
        now: Instant,
    ) -> (Vec<D>, Option<Change>) {
        self.under_way -= 1;
        let change = self.breakers[target].record(pass, verdict, now);
        (self.close(id), change)
    }

    /// Gives up everything, and tells who is to be told. From now on nothing is taken in.
    pub(super) fn abandon(&mut self) -> Vec<D> {
        self.is_ending = true;
        self.waiting.clear();
        self.shared.clear();
        self.held_bytes = 0;
        self.calls.drain().flat_map(|(_, call)| call.dones).collect()
    }

    /// Calls that wait for their turn.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Calls under way.
    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    /// Where the breaker of a URL stands.
    pub(super) fn position(&self, target: usize) -> Position {
        self.breakers[target].position()
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.held_bytes.saturating_add(bytes) <= self.limits.queue_bytes
    }

    fn close(&mut self, id: CallId) -> Vec<D> {
        let Some(mut call) = self.calls.remove(&id) else { return Vec::new() };
        self.held_bytes -= call.joined_bytes;
        if let Some(key) = &call.shared {
            self.shared.remove(key);
        }
        mem::take(&mut call.dones)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(1);

    fn desk(concurrency: usize, queue_bytes: usize) -> Desk<u32, u32> {
        Desk::new(DeskLimits { concurrency, queue_bytes, timeout: TIMEOUT }, 2)
    }

    fn wanted(job: u32) -> Wanted<u32> {
        Wanted { job, target: 0, bytes: 100, shared: None }
    }

    fn shared(job: u32, key: &'static str) -> Wanted<u32> {
        Wanted { shared: Some(Bytes::from_static(key.as_bytes())), ..wanted(job) }
    }

    #[track_caller]
    fn made(desk: &mut Desk<u32, u32>, now: Instant) -> (CallId, u32, Pass) {
        match desk.next(now) {
            Next::Make { id, job, pass, .. } => (id, job, pass),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn calls_are_made_in_order_as_many_at_once_as_may_be() {
        let now = Instant::now();
        let mut desk = desk(2, 1 << 20);
        for n in 0..3 {
            assert_eq!(desk.offer(wanted(n), n, now), Offered::Queued);
        }
        let (first, job, pass) = made(&mut desk, now);
        assert_eq!(job, 0);
        assert_eq!(made(&mut desk, now).1, 1);
        assert!(matches!(desk.next(now), Next::Nothing(Some(at)) if at == now + TIMEOUT));
        assert_eq!(desk.finish(first, 0, pass, Verdict::Well, now), (vec![0], None));
        assert_eq!(made(&mut desk, now).1, 2);
        assert!(matches!(desk.next(now), Next::Nothing(None)));
        assert_eq!((desk.held_bytes, desk.under_way(), desk.waiting()), (0, 2, 0));
    }

    #[test]
    fn the_last_one_fits_the_next_is_busy_and_room_given_back_is_room() {
        let now = Instant::now();
        let mut desk = desk(1, 2 * (100 + Desk::<u32, u32>::COST_BYTES));
        assert_eq!(desk.offer(wanted(0), 0, now), Offered::Queued);
        assert_eq!(desk.offer(wanted(1), 1, now), Offered::Queued);
        assert_eq!(desk.offer(wanted(2), 2, now), Offered::Refused(Failure::Busy, 2));
        let _ = made(&mut desk, now);
        assert_eq!(desk.offer(wanted(3), 3, now), Offered::Queued);
        assert_eq!(desk.offer(wanted(4), 4, now), Offered::Refused(Failure::Busy, 4));
    }

    #[test]
    fn what_waits_for_too_long_fails_whether_there_is_a_place_or_not() {
        let now = Instant::now();
        let mut desk = desk(1, 1 << 20);
        let _ = (desk.offer(wanted(0), 0, now), desk.offer(wanted(1), 1, now));
        let _ = made(&mut desk, now);
        match desk.next(now + TIMEOUT) {
            Next::Fail { dones, job: 1, failure: Failure::Waited, .. } => assert_eq!(dones, [1]),
            other => panic!("{other:?}"),
        }
        assert!(matches!(desk.next(now + TIMEOUT), Next::Nothing(None)));
        assert_eq!(desk.held_bytes, 0);
    }

    #[test]
    fn equal_calls_under_way_are_one_and_later_ones_are_another() {
        let now = Instant::now();
        let mut desk = desk(4, 1 << 20);
        assert_eq!(desk.offer(shared(0, "a"), 0, now), Offered::Queued);
        assert_eq!(desk.offer(shared(1, "a"), 1, now), Offered::Joined);
        assert_eq!(desk.offer(shared(2, "b"), 2, now), Offered::Queued);
        let (a, _, pass) = made(&mut desk, now);
        assert_eq!(desk.offer(shared(3, "a"), 3, now), Offered::Joined, "also one that was sent already");
        assert_eq!(desk.finish(a, 0, pass, Verdict::Well, now).0, [0, 1, 3]);
        assert_eq!(desk.offer(shared(4, "a"), 4, now), Offered::Queued);
        let (_, b) = (made(&mut desk, now), made(&mut desk, now));
        assert_eq!(b.1, 4);
        assert_eq!(desk.held_bytes, 0);
    }

    #[test]
    fn those_who_join_are_bounded_too() {
        let now = Instant::now();
        let cost = Desk::<u32, u32>::COST_BYTES;
        let mut desk = desk(1, 100 + 1 + 3 * cost);
        let _ = desk.offer(shared(0, "a"), 0, now);
        assert_eq!(desk.offer(shared(1, "a"), 1, now), Offered::Joined);
        assert_eq!(desk.offer(shared(2, "a"), 2, now), Offered::Joined);
        assert_eq!(desk.offer(shared(3, "a"), 3, now), Offered::Refused(Failure::Busy, 3));
        let (id, _, pass) = made(&mut desk, now);
        assert_eq!(desk.finish(id, 0, pass, Verdict::Well, now).0, [0, 1, 2]);
        assert_eq!(desk.held_bytes, 0);
    }

    #[test]
    fn a_url_whose_calls_fail_is_left_alone_and_another_is_not() {
        let now = Instant::now();
        let mut desk = desk(100, 1 << 20);
        for n in 0..Breaker::FEWEST_CALLS {
            let _ = desk.offer(wanted(n), n, now);
        }
        // One that waits behind them.
        let mut passes = Vec::new();
        for _ in 0..Breaker::FEWEST_CALLS {
            passes.push(made(&mut desk, now));
        }
        assert_eq!(desk.offer(wanted(99), 99, now), Offered::Queued);
        let mut opened = 0;
        for (id, _, pass) in passes {
            opened += usize::from(desk.finish(id, 0, pass, Verdict::Ill, now).1.is_some());
        }
        assert_eq!((opened, desk.position(0), desk.position(1)), (1, Position::Open, Position::Closed));
        assert!(matches!(desk.next(now), Next::Fail { job: 99, failure: Failure::Open, .. }));
        assert_eq!(desk.offer(wanted(100), 100, now), Offered::Refused(Failure::Open, 100));
        assert_eq!(desk.offer(Wanted { target: 1, ..wanted(101) }, 101, now), Offered::Queued);
        assert_eq!(made(&mut desk, now).1, 101);
        assert_eq!(desk.offer(wanted(102), 102, now + Breaker::FIRST_PAUSE), Offered::Queued);
        assert_eq!(made(&mut desk, now + Breaker::FIRST_PAUSE).1, 102);
        assert_eq!(desk.position(0), Position::HalfOpen);
    }

    #[test]
    fn one_that_ends_takes_nothing_in_and_gives_up_everyone() {
        let now = Instant::now();
        let mut desk = desk(1, 1 << 20);
        let _ = (desk.offer(shared(0, "a"), 0, now), desk.offer(shared(1, "a"), 1, now), desk.offer(wanted(2), 2, now));
        let (id, _, pass) = made(&mut desk, now);
        let mut abandoned = desk.abandon();
        abandoned.sort_unstable();
        assert_eq!(abandoned, [0, 1, 2]);
        assert_eq!(desk.finish(id, 0, pass, Verdict::Well, now).0, Vec::<u32>::new());
        assert_eq!(desk.offer(wanted(3), 3, now), Offered::Refused(Failure::Ending, 3));
        assert_eq!((desk.held_bytes, desk.under_way()), (0, 0));
    }

    proptest! {
        #[test]
        fn whatever_happens_it_is_bounded_and_everyone_is_told_exactly_once(
            steps in prop::collection::vec((0u8..5, 0u64..700, 0usize..3, any::<bool>()), 1..300),
            concurrency in 1usize..5,
            queue_bytes in 600usize..8_000,
        ) {
            let mut now = Instant::now();
            let mut desk = desk(concurrency, queue_bytes);
            let mut under_way: VecDeque<(CallId, usize, Pass)> = VecDeque::new();
            let (mut asked, mut told) = (0, Vec::new());
            for (what, after_ms, key, ill) in steps {
                now += Duration::from_millis(after_ms / 4);
                match what {
                    0..=2 => {
                        let keys = ["a", "b"];
                        let shared = keys.get(key).map(|key| Bytes::from_static(key.as_bytes()));
                        let wanted = Wanted { job: asked, target: key % 2, bytes: after_ms as usize, shared };
                        if let Offered::Refused(_, done) = desk.offer(wanted, asked, now) {
                            told.push(done);
                        }
                        asked += 1;
                    }
                    3 => match desk.next(now) {
                        Next::Make { id, target, pass, deadline, .. } => {
                            prop_assert!(deadline > now);
                            under_way.push_back((id, target, pass));
                        }
                        Next::Fail { dones, .. } => told.extend(dones),
                        Next::Nothing(_) => {}
                    },
                    _ => if let Some((id, target, pass)) = under_way.pop_front() {
                        let verdict = if ill { Verdict::Ill } else { Verdict::Well };
                        told.extend(desk.finish(id, target, pass, verdict, now).0);
                    },
                }
                prop_assert!(desk.held_bytes <= queue_bytes && under_way.len() <= concurrency);
                prop_assert_eq!(desk.under_way(), under_way.len());
                prop_assert!(desk.shared.len() <= desk.calls.len());
            }
            told.extend(desk.abandon());
            told.sort_unstable();
            prop_assert_eq!(told, (0..asked).collect::<Vec<_>>());
        }
    }
}

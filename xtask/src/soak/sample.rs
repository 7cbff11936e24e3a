//! What a hub holds at one moment, and what it must not hold when everyone has left. Pure.

use super::counters::{Connections, Counters, HTTP, PROTOCOLS};

/// A hub at rest: nobody is connected but who asks.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sample {
    pub(super) counters: Counters,
    pub(super) resident_bytes: u64,
    /// With the connection that asks.
    pub(super) descriptors: u64,
    /// But for those of the pool.
    pub(super) threads: u64,
    /// Threads for blocking calls. One waits for the workers; others come for a reading of the process or of certificates,
    /// and go after ten idle seconds.
    pub(super) pool_threads: u64,
}

/// What the pool may have at rest: one more than it has things to do (the wait, `/metrics`, certificates), since a thread that
/// is just done may not be idle yet.
const POOL_THREADS_LIMIT_COUNT: u64 = 4;

impl Sample {
    /// Whether everyone has left: connections, subscriptions and what waited for them are gone.
    pub(super) fn is_at_rest(&self) -> bool {
        self.leftovers().is_empty()
    }

    /// What is wrong with it, each in a few words with its number.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = self.leftovers();
        let Counters { connections, worker_restarts, session_panics, accept_errors, .. } = &self.counters;
        for (name, &Connections { opened, closed, open }) in PROTOCOLS.iter().zip(connections) {
            if opened != closed + open {
                problems.push(format!("{name} connections: {opened} opened, but {closed} closed and {open} open"));
            }
        }
        let never =
            [("worker restarts", worker_restarts), ("panics", session_panics), ("accept errors", accept_errors)];
        if self.pool_threads > POOL_THREADS_LIMIT_COUNT {
            problems.push(format!("{} threads for blocking calls at rest", self.pool_threads));
        }
        problems.extend(never.iter().filter(|(_, count)| **count > 0).map(|(what, count)| format!("{count} {what}")));
        problems
    }

    fn leftovers(&self) -> Vec<String> {
        let counters = &self.counters;
        let gauges = [
            ("subscriptions", counters.subscriptions),
            ("outbound bytes pending", counters.outbound_pending_bytes),
            ("slow consumers", counters.slow_consumers),
            ("letters in mailboxes", counters.mailbox_depth),
        ];
        let mut left: Vec<String> = gauges
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(what, count)| format!("{count} {what} at rest"))
            .collect();
        for (index, (name, Connections { open, .. })) in PROTOCOLS.iter().zip(&counters.connections).enumerate() {
            // One is ours.
            let expected = u64::from(index == HTTP);
            if *open != expected {
                left.push(format!("{open} {name} connections open at rest instead of {expected}"));
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_rest() -> Sample {
        let mut sample = Sample::default();
        sample.counters.connections[0] = Connections { opened: 90, closed: 90, open: 0 };
        sample.counters.connections[HTTP] = Connections { opened: 10, closed: 9, open: 1 };
        sample
    }

    fn problem_of(change: impl FnOnce(&mut Counters)) -> String {
        let mut sample = at_rest();
        change(&mut sample.counters);
        let problems = sample.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        problems.join("")
    }

    #[test]
    fn a_hub_that_everyone_has_left_is_empty_and_balanced() {
        assert_eq!(at_rest().problems(), [""; 0]);
        assert!(at_rest().is_at_rest());
    }

    #[test]
    fn whatever_is_left_is_named_with_its_count() {
        assert_eq!(problem_of(|counters| counters.subscriptions = 2), "2 subscriptions at rest");
        assert_eq!(problem_of(|counters| counters.outbound_pending_bytes = 7), "7 outbound bytes pending at rest");
        assert_eq!(problem_of(|counters| counters.slow_consumers = 1), "1 slow consumers at rest");
        assert_eq!(problem_of(|counters| counters.mailbox_depth = 3), "3 letters in mailboxes at rest");
        let open = |counters: &mut Counters| counters.connections[2] = Connections { opened: 1, closed: 0, open: 1 };
        assert_eq!(problem_of(open), "1 sse connections open at rest instead of 0");
        let mut sample = at_rest();
        sample.counters.subscriptions = 1;
        assert!(!sample.is_at_rest());
    }

    #[test]
    fn a_connection_that_was_closed_twice_or_never_counted_is_told() {
        let twice = |counters: &mut Counters| counters.connections[0].closed += 1;
        assert_eq!(problem_of(twice), "topic connections: 90 opened, but 91 closed and 0 open");
        let forgotten = |counters: &mut Counters| counters.connections[0].closed -= 1;
        assert_eq!(problem_of(forgotten), "topic connections: 90 opened, but 89 closed and 0 open");
    }

    #[test]
    fn threads_for_blocking_calls_come_and_go_but_do_not_pile_up() {
        let with = |pool_threads| Sample { pool_threads, ..at_rest() }.problems();
        assert_eq!(with(1), [""; 0]);
        assert_eq!(with(4), [""; 0]);
        assert_eq!(with(5), ["5 threads for blocking calls at rest"]);
    }

    #[test]
    fn panics_and_errors_of_accept_are_never_right() {
        assert_eq!(problem_of(|counters| counters.worker_restarts = 1), "1 worker restarts");
        assert_eq!(problem_of(|counters| counters.session_panics = 2), "2 panics");
        assert_eq!(problem_of(|counters| counters.accept_errors = 3), "3 accept errors");
    }
}

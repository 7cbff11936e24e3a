//! Waiting that ends: every wait in these tests polls for a condition and gives up at a deadline.

use std::time::{Duration, Instant};

/// How long anything may take before a test fails. Far more than it takes on an idle machine: a busy one must not make
/// a test fail, and only a failing test waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The pause between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(2);

/// Looks at `condition` until it holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    eventually_is(what, || condition().then_some(()));
}

/// Looks until there is something.
#[track_caller]
pub(crate) fn eventually_is<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "after {PATIENCE:?} it is still not so that {what}");
        std::thread::sleep(PAUSE);
    }
}

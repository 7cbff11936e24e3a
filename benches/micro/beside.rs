//! Other threads that are busy while something is timed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Runs `measure` while `others` threads do `work` as fast as they can.
pub(crate) fn beside(others: usize, work: impl Fn(usize) + Sync, measure: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for one in 0..others {
            let (stop, work) = (&stop, &work);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    work(one);
                }
            });
        }
        measure();
        stop.store(true, Ordering::Relaxed);
    });
}

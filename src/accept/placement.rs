//! Which worker gets a connection.

use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;

use crate::hub::WorkerId;

/// How many connections each worker has, and who gets the next one.
///
/// SO_REUSEPORT alone spreads unevenly (max/mean 1.1 to 1.4 at 16 shards), and a sweep lasts as long as the fullest
/// shard; so the least loaded worker is chosen here.
#[derive(Debug)]
pub struct Placement {
    loads: Box<[CachePadded<AtomicUsize>]>,
    limit: usize,
}

/// Every connection that `limits.connections` allows is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllTaken;

impl Placement {
    /// No connections yet on `workers` workers; at most `limit` in all.
    pub fn new(workers: usize, limit: usize) -> Self {
        Self { loads: (0..workers).map(|_| CachePadded::new(AtomicUsize::new(0))).collect(), limit }
    }

    /// Takes a place for a connection accepted by `here`, on the least loaded worker: `here` itself, unless another
    /// has at least 1/64 fewer (handing a socket over costs a wake).
    ///
    /// The limit may be passed by as many connections as there are shards accepting at the same moment.
    ///
    /// # Errors
    /// [`AllTaken`] when the limit is reached.
    pub fn place(&self, here: WorkerId) -> Result<WorkerId, AllTaken> {
        let mut total = 0;
        let mut least = (usize::MAX, here);
        for (worker, load) in (0..).map(WorkerId).zip(&self.loads) {
            let load = load.load(Ordering::Relaxed);
            total += load;
            if load < least.0 {
                least = (load, worker);
            }
        }
        if total >= self.limit {
            return Err(AllTaken);
        }
        let own = self.load(here);
        let chosen = if own > least.0 + least.0 / 64 { least.1 } else { here };
        self.loads[usize::from(chosen.0)].fetch_add(1, Ordering::Relaxed);
        Ok(chosen)
    }

    /// Gives a place on `worker` back.
    pub fn leave(&self, worker: WorkerId) {
        self.loads[usize::from(worker.0)].fetch_sub(1, Ordering::Relaxed);
    }

    /// Connections on `worker`.
    pub fn load(&self, worker: WorkerId) -> usize {
        self.loads[usize::from(worker.0)].load(Ordering::Relaxed)
    }

    /// Connections on all workers.
    pub fn total(&self) -> usize {
        self.loads.iter().map(|load| load.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_gets_its_share_even_if_one_accepts_all() {
        let placement = Placement::new(4, 1_000_000);
        for _ in 0..10_000 {
            placement.place(WorkerId(2)).unwrap();
        }
        for worker in 0..4 {
            let load = placement.load(WorkerId(worker));
            assert!((2_440..=2_560).contains(&load), "worker {worker} has {load}");
        }
    }

    #[test]
    fn the_limit_is_reached_and_a_place_given_back_is_taken_again() {
        let placement = Placement::new(2, 3);
        for _ in 0..3 {
            placement.place(WorkerId(0)).unwrap();
        }
        assert_eq!(placement.place(WorkerId(1)), Err(AllTaken));
        placement.leave(WorkerId(0));
        placement.place(WorkerId(1)).unwrap();
        assert_eq!(placement.total(), 3);
    }
}

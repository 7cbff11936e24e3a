//! A set of workers: which of them have subscribers of a topic.

/// A worker's number, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u16);

impl WorkerId {
    /// Its place in lists of workers.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A bitmap over a fixed number of workers. Up to 64 of them it lives in place and is copied without allocating; with
/// more a publication that reaches them costs far more than an allocation.
///
/// 16 bytes, since each topic has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum WorkerSet {
    Inline(u64),
    #[expect(clippy::box_collection, reason = "a thin pointer: a slice would make the set of every topic larger")]
    Boxed(Box<Vec<u64>>),
}

const WORD: usize = u64::BITS as usize;

impl WorkerSet {
    /// The empty set over workers `0..workers`.
    pub(super) fn over(workers: usize) -> Self {
        if workers <= WORD { Self::Inline(0) } else { Self::Boxed(Box::new(vec![0; workers.div_ceil(WORD)])) }
    }

    /// Adds `worker`.
    pub(super) fn insert(&mut self, worker: WorkerId) {
        self.words_mut()[worker.index() / WORD] |= 1 << (worker.index() % WORD);
    }

    /// Takes `worker` out.
    pub(super) fn remove(&mut self, worker: WorkerId) {
        self.words_mut()[worker.index() / WORD] &= !(1 << (worker.index() % WORD));
    }

    /// Whether nobody is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.words().iter().all(|&word| word == 0)
    }

    /// The workers in it, in ascending order. Costs a step per worker in the set, not per worker there is.
    pub(super) fn iter(&self) -> impl Iterator<Item = WorkerId> + '_ {
        self.words().iter().enumerate().flat_map(|(at, &word)| {
            let mut rest = word;
            std::iter::from_fn(move || {
                let bit = (rest != 0).then(|| rest.trailing_zeros() as usize)?;
                rest &= rest - 1;
                Some(WorkerId((at * WORD + bit) as u16))
            })
        })
    }

    fn words(&self) -> &[u64] {
        match self {
            Self::Inline(word) => std::slice::from_ref(word),
            Self::Boxed(words) => words,
        }
    }

    fn words_mut(&mut self) -> &mut [u64] {
        match self {
            Self::Inline(word) => std::slice::from_mut(word),
            Self::Boxed(words) => words,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(set: &WorkerSet) -> Vec<u16> {
        set.iter().map(|worker| worker.0).collect()
    }

    #[test]
    fn members_come_in_ascending_order_and_leave_again() {
        let mut set = WorkerSet::over(4);
        assert!(set.is_empty());
        for worker in [3, 0, 2, 3] {
            set.insert(WorkerId(worker));
        }
        assert_eq!(members(&set), [0, 2, 3]);
        set.remove(WorkerId(2));
        set.remove(WorkerId(1));
        assert_eq!(members(&set), [0, 3]);
    }

    #[test]
    fn up_to_64_workers_live_in_place_and_more_work_as_well() {
        assert_eq!(size_of::<WorkerSet>(), 16);
        assert!(matches!(WorkerSet::over(64), WorkerSet::Inline(_)));
        let mut set = WorkerSet::over(300);
        assert!(matches!(set, WorkerSet::Boxed(_)));
        for worker in [299, 128, 127, 64, 63, 0] {
            set.insert(WorkerId(worker));
        }
        assert_eq!(members(&set), [0, 63, 64, 127, 128, 299]);
        for worker in [0, 63, 64, 127, 128] {
            set.remove(WorkerId(worker));
        }
        assert!(!set.is_empty());
        set.remove(WorkerId(299));
        assert!(set.is_empty());
    }
}

//! Random numbers that are the same in every run.

/// Numbers that somebody chose, and SplitMix64 behind them.
pub(super) struct Random {
    chosen: std::vec::IntoIter<u8>,
    state: u64,
}

impl Random {
    #[cfg(test)]
    pub(super) fn new(seed: u64) -> Self {
        Self::chosen(Vec::new(), seed)
    }

    pub(super) fn chosen(numbers: Vec<u8>, seed: u64) -> Self {
        Self { chosen: numbers.into_iter(), state: seed }
    }

    /// Whether numbers are left that were chosen.
    #[cfg(fuzzing)]
    pub(super) fn is_chosen(&self) -> bool {
        self.chosen.len() > 0
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`.
    pub(super) fn below(&mut self, n: usize) -> usize {
        let number = match self.chosen.next() {
            Some(low) if n > 256 => u64::from(self.chosen.next().unwrap_or(0)) << 8 | u64::from(low),
            Some(low) => u64::from(low),
            None => self.next(),
        };
        (number % n as u64) as usize
    }

    /// True `percent` times of 100.
    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of a list, if it has any.
    pub(super) fn pick<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        (!all.is_empty()).then(|| all[self.below(all.len())])
    }
}

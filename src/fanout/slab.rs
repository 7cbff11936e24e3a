//! Dense slots in chunks: growing never moves or copies what is there.

use std::ops::{Index, IndexMut};

const CHUNK: usize = 256;

/// Slots by number, handed out dense and taken again last in, first out (a warm slot before a cold one).
///
/// In chunks of 256, because a vector of 100,000 connections that doubles needs three times its size for a moment,
/// right in a connect storm. Costs two loads per access.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Box<[T]>>,
    free: Vec<u32>,
    used: u32,
}

impl<T: Default> Slab<T> {
    pub(super) const fn new() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), used: 0 }
    }

    /// A free slot. What is in it is what its last owner left, or the default.
    pub(super) fn take(&mut self) -> u32 {
        if let Some(slot) = self.free.pop() {
            return slot;
        }
        let slot = self.used;
        if slot as usize == self.chunks.len() * CHUNK {
            self.chunks.push((0..CHUNK).map(|_| T::default()).collect());
        }
        self.used = slot.checked_add(1).expect("invariant: a worker has fewer than 2^32 slots");
        slot
    }

    /// Gives `slot` back.
    pub(super) fn give(&mut self, slot: u32) {
        self.free.push(slot);
    }
}

impl<T> Slab<T> {
    pub(super) fn get(&self, slot: u32) -> Option<&T> {
        (slot < self.used).then(|| &self[slot])
    }

    /// Slots ever handed out: all numbers below it can be accessed.
    #[cfg(any(test, fuzzing))]
    pub(super) const fn used(&self) -> u32 {
        self.used
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;
    fn index(&self, slot: u32) -> &T {
        &self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_dense_and_taken_again_last_in_first_out() {
        let mut slab = Slab::<u64>::new();
        let all: Vec<u32> = (0..600).map(|_| slab.take()).collect();
        assert_eq!(all, (0..600).collect::<Vec<_>>());
        slab.give(7);
        slab.give(300);
        assert_eq!((slab.take(), slab.take(), slab.take()), (300, 7, 600));
    }

    #[test]
    fn a_slot_never_handed_out_is_nobody() {
        let mut slab = Slab::<u64>::new();
        let slot = slab.take();
        slab[slot] = 5;
        assert_eq!(slab.get(slot), Some(&5));
        assert_eq!(slab.get(slot + 1), None);
    }
}

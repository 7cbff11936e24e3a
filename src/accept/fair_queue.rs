//! Work that waits for its turn, one client address after the other.

use std::collections::{HashMap, VecDeque};

use super::addresses::AddressKey;

/// Work that waits for its turn: addresses take turns, and the work of each stands in line. So a thousand clients of one
/// address delay the first of another by one turn. Pure.
///
/// Not bounded by itself: everything in it holds a place among `limits.connections`.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    /// Those whose address is not known (a Unix socket) share a line.
    lines: HashMap<Option<AddressKey>, VecDeque<T>>,
    /// The addresses with a line, the next first.
    turns: VecDeque<Option<AddressKey>>,
    waiting: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { lines: HashMap::new(), turns: VecDeque::new(), waiting: 0 }
    }
}

impl<T> FairQueue<T> {
    /// Puts `work` at the end of the line of `address`.
    pub(crate) fn push(&mut self, address: Option<AddressKey>, work: T) {
        let line = self.lines.entry(address).or_default();
        if line.is_empty() {
            self.turns.push_back(address);
        }
        line.push_back(work);
        self.waiting += 1;
    }

    /// The first in the line of the address whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let address = self.turns.pop_front()?;
        let line = self.lines.get_mut(&address)?;
        let work = line.pop_front()?;
        if line.is_empty() {
            self.lines.remove(&address);
        } else {
            self.turns.push_back(address);
        }
        self.waiting -= 1;
        Some(work)
    }

    /// How much waits.
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u8) -> Option<AddressKey> {
        Some(AddressKey::of([192, 0, 2, number].into()))
    }

    #[test]
    fn addresses_take_turns_and_each_line_is_served_in_order() {
        let mut queue = FairQueue::default();
        for work in 0..5 {
            queue.push(address(1), (1, work));
        }
        queue.push(address(2), (2, 0));
        queue.push(None, (0, 0));
        queue.push(address(2), (2, 1));
        assert_eq!(queue.len(), 8);
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [(1, 0), (2, 0), (0, 0), (1, 1), (2, 1), (1, 2), (1, 3), (1, 4)]);
        assert_eq!((queue.len(), queue.lines.len(), queue.turns.len()), (0, 0, 0));
    }

    #[test]
    fn whoever_comes_beside_a_storm_waits_for_one_turn() {
        let mut queue = FairQueue::default();
        (0..10_000).for_each(|work| queue.push(address(1), work));
        assert_eq!(queue.pop(), Some(0));
        queue.push(address(2), -1);
        assert_eq!([queue.pop(), queue.pop()], [Some(1), Some(-1)]);
    }
}

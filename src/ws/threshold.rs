//! From which size on payloads are compressed: the sizes that listeners have, each once.

/// A size from which on payloads are compressed, by its place in [`Thresholds`]. One byte, since it stands in every log
/// that compresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ThresholdId(u8);

/// The sizes from which on payloads are compressed, in bytes, each once: so that subscribers share what is made for them
/// unless their listeners really differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Thresholds(Vec<usize>);

impl Thresholds {
    /// How many sizes there may be.
    pub const LIMIT: usize = 1 << u8::BITS;

    /// The place of a size, a new one if it has none yet. `None` if all are taken.
    ///
    /// Nothing is compressed to less than a byte: 0 is as good as 1, and has the same place.
    pub fn enter(&mut self, bytes: usize) -> Option<ThresholdId> {
        let bytes = bytes.max(1);
        let place = self.0.iter().position(|&one| one == bytes).unwrap_or(self.0.len());
        let id = ThresholdId(u8::try_from(place).ok()?);
        if place == self.0.len() {
            self.0.push(bytes);
        }
        Some(id)
    }

    /// Whether a payload of `bytes` is worth trying.
    pub fn are_reached(&self, ThresholdId(place): ThresholdId, bytes: usize) -> bool {
        self.0.get(usize::from(place)).is_some_and(|&threshold| bytes >= threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_one_place_whoever_enters_it_and_is_reached_from_there_on() {
        let mut thresholds = Thresholds::default();
        let [small, large, again] = [256, 1024, 256].map(|bytes| thresholds.enter(bytes).unwrap());
        assert_eq!(small, again);
        assert_ne!(small, large);
        for (bytes, reached) in [(0, [false; 2]), (255, [false; 2]), (256, [true, false]), (1024, [true; 2])] {
            assert_eq!([small, large].map(|id| thresholds.are_reached(id, bytes)), reached, "{bytes}");
        }
    }

    #[test]
    fn nothing_is_never_worth_trying() {
        let mut thresholds = Thresholds::default();
        let [zero, one] = [0, 1].map(|bytes| thresholds.enter(bytes).unwrap());
        assert_eq!(zero, one);
        assert!(!thresholds.are_reached(zero, 0) && thresholds.are_reached(zero, 1));
    }

    #[test]
    fn there_are_as_many_places_as_a_byte_can_tell_apart() {
        let mut thresholds = Thresholds::default();
        assert!((1..=Thresholds::LIMIT).all(|bytes| thresholds.enter(bytes).is_some()));
        assert_eq!(thresholds.enter(Thresholds::LIMIT + 1), None);
        let last = thresholds.enter(Thresholds::LIMIT).expect("it has its place still");
        assert!(!thresholds.are_reached(last, 255) && thresholds.are_reached(last, 256));
    }
}

//! How a subscriber has publications compressed.

use super::threshold::ThresholdId;
use super::window::Window;

/// How a subscriber has publications compressed. Two bytes, since they stand in every log that compresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Deflation {
    /// For which window: what its client agreed on. It decides what the compressed bytes are.
    pub window: Window,
    /// From which size on: what its listener says. It decides only whether they are sent, so that subscribers of all
    /// listeners share them.
    pub threshold: ThresholdId,
}

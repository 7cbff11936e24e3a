//! History that was compressed lately, for those who come back at the same time.

use std::collections::VecDeque;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::hub::{Offset, TopicId};
use crate::protocol::Encoding;
use crate::ws::frame::payload;
use crate::ws::{Deflater, Deflation, Window};

/// Frames that are kept, their bookkeeping included.
const LIMIT_BYTES: usize = 1024 * 1024;

/// What an entry costs beside its frame.
const OVERHEAD_BYTES: usize = 128;

/// A publication of a topic's history, in one encoding (that does not compress) and for one window.
type Key = (TopicId, Offset, Encoding, Window);

/// What is kept of it.
#[derive(Debug)]
struct Kept {
    frame: Bytes,
    /// The length of the uncompressed payload: `frame` is for those whose threshold it reaches.
    payload_bytes: usize,
}

/// Compressed history. After a restart of a proxy ten thousand clients ask for the same publications at once: each is
/// compressed once for all of them, like a live one. Nothing is kept when nobody asks any more.
#[derive(Debug, Default)]
pub(super) struct Replayed {
    frames: FxHashMap<Key, Kept>,
    /// Oldest first.
    order: VecDeque<Key>,
    bytes: usize,
    /// Asked since the last second.
    is_used: bool,
}

impl Replayed {
    /// The frame of a kept publication in `encoding`, of which `frame` is the uncompressed one: that itself, if the
    /// encoding does not compress, or not something so small, or it would not become smaller.
    pub(super) fn frame(
        &mut self,
        topic: TopicId,
        offset: Offset,
        encoding: Encoding,
        frame: impl FnOnce() -> Bytes,
        deflater: &mut Deflater,
    ) -> Bytes {
        let Some(Deflation { window, threshold }) = encoding.deflation() else { return frame() };
        self.is_used = true;
        let key = (topic, offset, encoding.uncompressed(), window);
        if let Some(known) = self.frames.get(&key)
            && deflater.takes(threshold, known.payload_bytes)
        {
            return known.frame.clone();
        }
        let frame = frame();
        let payload_bytes = payload(&frame).len();
        if !deflater.takes(threshold, payload_bytes) {
            return frame;
        }
        let frame = deflater.deflate(window, &frame).unwrap_or(frame);
        self.keep(key, Kept { frame: frame.clone(), payload_bytes });
        frame
    }

    /// Forgets everything if nobody asked for a second.
    pub(super) fn each_second(&mut self) {
        if !std::mem::take(&mut self.is_used) && !self.order.is_empty() {
            *self = Self::default();
        }
    }

    fn keep(&mut self, key: Key, kept: Kept) {
        let bytes = kept.frame.len() + OVERHEAD_BYTES;
        if bytes > LIMIT_BYTES {
            return;
        }
        self.bytes += bytes;
        self.order.push_back(key);
        self.frames.insert(key, kept);
        while self.bytes > LIMIT_BYTES
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= self.frames.remove(&oldest).map_or(0, |kept| kept.frame.len() + OVERHEAD_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::{ThresholdId, Thresholds, frame};

    /// A compressor and two thresholds that it knows: of 100 bytes, and of 2,000.
    fn deflater() -> (Deflater, [ThresholdId; 2]) {
        let mut thresholds = Thresholds::default();
        let both = [100, 2000].map(|bytes| thresholds.enter(bytes).unwrap());
        (Deflater::new(6, thresholds), both)
    }

    fn compressed(threshold: ThresholdId) -> Encoding {
        Encoding::Plain.deflated(Deflation { window: Window::Bits15, threshold })
    }

    fn ask(
        replayed: &mut Replayed,
        (deflater, [low, _]): &mut (Deflater, [ThresholdId; 2]),
        offset: u64,
        text: &str,
    ) -> Bytes {
        replayed.frame(TopicId(1), Offset(offset), compressed(*low), || frame::text(text), deflater)
    }

    #[test]
    fn a_publication_is_compressed_once_for_all_who_come_back() {
        let (mut replayed, mut deflater) = (Replayed::default(), deflater());
        let text = "again and ".repeat(100);
        let first = ask(&mut replayed, &mut deflater, 1, &text);
        assert!(first.len() < 100);
        assert_eq!(deflater.0.take_tally().in_bytes, 1000);
        let encoding = compressed(deflater.1[0]);
        let second = replayed.frame(TopicId(1), Offset(1), encoding, || panic!("made again"), &mut deflater.0);
        assert_eq!(first, second);
        assert_eq!(deflater.0.take_tally().in_bytes, 0);
        assert_ne!(ask(&mut replayed, &mut deflater, 2, &"another ".repeat(100)), first);
    }

    #[test]
    fn what_is_small_or_asked_for_without_compression_is_left_as_it_is() {
        let (mut replayed, mut deflater) = (Replayed::default(), deflater());
        assert_eq!(ask(&mut replayed, &mut deflater, 1, "short"), frame::text("short"));
        let long = "long ".repeat(100);
        let plain = replayed.frame(TopicId(1), Offset(2), Encoding::Plain, || frame::text(&long), &mut deflater.0);
        assert_eq!(plain, frame::text(&long));
        assert!(replayed.frames.is_empty());
    }

    #[test]
    fn thresholds_share_what_is_compressed_and_each_gets_it_from_its_own_size_on() {
        for high_first in [true, false] {
            let (mut replayed, (mut deflater, [low, high])) = (Replayed::default(), deflater());
            let order = if high_first { [high, low, high] } else { [low, high, low] };
            for (offset, bytes) in [(1, 1999), (2, 2000)] {
                let text = "x".repeat(bytes);
                for threshold in order {
                    let encoding = compressed(threshold);
                    let frame =
                        replayed.frame(TopicId(1), Offset(offset), encoding, || frame::text(&text), &mut deflater);
                    let is_compressed = threshold == low || bytes == 2000;
                    assert_eq!(frame == frame::text(&text), !is_compressed, "{bytes}, {high_first}");
                }
            }
            assert_eq!(deflater.take_tally().in_bytes, 1999 + 2000);
        }
    }

    #[test]
    fn over_the_limit_the_oldest_goes_and_after_a_quiet_second_all() {
        let (mut replayed, mut deflater) = (Replayed::default(), deflater());
        let mut noise = 1_u64;
        let mut text = || {
            let byte = |_| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from(b' ' + ((noise >> 57) % 90) as u8)
            };
            (0..100_000).map(byte).collect::<String>()
        };
        for offset in 0..20 {
            ask(&mut replayed, &mut deflater, offset, &text());
            assert!(replayed.bytes <= LIMIT_BYTES);
            let held: usize = replayed.frames.values().map(|kept| kept.frame.len() + OVERHEAD_BYTES).sum();
            assert_eq!((held, replayed.frames.len()), (replayed.bytes, replayed.order.len()));
        }
        let key = |offset| (TopicId(1), Offset(offset), Encoding::Plain, Window::Bits15);
        assert!(replayed.frames.contains_key(&key(19)));
        assert!(!replayed.frames.contains_key(&key(0)));
        replayed.each_second();
        assert!(!replayed.frames.is_empty(), "they were asked for");
        replayed.each_second();
        assert!(replayed.frames.is_empty() && replayed.bytes == 0);
    }
}

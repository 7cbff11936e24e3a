//! A run of ready frames in one piece of memory, with a mark per frame.

use bytes::Bytes;
use smallvec::SmallVec;

use super::connection::ConnectionId;
use super::outcome::Entry;
use super::settings::Tick;
use crate::hub::Offset;

/// Where a frame ends, and what it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    /// Relative to the segment's start.
    pub(super) end: u32,
    pub(super) tick: Tick,
    pub(super) offset: Offset,
}

/// What few frames have: kept apart, so that all others pay nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extra {
    pub(super) key: u64,
    pub(super) exclude: Option<ConnectionId>,
    /// Its offset is that of the publication before.
    pub(super) is_unnumbered: bool,
    /// The number of the frame in its segment.
    index: u32,
}

impl Extra {
    fn of(entry: &Entry<'_>, index: usize) -> Option<Self> {
        let is_plain = entry.key == 0 && entry.exclude.is_none() && entry.is_numbered;
        let Entry { key, exclude, is_numbered, .. } = *entry;
        (!is_plain).then_some(Self { key, exclude, is_unnumbered: !is_numbered, index: index as u32 })
    }
}

/// What a publication is charged with in the budget: its bytes and its mark.
pub(super) fn charge_bytes(entry: &Entry<'_>) -> usize {
    entry.frame.len() + size_of::<Mark>() + Extra::of(entry, 0).map_or(0, |_| size_of::<Extra>())
}

#[derive(Debug)]
enum Body {
    /// Small frames, joined by copying: one slice for all of them.
    Joined(Vec<u8>),
    /// One large frame, by reference.
    Shared(Bytes),
}

/// A run of ready frames in one piece of memory. Frames never span segments.
#[derive(Debug)]
pub(super) struct Segment {
    /// The log position of its first byte.
    pub(super) start: u64,
    body: Body,
    pub(super) marks: SmallVec<[Mark; 1]>,
    /// By frame number; most segments have none.
    extras: Vec<Extra>,
}

/// One frame of a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) offset: Offset,
    pub(super) extra: Extra,
}

/// Room that a recycled segment may keep: a laggard's log must not sit on 16 KiB for 100 bytes (pitfall 10).
const RECYCLED_BYTES: usize = 1024;
const RECYCLED_MARKS: usize = 16;

impl Segment {
    /// A segment for frames to be joined, perhaps a recycled one. Its room starts at the first frame's size and doubles.
    pub(super) fn joined(start: u64, recycled: Option<Self>) -> Self {
        if let Some(recycled) = recycled {
            return Self { start, ..recycled };
        }
        Self { start, body: Body::Joined(Vec::new()), marks: SmallVec::new(), extras: Vec::new() }
    }

    /// A segment of one large frame.
    pub(super) fn shared(start: u64, entry: &Entry<'_>, tick: Tick) -> Self {
        let body = Body::Shared(entry.frame.clone());
        let mut segment = Self { start, body, marks: SmallVec::new(), extras: Vec::new() };
        segment.mark(entry, tick);
        segment
    }

    /// Whether a frame of `len` bytes may be joined to it.
    pub(super) fn has_room(&self, len: usize, segment_bytes: usize) -> bool {
        match &self.body {
            Body::Joined(bytes) => bytes.len() + len <= segment_bytes || bytes.is_empty(),
            Body::Shared(_) => false,
        }
    }

    /// Copies a frame behind the others.
    pub(super) fn join(&mut self, entry: &Entry<'_>, tick: Tick, segment_bytes: usize) {
        match &mut self.body {
            Body::Joined(bytes) => {
                let (len, capacity) = (entry.frame.len(), bytes.capacity());
                if bytes.len() + len > capacity {
                    let doubled = (capacity * 2).min(segment_bytes);
                    bytes.reserve_exact(doubled.max(bytes.len() + len) - bytes.len());
                }
                bytes.extend_from_slice(entry.frame);
            }
            Body::Shared(_) => unreachable!("invariant: has_room was asked"),
        }
        self.mark(entry, tick);
    }

    fn mark(&mut self, entry: &Entry<'_>, tick: Tick) {
        self.extras.extend(Extra::of(entry, self.marks.len()));
        let end = u32::try_from(self.bytes().len()).expect("invariant: a frame is below 4 GiB, a segment far below");
        self.marks.push(Mark { end, tick, offset: entry.offset });
    }

    /// All its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.body {
            Body::Joined(bytes) => bytes,
            Body::Shared(frame) => frame,
        }
    }

    /// The log position behind its last byte.
    pub(super) fn end(&self) -> u64 {
        self.start + self.bytes().len() as u64
    }

    /// What it is charged with in the budget: bytes and marks.
    pub(super) fn charge_bytes(&self) -> usize {
        self.bytes().len() + self.marks.len() * size_of::<Mark>() + self.extras.len() * size_of::<Extra>()
    }

    /// The number of the frame that holds the byte at log position `at`; as many as there are at or behind the end.
    pub(super) fn frame_at(&self, at: u64) -> usize {
        let relative = at - self.start;
        if relative == 0 {
            return 0;
        }
        // Most look for the last few: who was at head before the last append.
        let near = self.marks.len().saturating_sub(4);
        if near > 0 && u64::from(self.marks[near - 1].end) <= relative {
            return near + self.marks[near..].iter().take_while(|mark| u64::from(mark.end) <= relative).count();
        }
        self.marks.partition_point(|mark| u64::from(mark.end) <= relative)
    }

    /// Frame number `index`.
    pub(super) fn frame(&self, index: usize) -> Frame {
        let from = if index == 0 { 0 } else { self.marks[index - 1].end };
        let mark = self.marks[index];
        Frame {
            start: self.start + u64::from(from),
            end: self.start + u64::from(mark.end),
            offset: mark.offset,
            extra: self.extra(index),
        }
    }

    fn extra(&self, index: usize) -> Extra {
        let place = self.extras.binary_search_by_key(&(index as u32), |extra| extra.index);
        place.map_or_else(|_| Extra::default(), |place| self.extras[place])
    }

    /// The bytes between two log positions inside it.
    pub(super) fn slice(&self, from: u64, to: u64) -> &[u8] {
        &self.bytes()[(from - self.start) as usize..(to - self.start) as usize]
    }

    /// The bytes between two log positions inside it, to be kept: a reference if the frame is shared, else a copy.
    pub(super) fn detach(&self, from: u64, to: u64) -> Bytes {
        match &self.body {
            Body::Joined(_) => Bytes::copy_from_slice(self.slice(from, to)),
            Body::Shared(frame) => frame.slice((from - self.start) as usize..(to - self.start) as usize),
        }
    }

    /// The whole shared frame, if it is one: the allocation that a detached piece keeps alive.
    pub(super) fn shared_frame(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Joined(_) => None,
            Body::Shared(frame) => Some(frame),
        }
    }

    /// Bytes its joined frames have room for.
    #[cfg(test)]
    pub(super) fn room_bytes(&self) -> usize {
        match &self.body {
            Body::Joined(bytes) => bytes.capacity(),
            Body::Shared(frame) => frame.len(),
        }
    }

    /// Empty again, for another log, if it is small enough to be worth it.
    pub(super) fn recycled(mut self) -> Option<Self> {
        match &mut self.body {
            Body::Joined(bytes) if bytes.capacity() <= RECYCLED_BYTES && self.marks.capacity() <= RECYCLED_MARKS => {
                bytes.clear();
                self.marks.clear();
                self.extras = Vec::new();
                Some(self)
            }
            Body::Joined(_) | Body::Shared(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(sizes: &[usize]) -> Segment {
        let mut segment = Segment::joined(1000, None);
        for (index, &size) in sizes.iter().enumerate() {
            let frame = Bytes::from(vec![index as u8; size]);
            let entry =
                Entry { offset: Offset(index as u64 + 1), frame: &frame, key: 0, exclude: None, is_numbered: true };
            segment.join(&entry, Tick(0), 16 * 1024);
        }
        segment
    }

    #[test]
    fn a_frame_is_found_by_any_of_its_bytes() {
        let sizes = [3, 1, 5, 2, 2, 9, 1, 1];
        let segment = segment(&sizes);
        let mut at = 1000;
        for (index, &size) in sizes.iter().enumerate() {
            for byte in at..at + size as u64 {
                assert_eq!(segment.frame_at(byte), index, "byte {byte}");
            }
            let frame = segment.frame(index);
            assert_eq!((frame.start, frame.end, frame.offset), (at, at + size as u64, Offset(index as u64 + 1)));
            at += size as u64;
        }
        assert_eq!(segment.end(), at);
        assert_eq!(segment.frame_at(at), sizes.len());
    }

    #[test]
    fn the_first_frame_sizes_the_segment_and_room_doubles_up_to_the_limit() {
        let Body::Joined(bytes) = &segment(&[100]).body else { panic!("joined") };
        assert_eq!(bytes.capacity(), 100);
        let Body::Joined(bytes) = &segment(&[100; 3]).body else { panic!("joined") };
        assert_eq!(bytes.capacity(), 400);
        let Body::Joined(bytes) = &segment(&[100; 160]).body else { panic!("joined") };
        assert_eq!(bytes.capacity(), 16 * 1024);
    }

    #[test]
    fn a_detached_piece_is_a_reference_only_of_a_shared_frame() {
        let large = Bytes::from(vec![7; 5000]);
        let entry = Entry { offset: Offset(1), frame: &large, key: 0, exclude: None, is_numbered: true };
        let shared = Segment::shared(50, &entry, Tick(0));
        assert_eq!(shared.detach(1050, 5050).as_ptr(), large[1000..].as_ptr());
        let joined = segment(&[10, 10]);
        let piece = joined.detach(1005, 1010);
        assert_eq!(&piece[..], &[0; 5]);
        assert_ne!(piece.as_ptr(), joined.bytes()[5..].as_ptr());
    }

    #[test]
    fn a_large_segment_is_not_recycled() {
        assert!(segment(&[100; 160]).recycled().is_none());
        assert!(segment(&[100; 3]).recycled().is_some());
    }
}

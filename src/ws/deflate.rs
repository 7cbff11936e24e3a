//! Compressing frames that many subscribers share (RFC 7692 §7.2.1).

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::{Bytes, BytesMut};
use flate2::{Compress, Compression, FlushCompress};

use super::frame::{FrameHeader, payload};
use super::inflate::wire_limit;
use super::threshold::{ThresholdId, Thresholds};
use super::window::Window;

/// What a flush ends with, and what is left out of the message.
pub(super) const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Room that is kept from one frame to the next.
const KEPT_BYTES: usize = 64 * 1024;

/// Compresses whole frames, one for all subscribers that agreed on the same window.
///
/// A window of 15 bits takes 371 KiB, one of 9 bits 245, made with the first frame that needs it; each worker has its own.
#[derive(Debug)]
pub struct Deflater {
    level: Compression,
    thresholds: Thresholds,
    /// By [`Window::index`].
    streams: [Option<Compress>; Window::COUNT],
    room: Vec<u8>,
    tally: Tally,
}

/// Payload bytes that were compressed, and what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Before.
    pub in_bytes: u64,
    /// After; what would not have become smaller counts as it was.
    pub out_bytes: u64,
}

impl Deflater {
    /// A compressor of `level` 1 (fast) to 9 (small), for subscribers that have it from one of `thresholds` on.
    pub fn new(level: u8, thresholds: Thresholds) -> Self {
        let level = Compression::new(u32::from(level.clamp(1, 9)));
        Self { level, thresholds, streams: [const { None }; Window::COUNT], room: Vec::new(), tally: Tally::default() }
    }

    /// Whether a payload of this length is worth trying for subscribers that have this threshold.
    pub fn takes(&self, threshold: ThresholdId, payload_bytes: usize) -> bool {
        self.thresholds.are_reached(threshold, payload_bytes)
    }

    /// The same message as `frame`, which is a whole uncompressed frame of the server, compressed for `window`, whatever
    /// its size. `None` if it would not become smaller.
    ///
    /// The same frame always becomes the same bytes. Some 20 µs for 1 KiB of JSON; copies the outcome once.
    pub fn deflate(&mut self, window: Window, frame: &[u8]) -> Option<Bytes> {
        let payload = payload(frame);
        self.tally.in_bytes += payload.len() as u64;
        let smaller = self.squeeze(window, payload);
        self.tally.out_bytes += smaller.unwrap_or(payload.len()) as u64;
        let deflated = smaller.map(|bytes| {
            let header = FrameHeader::compressed(frame[0] & 0x0f, bytes);
            let mut deflated = BytesMut::with_capacity(header.as_bytes().len() + bytes);
            deflated.extend_from_slice(header.as_bytes());
            deflated.extend_from_slice(&self.room[..bytes]);
            deflated.freeze()
        });
        if self.room.len() > KEPT_BYTES {
            self.room = Vec::new();
        }
        deflated
    }

    /// What was compressed since this was last asked.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Compresses `payload` to the front of the room and says how long that is; `None` if it is not shorter.
    ///
    /// There is room for all that comes out, although what is longer than `payload` is not wanted: a stream must not be
    /// reset with output left in it. zlib-rs (0.6.8) keeps the place of that output, and after some of it panics. For the
    /// same reason a stream that was not flushed, or panicked, is not used again.
    fn squeeze(&mut self, window: Window, payload: &[u8]) -> Option<usize> {
        let most = wire_limit(payload.len());
        if self.room.len() < most {
            self.room.resize(most, 0);
        }
        let place = &mut self.streams[window.index()];
        let mut stream =
            place.take().unwrap_or_else(|| Compress::new_with_window_bits(self.level, false, window.bits()));
        let room = &mut self.room[..most];
        // A publication goes out uncompressed rather than that its worker ends with everyone on it.
        let written = catch_unwind(AssertUnwindSafe(|| {
            stream.reset();
            stream.compress(payload, room, FlushCompress::Sync).ok()?;
            usize::try_from(stream.total_out()).ok().filter(|&written| written < most)
        }));
        let written = written.ok().flatten()?;
        let is_whole = stream.total_in() == payload.len() as u64;
        *place = Some(stream);
        let body = self.room[..written].strip_suffix(&TAIL)?;
        (is_whole && body.len() < payload.len()).then_some(body.len())
    }
}

#[cfg(test)]
mod tests;

//! What a connection has read and not yet understood: the beginning of one frame. Pure.

use crate::wire::frame::{self, Frame, HEADER_LIMIT_BYTES, Malformed, Parsed, Writer};

/// The unfinished frame at the end of what was read. Holds no memory while nothing is unfinished, so that a fleet of
/// idle subscribers costs the generator nothing.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    rest: Vec<u8>,
}

impl Inbox {
    /// An inbox that begins with bytes that came with the handshake.
    pub(crate) fn starting_with(rest: Vec<u8>) -> Self {
        Self { rest }
    }

    /// Bytes a scratch buffer needs so that an unfinished frame and a full read of `read_bytes` fit.
    pub(crate) fn scratch_bytes(payload_limit_bytes: usize, read_bytes: usize) -> usize {
        payload_limit_bytes + HEADER_LIMIT_BYTES + read_bytes
    }

    /// Puts the unfinished bytes at the front of `scratch` and says how many: the next read goes behind them.
    pub(crate) fn restore(&mut self, scratch: &mut [u8]) -> usize {
        if self.rest.is_empty() {
            return 0;
        }
        let rest = std::mem::take(&mut self.rest);
        scratch[..rest.len()].copy_from_slice(&rest);
        rest.len()
    }

    /// Shows every whole frame in `bytes` to `visit` and keeps what is left: less than one frame of `limit_bytes`.
    pub(crate) fn drain(
        &mut self,
        bytes: &[u8],
        writer: Writer,
        limit_bytes: usize,
        mut visit: impl FnMut(Frame<'_>),
    ) -> Result<(), Malformed> {
        let mut at = 0;
        while at < bytes.len() {
            match frame::parse(&bytes[at..], writer, limit_bytes)? {
                Parsed::Frame(frame, consumed) => {
                    visit(frame);
                    at += consumed;
                }
                Parsed::Incomplete => {
                    self.rest.extend_from_slice(&bytes[at..]);
                    break;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::Opcode;

    const LIMIT: usize = 300;

    /// Feeds `pieces` as a socket would and returns every payload seen.
    fn feed(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut scratch = vec![0; Inbox::scratch_bytes(LIMIT, 2048)];
        let mut inbox = Inbox::default();
        let mut seen = Vec::new();
        for piece in pieces {
            let start = inbox.restore(&mut scratch);
            scratch[start..start + piece.len()].copy_from_slice(piece);
            let filled = start + piece.len();
            inbox.drain(&scratch[..filled], Writer::Server, LIMIT, |frame| seen.push(frame.payload.to_vec())).unwrap();
            assert!(inbox.rest.len() < LIMIT + HEADER_LIMIT_BYTES);
        }
        assert!(inbox.rest.is_empty());
        seen
    }

    fn stream() -> (Vec<u8>, Vec<Vec<u8>>) {
        let payloads: Vec<Vec<u8>> =
            [0, 3, 125, 126, 300, 1].iter().map(|&length| (0..length).map(|at| at as u8).collect()).collect();
        let mut bytes = Vec::new();
        for payload in &payloads {
            frame::write_plain(&mut bytes, Opcode::Binary, payload.len(), |out| out.extend_from_slice(payload));
        }
        (bytes, payloads)
    }

    #[test]
    fn frames_are_the_same_however_the_stream_is_cut_in_two() {
        let (bytes, payloads) = stream();
        for cut in 0..=bytes.len() {
            assert_eq!(feed(&[&bytes[..cut], &bytes[cut..]]), payloads, "cut at {cut}");
        }
    }

    #[test]
    fn frames_are_the_same_when_every_byte_comes_alone() {
        let (bytes, payloads) = stream();
        let pieces: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(feed(&pieces), payloads);
    }

    #[test]
    fn a_frame_over_the_limit_ends_the_stream_and_is_not_buffered() {
        let mut bytes = Vec::new();
        frame::write_plain(&mut bytes, Opcode::Binary, LIMIT + 1, |out| out.extend_from_slice(&[0; LIMIT + 1]));
        let mut inbox = Inbox::default();
        let outcome = inbox.drain(&bytes[..10], Writer::Server, LIMIT, |_| ());
        assert_eq!(outcome, Err(Malformed::TooLong));
        assert!(inbox.rest.is_empty());
    }
}

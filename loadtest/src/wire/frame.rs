//! WebSocket frames, as little of them as a load generator needs: whole messages in one frame. Pure.
//!
//! Both directions are here because the floor server reads what the generator writes.

/// The longest header: 2 bytes, an 8-byte length and a 4-byte masking key.
pub(crate) const HEADER_LIMIT_BYTES: usize = 14;

/// What a frame is (RFC 6455 §5.2). Fragments are refused before they get an opcode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    /// A text message.
    Text,
    /// A binary message.
    Binary,
    /// The close handshake.
    Close,
    /// Wants a pong with the same payload.
    Ping,
    /// Answers a ping.
    Pong,
}

impl Opcode {
    const fn bits(self) -> u8 {
        match self {
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            1 => Some(Self::Text),
            2 => Some(Self::Binary),
            8 => Some(Self::Close),
            9 => Some(Self::Ping),
            10 => Some(Self::Pong),
            _ => None,
        }
    }
}

/// Who wrote the bytes: clients mask, servers must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// Frames are masked.
    Client,
    /// Frames are plain.
    Server,
}

/// One whole frame in a buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// Its kind.
    pub(crate) opcode: Opcode,
    /// Whether the payload is compressed (RFC 7692 §6). Whoever agreed on nothing refuses it.
    pub(crate) is_compressed: bool,
    /// The masking key of a client's frame; zero for a server's.
    pub(crate) key: [u8; 4],
    /// The payload as it is on the wire: still masked if a client wrote it.
    pub(crate) payload: &'a [u8],
}

/// What the front of a buffer holds.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Parsed<'a> {
    /// A frame, and how many bytes it took.
    Frame(Frame<'a>, usize),
    /// The beginning of a frame, or nothing.
    Incomplete,
}

/// Bytes that are not what this peer may send, or not what this harness reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// RSV bits or an opcode that is not defined.
    Reserved,
    /// A message in several frames: nothing under test sends these.
    Fragmented,
    /// A server's frame is masked, or a client's is not.
    Masking,
    /// Longer than the longest message of the run.
    TooLong,
}

/// Parses the frame at the front of `bytes`, of at most `limit_bytes` of payload.
pub(crate) fn parse(bytes: &[u8], writer: Writer, limit_bytes: usize) -> Result<Parsed<'_>, Malformed> {
    let &[first, second, ..] = bytes else { return Ok(Parsed::Incomplete) };
    let is_compressed = first & 0x40 != 0;
    // A generator sends nothing compressed, and control frames never are.
    let may_be_compressed = writer == Writer::Server && first & 0x08 == 0;
    if first & 0x30 != 0 || (is_compressed && !may_be_compressed) {
        return Err(Malformed::Reserved);
    }
    if first & 0x80 == 0 || first & 0x0f == 0 {
        return Err(Malformed::Fragmented);
    }
    let opcode = Opcode::from_bits(first & 0x0f).ok_or(Malformed::Reserved)?;
    let masked = second & 0x80 != 0;
    if masked != (writer == Writer::Client) {
        return Err(Malformed::Masking);
    }
    let (length, mut at) = match second & 0x7f {
        126 => match bytes.get(2..4) {
            Some(&[a, b]) => (u64::from(u16::from_be_bytes([a, b])), 4),
            _ => return Ok(Parsed::Incomplete),
        },
        127 => match bytes.get(2..10) {
            Some(&[a, b, c, d, e, f, g, h]) => (u64::from_be_bytes([a, b, c, d, e, f, g, h]), 10),
            _ => return Ok(Parsed::Incomplete),
        },
        short => (u64::from(short), 2),
    };
    // Before waiting for the payload: a length out of bounds must not make anybody buffer.
    let length = usize::try_from(length).ok().filter(|&length| length <= limit_bytes).ok_or(Malformed::TooLong)?;
    let mut key = [0; 4];
    if masked {
        match bytes.get(at..at + 4) {
            Some(bytes) => key.copy_from_slice(bytes),
            None => return Ok(Parsed::Incomplete),
        }
        at += 4;
    }
    match bytes.get(at..at + length) {
        Some(payload) => Ok(Parsed::Frame(Frame { opcode, is_compressed, key, payload }, at + length)),
        None => Ok(Parsed::Incomplete),
    }
}

/// Appends a server's frame; `payload` appends the payload, `length` bytes.
pub(crate) fn write_plain(out: &mut Vec<u8>, opcode: Opcode, length: usize, payload: impl FnOnce(&mut Vec<u8>)) {
    write_header(out, opcode, length, 0);
    let start = out.len();
    payload(out);
    debug_assert_eq!(out.len() - start, length);
}

/// Appends a client's frame; `payload` appends the payload, `length` bytes, which is then masked with `key`.
pub(crate) fn write_masked(
    out: &mut Vec<u8>,
    opcode: Opcode,
    key: [u8; 4],
    length: usize,
    payload: impl FnOnce(&mut Vec<u8>),
) {
    write_header(out, opcode, length, 0x80);
    out.extend_from_slice(&key);
    let start = out.len();
    payload(out);
    debug_assert_eq!(out.len() - start, length);
    mask(&mut out[start..], key);
}

/// Masks or unmasks `bytes` in place (RFC 6455 §5.3).
pub(crate) fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let mut words = bytes.chunks_exact_mut(4);
    for word in &mut words {
        for (byte, key) in word.iter_mut().zip(key) {
            *byte ^= key;
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key) {
        *byte ^= key;
    }
}

fn write_header(out: &mut Vec<u8>, opcode: Opcode, length: usize, mask_bit: u8) {
    out.push(0x80 | opcode.bits());
    match length {
        0..=125 => out.push(mask_bit | length as u8),
        126..=0xffff => {
            out.push(mask_bit | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(mask_bit | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1 << 20;
    const LENGTHS: [usize; 8] = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000];

    fn plain(length: usize) -> Vec<u8> {
        let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
        let mut out = Vec::new();
        write_plain(&mut out, Opcode::Binary, length, |out| out.extend_from_slice(&payload));
        out
    }

    #[test]
    fn our_frames_are_byte_for_byte_those_of_fastwebsockets() {
        use fastwebsockets::{Frame as Theirs, OpCode, Payload};
        for length in LENGTHS {
            let payload: Vec<u8> = (0..length).map(|at| (at * 7) as u8).collect();
            let mut buffer = Vec::new();
            let mut theirs = Theirs::new(true, OpCode::Binary, None, Payload::Borrowed(&payload));
            let their_bytes = theirs.write(&mut buffer);
            let mut our_bytes = Vec::new();
            write_plain(&mut our_bytes, Opcode::Binary, length, |out| out.extend_from_slice(&payload));
            assert!(our_bytes == their_bytes, "plain, {length} bytes");

            let key = [0x12, 0x34, 0x56, 0x78];
            let mut theirs = Theirs::new(true, OpCode::Text, Some(key), Payload::Owned(payload.clone()));
            theirs.mask();
            let their_bytes = theirs.write(&mut buffer);
            let mut our_bytes = Vec::new();
            write_masked(&mut our_bytes, Opcode::Text, key, length, |out| out.extend_from_slice(&payload));
            assert!(our_bytes == their_bytes, "masked, {length} bytes");
        }
    }

    #[test]
    fn every_prefix_of_a_frame_is_incomplete_and_the_whole_is_the_frame() {
        for length in LENGTHS {
            let bytes = plain(length);
            for cut in (0..bytes.len()).filter(|cut| *cut < 300 || bytes.len() - cut < 300) {
                assert_eq!(parse(&bytes[..cut], Writer::Server, LIMIT), Ok(Parsed::Incomplete), "{length} at {cut}");
            }
            let Ok(Parsed::Frame(frame, consumed)) = parse(&bytes, Writer::Server, LIMIT) else { panic!("{length}") };
            assert_eq!((frame.opcode, frame.payload.len(), consumed), (Opcode::Binary, length, bytes.len()));
        }
    }

    #[test]
    fn a_masked_frame_is_read_back_after_unmasking() {
        let mut bytes = Vec::new();
        write_masked(&mut bytes, Opcode::Ping, [9, 8, 7, 6], 5, |out| out.extend_from_slice(b"hello"));
        for cut in 0..bytes.len() {
            assert_eq!(parse(&bytes[..cut], Writer::Client, LIMIT), Ok(Parsed::Incomplete), "at {cut}");
        }
        let Ok(Parsed::Frame(frame, _)) = parse(&bytes, Writer::Client, LIMIT) else { panic!("no frame") };
        let mut payload = frame.payload.to_vec();
        mask(&mut payload, frame.key);
        assert_eq!((frame.opcode, payload.as_slice()), (Opcode::Ping, b"hello".as_slice()));
    }

    #[test]
    fn what_a_server_may_not_send_is_refused() {
        let refused = |bytes: &[u8]| parse(bytes, Writer::Server, 100).unwrap_err();
        assert_eq!(refused(&[0xa2, 1, 0]), Malformed::Reserved);
        assert_eq!(refused(&[0xc9, 1, 0]), Malformed::Reserved);
        assert_eq!(parse(&[0xc2, 0x81, 0, 0, 0, 0, 0], Writer::Client, 100), Err(Malformed::Reserved));
        assert_eq!(refused(&[0x83, 1, 0]), Malformed::Reserved);
        assert_eq!(refused(&[0x02, 1, 0]), Malformed::Fragmented);
        assert_eq!(refused(&[0x80, 1, 0]), Malformed::Fragmented);
        assert_eq!(refused(&[0x82, 0x81, 0, 0, 0, 0, 0]), Malformed::Masking);
    }

    #[test]
    fn a_length_over_the_limit_is_refused_from_the_header_alone() {
        assert_eq!(parse(&[0x82, 126, 0, 101], Writer::Server, 100), Err(Malformed::TooLong));
        assert_eq!(parse(&[0x82, 126, 0, 100], Writer::Server, 100), Ok(Parsed::Incomplete));
        assert_eq!(parse(&[0x82, 127, 255, 0, 0, 0, 0, 0, 0, 0], Writer::Server, 100), Err(Malformed::TooLong));
    }
}

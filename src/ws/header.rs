//! The header of one frame from a client (RFC 6455 §5.2), and the rules that it shows broken.

use fastwebsockets::OpCode;

use super::frame::RSV1;
use super::violation::{Violation, rule};

/// The longest header of a client frame: 2 bytes, 8 of length, 4 of mask.
pub(super) const LIMIT_BYTES: usize = 14;

/// The most payload that a control frame carries.
pub(super) const CONTROL_LIMIT_BYTES: usize = 125;

/// What the header is judged against: the message that it may continue, and the limits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context {
    /// Bytes of the fragments before; `None` when no message is open.
    pub(super) message_bytes: Option<usize>,
    /// Bytes that the fragments of the open message may have together; if none is open, those of one that is not
    /// compressed.
    pub(super) message_limit: usize,
    /// The same of a compressed message that begins here; 0 if compression was not agreed on.
    pub(super) compressed_limit: usize,
}

/// A complete header that broke no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) fin: bool,
    /// The message that begins here is compressed (RSV1).
    pub(super) is_compressed: bool,
    pub(super) opcode: OpCode,
    pub(super) mask: [u8; 4],
    /// Payload bytes; within what its message may have on the wire, or the control limit.
    pub(super) payload_bytes: usize,
    /// Bytes of the header itself.
    pub(super) header_bytes: usize,
}

impl Header {
    pub(super) fn is_control(&self) -> bool {
        is_control(self.opcode)
    }
}

/// Reads the header at the start of `bytes`; `None` if it is not all there yet.
///
/// Every rule is checked with the first byte that can show it broken, also on an incomplete header: so the outcome does
/// not depend on how the bytes were split, and an oversized frame is refused before its mask or payload arrives.
pub(super) fn read(bytes: &[u8], context: Context) -> Result<Option<Header>, Violation> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    let fin = first & 0x80 != 0;
    let is_compressed = first & RSV1 != 0;
    if first & 0x30 != 0 || (is_compressed && context.compressed_limit == 0) {
        return Err(Violation::Protocol(rule::RESERVED_BITS));
    }
    let opcode = OpCode::try_from(first & 0x0f).map_err(|_| Violation::Protocol(rule::RESERVED_OPCODE))?;
    let control = is_control(opcode);
    if is_compressed && (control || opcode == OpCode::Continuation) {
        return Err(Violation::Protocol(rule::COMPRESSED_BIT));
    }
    if control && !fin {
        return Err(Violation::Protocol(rule::FRAGMENTED_CONTROL));
    }
    match (opcode, context.message_bytes) {
        (OpCode::Continuation, None) => return Err(Violation::Protocol(rule::NOTHING_TO_CONTINUE)),
        (OpCode::Text | OpCode::Binary, Some(_)) => return Err(Violation::Protocol(rule::MESSAGE_NOT_FINISHED)),
        (OpCode::Continuation, Some(_)) | (OpCode::Text | OpCode::Binary, None) => {}
        (OpCode::Close | OpCode::Ping | OpCode::Pong, _) => {}
    }

    let Some(&second) = bytes.get(1) else { return Ok(None) };
    if second & 0x80 == 0 {
        return Err(Violation::Protocol(rule::UNMASKED));
    }
    let short = usize::from(second & 0x7f);
    if control && short > CONTROL_LIMIT_BYTES {
        return Err(Violation::Protocol(rule::LONG_CONTROL));
    }
    if opcode == OpCode::Close && short == 1 {
        return Err(Violation::Protocol(rule::CLOSE_OF_ONE_BYTE));
    }

    let Some((claimed, length_end)) = payload_length(bytes, short)? else { return Ok(None) };
    let payload_bytes = if control { short } else { within_limit(claimed, is_compressed, context)? };

    let Some(&mask) = bytes.get(length_end..).and_then(|rest| rest.first_chunk::<4>()) else { return Ok(None) };
    Ok(Some(Header { fin, is_compressed, opcode, mask, payload_bytes, header_bytes: length_end + 4 }))
}

/// The length that the header claims, and where its length field ends.
fn payload_length(bytes: &[u8], short: usize) -> Result<Option<(u64, usize)>, Violation> {
    let extended = bytes.get(2..).unwrap_or_default();
    let (claimed, end, least) = match short {
        127 => {
            let Some(field) = extended.first_chunk::<8>() else { return Ok(None) };
            (u64::from_be_bytes(*field), 10, 1 << 16)
        }
        126 => {
            let Some(field) = extended.first_chunk::<2>() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*field)), 4, 126)
        }
        _ => (short as u64, 2, 0),
    };
    if claimed >> 63 != 0 {
        return Err(Violation::Protocol(rule::LENGTH_OVER_63_BITS));
    }
    if claimed < least {
        return Err(Violation::Protocol(rule::LENGTH_NOT_MINIMAL));
    }
    Ok(Some((claimed, end)))
}

fn within_limit(claimed: u64, is_compressed: bool, context: Context) -> Result<usize, Violation> {
    let limit = if is_compressed { context.compressed_limit } else { context.message_limit };
    let room = limit.saturating_sub(context.message_bytes.unwrap_or(0));
    usize::try_from(claimed).ok().filter(|&payload| payload <= room).ok_or(Violation::MessageTooBig)
}

fn is_control(opcode: OpCode) -> bool {
    match opcode {
        OpCode::Close | OpCode::Ping | OpCode::Pong => true,
        OpCode::Continuation | OpCode::Text | OpCode::Binary => false,
    }
}

//! The inverse of a delta, as a client does it, only stricter. For tests and fuzzing: the hub never applies one.

use super::{DIGITS, checksum};

/// Why something is no delta of a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BadDelta {
    /// Not in the format, or it ends too early, or goes on behind its end.
    #[error("not a fossil delta")]
    Format,
    /// It copies what the base does not have.
    #[error("a copy from outside the base")]
    OutsideBase,
    /// What comes out is not as long as it says.
    #[error("the target has another length than the delta says")]
    Length,
    /// What comes out is not what went in: it is one of another base.
    #[error("the target has another checksum than the delta says")]
    Checksum,
}

/// What `base` is changed to by `delta`.
///
/// # Errors
/// If `delta` is not one, or not one of `base`. The target can be as long as the base, for every four bytes of the delta.
pub fn apply(base: &[u8], delta: &[u8]) -> Result<Vec<u8>, BadDelta> {
    let mut rest = delta;
    let length = take_number(&mut rest, b'\n')?;
    let mut target = Vec::new();
    loop {
        let (count, operator) = take_operator(&mut rest)?;
        let piece = match operator {
            b'@' => {
                let offset = take_number(&mut rest, b',')?;
                let behind = base.get(offset..).ok_or(BadDelta::OutsideBase)?;
                behind.get(..count).ok_or(BadDelta::OutsideBase)?
            }
            b':' => {
                let (piece, behind) = rest.split_at_checked(count).ok_or(BadDelta::Format)?;
                rest = behind;
                piece
            }
            b';' if !rest.is_empty() => return Err(BadDelta::Format),
            b';' if target.len() != length => return Err(BadDelta::Length),
            b';' if checksum(&target) as usize != count => return Err(BadDelta::Checksum),
            b';' => return Ok(target),
            _ => return Err(BadDelta::Format),
        };
        if piece.len() > length - target.len() {
            return Err(BadDelta::Length);
        }
        target.extend_from_slice(piece);
    }
}

/// A number of at least one digit, below 2^32, and the byte behind it.
fn take_operator(rest: &mut &[u8]) -> Result<(usize, u8), BadDelta> {
    let mut number = 0_u32;
    for (at, &byte) in rest.iter().enumerate() {
        let Some(digit) = DIGITS.iter().position(|&digit| digit == byte) else {
            *rest = &rest[at + 1..];
            return if at > 0 { Ok((number as usize, byte)) } else { Err(BadDelta::Format) };
        };
        if number >> 26 != 0 {
            return Err(BadDelta::Format);
        }
        number = number << 6 | digit as u32;
    }
    Err(BadDelta::Format)
}

fn take_number(rest: &mut &[u8], end: u8) -> Result<usize, BadDelta> {
    match take_operator(rest)? {
        (number, operator) if operator == end => Ok(number),
        _ => Err(BadDelta::Format),
    }
}

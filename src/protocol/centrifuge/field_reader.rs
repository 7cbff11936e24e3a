//! A Protobuf message as the fields that follow one another in it.

use std::borrow::Cow;

use super::commands::Malformed;

/// The fields of `message` with their numbers. Stops at the first that is malformed.
pub(super) fn fields(message: &[u8]) -> impl Iterator<Item = Result<(u32, Field<'_>), Malformed>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let field = next_field(&mut rest);
        if field.is_none() {
            rest = &[];
        }
        Some(field.ok_or(Malformed::Protobuf))
    })
}

/// What a field holds; what it means is for its number to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field<'a> {
    /// A number, a bool or an enum.
    Number(u64),
    /// Four or eight bytes, which no field of the protocol has.
    Fixed,
    /// Bytes, a string or a message.
    Bytes(&'a [u8]),
}

impl<'a> Field<'a> {
    /// As an unsigned number; a field of 32 bits takes the lower ones, as Protobuf says.
    pub(super) fn number(self) -> Result<u64, Malformed> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Fixed | Self::Bytes(_) => Err(Malformed::Protobuf),
        }
    }

    pub(super) fn flag(self) -> Result<bool, Malformed> {
        Ok(self.number()? != 0)
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], Malformed> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Fixed | Self::Number(_) => Err(Malformed::Protobuf),
        }
    }

    /// As a string, which must be UTF-8.
    pub(super) fn text(self) -> Result<Cow<'a, str>, Malformed> {
        simdutf8::basic::from_utf8(self.bytes()?).map(Cow::Borrowed).map_err(|_| Malformed::Protobuf)
    }

    /// As an entry of a map: its key, and the value if it is there.
    pub(super) fn entry(self) -> Result<(Cow<'a, str>, Option<Field<'a>>), Malformed> {
        let mut entry = (Cow::default(), None);
        for field in fields(self.bytes()?) {
            match field? {
                (1, key) => entry.0 = key.text()?,
                (2, value) => entry.1 = Some(value),
                _ => {}
            }
        }
        Ok(entry)
    }
}

/// Takes a message with its length before it off `rest`; `None`, and nothing taken, if it is not all there.
pub(super) fn next_message<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut behind = *rest;
    let length = usize::try_from(next_varint(&mut behind)?).ok()?;
    let (message, behind) = behind.split_at_checked(length)?;
    *rest = behind;
    Some(message)
}

fn next_field<'a>(rest: &mut &'a [u8]) -> Option<(u32, Field<'a>)> {
    let tag = next_varint(rest)?;
    let number = u32::try_from(tag >> 3).ok().filter(|&number| number != 0)?;
    let field = match tag & 7 {
        0 => Field::Number(next_varint(rest)?),
        1 => skip(rest, 8)?,
        2 => Field::Bytes(next_message(rest)?),
        5 => skip(rest, 4)?,
        // Groups (3, 4), which proto3 does not have, or nothing at all.
        _ => return None,
    };
    Some((number, field))
}

fn skip<'a>(rest: &mut &'a [u8], bytes: usize) -> Option<Field<'a>> {
    *rest = rest.get(bytes..)?;
    Some(Field::Fixed)
}

/// At most ten bytes, of which the last has room for one bit.
fn next_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (at, &byte) in rest.iter().enumerate().take(10) {
        if at == 9 && byte > 1 {
            return None;
        }
        number |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            *rest = &rest[at + 1..];
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varint(mut bytes: &[u8]) -> Option<(u64, usize)> {
        next_varint(&mut bytes).map(|number| (number, bytes.len()))
    }

    #[test]
    fn a_varint_has_at_most_64_bits() {
        assert_eq!(varint(&[0, 9]), Some((0, 1)));
        assert_eq!(varint(&[0x96, 0x01]), Some((150, 0)));
        assert_eq!(varint(&[0x80, 0x00]), Some((0, 0)), "longer than it need be");
        let most = [[0xff; 9].as_slice(), &[1]].concat();
        assert_eq!(varint(&most), Some((u64::MAX, 0)));
        assert_eq!(varint(&[[0xff; 9].as_slice(), &[2]].concat()), None, "65 bits");
        assert_eq!(varint(&[[0x80; 10].as_slice(), &[0]].concat()), None, "eleven bytes");
        assert_eq!(varint(&[]), None);
        assert_eq!(varint(&[0x80]), None, "cut");
    }

    #[test]
    fn a_field_that_is_cut_ends_the_message() {
        for cut in [[0x08].as_slice(), &[0x12, 2, b'a'], &[0x0d, 0, 0, 0], &[0x09, 0], &[0x80]] {
            assert_eq!(fields(cut).collect::<Vec<_>>(), [Err(Malformed::Protobuf)], "{cut:x?}");
        }
        let second = fields(&[0x08, 1, 0x08]).collect::<Vec<_>>();
        assert_eq!(second, [Ok((1, Field::Number(1))), Err(Malformed::Protobuf)]);
    }

    #[test]
    fn groups_and_the_field_zero_are_malformed() {
        for tag in [0x0b, 0x0c, 0x0e, 0x0f, 0x00] {
            assert_eq!(fields(&[tag, 0, 0]).next(), Some(Err(Malformed::Protobuf)), "{tag:x}");
        }
    }

    #[test]
    fn a_field_is_read_only_as_what_it_holds() {
        assert_eq!(Field::Bytes(b"\xff").text(), Err(Malformed::Protobuf));
        assert_eq!(Field::Bytes(b"1").number(), Err(Malformed::Protobuf));
        assert_eq!(Field::Number(1).text(), Err(Malformed::Protobuf));
        assert_eq!(Field::Fixed.number(), Err(Malformed::Protobuf));
        assert_eq!(Field::Fixed.bytes(), Err(Malformed::Protobuf));
    }

    #[test]
    fn an_entry_may_lack_its_key_or_its_value() {
        assert_eq!(Field::Bytes(&[0x0a, 1, b'k', 0x12, 1, b'v']).entry(), Ok(("k".into(), Some(Field::Bytes(b"v")))));
        assert_eq!(Field::Bytes(&[]).entry(), Ok(("".into(), None)));
    }
}

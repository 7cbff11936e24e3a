//! Sizes and durations with units, as they stand in the configuration.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A number of bytes, written `"64KiB"`, `"1MiB"`, `"1GiB"` or a plain integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

/// A duration, written `"250ms"`, `"25s"`, `"10m"`, `"1h"`, `"7d"`; at most [`Span::LONGEST`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

/// A text is not a [`ByteSize`] or not a [`Span`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseUnitError {
    /// Not a whole number and a unit of sizes.
    #[error(
        "`{0}` is not a size: write a whole number and B, KiB, MiB, GiB or TiB (1 KiB is 1024 bytes), such as \"64KiB\""
    )]
    Size(String),
    /// More than 2^63 - 1 bytes.
    #[error("`{0}` is more than any machine has")]
    SizeTooLarge(String),
    /// Not a whole number and a unit of time.
    #[error("`{0}` is not a duration: write a whole number and ms, s, m, h or d, such as \"25s\"")]
    Time(String),
    /// More than [`Span::LONGEST`].
    #[error("`{0}` is too long: a duration is at most 366d")]
    TimeTooLong(String),
}

const SIZE_UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
const TIME_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl ByteSize {
    /// `n` KiB.
    pub const fn kib(n: u64) -> Self {
        Self(n * 1024)
    }
    /// `n` MiB.
    pub const fn mib(n: u64) -> Self {
        Self::kib(n * 1024)
    }
    /// The bytes as a `usize`, saturating.
    pub fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
    /// For people: rounded to a tenth of the largest unit that fits, `"6.1GiB"`.
    pub fn rounded(self) -> String {
        let (unit, factor) = *SIZE_UNITS.iter().find(|(_, factor)| self.0 >= *factor).unwrap_or(&("B", 1));
        let tenths = u128::from(self.0) * 10 / u128::from(factor);
        if tenths.is_multiple_of(10) {
            format!("{}{unit}", tenths / 10)
        } else {
            format!("{}.{}{unit}", tenths / 10, tenths % 10)
        }
    }
}

impl Span {
    /// The longest duration a configuration may name. A bound, so that adding one to a point in time cannot overflow.
    pub const LONGEST: Self = Self::secs(366 * 86_400);

    /// `n` seconds.
    pub const fn secs(n: u64) -> Self {
        Self(Duration::from_secs(n))
    }
    /// `n` milliseconds.
    pub const fn millis(n: u64) -> Self {
        Self(Duration::from_millis(n))
    }
}

/// Splits `text` into its digits and its unit.
fn number_and_unit(text: &str) -> Option<(&str, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    (!digits.is_empty()).then_some((digits, unit.trim_start()))
}

impl FromStr for ByteSize {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseUnitError::Size(text.to_owned());
        let (digits, unit) = number_and_unit(text).ok_or_else(wrong)?;
        let unit = if unit.is_empty() { "B" } else { unit };
        let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let too_large = || ParseUnitError::SizeTooLarge(text.to_owned());
        let bytes = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(*factor)).ok_or_else(too_large)?;
        // TOML integers are 64 bits with a sign; staying below keeps every size writable as one.
        if i64::try_from(bytes).is_err() { Err(too_large()) } else { Ok(Self(bytes)) }
    }
}

impl FromStr for Span {
    type Err = ParseUnitError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseUnitError::Time(text.to_owned());
        let (digits, unit) = number_and_unit(text).ok_or_else(wrong)?;
        let (_, factor) = TIME_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let too_long = || ParseUnitError::TimeTooLong(text.to_owned());
        let millis = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(*factor)).ok_or_else(too_long)?;
        let span = Self::millis(millis);
        if span > Self::LONGEST { Err(too_long()) } else { Ok(span) }
    }
}

impl fmt::Display for ByteSize {
    /// The exact size in the largest unit that divides it; reads back as the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |(_, factor): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(*factor);
        let (unit, factor) = SIZE_UNITS.iter().find(exact).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl fmt::Display for Span {
    /// The duration in the largest unit that divides it; reads back as the same, cut to milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let exact = |(_, factor): &&(&str, u64)| millis != 0 && millis.is_multiple_of(*factor);
        let (unit, factor) = TIME_UNITS.iter().find(exact).unwrap_or(&("s", 1_000));
        write!(f, "{}{unit}", millis / factor)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SizeVisitor;
        impl Visitor<'_> for SizeVisitor {
            type Value = ByteSize;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"64KiB\", or a number of bytes")
            }
            fn visit_i64<E: de::Error>(self, n: i64) -> Result<ByteSize, E> {
                let bytes = u64::try_from(n).map_err(|_| E::custom(format_args!("a size cannot be negative: {n}")))?;
                Ok(ByteSize(bytes))
            }
            fn visit_u64<E: de::Error>(self, n: u64) -> Result<ByteSize, E> {
                n.to_string().parse().map_err(E::custom)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(SizeVisitor)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SpanVisitor;
        impl Visitor<'_> for SpanVisitor {
            type Value = Span;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration with its unit, such as \"25s\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(SpanVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_a_unit() {
        for (text, bytes) in
            [("0", 0), ("17", 17), ("17B", 17), ("64KiB", 65_536), ("1 MiB", 1 << 20), ("2TiB", 2 << 40)]
        {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn a_size_in_powers_of_ten_or_without_digits_is_refused_with_the_units_that_exist() {
        for text in ["64KB", "64k", "1.5MiB", "-1KiB", "KiB", "", "1KiB KiB"] {
            let error = text.parse::<ByteSize>().unwrap_err();
            assert!(error.to_string().contains("KiB"), "{text}: {error}");
        }
        assert_eq!("9999999999GiB".parse::<ByteSize>(), Err(ParseUnitError::SizeTooLarge("9999999999GiB".into())));
        assert_eq!("8388608TiB".parse::<ByteSize>(), Err(ParseUnitError::SizeTooLarge("8388608TiB".into())));
    }

    #[test]
    fn durations_need_a_unit_and_have_a_longest_one() {
        assert_eq!("250ms".parse(), Ok(Span(Duration::from_millis(250))));
        assert_eq!("10m".parse(), Ok(Span::secs(600)));
        assert_eq!("366d".parse(), Ok(Span::LONGEST));
        assert_eq!("25".parse::<Span>(), Err(ParseUnitError::Time("25".into())));
        assert_eq!("1.5s".parse::<Span>(), Err(ParseUnitError::Time("1.5s".into())));
        assert_eq!("367d".parse::<Span>(), Err(ParseUnitError::TimeTooLong("367d".into())));
    }

    #[test]
    fn rounding_for_people_keeps_one_decimal() {
        assert_eq!(ByteSize(0).rounded(), "0B");
        assert_eq!(ByteSize::mib(1024).rounded(), "1GiB");
        assert_eq!(ByteSize(6_553_600_000).rounded(), "6.1GiB");
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_as_the_same(bytes in 0..=i64::MAX as u64, millis in 0u64..=366 * 86_400_000) {
            prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
            let span = Span(Duration::from_millis(millis));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn no_text_makes_the_readers_panic(text in ".*") {
            let _ = text.parse::<ByteSize>();
            let _ = text.parse::<Span>();
        }
    }
}

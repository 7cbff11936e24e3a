//! Decimal numbers of any size, compared as what they are.

use std::cmp::Ordering;

/// The longest number, in bytes, sign and point included.
pub(super) const LIMIT_BYTES: usize = 200;

/// A number as its digits: no float, to which 0.1 + 0.2 and prices of twenty digits are something else.
///
/// Equal numbers are equal however they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Decimal<T> {
    /// Not for zero.
    is_negative: bool,
    /// Without leading zeros; empty below one.
    integer: T,
    /// Without trailing zeros; empty for a whole number.
    fraction: T,
}

impl<'a> Decimal<&'a str> {
    /// Reads `12`, `-0.50` or `+007`: digits, and if there is a point, digits on both sides of it. No exponents.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        if text.len() > LIMIT_BYTES {
            return None;
        }
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (integer, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(integer) || !is_digits(fraction) {
            return None;
        }
        let (integer, fraction) = (integer.trim_start_matches('0'), fraction.trim_end_matches('0'));
        let is_zero = integer.is_empty() && fraction.is_empty();
        Some(Self { is_negative: text.starts_with('-') && !is_zero, integer, fraction })
    }

    /// The same with digits of its own.
    pub(super) fn into_owned(self) -> Decimal<Box<str>> {
        Decimal { is_negative: self.is_negative, integer: self.integer.into(), fraction: self.fraction.into() }
    }
}

impl<T: AsRef<str>> Decimal<T> {
    /// Which of two is greater.
    pub(super) fn compare<U: AsRef<str>>(&self, other: &Decimal<U>) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.compare_magnitudes(other),
            (true, true) => self.compare_magnitudes(other).reverse(),
        }
    }

    /// Without leading zeros the longer integer is the greater; fractions stand side by side from the point on.
    fn compare_magnitudes<U: AsRef<str>>(&self, other: &Decimal<U>) -> Ordering {
        let (integer, other_integer) = (self.integer.as_ref(), other.integer.as_ref());
        integer
            .len()
            .cmp(&other_integer.len())
            .then_with(|| integer.cmp(other_integer))
            .then_with(|| self.fraction.as_ref().cmp(other.fraction.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compare(left: &str, right: &str) -> Ordering {
        Decimal::parse(left).unwrap().compare(&Decimal::parse(right).unwrap().into_owned())
    }

    #[test]
    fn what_floats_take_for_equal_is_not() {
        assert_eq!(compare("9007199254740993", "9007199254740992"), Ordering::Greater);
        assert_eq!(compare("0.1000000000000000000000000000001", "0.1"), Ordering::Greater);
        assert_eq!(compare(&"9".repeat(LIMIT_BYTES), &format!("1{}", "0".repeat(LIMIT_BYTES - 1))), Ordering::Greater);
    }

    #[test]
    fn equal_numbers_are_equal_however_written() {
        for (left, right) in [("1", "+01.0"), ("-0", "0.00"), ("-1.50", "-001.5"), ("0.5", "00.5")] {
            assert_eq!(compare(left, right), Ordering::Equal);
            assert_eq!(Decimal::parse(left), Decimal::parse(right));
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in
            ["", "-", "+", ".", "1.", ".5", "1e3", "0x1", "1_000", "1,5", " 1", "1 ", "--1", "1.2.3", "NaN", "١"]
        {
            assert_eq!(Decimal::parse(text), None, "{text:?}");
        }
        assert!(Decimal::parse(&"1".repeat(LIMIT_BYTES)).is_some());
        assert!(Decimal::parse(&"1".repeat(LIMIT_BYTES + 1)).is_none());
    }

    proptest! {
        #[test]
        fn they_compare_as_whole_numbers_of_their_smallest_part_do(
            left in -100_000..100_000_i64,
            right in -100_000..100_000_i64,
            zeros in 0..3_usize,
        ) {
            let text = |number: i64| {
                let sign = if number < 0 { "-" } else { "" };
                let magnitude = number.unsigned_abs();
                format!("{sign}{}{}.{:03}{}", "0".repeat(zeros), magnitude / 1000, magnitude % 1000, "0".repeat(zeros))
            };
            prop_assert_eq!(compare(&text(left), &text(right)), left.cmp(&right));
            prop_assert_eq!(compare(&text(left), &text(left)), Ordering::Equal);
        }
    }
}

//! Numbers as a reader wants them: three digits that matter, and a unit of the right size.

/// `value` with about three digits that matter.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "–".to_owned(),
        0.0 => "0".to_owned(),
        size if size < 0.001 => format!("{value:.1e}"),
        size if size < 1.0 => trimmed(format!("{value:.3}")),
        size if size < 10.0 => trimmed(format!("{value:.2}")),
        size if size < 100.0 => trimmed(format!("{value:.1}")),
        _ => grouped(value),
    }
}

/// A count or a rate: `950`, `12.5k`, `3.2M`.
pub(crate) fn count(value: f64) -> String {
    match value.abs() {
        size if size < 9_999.5 => number(value),
        size if size < 999_500.0 => format!("{}k", number(value / 1e3)),
        _ => format!("{}M", number(value / 1e6)),
    }
}

/// Microseconds.
pub(crate) fn microseconds(value: f64) -> String {
    match value.abs() {
        size if size < 999.5 => format!("{} µs", number(value)),
        size if size < 999_500.0 => format!("{} ms", number(value / 1e3)),
        _ => format!("{} s", number(value / 1e6)),
    }
}

/// Bytes, by 1,024.
pub(crate) fn bytes(value: f64) -> String {
    match value.abs() {
        size if size < 9_999.5 => format!("{} B", number(value)),
        size if size < 1_048_576.0 => format!("{} KiB", number(value / 1024.0)),
        size if size < 1_073_741_824.0 => format!("{} MiB", number(value / 1_048_576.0)),
        _ => format!("{} GiB", number(value / 1_073_741_824.0)),
    }
}

/// A share of one CPU.
pub(crate) fn percent(value: f64) -> String {
    format!("{} %", number(value * 100.0))
}

/// A ratio: three digits behind the point decide near 1.
pub(crate) fn ratio(value: f64) -> String {
    match value {
        _ if !value.is_finite() => "–".to_owned(),
        value if value.abs() < 10.0 => format!("{value:.2}×"),
        _ => format!("{}×", number(value)),
    }
}

fn trimmed(text: String) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// With a comma after each three digits.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if value < 0.0 { format!("-{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_matter() {
        for (value, text) in [
            (0.0, "0"),
            (0.000_25, "2.5e-4"),
            (0.105_98, "0.106"),
            (2.0, "2"),
            (4.7636, "4.76"),
            (-99.94, "-99.9"),
            (123.4, "123"),
            (1_234_567.8, "1,234,568"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn units_grow_with_the_value() {
        assert_eq!([500.0, 999.4, 999.6, 2.5e6].map(microseconds), ["500 µs", "999 µs", "1 ms", "2.5 s"]);
        assert_eq!([950.0, 12_500.0, 3.2e6].map(count), ["950", "12.5k", "3.2M"]);
        assert_eq!([400.0, 51_200.0, 5_242_880.0].map(bytes), ["400 B", "50 KiB", "5 MiB"]);
        assert_eq!([1.0499, 12.34].map(ratio), ["1.05×", "12.3×"]);
        assert_eq!(percent(0.215), "21.5 %");
    }
}

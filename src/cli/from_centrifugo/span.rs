//! Durations as Go writes them.

use crate::config::Span;

/// `"1h30m"`, `"1.5s"` or `"500ms"` as a [`Span`], cut to milliseconds; `None` if it is negative, unreadable or too long.
pub(super) fn parse(text: &str) -> Option<Span> {
    const UNITS: [(&str, f64); 7] =
        [("ms", 1.0), ("us", 1e-3), ("µs", 1e-3), ("ns", 1e-6), ("h", 3_600_000.0), ("m", 60_000.0), ("s", 1_000.0)];
    let mut rest = text.trim().trim_start_matches('+');
    if rest == "0" {
        return Some(Span::secs(0));
    }
    let mut millis = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let (unit, factor) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        millis += number.parse::<f64>().ok()? * factor;
        rest = &after[unit.len()..];
    }
    // A duration has at most 366 days, far below where these numbers lose whole milliseconds.
    let longest = Span::LONGEST.0.as_millis() as f64;
    (millis <= longest).then(|| Span::millis((millis + 1e-6) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_durations_are_read() {
        for (text, millis) in [
            ("10s", 10_000),
            ("1000ms", 1_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            ("720h", 2_592_000_000),
            ("0", 0),
        ] {
            assert_eq!(parse(text), Some(Span::millis(millis)), "{text}");
        }
        for text in ["", "-1s", "-1", "10", "s", "1x", "1..2s", "9000h", "1e9h"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}

//! Points in time, for people.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY_SECS: u64 = 86_400;

/// Seconds since the Unix epoch, now.
pub(super) fn now_unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A moment and how far it is from `now_unix`: `2026-11-28 00:10:00 UTC, in 55 minutes`.
pub(super) fn told(unix: u64, now_unix: u64) -> String {
    format!("{}, {}", date(unix), distance(unix, now_unix))
}

/// `in 55 minutes`, `3 days ago`, `now`.
pub(super) fn distance(unix: u64, now_unix: u64) -> String {
    let secs = unix.abs_diff(now_unix);
    let units = [("year", 365 * DAY_SECS), ("day", DAY_SECS), ("hour", 3600), ("minute", 60), ("second", 1)];
    let Some((unit, length)) = units.into_iter().find(|(_, length)| secs >= *length) else { return "now".to_owned() };
    let count = secs / length;
    let plural = if count == 1 { "" } else { "s" };
    if unix > now_unix { format!("in {count} {unit}{plural}") } else { format!("{count} {unit}{plural} ago") }
}

/// The date and time in UTC. Years over 9999 are only told as such: nobody means them.
fn date(unix: u64) -> String {
    let (days, secs) = (unix / DAY_SECS, unix % DAY_SECS);
    let Some((year, month, day)) = civil(days) else { return "after the year 9999".to_owned() };
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", secs / 3600, secs / 60 % 60, secs % 60)
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar.
fn civil(mut days: u64) -> Option<(u64, u64, u64)> {
    const FOUR_CENTURIES_DAYS: u64 = 146_097;
    if days > 21 * FOUR_CENTURIES_DAYS {
        return None;
    }
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970 + days / FOUR_CENTURIES_DAYS * 400;
    days %= FOUR_CENTURIES_DAYS;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year <= 9999).then_some((year, month, days + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (unix, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_709_164_800, "2024-02-29 00:00:00 UTC"),
            (1_795_824_000, "2026-11-28 00:00:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (253_402_300_799, "9999-12-31 23:59:59 UTC"),
            (253_402_300_800, "after the year 9999"),
            (u64::MAX, "after the year 9999"),
        ] {
            assert_eq!(date(unix), expected, "{unix}");
        }
    }

    #[test]
    fn distances_are_in_the_largest_unit_that_fits() {
        let now = 1_000_000_000;
        for (unix, expected) in [
            (now, "now"),
            (now + 1, "in 1 second"),
            (now - 59, "59 seconds ago"),
            (now + 60, "in 1 minute"),
            (now + 3_599, "in 59 minutes"),
            (now - 7_200, "2 hours ago"),
            (now - 86_400, "1 day ago"),
            (now + 364 * 86_400, "in 364 days"),
            (0, "31 years ago"),
        ] {
            assert_eq!(distance(unix, now), expected);
        }
        assert!(told(u64::MAX, now).starts_with("after the year 9999, in "));
    }
}

//! The clock that publisher and subscriber share.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`: one scale for every process of this machine, so a time written into a payload by
/// one process can be subtracted in another.
pub(crate) fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    // Monotonic time starts at boot: never negative, and 2^64 ns are 584 years.
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Seconds since 1970, for requests that carry a time.
pub(crate) fn unix_s() -> u64 {
    clock_gettime(ClockId::Realtime).tv_sec.unsigned_abs()
}

/// `seconds` of the command line as nanoseconds, at least zero.
pub(crate) fn seconds_to_ns(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e9) as u64
}

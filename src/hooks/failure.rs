//! Why there is no answer of the backend: one closed list, the same in metrics, logs and what clients are told.

use std::fmt;

use super::answer::Refused;

/// Why a call brought no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// There was no answer within `hooks.timeout`.
    Timeout,
    /// It waited for `hooks.timeout` and never was its turn: `hooks.concurrency` calls were under way.
    Waited,
    /// No connection, or no TLS on it.
    Unreachable(String),
    /// The connection ended, or what came over it was not HTTP.
    Broken(String),
    /// The status was not 200 (of an event: not 2xx).
    Status(u16),
    /// The answer was over `hooks.answer`.
    TooLarge,
    /// The answer was not one.
    Garbage(String),
    /// It was not called: it has no URL.
    Off,
    /// It was not called: what waits has used up `hooks.queue`.
    Busy,
    /// It was not called: too many calls of this URL failed just now.
    Open,
    /// It was not called: the hub is ending.
    Ending,
    /// It was not called: what was to be sent as JSON is not JSON.
    Unsendable(String),
}

impl Failure {
    /// Values of the label `code`, in the order of [`Failure::index`].
    pub const CODES: [&str; 12] = [
        "timeout",
        "waited",
        "unreachable",
        "broken",
        "status",
        "too_large",
        "garbage",
        "busy",
        "breaker_open",
        "ending",
        "unsendable",
        "off",
    ];

    /// Its place in [`Failure::CODES`].
    pub const fn index(&self) -> usize {
        match self {
            Self::Timeout => 0,
            Self::Waited => 1,
            Self::Unreachable(_) => 2,
            Self::Broken(_) => 3,
            Self::Status(_) => 4,
            Self::TooLarge => 5,
            Self::Garbage(_) => 6,
            Self::Busy => 7,
            Self::Open => 8,
            Self::Ending => 9,
            Self::Unsendable(_) => 10,
            Self::Off => 11,
        }
    }

    /// Its label in metrics and logs.
    pub const fn code(&self) -> &'static str {
        Self::CODES[self.index()]
    }

    /// What the client is told: that it may try again, whatever the reason; or that there is no such thing here.
    pub fn refused(&self) -> Refused {
        let (code, message) = if *self == Self::Off { (108, "not available") } else { (100, "internal server error") };
        Refused { code, message: message.to_owned(), temporary: code == 100 }
    }

    /// Whether it says that the backend is not well, and should be spared.
    ///
    /// A backend that answers 4xx is alive and only refuses this call: if that counted, whoever can make it refuse
    /// could have it taken from everyone. It asks to be spared with 408 and 429.
    pub(super) const fn is_illness(&self) -> bool {
        match self {
            Self::Timeout | Self::Unreachable(_) | Self::Broken(_) | Self::TooLarge | Self::Garbage(_) => true,
            Self::Status(status) => !matches!(status, 400..=407 | 409..=428 | 430..=499),
            Self::Waited | Self::Busy | Self::Open | Self::Ending | Self::Unsendable(_) | Self::Off => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Timeout => f.write_str("no answer within hooks.timeout"),
            Self::Waited => f.write_str("hooks.concurrency calls were under way for all of hooks.timeout"),
            Self::Unreachable(why) => write!(f, "no connection: {why}"),
            Self::Broken(why) => write!(f, "the connection broke: {why}"),
            Self::Status(status) => write!(f, "the status was {status}"),
            Self::TooLarge => f.write_str("the answer is larger than hooks.answer"),
            Self::Garbage(why) => write!(f, "the answer cannot be understood: {why}"),
            Self::Off => f.write_str("the hook has no URL"),
            Self::Busy => f.write_str("what waits has used up hooks.queue"),
            Self::Open => f.write_str("not called, because too many calls failed just now"),
            Self::Ending => f.write_str("the hub is ending"),
            Self::Unsendable(why) => write!(f, "what was to be sent as JSON is not JSON: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_that_refuses_a_call_is_not_ill_and_one_that_cannot_answer_is() {
        for well in [400, 401, 403, 404, 413, 422, 499] {
            assert!(!Failure::Status(well).is_illness(), "{well}");
        }
        for ill in [204, 301, 408, 429, 500, 502, 503, 504] {
            assert!(Failure::Status(ill).is_illness(), "{ill}");
        }
        assert!(Failure::Timeout.is_illness() && !Failure::Busy.is_illness() && !Failure::Waited.is_illness());
    }

    #[test]
    fn codes_are_all_different() {
        let mut codes = Failure::CODES.to_vec();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Failure::CODES.len());
        assert_eq!((Failure::Open.code(), Failure::Unsendable(String::new()).code()), ("breaker_open", "unsendable"));
    }
}

//! Query strings. Pure, and strict: a parameter that would be ignored is a mistake that nobody would notice.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use crate::hub::Position;

/// Why a query is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadQuery {
    /// A key is not one of those accepted here.
    #[error("the parameter {key:?} is not known here; accepted: {accepted}")]
    UnknownKey {
        /// The key.
        key: String,
        /// The accepted ones, separated by commas.
        accepted: String,
    },
    /// A key is there more than once.
    #[error("the parameter {0} is given more than once")]
    Repeated(&'static str),
    /// A key or value is not UTF-8 once percent-decoded.
    #[error("the query is not UTF-8 once percent-decoded")]
    NotUtf8,
    /// A value is not what its key asks for.
    #[error("{key}={value:?}: {expected}")]
    BadValue {
        /// The key.
        key: &'static str,
        /// The value.
        value: String,
        /// What it should be.
        expected: String,
    },
}

/// The parameters of `GET /topics/{topic}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryQuery {
    /// At most this many publications, 1 to [`HistoryQuery::LIMIT_MAX`].
    pub limit: usize,
    /// Only those after this position.
    pub since: Option<Position>,
}

impl HistoryQuery {
    /// Publications on a page when `limit` is not given.
    pub const LIMIT_DEFAULT: usize = 100;
    /// The most publications on a page.
    pub const LIMIT_MAX: usize = 1000;

    /// Reads the query of a request.
    pub fn parse(query: Option<&str>) -> Result<Self, BadQuery> {
        let [limit, since] = parameters(query, ["limit", "since"])?;
        let limit = match limit {
            None => Self::LIMIT_DEFAULT,
            Some(value) => {
                whole_number(&value).filter(|limit| (1..=Self::LIMIT_MAX).contains(limit)).ok_or_else(|| {
                    let expected = format!("a whole number from 1 to {}", Self::LIMIT_MAX);
                    BadQuery::BadValue { key: "limit", value: value.into_owned(), expected }
                })?
            }
        };
        let since =
            match since {
                None => None,
                Some(value) => Some(value.parse().map_err(|error: crate::hub::ParsePositionError| {
                    BadQuery::BadValue { key: "since", value: value.into_owned(), expected: error.to_string() }
                })?),
            };
        Ok(Self { limit, since })
    }
}

/// All pairs of a query in their order, decoded; a key without `=` has the empty value. For those who know their keys.
///
/// # Errors
/// [`BadQuery::NotUtf8`].
pub fn pairs(query: &str) -> Result<Vec<(String, String)>, BadQuery> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(key)?.into_owned(), decoded(value)?.into_owned()))
        })
        .collect()
}

/// The values of the `accepted` keys, in their order. A key without `=` has the empty value.
pub fn parameters<'q, const N: usize>(
    query: Option<&'q str>,
    accepted: [&'static str; N],
) -> Result<[Option<Cow<'q, str>>; N], BadQuery> {
    let mut values = [const { None }; N];
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decoded(key)?, decoded(value)?);
        let Some(place) = accepted.iter().position(|accepted| *accepted == key) else {
            let accepted = if N == 0 { "none".to_owned() } else { accepted.join(", ") };
            return Err(BadQuery::UnknownKey { key: key.into_owned(), accepted });
        };
        if values[place].replace(value).is_some() {
            return Err(BadQuery::Repeated(accepted[place]));
        }
    }
    Ok(values)
}

fn decoded(text: &str) -> Result<Cow<'_, str>, BadQuery> {
    // Forms write a blank as "+"; whoever means a plus writes %2B.
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|_| BadQuery::NotUtf8)?;
        return Ok(Cow::Owned(decoded.into_owned()));
    }
    percent_decode_str(text).decode_utf8().map_err(|_| BadQuery::NotUtf8)
}

fn whole_number(text: &str) -> Option<usize> {
    let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;
    use crate::hub::{Epoch, Offset};

    #[test]
    fn without_a_query_the_defaults_hold() {
        let defaults = HistoryQuery { limit: 100, since: None };
        assert_eq!(HistoryQuery::parse(None), Ok(defaults));
        assert_eq!(HistoryQuery::parse(Some("")), Ok(defaults));
        assert_eq!(HistoryQuery::parse(Some("&&")), Ok(defaults));
    }

    #[test]
    fn limit_and_since_are_read_in_any_order_and_encoding() {
        let since = Some(Position { epoch: Epoch(17), offset: Offset(4) });
        assert_eq!(HistoryQuery::parse(Some("since=17:4&limit=1000")), Ok(HistoryQuery { limit: 1000, since }));
        assert_eq!(HistoryQuery::parse(Some("limit=1&since=17%3A4")), Ok(HistoryQuery { limit: 1, since }));
    }

    #[test]
    fn a_limit_out_of_range_is_named_with_its_value() {
        for value in ["0", "1001", "-1", "1e3", "+5", "", "99999999999999999999999"] {
            let error = HistoryQuery::parse(Some(&format!("limit={value}"))).unwrap_err();
            assert!(matches!(error, BadQuery::BadValue { key: "limit", .. }), "{value}: {error}");
            assert!(error.to_string().contains("from 1 to 1000"), "{error}");
        }
    }

    #[test]
    fn a_since_that_is_no_position_is_refused() {
        for value in ["", "1", "1:", ":1", "a:b", "1:2:3", "-1:2"] {
            let error = HistoryQuery::parse(Some(&format!("since={value}"))).unwrap_err();
            assert!(matches!(error, BadQuery::BadValue { key: "since", .. }), "{value}: {error}");
        }
    }

    #[test]
    fn an_unknown_parameter_is_refused_with_the_known_ones() {
        let error = HistoryQuery::parse(Some("limt=5")).unwrap_err();
        assert_eq!(error.to_string(), "the parameter \"limt\" is not known here; accepted: limit, since");
        let error = parameters(Some("x"), []).unwrap_err();
        assert_eq!(error.to_string(), "the parameter \"x\" is not known here; accepted: none");
    }

    #[test]
    fn a_repeated_parameter_is_refused() {
        assert_eq!(HistoryQuery::parse(Some("limit=1&limit=1")), Err(BadQuery::Repeated("limit")));
    }

    #[test]
    fn what_is_not_utf_8_is_refused() {
        assert_eq!(HistoryQuery::parse(Some("since=%FF")), Err(BadQuery::NotUtf8));
        assert_eq!(HistoryQuery::parse(Some("+%FF")), Err(BadQuery::NotUtf8));
    }

    proptest! {
        #[test]
        fn any_query_is_read_without_a_panic(query in "[a-z0-9=&%+:;#?\\PC]{0,60}") {
            let _ = HistoryQuery::parse(Some(&query));
        }

        #[test]
        fn a_value_survives_its_encoding(value in "\\PC{0,40}") {
            let query = format!("v={}", utf8_percent_encode(&value, NON_ALPHANUMERIC));
            let [found] = parameters(Some(&query), ["v"]).unwrap();
            prop_assert_eq!(found.as_deref(), Some(value.as_str()));
        }

        #[test]
        fn every_position_is_read_back(epoch: u64, offset: u64) {
            let since = Position { epoch: Epoch(epoch), offset: Offset(offset) };
            let read = HistoryQuery::parse(Some(&format!("since={since}"))).unwrap();
            prop_assert_eq!(read.since, Some(since));
        }
    }
}

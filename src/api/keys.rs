//! API keys: where a request shows one, and whether it is known.

use std::borrow::Cow;
use std::fmt;
use std::hint::black_box;

use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::config::Api;

/// The keys of `[api]`. Never shown by `Debug`.
pub struct ApiKeys {
    keys: Box<[Box<str>]>,
}

/// What a shown key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum KeyCheck {
    /// One of ours.
    Known,
    /// None of ours.
    Unknown,
    /// None was shown.
    Missing,
}

impl ApiKeys {
    /// The keys of the configuration, to which the loader has added those of `api.keys_file`.
    pub fn new(api: &Api) -> Self {
        // An empty key would let in everyone who sends an empty header.
        let keys = api.keys.iter().filter(|key| !key.is_empty());
        Self { keys: keys.map(|key| key.as_str().into()).collect() }
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Checks the key that a request shows in `X-API-Key`, or `Authorization: apikey KEY`.
    pub fn check_headers(&self, head: &Parts) -> KeyCheck {
        match key_in_headers(head) {
            Some(key) => self.check(key),
            None => KeyCheck::Missing,
        }
    }

    /// As [`ApiKeys::check_headers`], then `?api_key=KEY`.
    pub fn check_headers_and_query(&self, head: &Parts) -> KeyCheck {
        match key_in_headers(head).map(Cow::Borrowed).or_else(|| key_in_query(head)) {
            Some(key) => self.check(&key),
            None => KeyCheck::Missing,
        }
    }

    /// Compares with every key, whole, so that the time says neither which nor how much of one was right. (It may say
    /// how long the keys are.)
    fn check(&self, shown: &[u8]) -> KeyCheck {
        let known = self.keys.iter().fold(false, |known, key| same(key.as_bytes(), shown) | known);
        if known { KeyCheck::Known } else { KeyCheck::Unknown }
    }
}

/// Shows how many keys there are, never a key.
impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeys({})", self.keys.len())
    }
}

fn same(key: &[u8], shown: &[u8]) -> bool {
    key.len() == shown.len() && key.iter().zip(shown).fold(0, |differs, (a, b)| black_box(differs | (a ^ b))) == 0
}

fn key_in_headers(head: &Parts) -> Option<&[u8]> {
    if let Some(key) = head.headers.get("x-api-key") {
        return Some(key.as_bytes());
    }
    let value = head.headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked("apikey ".len())?;
    scheme.eq_ignore_ascii_case(b"apikey ").then_some(key.trim_ascii())
}

fn key_in_query(head: &Parts) -> Option<Cow<'_, [u8]>> {
    let pairs = head.uri.query()?.split('&');
    let value = pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == "api_key")?.1;
    Some(percent_decode_str(value).into())
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn keys() -> ApiKeys {
        ApiKeys::new(&Api { keys: vec!["s3cret".to_owned(), "other".to_owned(), String::new()], keys_file: None })
    }

    fn head(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let request = headers.iter().fold(Request::post(uri), |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_key_is_found_in_each_of_its_three_places() {
        let keys = keys();
        for head in [
            head("/api/info", &[("X-API-Key", "s3cret")]),
            head("/api/info", &[("Authorization", "apikey other")]),
            head("/api/info", &[("Authorization", "ApiKey  s3cret")]),
            head("/api/info?api_key=s3cret", &[]),
            head("/api/info?a=b&api_key=s3%63ret", &[]),
        ] {
            assert_eq!(keys.check_headers_and_query(&head), KeyCheck::Known, "{head:?}");
        }
        assert_eq!(keys.check_headers(&head("/topics/a?api_key=s3cret", &[])), KeyCheck::Missing);
    }

    #[test]
    fn a_wrong_key_is_unknown_and_no_key_is_missing() {
        let keys = keys();
        for wrong in ["", "s3cre", "s3crets", "S3CRET", "s3cret other"] {
            assert_eq!(keys.check_headers(&head("/", &[("X-API-Key", wrong)])), KeyCheck::Unknown, "{wrong}");
        }
        assert_eq!(keys.check_headers(&head("/", &[])), KeyCheck::Missing);
        assert_eq!(keys.check_headers(&head("/", &[("Authorization", "Bearer s3cret")])), KeyCheck::Missing);
        assert_eq!(keys.check_headers(&head("/", &[("Authorization", "apikey")])), KeyCheck::Missing);
    }

    #[test]
    fn without_keys_every_key_is_unknown() {
        let keys = ApiKeys::new(&Api::default());
        assert!(keys.is_empty());
        assert_eq!(keys.check_headers(&head("/", &[("X-API-Key", "")])), KeyCheck::Unknown);
    }

    #[test]
    fn a_key_is_never_shown() {
        assert_eq!(format!("{:?}", keys()), "ApiKeys(2)");
    }
}

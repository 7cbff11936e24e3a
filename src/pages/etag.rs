//! Entity tags: whether a browser already has these bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::header::{HeaderMap, HeaderValue, IF_NONE_MATCH};
use sha2::{Digest, Sha256};

/// A strong entity tag (RFC 9110 §8.8.3): the first 16 bytes of the content's SHA-256.
///
/// Of the content, not of size and time: so replicas and redeployments agree, and a file that was changed twice within
/// one tick of the file system's clock is not taken for the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ETag(HeaderValue);

impl ETag {
    /// The tag of `content`. Costs a hash of it.
    pub(super) fn of(content: &[u8]) -> Self {
        let hash = Sha256::digest(content);
        let text = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&hash[..16]));
        Self(HeaderValue::try_from(text).expect("invariant: base64url in quotes is a header value"))
    }

    /// As the `ETag` header wants it.
    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// Whether the request says that it has this very content (`If-None-Match`, weak comparison).
    pub(super) fn is_known_to(&self, headers: &HeaderMap) -> bool {
        let lists = headers.get_all(IF_NONE_MATCH).iter();
        // Our tags have no comma, so that splitting at commas cannot make up a match.
        lists.flat_map(|list| list.as_bytes().split(|&b| b == b',')).any(|tag| {
            let tag = tag.trim_ascii();
            tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == self.0.as_bytes()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_has_the_same_tag_and_other_content_another() {
        assert_eq!(ETag::of(b"a"), ETag::of(b"a"));
        assert_ne!(ETag::of(b"a"), ETag::of(b"b"));
        assert_eq!(ETag::of(b"").header().len(), 24);
    }

    #[test]
    fn a_request_knows_a_tag_alone_in_a_list_weak_or_by_a_star() {
        let tag = ETag::of(b"a");
        let text = tag.header().to_str().unwrap().to_owned();
        let knows = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, value.parse().unwrap());
            tag.is_known_to(&headers)
        };
        assert!(knows(&text));
        assert!(knows(&format!("\"x\", {text} ,\"y\"")));
        assert!(knows(&format!("W/{text}")));
        assert!(knows("*"));
        assert!(!knows("\"x\""));
        assert!(!knows(text.trim_matches('"')));
        assert!(!tag.is_known_to(&HeaderMap::new()));
    }
}

//! Which web pages may use the hub: the `Origin` header against the rules.
//!
//! Pure. Browsers send `Origin` on every WebSocket handshake and on cross-origin requests, and let no script forge it;
//! programs that are not browsers usually send none and are not what this protects from.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, HOST, HeaderMap,
    HeaderValue, ORIGIN, VARY,
};
use hyper::http::request::Parts;

/// The origins allowed at one place, compiled from the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    any: bool,
    null: bool,
    listed: Box<[Listed]>,
}

/// A configured origin, lower case, with its port if the scheme has a default or one was written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    scheme: Box<str>,
    host: Box<str>,
    port: Option<u16>,
}

/// Whether a request may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum OriginCheck {
    /// It may.
    Allowed,
    /// It may not: answer with [`crate::refusal::Refusal::OriginRefused`].
    Refused,
}

impl OriginCheck {
    /// Whether it is [`OriginCheck::Allowed`].
    pub const fn is_allowed(self) -> bool {
        match self {
            Self::Allowed => true,
            Self::Refused => false,
        }
    }
}

/// A configured origin is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an origin: write scheme://host or scheme://host:port without a path, \"*\" for any, or \"null\"")]
pub struct BadOrigin(pub String);

impl Origins {
    /// Compiles `server.origins` or an endpoint's `origins`.
    ///
    /// `"*"` allows any origin, `"null"` the opaque one (sandboxed frames, files); everything else is compared as
    /// (scheme, host, port), never as a prefix or suffix.
    pub fn new<S: AsRef<str>>(configured: &[S]) -> Result<Self, BadOrigin> {
        let mut origins = Self::default();
        let mut listed = Vec::with_capacity(configured.len());
        for text in configured.iter().map(AsRef::as_ref) {
            match text {
                "*" => origins.any = true,
                "null" => origins.null = true,
                _ => {
                    let origin = Written::parse(text).ok_or_else(|| BadOrigin(text.to_owned()))?;
                    listed.push(Listed {
                        scheme: origin.scheme.to_ascii_lowercase().into(),
                        host: origin.host.to_ascii_lowercase().into(),
                        port: origin.port,
                    });
                }
            }
        }
        origins.listed = listed.into();
        Ok(origins)
    }

    /// Checks a request by its `Origin` and `Host`. Does not allocate; costs one comparison per configured origin.
    ///
    /// No `Origin` passes (not a browser), and so does the page's own host: an `Origin` whose host and port are those
    /// of `Host`, where a missing port is the default of the origin's scheme (TLS may end in front of us).
    pub fn check(&self, origin: Option<&str>, host: Option<&str>) -> OriginCheck {
        let Some(origin) = origin else { return OriginCheck::Allowed };
        if self.any || (self.null && origin == "null") {
            return OriginCheck::Allowed;
        }
        let Some(origin) = Written::parse(origin) else { return OriginCheck::Refused };
        if host.is_some_and(|host| origin.is_at(host)) || self.listed.iter().any(|listed| origin.is(listed)) {
            OriginCheck::Allowed
        } else {
            OriginCheck::Refused
        }
    }

    /// [`Origins::check`] on the head of a request.
    ///
    /// More than one `Origin` or `Host`, or one that is not text, comes from no browser and is refused unless any
    /// origin is allowed.
    pub fn check_head(&self, head: &Parts) -> OriginCheck {
        if !head.headers.contains_key(ORIGIN) || self.any {
            return OriginCheck::Allowed;
        }
        let authority = head.uri.authority().map(|authority| authority.as_str());
        let (Some(origin), Ok(host)) = (single(&head.headers, ORIGIN.as_str()), host(&head.headers)) else {
            return OriginCheck::Refused;
        };
        // RFC 9112 §3.2.2: the authority of an absolute request target replaces Host.
        self.check(Some(origin), authority.or(host))
    }

    /// Lets the page that sent `request` read the answer with these headers, if its origin is allowed here.
    ///
    /// The one origin is named, never `*`, and `Vary` keeps caches from handing the answer to another page.
    pub fn allow(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        answer.append(VARY, HeaderValue::from_static("Origin"));
        let (Some(origin), Ok(host)) = (single(request, ORIGIN.as_str()), host(request)) else { return };
        if self.check(Some(origin), host).is_allowed()
            && let Ok(origin) = HeaderValue::from_str(origin)
        {
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
        }
    }

    /// The same for pages that send their cookies along, as they do in a WebSocket's handshake: what clients without a
    /// WebSocket use instead of one must be no less.
    pub fn allow_with_credentials(&self, request: &HeaderMap, answer: &mut HeaderMap) {
        self.allow(request, answer);
        if answer.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN) {
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

/// An origin as it is written, in its parts.
#[derive(Debug, PartialEq, Eq)]
struct Written<'a> {
    scheme: &'a str,
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Written<'a> {
    /// Reads `scheme://host[:port]` and nothing more: no user, path, query, fragment or blank.
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let scheme_is_sound = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
        let (host, port) = split_authority(authority)?;
        scheme_is_sound.then_some(Self { scheme, host, port: port.or(default_port(scheme)) })
    }

    fn is(&self, listed: &Listed) -> bool {
        self.scheme.eq_ignore_ascii_case(&listed.scheme)
            && self.host.eq_ignore_ascii_case(&listed.host)
            && self.port == listed.port
    }

    fn is_at(&self, host: &str) -> bool {
        split_authority(host).is_some_and(|(host, port)| {
            self.host.eq_ignore_ascii_case(host) && self.port == port.or(default_port(self.scheme))
        })
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("ws") {
        Some(80)
    } else if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss") {
        Some(443)
    } else {
        None
    }
}

/// `host[:port]`; the host a name, an IPv4 address or an IPv6 address in brackets.
fn split_authority(text: &str) -> Option<(&str, Option<u16>)> {
    let host_len = match text.strip_prefix('[') {
        Some(rest) => rest.find(']')? + 2,
        None => text.find(':').unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at(host_len);
    let host_is_sound = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => {
            !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        }
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')),
    };
    if !host_is_sound {
        return None;
    }
    match rest.strip_prefix(':') {
        None => rest.is_empty().then_some((host, None)),
        Some(digits) => {
            // `parse` alone would take "+80", and "080" is not how anyone writes a port who means well.
            let is_plain = digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
            is_plain.then(|| digits.parse().ok()).flatten().map(|port| (host, Some(port)))
        }
    }
}

fn single<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        (_, _) => None,
    }
}

fn host(headers: &HeaderMap) -> Result<Option<&str>, ()> {
    if headers.contains_key(HOST) { single(headers, HOST.as_str()).map(Some).ok_or(()) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use hyper::Request;
    use proptest::prelude::*;

    use super::OriginCheck::{Allowed, Refused};
    use super::*;

    fn origins(configured: &[&str]) -> Origins {
        Origins::new(configured).unwrap()
    }

    #[test]
    fn a_request_without_an_origin_passes() {
        assert_eq!(origins(&[]).check(None, Some("example.com")), Allowed);
        assert_eq!(origins(&[]).check(None, None), Allowed);
    }

    #[test]
    fn a_page_may_use_the_host_it_came_from() {
        let none = origins(&[]);
        for (origin, host) in [
            ("http://localhost:8000", "localhost:8000"),
            ("http://LocalHost:8000", "lOCALhOST:8000"),
            ("http://example.com", "example.com"),
            ("http://example.com", "example.com:80"),
            ("http://example.com:80", "example.com"),
            ("https://example.com", "example.com"),
            ("https://example.com", "example.com:443"),
            ("http://[::1]:8000", "[::1]:8000"),
            ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ] {
            assert_eq!(none.check(Some(origin), Some(host)), Allowed, "{origin} at {host}");
        }
    }

    #[test]
    fn a_page_may_not_use_another_host_or_port() {
        let none = origins(&[]);
        for (origin, host) in [
            ("http://localhost", "localhost:8000"),
            ("http://localhost:8000", "localhost"),
            ("http://localhost:8001", "localhost:8000"),
            ("https://example.com", "example.com:80"),
            ("http://evil.com", "example.com"),
            ("http://example.com.", "example.com"),
            ("http://localhost:8000", "127.0.0.1:8000"),
            ("http://user@example.com", "example.com"),
            ("http://example.com/", "example.com"),
            ("http://", ""),
            ("example.com", "example.com"),
            ("null", "null"),
            ("", ""),
        ] {
            assert_eq!(none.check(Some(origin), Some(host)), Refused, "{origin} at {host}");
        }
        assert_eq!(none.check(Some("http://example.com"), None), Refused);
    }

    #[test]
    fn a_listed_origin_passes_whatever_the_host_and_the_case() {
        let listed = origins(&["http://localhost", "https://App.Example.com:8443", "app://obsidian.md"]);
        for origin in [
            "http://localhost",
            "HTTP://LOCALHOST",
            "http://localhost:80",
            "https://app.example.com:8443",
            "app://obsidian.md",
        ] {
            assert_eq!(listed.check(Some(origin), Some("hub.internal:8000")), Allowed, "{origin}");
        }
        for origin in
            ["https://localhost", "http://localhost:8000", "https://app.example.com", "http://example.com:8443"]
        {
            assert_eq!(listed.check(Some(origin), Some("hub.internal:8000")), Refused, "{origin}");
        }
    }

    #[test]
    fn the_null_origin_passes_only_when_any_or_null_is_listed() {
        assert_eq!(origins(&["http://localhost"]).check(Some("null"), Some("localhost")), Refused);
        assert_eq!(origins(&["null"]).check(Some("null"), Some("localhost")), Allowed);
        assert_eq!(origins(&["*"]).check(Some("null"), Some("localhost")), Allowed);
        assert_eq!(origins(&["null"]).check(Some("http://null"), Some("localhost")), Refused);
    }

    #[test]
    fn a_star_allows_any_origin() {
        assert_eq!(origins(&["*"]).check(Some("https://anything.example"), Some("localhost")), Allowed);
    }

    #[test]
    fn what_is_no_origin_is_refused_in_the_configuration_by_its_text() {
        for text in [
            "localhost",
            "http://localhost/",
            "http://",
            "http://*.example.com",
            "http://a b",
            "://x",
            "http://h:0",
            "",
        ] {
            assert_eq!(Origins::new(&[text]), Err(BadOrigin(text.to_owned())));
        }
    }

    #[test]
    fn a_head_with_two_origins_or_two_hosts_is_refused() {
        let two_origins = Request::get("/").header(HOST, "a").header(ORIGIN, "http://a").header(ORIGIN, "http://a");
        let two_hosts = Request::get("/").header(HOST, "a").header(HOST, "b").header(ORIGIN, "http://a");
        let one_each = Request::get("/").header(HOST, "a").header(ORIGIN, "http://a");
        let absolute = Request::get("http://a/").header(HOST, "b").header(ORIGIN, "http://a");
        let check =
            |request: hyper::http::request::Builder| origins(&[]).check_head(&request.body(()).unwrap().into_parts().0);
        assert_eq!(check(two_origins), Refused);
        assert_eq!(check(two_hosts), Refused);
        assert_eq!(check(one_each), Allowed);
        assert_eq!(check(absolute), Allowed);
    }

    #[test]
    fn an_answer_names_the_one_origin_that_may_read_it() {
        let listed = origins(&["http://app.example"]);
        let headers = |origin: &str| {
            let head =
                Request::get("/").header(HOST, "hub:8000").header(ORIGIN, origin).body(()).unwrap().into_parts().0;
            let mut answer = HeaderMap::new();
            listed.allow(&head.headers, &mut answer);
            assert_eq!(answer[VARY], "Origin");
            answer.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|origin| origin.to_str().unwrap().to_owned())
        };
        assert_eq!(headers("http://app.example").as_deref(), Some("http://app.example"));
        assert_eq!(headers("http://hub:8000").as_deref(), Some("http://hub:8000"));
        assert_eq!(headers("http://evil.example"), None);
    }

    proptest! {
        #[test]
        fn nothing_that_only_starts_like_a_listed_origin_passes(rest in "[a-zA-Z0-9.:@/\\\\?#%\\[\\] _-]{1,12}") {
            let verdict = origins(&["http://localhost"]).check(Some(&format!("http://localhost{rest}")), Some("hub"));
            prop_assert_eq!(verdict == Allowed, rest == ":80");
        }

        #[test]
        fn nothing_that_only_ends_like_a_listed_origin_passes(start in "[a-zA-Z0-9.:@/\\\\?#%_-]{1,12}") {
            let verdict = origins(&["http://localhost"]).check(Some(&format!("http://{start}localhost")), Some("hub"));
            prop_assert_eq!(verdict, Refused);
        }

        #[test]
        fn any_two_texts_are_checked_without_a_panic(origin in "\\PC{0,40}", host in "\\PC{0,40}") {
            let _ = origins(&["http://localhost"]).check(Some(&origin), Some(&host));
        }

        #[test]
        fn the_same_authority_is_always_the_same_origin(host in "[a-zA-Z0-9.-]{1,20}", port in 1..=u16::MAX) {
            let origin = format!("http://{host}:{port}");
            let authority = format!("{}:{port}", host.to_ascii_uppercase());
            prop_assert_eq!(origins(&[]).check(Some(&origin), Some(&authority)), Allowed);
        }
    }
}

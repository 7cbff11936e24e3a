//! Where a hub is: `http://HOST:PORT`, perhaps with a path in front of everything behind a proxy.

use std::env;
use std::fmt;
use std::str::FromStr;

use hyper::Uri;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::exit::Failure;
use crate::hub::TopicName;

/// The address of a hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HubUrl {
    host: String,
    port: u16,
    /// What stands before `/topics/…`: empty, or `/prefix`.
    prefix: String,
}

/// A text is not the address of a hub.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadHubUrl {
    #[error("{0:?} is not a URL such as http://127.0.0.1:8000")]
    NotOne(String),
    #[error("{0:?} has no http:// in front: did you mean \"http://{0}\"?")]
    NoScheme(String),
    #[error("{0:?} needs TLS, which this command line does not speak: give the plain address behind the proxy")]
    Tls(String),
}

/// All but RFC 3986 §2.3's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl HubUrl {
    /// What was given, `$FANFARE_URL`, or the demo's address.
    pub(super) fn or_default(given: Option<Self>) -> Result<Self, Failure> {
        if let Some(url) = given {
            return Ok(url);
        }
        match env::var("FANFARE_URL").ok().filter(|text| !text.is_empty()) {
            Some(text) => text.parse().map_err(|error| Failure::Usage(format!("FANFARE_URL: {error}"))),
            None => Ok(Self { host: "127.0.0.1".to_owned(), port: 8000, prefix: String::new() }),
        }
    }

    /// Host and port to connect to.
    pub(super) fn address(&self) -> (&str, u16) {
        (self.host.trim_start_matches('[').trim_end_matches(']'), self.port)
    }

    /// The value of the `Host` header.
    pub(super) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The path of a topic.
    pub(super) fn topic_path(&self, topic: &TopicName) -> String {
        format!("{}/topics/{}", self.prefix, utf8_percent_encode(topic.as_str(), ENCODED))
    }

    /// `path` behind the prefix.
    pub(super) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }
}

impl FromStr for HubUrl {
    type Err = BadHubUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || BadHubUrl::NotOne(text.to_owned());
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("https://") || lower.starts_with("wss://") {
            return Err(BadHubUrl::Tls(text.to_owned()));
        }
        if !text.contains("://") {
            return Err(if text.is_empty() { wrong() } else { BadHubUrl::NoScheme(text.to_owned()) });
        }
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        if !matches!(uri.scheme_str(), Some("http" | "ws")) || uri.query().is_some() {
            return Err(wrong());
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        // Behind the host there is nothing, or a port; a user in front would make it differ here, too.
        let behind = uri.authority().and_then(|authority| authority.as_str().strip_prefix(host)).ok_or_else(wrong)?;
        let port = match behind.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| wrong())?,
            None if behind.is_empty() => 80,
            None => return Err(wrong()),
        };
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { host: host.to_owned(), port, prefix })
    }
}

impl fmt::Display for HubUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}:{}{}", self.host, self.port, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart_and_shown_as_they_were() {
        for (text, shown) in [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("http://hub.example/push/", "http://hub.example:80/push"),
            ("ws://[::1]:9000/", "http://[::1]:9000"),
        ] {
            assert_eq!(text.parse::<HubUrl>().unwrap().to_string(), shown);
        }
        assert_eq!("http://[::1]:9000".parse::<HubUrl>().unwrap().address(), ("::1", 9000));
    }

    #[test]
    fn what_is_no_address_of_a_hub_is_told_why() {
        assert_eq!("localhost:8000".parse::<HubUrl>(), Err(BadHubUrl::NoScheme("localhost:8000".into())));
        assert_eq!("https://x".parse::<HubUrl>(), Err(BadHubUrl::Tls("https://x".into())));
        for text in ["", "http://", "ftp://x", "http://x?y", "http://me@x", "http://x:99999"] {
            assert_eq!(text.parse::<HubUrl>(), Err(BadHubUrl::NotOne(text.into())), "{text}");
        }
    }

    #[test]
    fn any_topic_fits_into_a_path() {
        let url: HubUrl = "http://x/p".parse().unwrap();
        let topic = TopicName::new("a/b c?聊%").unwrap();
        assert_eq!(url.topic_path(&topic), "/p/topics/a%2Fb%20c%3F%E8%81%8A%25");
        assert_eq!(TopicName::from_path_segment("a%2Fb%20c%3F%E8%81%8A%25"), Ok(topic));
    }
}

//! Where a hook is answered: an HTTP URL, and what is said to those who write something else.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// An absolute URL of the application's backend: `http://…` or `https://…`, with a host, without a user and a fragment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HookUrl(Uri);

/// A text is no [`HookUrl`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseHookUrlError {
    /// Not an absolute URL of HTTP.
    #[error("`{0}` is not a URL such as \"http://127.0.0.1:3000/hooks\" or \"https://app.example.com/hooks\"")]
    NotHttp(String),
    /// It has a user and perhaps a password, which would be shown wherever the URL is. The text is therefore not repeated.
    #[error("a URL of a hook cannot have a user or a password in it: the backend knows who calls by `hooks.secret`")]
    Credentials,
}

impl HookUrl {
    /// As the HTTP client takes it.
    pub fn uri(&self) -> &Uri {
        &self.0
    }

    /// For the log and for people: without its query, which may have secrets in it.
    pub fn without_query(&self) -> String {
        let authority = self.0.authority().map_or("", |authority| authority.as_str());
        format!("{}://{authority}{}", self.0.scheme_str().unwrap_or_default(), self.0.path())
    }

    /// Whether it is called over TLS.
    pub fn is_tls(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }
}

impl FromStr for HookUrl {
    type Err = ParseHookUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let not_http = || ParseHookUrlError::NotHttp(text.to_owned());
        // Before it is parsed, so that no complaint repeats a password.
        if text.split(['?', '#']).next().is_some_and(|before| before.contains('@')) {
            return Err(ParseHookUrlError::Credentials);
        }
        if text.contains('#') {
            return Err(not_http());
        }
        let uri: Uri = text.parse().map_err(|_| not_http())?;
        let has_host = uri.host().is_some_and(|host| !host.is_empty());
        if matches!(uri.scheme_str(), Some("http" | "https")) && has_host { Ok(Self(uri)) } else { Err(not_http()) }
    }
}

impl fmt::Display for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for HookUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for HookUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct UrlVisitor;
        impl Visitor<'_> for UrlVisitor {
            type Value = HookUrl;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a URL such as \"https://app.example.com/hooks\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<HookUrl, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(UrlVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_urls_of_http_are_taken_and_shown_as_they_were_written() {
        for text in ["http://127.0.0.1:3000/hooks", "https://app.example.com/a?b=c", "http://[::1]:80/x"] {
            assert_eq!(text.parse::<HookUrl>().unwrap().to_string(), text);
        }
        assert!("https://a/".parse::<HookUrl>().unwrap().is_tls());
        assert!(!"http://a/".parse::<HookUrl>().unwrap().is_tls());
    }

    #[test]
    fn people_are_shown_no_query() {
        let url: HookUrl = "https://app.example.com:1/hooks?key=s3cret".parse().unwrap();
        assert_eq!(url.without_query(), "https://app.example.com:1/hooks");
    }

    #[test]
    fn everything_else_is_refused_and_a_password_is_never_repeated() {
        for text in
            ["", "/hooks", "app.example.com/hooks", "ftp://a/b", "http://", "http:///x", "http://a/b#c", "grpc://a:1"]
        {
            let error = text.parse::<HookUrl>().unwrap_err();
            assert!(error.to_string().contains("https://app.example.com/hooks"), "{text}: {error}");
        }
        let error = "https://me:s3cret@app.example.com/".parse::<HookUrl>().unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
        "https://app.example.com/?from=me@here".parse::<HookUrl>().unwrap();
    }
}

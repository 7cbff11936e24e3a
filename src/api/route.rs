//! Which path is what. Pure: the path and the configuration decide, nothing else.

use std::borrow::Cow;
use std::collections::HashMap;

use percent_encoding::percent_decode_str;

use super::method::ApiMethod;
use crate::config::Config;
use crate::hub::{BadTopicName, TopicName};
use crate::protocol::centrifuge::Envelope;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `/topics/{topic}`.
    Topic(TopicName),
    /// The entry of `config.endpoints` with this index.
    Endpoint(usize),
    /// `/api/{method}`.
    Api(ApiMethod),
    /// `/api`: several of them, in the old style.
    ApiCommands,
    /// `/api/openapi.json`: a description of them for programs.
    ApiDescription,
    /// The entry of `config.pages` with this index, or a file below it.
    Page(usize),
    /// `/`, when no page is configured there.
    TryIt,
    /// `/connection/websocket` or `/connection/uni_websocket`: the Centrifuge protocol.
    Centrifuge(Envelope),
    /// `/connection/http_stream`, `/connection/sse` and their unidirectional twins: the same protocol over a response that
    /// does not end.
    ClientStream(StreamKind, Envelope),
    /// `/emulation`: what the clients of such streams say.
    Emulation,
    /// `/metrics`.
    Metrics,
    /// `/health`: what Centrifugo has there.
    Health,
    /// `/health/live`.
    Live,
    /// `/health/ready`.
    Ready,
    /// Nothing.
    Unknown,
}

/// How a response that does not end carries the Centrifuge protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// As lines of JSON, or Protobuf messages.
    Http,
    /// As Server-Sent Events.
    Events,
}

/// Why a path below `/topics/` is not a topic's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTopicPath {
    /// There is more than one segment.
    #[error("a topic is one segment of the path: write a slash in its name as %2F")]
    MoreThanOneSegment,
    /// The segment is no topic name.
    #[error(transparent)]
    Name(#[from] BadTopicName),
}

impl Route {
    /// The methods served there, as the `Allow` header wants them; empty for [`Route::Unknown`].
    pub const fn allow(&self) -> &'static str {
        match self {
            Self::Topic(_) => "GET, HEAD, POST",
            Self::Endpoint(_) | Self::Centrifuge(_) => "GET",
            Self::ClientStream(StreamKind::Events, _) => "GET, POST, OPTIONS",
            Self::ClientStream(StreamKind::Http, _) | Self::Emulation => "POST, OPTIONS",
            Self::Api(_) | Self::ApiCommands => "POST",
            Self::Page(_)
            | Self::TryIt
            | Self::Metrics
            | Self::Health
            | Self::Live
            | Self::Ready
            | Self::ApiDescription => "GET, HEAD",
            Self::Unknown => "",
        }
    }
}

/// The paths of a configuration, ready to be looked up.
#[derive(Debug, Default)]
pub struct Routes {
    endpoints: HashMap<Box<str>, usize>,
    pages: HashMap<Box<str>, usize>,
    /// Prefixes that end in a slash, the longest first.
    directories: Vec<(Box<str>, usize)>,
    topic_name_limit_bytes: usize,
    try_it: bool,
}

impl Routes {
    /// Compiles the paths of `config`. Of two equal paths the first counts.
    pub fn new(config: &Config) -> Self {
        let mut routes = Self {
            topic_name_limit_bytes: config.limits.topic_name,
            try_it: config.server.try_it_page,
            ..Self::default()
        };
        for (index, endpoint) in config.endpoints.iter().enumerate() {
            routes.endpoints.entry(endpoint.path.as_str().into()).or_insert(index);
        }
        for (index, page) in config.pages.iter().enumerate() {
            if page.directory.is_some() {
                let prefix = format!("{}/", page.path.trim_end_matches('/'));
                routes.directories.push((prefix.into(), index));
            } else {
                routes.pages.entry(page.path.as_str().into()).or_insert(index);
            }
        }
        routes.directories.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        routes
    }

    /// What `path`, still percent-encoded, leads to.
    ///
    /// Endpoints come before pages, whole paths before the built-in ones, those before directories (the longest
    /// first), and the try-it page is what is left of `/`.
    ///
    /// # Errors
    /// A path below `/topics/` that is not a topic's.
    pub fn of(&self, path: &str) -> Result<Route, BadTopicPath> {
        // What is not UTF-8 once decoded equals no configured path; directories look at the encoded one themselves.
        let decoded = decode(path).unwrap_or(Cow::Borrowed(path));
        if let Some(&index) = self.endpoints.get(decoded.as_ref()) {
            return Ok(Route::Endpoint(index));
        }
        if let Some(&index) = self.pages.get(decoded.as_ref()) {
            return Ok(Route::Page(index));
        }
        if let Some(segment) = path.strip_prefix("/topics/") {
            return topic(segment, self.topic_name_limit_bytes).map(Route::Topic);
        }
        if let Some(route) = built_in(path) {
            return Ok(route);
        }
        let below = |prefix: &str| path.starts_with(prefix) || path == &prefix[..prefix.len() - 1];
        if let Some(&(_, index)) = self.directories.iter().find(|(prefix, _)| below(prefix)) {
            return Ok(Route::Page(index));
        }
        Ok(if path == "/" && self.try_it { Route::TryIt } else { Route::Unknown })
    }

    /// The page configured for exactly `path`, also where an endpoint takes the upgrades.
    pub fn page(&self, path: &str) -> Option<usize> {
        let decoded = decode(path)?;
        self.pages.get(decoded.as_ref()).copied()
    }
}

/// `path` without its percent signs; `None` if it is not UTF-8 then. One without any, as nearly all are, is looked at once.
fn decode(path: &str) -> Option<Cow<'_, str>> {
    if memchr::memchr(b'%', path.as_bytes()).is_none() {
        return Some(Cow::Borrowed(path));
    }
    percent_decode_str(path).decode_utf8().ok()
}

fn built_in(path: &str) -> Option<Route> {
    if let Some(name) = path.strip_prefix("/api/") {
        if name == "openapi.json" {
            return Some(Route::ApiDescription);
        }
        return ApiMethod::find(name).map(Route::Api);
    }
    match path {
        "/connection/websocket" => Some(Route::Centrifuge(Envelope::Wrapped)),
        "/connection/uni_websocket" => Some(Route::Centrifuge(Envelope::Bare)),
        "/connection/http_stream" => Some(Route::ClientStream(StreamKind::Http, Envelope::Wrapped)),
        "/connection/uni_http_stream" => Some(Route::ClientStream(StreamKind::Http, Envelope::Bare)),
        "/connection/sse" => Some(Route::ClientStream(StreamKind::Events, Envelope::Wrapped)),
        "/connection/uni_sse" => Some(Route::ClientStream(StreamKind::Events, Envelope::Bare)),
        "/emulation" => Some(Route::Emulation),
        "/api" => Some(Route::ApiCommands),
        "/metrics" => Some(Route::Metrics),
        "/health" => Some(Route::Health),
        "/health/live" => Some(Route::Live),
        "/health/ready" => Some(Route::Ready),
        _ => None,
    }
}

fn topic(segment: &str, limit_bytes: usize) -> Result<TopicName, BadTopicPath> {
    if segment.contains('/') {
        return Err(BadTopicPath::MoreThanOneSegment);
    }
    Ok(TopicName::from_path_segment(segment)?.at_most(limit_bytes)?)
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Endpoint, Page};

    fn routes(endpoints: &[&str], texts: &[&str], directories: &[&str]) -> Routes {
        let endpoints = endpoints.iter().map(|&path| Endpoint { path: path.to_owned(), ..Endpoint::default() });
        let texts =
            texts.iter().map(|&path| Page { path: path.to_owned(), text: Some("text".to_owned()), ..Page::default() });
        let directories = directories.iter().map(|&path| Page {
            path: path.to_owned(),
            directory: Some("static".into()),
            ..Page::default()
        });
        Routes::new(&Config {
            endpoints: endpoints.collect(),
            pages: texts.chain(directories).collect(),
            ..Config::default()
        })
    }

    fn topic(name: &str) -> Result<Route, BadTopicPath> {
        Ok(Route::Topic(TopicName::new(name).unwrap()))
    }

    #[test]
    fn the_built_in_paths_are_found() {
        let routes = routes(&[], &[], &[]);
        assert_eq!(routes.of("/"), Ok(Route::TryIt));
        assert_eq!(routes.of("/metrics"), Ok(Route::Metrics));
        assert_eq!(routes.of("/health/live"), Ok(Route::Live));
        assert_eq!(routes.of("/health/ready"), Ok(Route::Ready));
        for method in ApiMethod::ALL {
            assert_eq!(routes.of(&format!("/api/{}", method.name())), Ok(Route::Api(method)));
        }
        assert_eq!(routes.of("/api"), Ok(Route::ApiCommands));
        assert_eq!(routes.of("/api/openapi.json"), Ok(Route::ApiDescription));
        assert_eq!(routes.of("/health"), Ok(Route::Health));
        for unknown in ["/api/", "/api/publish/", "/topics", "/health/", "/nothing", "//", "*", ""] {
            assert_eq!(routes.of(unknown), Ok(Route::Unknown), "{unknown}");
        }
    }

    #[test]
    fn a_topic_is_one_percent_decoded_segment() {
        let routes = routes(&[], &[], &[]);
        assert_eq!(routes.of("/topics/news"), topic("news"));
        assert_eq!(routes.of("/topics/a%2Fb"), topic("a/b"));
        assert_eq!(routes.of("/topics/%E8%81%8A%E5%A4%A9"), topic("聊天"));
        assert_eq!(routes.of("/topics/100%"), topic("100%"));
        assert_eq!(routes.of("/topics/a/b"), Err(BadTopicPath::MoreThanOneSegment));
        assert_eq!(routes.of("/topics/a/"), Err(BadTopicPath::MoreThanOneSegment));
        assert_eq!(routes.of("/topics/"), Err(BadTopicPath::Name(BadTopicName::Empty)));
        assert_eq!(routes.of("/topics/%FF"), Err(BadTopicPath::Name(BadTopicName::NotUtf8(0))));
        assert_eq!(routes.of("/topics/a%00"), Err(BadTopicPath::Name(BadTopicName::Control(1))));
        let longest = "x".repeat(255);
        assert_eq!(routes.of(&format!("/topics/{longest}")), topic(&longest));
        let longer = BadTopicPath::Name(BadTopicName::TooLong { bytes: 256, limit: 255 });
        assert_eq!(routes.of(&format!("/topics/{longest}x")), Err(longer));
    }

    #[test]
    fn a_topic_of_the_configured_length_has_a_path_and_a_longer_one_has_none() {
        let mut config = Config::default();
        config.limits.topic_name = 6;
        let routes = Routes::new(&config);
        assert_eq!(routes.of("/topics/%E8%81%8A%E5%A4%A9"), topic("聊天"));
        let longer = BadTopicPath::Name(BadTopicName::TooLong { bytes: 7, limit: 6 });
        assert_eq!(routes.of("/topics/%E8%81%8A%E5%A4%A9x"), Err(longer));
    }

    #[test]
    fn endpoints_come_before_pages_and_whole_paths_before_directories() {
        let routes =
            routes(&["/socket/", "/both", "/聊天"], &["/both", "/static/index", "/"], &["/static", "/static/deep/"]);
        assert_eq!(routes.of("/socket/"), Ok(Route::Endpoint(0)));
        assert_eq!(routes.of("/socket"), Ok(Route::Unknown));
        assert_eq!(routes.of("/both"), Ok(Route::Endpoint(1)));
        assert_eq!(routes.page("/both"), Some(0));
        assert_eq!(routes.page("/socket/"), None);
        assert_eq!(routes.of("/%E8%81%8A%E5%A4%A9"), Ok(Route::Endpoint(2)));
        assert_eq!(routes.of("/static/index"), Ok(Route::Page(1)));
        assert_eq!(routes.of("/"), Ok(Route::Page(2)));
        assert_eq!(routes.of("/static/a.css"), Ok(Route::Page(3)));
        assert_eq!(routes.of("/static"), Ok(Route::Page(3)));
        assert_eq!(routes.of("/statics"), Ok(Route::Unknown));
        assert_eq!(routes.of("/static/deep/a.css"), Ok(Route::Page(4)));
    }

    #[test]
    fn a_directory_at_the_root_takes_what_nothing_else_takes() {
        let routes = routes(&[], &[], &["/"]);
        assert_eq!(routes.of("/"), Ok(Route::Page(0)));
        assert_eq!(routes.of("/app.js"), Ok(Route::Page(0)));
        assert_eq!(routes.of("/metrics"), Ok(Route::Metrics));
        assert_eq!(routes.of("/topics/a"), topic("a"));
    }

    #[test]
    fn the_try_it_page_can_be_switched_off() {
        let mut config = Config::default();
        config.server.try_it_page = false;
        assert_eq!(Routes::new(&config).of("/"), Ok(Route::Unknown));
    }

    proptest! {
        #[test]
        fn any_path_has_a_route(path in "\\PC{0,60}") {
            let _ = routes(&["/ws"], &["/a"], &["/static"]).of(&path);
        }

        #[test]
        fn every_topic_name_has_a_path(name in "[^\\p{Cc}]{1,60}") {
            prop_assume!(name.len() <= TopicName::LIMIT_BYTES);
            let path = format!("/topics/{}", utf8_percent_encode(&name, NON_ALPHANUMERIC));
            prop_assert_eq!(routes(&[], &[], &[]).of(&path), topic(&name));
        }
    }
}

//! What a request opens: a WebSocket, a stream, or nothing but an answer. Pure: its head decides.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Version};

use super::origin::Origins;
use crate::api::{self, Reach, Route, StreamKind, Surface, Wanted};
use crate::config::PublishRule;
use crate::hooks::Passed;
use crate::hub::{Position, Start, TopicName};
use crate::protocol::centrifuge::{Connect, Envelope, Format, Transport};
use crate::protocol::sse::Delimiting;
use crate::protocol::{Encoding, Shape};
use crate::refusal::Refusal;
use crate::session::{Opening, StreamTopics};
use crate::ws::{self, Agreement, Malformed};

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It opens a connection that a worker will own.
    Open(Opening),
    /// It opens a stream of this shape once its body is here, which is what its client says first.
    OpenWithBody(Shape),
    /// It is plain HTTP.
    Plain,
    /// It would open one, but may not.
    Refused(Refusal, String),
}

/// Decides what the request with this head, below the base path, opens.
pub(crate) fn decide(surface: &Surface, reach: &Reach, head: &Parts) -> Decision {
    let wants_socket = wants_websocket(&head.headers);
    let wants_stream = head.method == Method::GET && accepts_events(&head.headers);
    // Those of clients without a WebSocket are streams whatever their headers say.
    let may_be_client = head.uri.path().starts_with("/connection/");
    if !wants_socket && !wants_stream && !may_be_client {
        return Decision::Plain;
    }
    let route = match reach.route(&surface.routes, head.uri.path(), Wanted::Connection) {
        Ok(route) => route,
        // Plain HTTP answers it in the same words.
        Err(_) => return Decision::Plain,
    };
    let decided = match route {
        Route::Topic(topic) if wants_socket => check(head, &reach.origins)
            .and_then(|()| agree(reach, head))
            .and_then(|compression| topic_socket(surface, query(head), topic, compression)),
        Route::Topic(topic) if wants_stream => topic_stream(surface, reach, head, topic),
        Route::Endpoint(index) if wants_socket => {
            let agreed = check(head, surface.endpoint_origins(reach, index)).and_then(|()| agree(reach, head));
            agreed.map(|compression| Opening::Endpoint { index: index as u16, compression })
        }
        Route::Centrifuge(envelope) if wants_socket => {
            check(head, &reach.origins).and_then(|()| agree(reach, head)).and_then(|compression| {
                let speaks_protobuf = offers(&head.headers, PROTOBUF_SUBPROTOCOL);
                let passed = surface.hooks.pass(&head.headers, []);
                client_socket(envelope, query(head), speaks_protobuf, passed, compression)
            })
        }
        Route::ClientStream(kind, envelope) if !wants_socket => {
            let shape = Shape::new(client_transport(kind, head), envelope);
            match (kind, &head.method) {
                (StreamKind::Http | StreamKind::Events, &Method::POST) => {
                    return match check_origin(head, &reach.origins) {
                        Ok(()) if surface.hub.is_draining() => Decision::Refused(Refusal::Draining, String::new()),
                        Ok(()) => Decision::OpenWithBody(shape),
                        Err((refusal, detail)) => Decision::Refused(refusal, detail),
                    };
                }
                (StreamKind::Events, &Method::GET) => {
                    let passed = surface.hooks.pass(&head.headers, []);
                    check_origin(head, &reach.origins).and_then(|()| client_stream(shape, query(head), passed))
                }
                (StreamKind::Http | StreamKind::Events, _) => return Decision::Plain,
            }
        }
        Route::Topic(_) | Route::Endpoint(_) | Route::Centrifuge(_) => return Decision::Plain,
        _ if wants_socket => {
            let path = head.uri.path();
            Err((Refusal::UnknownPath, format!("no WebSocket is served at {path}; try /topics/NAME")))
        }
        _ => return Decision::Plain,
    };
    match decided {
        Ok(_) if surface.hub.is_draining() => Decision::Refused(Refusal::Draining, String::new()),
        Ok(opening) => Decision::Open(opening),
        Err((refusal, detail)) => Decision::Refused(refusal, detail),
    }
}

pub(super) type Refused = (Refusal, String);

/// What a WebSocket on `/topics/{topic}?{query}` opens.
pub(super) fn topic_socket(
    surface: &Surface,
    query: &str,
    topic: TopicName,
    compression: Option<Agreement>,
) -> Result<Opening, Refused> {
    let mut asked = None;
    let mut encoding = Encoding::Plain;
    let mut also = Vec::new();
    for (key, value) in parameters(query)? {
        match &*key {
            "since" => ask(&mut asked, Asked::Since(value))?,
            "history" => ask(&mut asked, Asked::Last(history(&value)?))?,
            "format" => {
                encoding = match &*value {
                    "plain" => Encoding::Plain,
                    "json" => Encoding::Json,
                    other => return Err(bad(format!("format is plain or json, not {other:?}"))),
                }
            }
            "also" => add_topic(&topic, &mut also, &value, surface.config.limits.topic_name)?,
            other => return Err(bad(format!("unknown parameter {other:?}; there are: since, history, format, also"))),
        }
    }
    let count = 1 + also.len();
    if count > 1 && encoding == Encoding::Plain {
        let detail = "plain frames do not tell their topic: with also, add format=json to the URL";
        return Err(bad(detail.to_owned()));
    }
    check_count(surface, count)?;
    check_rules(surface, &topic, &also)?;
    let mut starts = match asked {
        Some(Asked::Since(text)) => positions("since", &text, count)?.into_iter(),
        Some(Asked::Last(last)) => vec![Start::Last(last); count].into_iter(),
        None => Vec::new().into_iter(),
    };
    let mut next = || starts.next().unwrap_or(Start::Now);
    let start = next();
    let also = also.into_iter().map(|name| (name, next())).collect();
    let may_publish = match surface.hub.rules_of(&topic).publish {
        PublishRule::Anyone | PublishRule::Subscribers => true,
        PublishRule::Authenticated | PublishRule::Api => false,
    };
    Ok(Opening::Topic { topic, start, also, encoding, may_publish, compression })
}

/// What a WebSocket at `/connection/websocket?{query}` opens. JSON, unless the client says that it speaks Protobuf.
pub(super) fn client_socket(
    envelope: Envelope,
    query: &str,
    speaks_protobuf: bool,
    passed: Passed,
    compression: Option<Agreement>,
) -> Result<Opening, Refused> {
    let asks = |pair: &str| matches!(pair, "cf_protocol=protobuf" | "format=protobuf");
    let format = match speaks_protobuf || query.split('&').any(asks) {
        true => Format::Protobuf,
        false => Format::Json,
    };
    let frame_pings = query.split('&').any(|pair| pair == "cf_ws_frame_ping_pong=true");
    let first = match envelope {
        Envelope::Wrapped => None,
        Envelope::Bare => first_words(query)?,
    };
    let shape = Shape::new(Transport::WebSocket(format), envelope);
    Ok(Opening::Client { shape, first, frame_pings, passed, compression })
}

/// What carries the Centrifuge protocol to a client without a WebSocket.
fn client_transport(kind: StreamKind, head: &Parts) -> Transport {
    // RFC 9112 §7: chunks are for HTTP/1.1 only.
    let delimiting = match head.version == Version::HTTP_11 {
        true => Delimiting::Chunked,
        false => Delimiting::UntilClose,
    };
    match kind {
        StreamKind::Http => Transport::HttpStream(api::format_of(head), delimiting),
        StreamKind::Events => Transport::EventStream(delimiting),
    }
}

/// What a GET of a stream of events opens: browsers can say nothing but a URL.
fn client_stream(shape: Shape, query: &str, passed: Passed) -> Result<Opening, Refused> {
    let first = match (first_words(query)?, shape.envelope()) {
        (None, Envelope::Wrapped) => {
            return Err(bad("cf_connect is missing: the first commands, percent-encoded".to_owned()));
        }
        (first, _) => first.unwrap_or_default(),
    };
    client_opening(shape, first, passed)
}

/// What opens with the words that a client of a stream says first. Those of one that only listens are looked at here: it has
/// nothing else to say, and a status says more than the end of a stream. A malformed command is told on the stream, as
/// everywhere else.
pub(super) fn client_opening(shape: Shape, first: Bytes, passed: Passed) -> Result<Opening, Refused> {
    match shape.envelope() {
        Envelope::Wrapped => {}
        Envelope::Bare => {
            let read = Connect::read_bare(shape.format(), &first);
            read.map_err(|error| (Refusal::BadBody, format!("no connect request: {error}")))?;
        }
    }
    Ok(Opening::Client { shape, first: Some(first), frame_pings: false, passed, compression: None })
}

/// What a client says in its URL. Other parameters are its own.
fn first_words(query: &str) -> Result<Option<Bytes>, Refused> {
    if !query.contains(FIRST_WORDS) {
        return Ok(None);
    }
    let found = parameters(query)?.into_iter().find(|(key, _)| key == FIRST_WORDS);
    Ok(found.map(|(_, words)| Bytes::from(words)))
}

/// The parameter of a URL with what a client says first.
const FIRST_WORDS: &str = "cf_connect";

/// Whether a client offers a subprotocol.
pub(super) fn offers(headers: &HeaderMap, protocol: &str) -> bool {
    lists(headers, header::SEC_WEBSOCKET_PROTOCOL, protocol)
}

/// The subprotocol of clients that speak Protobuf.
pub(super) const PROTOBUF_SUBPROTOCOL: &str = "centrifuge-protobuf";

/// That of those that speak JSON, and need not say so.
pub(super) const JSON_SUBPROTOCOL: &str = "centrifuge-json";

fn topic_stream(surface: &Surface, reach: &Reach, head: &Parts, topic: TopicName) -> Result<Opening, Refused> {
    check_origin(head, &reach.origins)?;
    let mut also = Vec::new();
    let mut last = None;
    let mut since = None;
    for (key, value) in parameters(query(head))? {
        match &*key {
            "since" => since = Some(value),
            "history" => ask(&mut last, Asked::Last(history(&value)?))?,
            "also" => add_topic(&topic, &mut also, &value, surface.config.limits.topic_name)?,
            other => return Err(bad(format!("unknown parameter {other:?}; there are: since, history, also"))),
        }
    }
    let count = 1 + also.len();
    check_count(surface, count)?;
    check_rules(surface, &topic, &also)?;
    // The header is what a browser sends when it comes back: it is newer than what stands in the URL.
    let last_event_id = head.headers.get("last-event-id").map(|id| String::from_utf8_lossy(id.as_bytes()));
    let starts = match last_event_id.as_deref().filter(|id| !id.is_empty()).or(since.as_deref()) {
        Some(text) => positions("since / Last-Event-ID", text, count)?,
        None => match last {
            Some(Asked::Last(last)) => vec![Start::Last(last); count],
            Some(Asked::Since(_)) | None => vec![Start::Now; count],
        },
    };
    // RFC 9112 §7: chunks are for HTTP/1.1 only; an older proxy gets a body that ends with the connection.
    let encoding = match (count > 1, head.version == Version::HTTP_11) {
        (false, true) => Encoding::SseChunked,
        (false, false) => Encoding::Sse,
        (true, true) => Encoding::SseTopicChunked,
        (true, false) => Encoding::SseTopic,
    };
    let names = std::iter::once(topic).chain(also);
    Ok(Opening::Stream { topics: StreamTopics(names.zip(starts).collect()), encoding })
}

/// Adds a topic to that of the path and the others. One that is there already changes nothing.
fn add_topic(first: &TopicName, also: &mut Vec<TopicName>, value: &str, limit_bytes: usize) -> Result<(), Refused> {
    let name = TopicName::new(value)
        .and_then(|name| name.at_most(limit_bytes))
        .map_err(|error| (Refusal::BadTopicName, error.to_string()))?;
    if *first != name && !also.contains(&name) {
        also.push(name);
    }
    Ok(())
}

/// Nobody says who it is here: only what is for everyone is subscribed to.
fn check_rules(surface: &Surface, first: &TopicName, also: &[TopicName]) -> Result<(), Refused> {
    for topic in std::iter::once(first).chain(also) {
        if !also.is_empty() && surface.hub.names_wildcard(topic) {
            return Err((Refusal::Wildcard, format!("{topic} goes with no other topic")));
        }
        surface.hub.check_name(topic).map_err(|error| (Refusal::BadTopicName, format!("{topic}: {error}")))?;
        if !api::is_for_everyone(surface.hub.rules_of(topic), topic) {
            return Err((Refusal::SubscribeNotAllowed, format!("topic {topic} asks who its clients are")));
        }
    }
    Ok(())
}

fn check_count(surface: &Surface, count: usize) -> Result<(), Refused> {
    let limit = surface.config.limits.subscriptions;
    if count > limit {
        return Err(bad(format!("one connection takes at most {limit} topics (limits.subscriptions)")));
    }
    Ok(())
}

/// One position for each topic, in the order of the URL, joined by commas: the id of a stream of several topics.
/// `parameter` is what brought them.
fn positions(parameter: &str, text: &str, count: usize) -> Result<Vec<Start>, Refused> {
    let positions: Result<Vec<Start>, _> =
        text.split(',').map(|one| one.parse::<Position>().map(Start::Since)).collect();
    let positions = positions.map_err(|error| bad(format!("{parameter} {text:?}: {error}")))?;
    if positions.len() != count {
        let given = positions.len();
        return Err(bad(format!("{parameter} has {given} positions for {count} topics")));
    }
    Ok(positions)
}

/// Where a client wants all of its topics to start.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    /// After these positions, which are read once the topics have been counted.
    Since(String),
    /// With the last publications that are kept.
    Last(usize),
}

fn ask(asked: &mut Option<Asked>, new: Asked) -> Result<(), Refused> {
    if asked.replace(new).is_some() {
        return Err(bad("since and history exclude each other, and are given once".to_owned()));
    }
    Ok(())
}

fn history(value: &str) -> Result<usize, Refused> {
    value.parse().map_err(|_| bad(format!("history {value:?} is not a whole number")))
}

fn bad(detail: String) -> Refused {
    (Refusal::BadParameter, detail)
}

fn query(head: &Parts) -> &str {
    head.uri.query().unwrap_or("")
}

fn parameters(query: &str) -> Result<Vec<(String, String)>, Refused> {
    api::query(query).map_err(|error| bad(error.to_string()))
}

/// Everything a WebSocket handshake needs (RFC 6455 §4.2.1) and the origin rules ask for.
fn check(head: &Parts, origins: &Origins) -> Result<(), Refused> {
    let headers = &head.headers;
    let bad = |why: &str| Err((Refusal::BadHandshake, why.to_owned()));
    if head.method != Method::GET {
        return Err((Refusal::MethodNotAllowed, "a WebSocket handshake is a GET".to_owned()));
    }
    if head.version != Version::HTTP_11 {
        return bad("a WebSocket handshake needs HTTP/1.1; a proxy in between may need proxy_http_version 1.1");
    }
    if !lists(headers, header::CONNECTION, "upgrade") {
        return bad("header Connection: Upgrade is missing; a proxy in between may have dropped it");
    }
    match headers.get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes) {
        Some(b"13") => {}
        Some(other) => {
            let other = String::from_utf8_lossy(other).into_owned();
            return Err((Refusal::BadWebSocketVersion, format!("Sec-WebSocket-Version is {other:?}, not 13")));
        }
        None => return bad("header Sec-WebSocket-Version: 13 is missing"),
    }
    let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
    match (keys.next().map(HeaderValue::as_bytes), keys.next()) {
        (Some(key), None) if is_key(key) => {}
        (Some(_), None) => return bad("header Sec-WebSocket-Key is not 16 bytes in base64"),
        (Some(_), Some(_)) => return bad("header Sec-WebSocket-Key stands twice"),
        (None, _) => return bad("header Sec-WebSocket-Key is missing"),
    }
    check_origin(head, origins)
}

/// What is agreed on about compression, of what the lines of `Sec-WebSocket-Extensions` offer.
///
/// # Errors
/// If they are malformed (RFC 6455 §9.1). Where compression is off they are not looked at.
pub(super) fn compression<'h>(
    reach: &Reach,
    offers: impl IntoIterator<Item = &'h [u8]>,
) -> Result<Option<Agreement>, Malformed> {
    if reach.compression.is_some() { ws::negotiate(offers) } else { Ok(None) }
}

fn agree(reach: &Reach, head: &Parts) -> Result<Option<Agreement>, Refused> {
    let offers = head.headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter().map(HeaderValue::as_bytes);
    compression(reach, offers).map_err(|error| (Refusal::BadHandshake, error.to_string()))
}

/// 16 bytes are 22 base64 characters and two `=` (RFC 6455 §4.1, 7).
pub(super) fn is_key(key: &[u8]) -> bool {
    let (digits, padding) = key.split_at(22.min(key.len()));
    padding == b"==" && digits.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

fn check_origin(head: &Parts, origins: &Origins) -> Result<(), Refused> {
    if origins.check_head(head).is_allowed() {
        return Ok(());
    }
    let text = |name: header::HeaderName| match head.headers.get(name) {
        Some(value) => String::from_utf8_lossy(value.as_bytes()),
        None => Cow::Borrowed(""),
    };
    let (origin, host) = (text(header::ORIGIN), text(header::HOST));
    Err((Refusal::OriginRefused, format!("origin {origin:?} is not allowed at host {host:?}")))
}

fn wants_websocket(headers: &HeaderMap) -> bool {
    lists(headers, header::UPGRADE, "websocket")
}

fn accepts_events(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|value| {
        let value = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        value.split(',').any(|one| one.split(';').next().unwrap_or("").trim() == "text/event-stream")
    })
}

/// Whether a comma-separated header lists `token`, in any case.
fn lists(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        value.as_bytes().split(|&b| b == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sixteen_bytes_in_base64() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        for key in
            [&b""[..], b"dGhlIHNhbXBsZSBub25jZQ=", b"dGhlIHNhbXBsZSBub25jZ\"==", b"dGhlIHNhbXBsZSBub25jZQ==A", b"=="]
        {
            assert!(!is_key(key), "{key:?}");
        }
    }

    #[test]
    fn who_comes_back_brings_one_position_for_each_topic() {
        let read = positions("since", "7:1,9:2", 2).unwrap();
        assert_eq!(read, ["7:1", "9:2"].map(|one| Start::Since(one.parse().unwrap())));
        for (text, count) in [("7:1", 2), ("7:1,9:2", 1), ("7:1,", 2), ("7:x", 1), ("", 1)] {
            let (refusal, detail) = positions("Last-Event-ID", text, count).unwrap_err();
            assert_eq!(refusal, Refusal::BadParameter);
            assert!(detail.contains("Last-Event-ID"), "{detail}");
        }
    }

    #[test]
    fn a_start_is_given_once() {
        let mut asked = None;
        ask(&mut asked, Asked::Last(5)).unwrap();
        assert_eq!(asked, Some(Asked::Last(5)));
        assert!(ask(&mut asked, Asked::Since("1:1".into())).is_err());
        assert_eq!(history("5"), Ok(5));
        assert!(history("-1").is_err() && history("").is_err());
    }

    #[test]
    fn a_topic_that_is_there_already_is_not_added_again() {
        let first = TopicName::new("a").unwrap();
        let mut also = Vec::new();
        for name in ["b", "a", "c", "b"] {
            add_topic(&first, &mut also, name, 3).unwrap();
        }
        assert_eq!(also.iter().map(TopicName::as_str).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(add_topic(&first, &mut also, "", 3).unwrap_err().0, Refusal::BadTopicName);
        add_topic(&first, &mut also, "abc", 3).unwrap();
        assert_eq!(add_topic(&first, &mut also, "abcd", 3).unwrap_err().0, Refusal::BadTopicName);
    }

    #[test]
    fn header_lists_are_read_in_any_case_and_from_every_line() {
        let mut headers = HeaderMap::new();
        headers.append(header::CONNECTION, HeaderValue::from_static("keep-alive"));
        headers.append(header::CONNECTION, HeaderValue::from_static("x, UPGRADE"));
        assert!(lists(&headers, header::CONNECTION, "upgrade"));
        assert!(!lists(&headers, header::CONNECTION, "upgrad"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/html, Text/Event-Stream;q=0.9"));
        assert!(accepts_events(&headers));
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-streams"));
        assert!(!accepts_events(&headers));
    }
}

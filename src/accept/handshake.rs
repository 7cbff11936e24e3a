//! What a request opens: a WebSocket, a stream, or nothing but an answer.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::Either;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{HeaderMap, Method, Request, Response, Version};

use super::origin::Origins;
use crate::api::{self, Route, Surface};
use crate::config::PublishRule;
use crate::hub::{Position, Start, TopicName};
use crate::protocol::Encoding;
use crate::refusal::Refusal;
use crate::session::{Opening, StreamTopics};

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It opens a connection that a worker will own.
    Open(Opening),
    /// It is plain HTTP.
    Plain,
    /// It would open one, but may not.
    Refused(Refusal, String),
}

/// Decides what a request opens. Pure but for the counters that nothing here touches.
pub(crate) fn decide<B>(surface: &Surface, request: &Request<B>) -> Decision {
    let route = match surface.routes.of(request.uri().path()) {
        Ok(route) => route,
        // Plain HTTP answers it in the same words.
        Err(_) => return Decision::Plain,
    };
    let wants_socket = wants_websocket(request.headers());
    let decided = match route {
        Route::Topic(topic) if wants_socket => topic_socket(surface, request, topic),
        Route::Topic(topic) if request.method() == Method::GET && accepts_events(request.headers()) => {
            topic_stream(surface, request, topic)
        }
        Route::Endpoint(index) if wants_socket => {
            check(request, surface.endpoint_origins(index)).map(|()| Opening::Endpoint { index: index as u16 })
        }
        Route::Topic(_) | Route::Endpoint(_) => return Decision::Plain,
        _ if wants_socket => {
            let path = request.uri().path();
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

type Refused = (Refusal, String);

fn topic_socket<B>(surface: &Surface, request: &Request<B>, topic: TopicName) -> Result<Opening, Refused> {
    check(request, &surface.origins)?;
    let mut start = None;
    let mut encoding = Encoding::Plain;
    for (key, value) in parameters(request)? {
        match &*key {
            "since" | "history" => set_start(&mut start, &key, &value)?,
            "format" => {
                encoding = match &*value {
                    "plain" => Encoding::Plain,
                    "json" => Encoding::Json,
                    other => return Err(bad(format!("format is plain or json, not {other:?}"))),
                }
            }
            // Said once here for all WebSocket clients: browsers cannot set headers, so keys would end up in URLs.
            other => return Err(bad(format!("unknown parameter {other:?}; there are: since, history, format"))),
        }
    }
    let rules = surface.hub.rules_of(&topic);
    let may_publish = match rules.publish {
        PublishRule::Anyone | PublishRule::Subscribers => true,
        PublishRule::Api => false,
    };
    Ok(Opening::Topic { topic, start: start.unwrap_or(Start::Now), encoding, may_publish })
}

fn topic_stream<B>(surface: &Surface, request: &Request<B>, topic: TopicName) -> Result<Opening, Refused> {
    check_origin(request.headers(), &surface.origins)?;
    let mut names = vec![topic];
    let mut start = None;
    let mut since = None;
    for (key, value) in parameters(request)? {
        match &*key {
            "since" => since = Some(value),
            "history" => set_start(&mut start, &key, &value)?,
            "also" => {
                let name = TopicName::new(&value).map_err(|error| (Refusal::BadTopicName, error.to_string()))?;
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            other => return Err(bad(format!("unknown parameter {other:?}; there are: since, history, also"))),
        }
    }
    let limit = surface.config.limits.subscriptions;
    if names.len() > limit {
        return Err(bad(format!("one stream takes at most {limit} topics (limits.subscriptions)")));
    }
    // The header is what a browser sends when it comes back: it is newer than what stands in the URL.
    let last_event_id = request.headers().get("last-event-id").map(|id| String::from_utf8_lossy(id.as_bytes()));
    let starts = match last_event_id.as_deref().filter(|id| !id.is_empty()).or(since.as_deref()) {
        Some(positions) => stream_positions(positions, names.len())?,
        None => vec![start.unwrap_or(Start::Now); names.len()],
    };
    let several = names.len() > 1;
    // RFC 9112 §7: chunks are for HTTP/1.1 only; an older proxy gets a body that ends with the connection.
    let encoding = match (several, request.version() == Version::HTTP_11) {
        (false, true) => Encoding::SseChunked,
        (false, false) => Encoding::Sse,
        (true, true) => Encoding::SseTopicChunked,
        (true, false) => Encoding::SseTopic,
    };
    Ok(Opening::Stream { topics: StreamTopics(names.into_iter().zip(starts).collect()), encoding })
}

/// The id of a stream of several topics is their positions in the order of the URL, joined by commas.
fn stream_positions(text: &str, count: usize) -> Result<Vec<Start>, Refused> {
    let positions: Result<Vec<Start>, _> =
        text.split(',').map(|one| one.parse::<Position>().map(Start::Since)).collect();
    let positions = positions.map_err(|error| bad(format!("since / Last-Event-ID {text:?}: {error}")))?;
    if positions.len() != count {
        let given = positions.len();
        return Err(bad(format!("since / Last-Event-ID has {given} positions for {count} topics")));
    }
    Ok(positions)
}

fn set_start(start: &mut Option<Start>, key: &str, value: &str) -> Result<(), Refused> {
    if start.is_some() {
        return Err(bad("since and history exclude each other".to_owned()));
    }
    *start = Some(match key {
        "since" => Start::Since(value.parse().map_err(|error| bad(format!("since {value:?}: {error}")))?),
        _ => Start::Last(value.parse().map_err(|_| bad(format!("history {value:?} is not a whole number")))?),
    });
    Ok(())
}

fn bad(detail: String) -> Refused {
    (Refusal::BadParameter, detail)
}

fn parameters<B>(request: &Request<B>) -> Result<Vec<(String, String)>, Refused> {
    api::query(request.uri().query().unwrap_or("")).map_err(|error| bad(error.to_string()))
}

/// Everything a WebSocket handshake needs (RFC 6455 §4.2.1) and the origin rules ask for.
fn check<B>(request: &Request<B>, origins: &Origins) -> Result<(), Refused> {
    let headers = request.headers();
    let bad = |why: &str| Err((Refusal::BadHandshake, why.to_owned()));
    if request.method() != Method::GET {
        return Err((Refusal::MethodNotAllowed, "a WebSocket handshake is a GET".to_owned()));
    }
    if request.version() != Version::HTTP_11 {
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
    check_origin(headers, origins)
}

/// 16 bytes are 22 base64 characters and two `=` (RFC 6455 §4.1, 7).
fn is_key(key: &[u8]) -> bool {
    let (digits, padding) = key.split_at(22.min(key.len()));
    padding == b"==" && digits.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

fn check_origin(headers: &HeaderMap, origins: &Origins) -> Result<(), Refused> {
    let origin = headers.get(header::ORIGIN).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    if origins.check(origin.as_deref(), host).is_allowed() {
        return Ok(());
    }
    let origin = origin.unwrap_or_default();
    Err((Refusal::OriginRefused, format!("origin {origin:?} is not allowed here; host {:?}", host.unwrap_or(""))))
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

/// The answer that opens: 101 for a socket, an endless 200 for a stream.
pub(crate) fn opened<B>(opening: &Opening, request: &mut Request<B>, origins: &Origins) -> Response<OpenBody> {
    match opening {
        Opening::Topic { .. } | Opening::Endpoint { .. } => {
            let (response, _) = fastwebsockets::upgrade::upgrade(request).expect("invariant: the headers were checked");
            response.map(|_| OpenBody::None)
        }
        Opening::Stream { .. } => {
            let mut response = Response::new(OpenBody::Endless);
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            // nginx buffers answers unless told otherwise; an event would wait for 4 KiB of others.
            headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
            origins.allow(request.headers(), headers);
            response
        }
    }
}

/// The body of an answer that opens something.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OpenBody {
    /// Nothing follows the head.
    None,
    /// Hyper waits for more forever; by then the socket is ours.
    Endless,
}

impl Body for OpenBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match *self {
            Self::None => Poll::Ready(None),
            Self::Endless => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::None)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::None => SizeHint::with_exact(0),
            Self::Endless => SizeHint::default(),
        }
    }
}

/// A body of an answer that may or may not open something.
pub(crate) type AnyBody = Either<OpenBody, api::Body>;

/// What one complete request head opened, without a task, a tokio socket or a system call.
#[derive(Debug)]
pub struct InPlace {
    /// The answer's head, to be sent first.
    pub response: Vec<u8>,
    /// What it opened.
    pub opening: Opening,
    /// Bytes that the client sent behind its head.
    pub rest: Vec<u8>,
}

/// Serves the handshake in `head`, which is whole, with hyper polled once in memory; `None` if it needs the ordinary
/// way: plain HTTP, a refusal, or a head that hyper will complain about.
///
/// 1.01 to 1.05 times the CPU of a bare accept with a fixed answer, where a task and a tokio socket cost 1.08 to 1.18,
/// and hyper's 8 KiB buffers are never held across a wait.
pub fn in_place(surface: &Surface, head: &[u8]) -> Option<InPlace> {
    let service = Opener { surface, opening: RefCell::new(None) };
    let io = Memory { input: head, output: Vec::with_capacity(256) };
    let mut connection =
        http1::Builder::new().auto_date_header(false).max_buf_size(8192.max(head.len())).serve_connection(io, service);
    let polled = connection.poll_without_shutdown(&mut Context::from_waker(Waker::noop()));
    if let Poll::Ready(Err(_)) = polled {
        return None;
    }
    let parts = connection.into_parts();
    let opening = parts.service.opening.into_inner()?;
    let mut rest = parts.read_buf.to_vec();
    rest.extend_from_slice(parts.io.input);
    Some(InPlace { response: parts.io.output, opening, rest })
}

struct Opener<'a> {
    surface: &'a Surface,
    opening: RefCell<Option<Opening>>,
}

impl Service<Request<Incoming>> for Opener<'_> {
    type Response = Response<OpenBody>;
    type Error = std::convert::Infallible;
    type Future = MaybeAnswer;

    fn call(&self, mut request: Request<Incoming>) -> MaybeAnswer {
        match decide(self.surface, &request) {
            Decision::Open(opening) => {
                let response = opened(&opening, &mut request, &self.surface.origins);
                self.opening.replace(Some(opening));
                MaybeAnswer(Some(response))
            }
            Decision::Plain | Decision::Refused(..) => MaybeAnswer(None),
        }
    }
}

/// An answer, or never one: then the connection is taken from hyper and served the ordinary way.
struct MaybeAnswer(Option<Response<OpenBody>>);

impl Future for MaybeAnswer {
    type Output = Result<Response<OpenBody>, std::convert::Infallible>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response)))
    }
}

/// A socket that is a piece of memory.
struct Memory<'a> {
    input: &'a [u8],
    output: Vec<u8>,
}

impl hyper::rt::Read for Memory<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let taken = self.input.len().min(buffer.remaining());
        if taken == 0 {
            return Poll::Pending;
        }
        let (now, later) = self.input.split_at(taken);
        buffer.put_slice(now);
        self.input = later;
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Memory<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.output.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

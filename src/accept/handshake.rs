//! The answer to a request that opens something, and how it is served without a task or a socket.

use std::cell::RefCell;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body_util::Either;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};

use super::decision::{self, Decision, decide};
use super::listener::ListenerId;
use super::origin::Origins;
use super::{forwarded, upgrade};
use crate::api::{self, Reach, Surface};
use crate::protocol::Shape;
use crate::protocol::centrifuge::{Format, Transport};
use crate::session::Opening;

/// The answer that opens: 101 for a socket, an endless 200 for a stream.
pub(crate) fn opened<B>(opening: &Opening, request: &mut Request<B>, origins: &Origins) -> Response<OpenBody> {
    match opening {
        Opening::Client { shape, .. } if shape.delimiting().is_some() => client_stream(*shape, request, origins),
        Opening::Topic { .. } | Opening::Endpoint { .. } | Opening::Client { .. } => {
            let spoken = subprotocol(opening).filter(|protocol| decision::offers(request.headers(), protocol));
            let (response, _) = fastwebsockets::upgrade::upgrade(request).expect("invariant: the headers were checked");
            let mut response = response.map(|_| OpenBody::None);
            if let Some(agreed) = opening.compression() {
                let answer = HeaderValue::from_static(agreed.answer());
                response.headers_mut().insert(header::SEC_WEBSOCKET_EXTENSIONS, answer);
            }
            if let Some(protocol) = spoken {
                // Some clients end a connection on which none of what they offered was taken.
                let answer = HeaderValue::from_static(protocol);
                response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, answer);
            }
            response
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

/// The head of a stream for a client of the Centrifuge protocol: word for word what its SDKs get elsewhere.
fn client_stream<B>(shape: Shape, request: &Request<B>, origins: &Origins) -> Response<OpenBody> {
    let content_type = match shape.transport() {
        Transport::EventStream(_) => "text/event-stream",
        Transport::HttpStream(Format::Protobuf, _) => "application/octet-stream",
        Transport::HttpStream(Format::Json, _) | Transport::WebSocket(_) => "text/plain; charset=utf-8",
    };
    let mut response = Response::new(OpenBody::Endless);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let live = HeaderValue::from_static("private, no-cache, no-store, must-revalidate, max-age=0");
    headers.insert(header::CACHE_CONTROL, live);
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    origins.allow_with_credentials(request.headers(), headers);
    response
}

/// The name of what a client speaks, for those that ask by name.
fn subprotocol(opening: &Opening) -> Option<&'static str> {
    match opening {
        Opening::Client { shape, .. } => Some(match shape.format() {
            Format::Json => decision::JSON_SUBPROTOCOL,
            Format::Protobuf => decision::PROTOBUF_SUBPROTOCOL,
        }),
        Opening::Topic { .. } | Opening::Endpoint { .. } | Opening::Stream { .. } => None,
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
#[derive(Debug, PartialEq, Eq)]
pub struct InPlace {
    /// The answer's head, to be sent first.
    pub response: Vec<u8>,
    /// What it opened.
    pub opening: Opening,
    /// Bytes that the client sent behind its head.
    pub rest: Vec<u8>,
    /// Who the client is: the peer, or whom a trusted proxy names.
    pub client: Option<IpAddr>,
}

/// Where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// Through which listener.
    pub listener: ListenerId,
    /// From which address, if it is one of IP: that of the socket, or of a PROXY header.
    pub peer: Option<IpAddr>,
}

impl Caller {
    /// Whether the peer is a proxy that may say who the client is.
    pub(crate) fn is_trusted_proxy(self, reach: &Reach) -> bool {
        self.peer.is_some_and(|peer| reach.trusted_proxies.contains(peer))
    }

    /// Who the client of a request is.
    pub(crate) fn client(self, reach: &Reach, headers: &HeaderMap) -> Option<IpAddr> {
        self.peer.map(|peer| forwarded::client(peer, headers, &reach.trusted_proxies))
    }
}

/// Serves the handshake in `head`, which is whole; `None` if it needs the ordinary way: plain HTTP, a refusal, or a head
/// that hyper will complain about.
pub fn in_place(surface: &Surface, caller: Caller, head: &[u8]) -> Option<InPlace> {
    upgrade::read(surface, caller, head).or_else(|| polled_once(surface, caller, head))
}

/// The same by hyper, polled once in memory: less than a task and a tokio socket cost, and its 8 KiB buffers are never
/// held across a wait.
pub(super) fn polled_once(surface: &Surface, caller: Caller, head: &[u8]) -> Option<InPlace> {
    let service = Opener { surface, caller, opening: RefCell::new(None) };
    let io = Memory { input: head, output: Vec::with_capacity(256) };
    let mut connection =
        http1::Builder::new().auto_date_header(false).max_buf_size(8192.max(head.len())).serve_connection(io, service);
    let polled = connection.poll_without_shutdown(&mut Context::from_waker(Waker::noop()));
    if let Poll::Ready(Err(_)) = polled {
        return None;
    }
    let parts = connection.into_parts();
    let (opening, client) = parts.service.opening.into_inner()?;
    let mut rest = parts.read_buf.to_vec();
    rest.extend_from_slice(parts.io.input);
    Some(InPlace { response: parts.io.output, opening, rest, client })
}

struct Opener<'a> {
    surface: &'a Surface,
    caller: Caller,
    opening: RefCell<Option<(Opening, Option<IpAddr>)>>,
}

impl Service<Request<Incoming>> for Opener<'_> {
    type Response = Response<OpenBody>;
    type Error = std::convert::Infallible;
    type Future = MaybeAnswer;

    fn call(&self, request: Request<Incoming>) -> MaybeAnswer {
        let (mut head, body) = request.into_parts();
        let reach = self.surface.reach(self.caller.listener);
        if reach.enter(&mut head).is_err() {
            return MaybeAnswer(None);
        }
        match decide(self.surface, reach, &head) {
            Decision::Open(opening) => {
                let client = self.caller.client(reach, &head.headers);
                let mut request = Request::from_parts(head, body);
                let response = opened(&opening, &mut request, &reach.origins);
                self.opening.replace(Some((opening, client)));
                MaybeAnswer(Some(response))
            }
            Decision::OpenWithBody(_) | Decision::Plain | Decision::Refused(..) => MaybeAnswer(None),
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

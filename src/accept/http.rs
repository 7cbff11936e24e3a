//! The ordinary way: a hyper connection in a task of its worker's thread. It can still open a socket or a stream.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, http};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::addresses::AddressKey;
use super::decision::{Decision, Refused, client_opening, decide};
use super::handshake::{self, AnyBody, Caller};
use super::listener::ListenerId;
use super::tls_stream::{Parts, TlsStream};
use crate::api::{self, Surface, request_body};
use crate::protocol::Shape;
use crate::refusal::Refusal;
use crate::session::Opening;
use crate::tls::Channel;

/// What came of a plain HTTP connection.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It is closed.
    Closed,
    /// A request opened something.
    Opened(Box<Opened>),
}

/// A connection that a request opened; the answer's head is sent.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The socket, no longer known to tokio.
    pub(crate) socket: OwnedFd,
    /// Its TLS, if it speaks that.
    pub(crate) tls: Option<Box<Channel>>,
    /// What TLS made of the answer and the socket has not taken.
    pub(crate) sealed: Bytes,
    /// Where it came through.
    pub(crate) listener: ListenerId,
    /// What its client is counted as; see [`Plain::counted`].
    pub(crate) counted: Option<AddressKey>,
    /// What it opened.
    pub(crate) opening: Opening,
    /// Bytes that the client sent behind its head.
    pub(crate) rest: Vec<u8>,
}

/// A socket whose requests are served in a task.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) socket: OwnedFd,
    pub(crate) tls: Option<Box<Channel>>,
    pub(crate) caller: Caller,
    /// Its client's address, if that was counted when it came; else the client of what a request opens is.
    pub(crate) counted: Option<AddressKey>,
    /// What was read of it already.
    pub(crate) head: Bytes,
}

/// Serves requests on a socket, until it closes, opens something, or `drain` says
/// that the request in hand is the last.
///
/// # Errors
/// Those of hyper, which has answered if it could: a malformed head, one that is too large or too slow.
pub(crate) async fn serve(
    surface: Arc<Surface>,
    plain: Plain,
    mut drain: watch::Receiver<bool>,
) -> Result<Ended, hyper::Error> {
    let Plain { socket, tls, caller, counted, head } = plain;
    // tokio's type for TCP does with a socket of any family what is done here: read, write, shut down.
    let Ok(stream) = TcpStream::from_std(socket.into()) else { return Ok(Ended::Closed) };
    let stream = match tls {
        None => Stream::Tcp(stream),
        Some(channel) => Stream::Tls(TlsStream::new(stream, channel)),
    };
    let opened = Rc::new(RefCell::new(None));
    let limits = &surface.config.limits;
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // Covers the time between requests, too. The first head came within `limits.header_timeout`; a client that
        // dribbles a later one holds no more than one that is silent.
        .header_read_timeout(limits.keep_alive.0)
        .max_buf_size(limits.header.bytes().max(8192))
        // Half-closed clients (curl with a pipe, HTTP/1.0 scripts) still get their answer.
        .half_close(true);
    let service = service_fn(|request: Request<Incoming>| {
        let surface = Arc::clone(&surface);
        let opened = Rc::clone(&opened);
        Box::pin(
            async move { Ok::<_, std::convert::Infallible>(answer(&surface, caller, counted, request, &opened).await) },
        )
    });
    let blocked = Rc::new(Cell::new(false));
    let io = TokioIo::new(Rewound { head, stream, blocked: Rc::clone(&blocked) });
    let mut connection = builder.serve_connection(io, service);
    let mut drained = pin!(async move { drain.wait_for(|&draining| draining).await.is_ok() });
    let mut drain_seen = false;
    let ended = std::future::poll_fn(|cx| {
        if !drain_seen && drained.as_mut().poll(cx).is_ready() {
            drain_seen = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        match connection.poll_without_shutdown(cx) {
            Poll::Ready(result) => Poll::Ready(result),
            // A stream's answer never ends for hyper; once its head is written the socket is ours. Whether it is
            // written shows in the socket: hyper flushes before it returns, unless the kernel refused bytes.
            Poll::Pending if opened.borrow().is_some() && !blocked.get() => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    // Without a shutdown hyper may be done with an answer that the socket has not taken yet: one given before the request's
    // body came, or to a head that it refuses. After other errors there is no answer, and it might wait for a request.
    if ended.as_ref().is_err_and(hyper::Error::is_parse) {
        let _ = connection.await;
        return ended.map(|()| Ended::Closed);
    }
    ended?;
    let Some((opening, counted)) = opened.borrow_mut().take() else {
        connection.await?;
        return Ok(Ended::Closed);
    };
    let parts = connection.into_parts();
    let io = parts.io.into_inner();
    let mut rest = parts.read_buf.to_vec();
    rest.extend_from_slice(&io.head);
    let (stream, tls, sealed) = match io.stream {
        Stream::Tcp(stream) => (stream, None, Bytes::new()),
        Stream::Tls(stream) => {
            let Parts { stream, channel, plain, sealed } = stream.into_parts();
            rest.extend_from_slice(&plain);
            (stream, Some(channel), sealed)
        }
    };
    match stream.into_std() {
        Ok(socket) => {
            let (socket, listener) = (socket.into(), caller.listener);
            Ok(Ended::Opened(Box::new(Opened { socket, tls, sealed, listener, counted, opening, rest })))
        }
        Err(_) => Ok(Ended::Closed),
    }
}

/// What a request opened, and the address that is counted for it.
type Found = RefCell<Option<(Opening, Option<AddressKey>)>>;

async fn answer(
    surface: &Surface,
    caller: Caller,
    counted: Option<AddressKey>,
    request: Request<Incoming>,
    opened: &Found,
) -> Response<AnyBody> {
    let (mut head, body) = request.into_parts();
    let reach = surface.reach(caller.listener);
    if let Err(error) = reach.enter(&mut head) {
        return surface.problem(Refusal::UnknownPath, error).map(Either::Right);
    }
    let decision = decide(surface, reach, &head);
    let client = caller.client(reach, &head.headers);
    let opening = match decision {
        Decision::Open(opening) => opening,
        Decision::OpenWithBody(shape) => match open_with_body(surface, shape, &head, body).await {
            Ok(opening) => opening,
            Err((refusal, detail)) => {
                let mut refused = surface.problem(refusal, detail);
                reach.origins.allow_with_credentials(&head.headers, refused.headers_mut());
                return refused.map(Either::Right);
            }
        },
        Decision::Refused(refusal, detail) => return surface.problem(refusal, &detail).map(Either::Right),
        Decision::Plain => {
            return api::serve(surface, reach, Request::from_parts(head, body)).await.map(Either::Right);
        }
    };
    let counted = match counted {
        Some(counted) => Some(counted),
        None => match surface.admit(client) {
            Ok(counted) => counted,
            Err(crowded) => return surface.too_many(crowded).map(Either::Right),
        },
    };
    let response = handshake::opened(&opening, &mut Request::from_parts(head, ()), &reach.origins);
    opened.replace(Some((opening, counted)));
    response.map(Either::Left)
}

/// What a request opens whose body is what its client says first.
async fn open_with_body(
    surface: &Surface,
    shape: Shape,
    head: &http::request::Parts,
    body: Incoming,
) -> Result<Opening, Refused> {
    let limits = &surface.config.limits;
    let first = request_body::read(head, body, limits.message.bytes(), limits.header_timeout.0).await;
    let first = first.map_err(|error| (error.refusal(), error.to_string()))?;
    client_opening(shape, first, surface.hooks.pass(&head.headers, []))
}

/// A socket in tokio's hands.
#[derive(Debug)]
enum Stream {
    Tcp(TcpStream),
    Tls(TlsStream),
}

/// A stream of which some bytes were read before hyper got it.
#[derive(Debug)]
struct Rewound {
    head: Bytes,
    stream: Stream,
    /// Whether the kernel refused bytes at the last write: then hyper, or TLS, still holds some.
    blocked: Rc<Cell<bool>>,
}

impl Rewound {
    /// What TLS made of a write may wait for room although the write itself was taken.
    fn note_blocked(&self, is_pending: bool) {
        let has_unsent = match &self.stream {
            Stream::Tcp(_) => false,
            Stream::Tls(stream) => stream.has_unsent(),
        };
        self.blocked.set(is_pending || has_unsent);
    }
}

impl AsyncRead for Rewound {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.head.has_remaining() {
            let taken = self.head.len().min(buffer.remaining());
            buffer.put_slice(&self.head.split_to(taken));
            return Poll::Ready(Ok(()));
        }
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        };
        self.note_blocked(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        };
        self.note_blocked(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Tcp(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => {
                let flushed = Pin::new(stream).poll_flush(cx);
                self.note_blocked(flushed.is_pending());
                flushed
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

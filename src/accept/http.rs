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
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::decision::{Decision, decide};
use super::handshake::{self, AnyBody};
use crate::api::{self, Surface};
use crate::session::Opening;

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
    /// What it opened.
    pub(crate) opening: Opening,
    /// Bytes that the client sent behind its head.
    pub(crate) rest: Vec<u8>,
}

/// Serves requests on `socket`, of which `head` was read already, until it closes, opens something, or `drain` says
/// that the request in hand is the last.
///
/// # Errors
/// Those of hyper, which has answered if it could: a malformed head, one that is too large or too slow.
pub(crate) async fn serve(
    surface: Arc<Surface>,
    socket: OwnedFd,
    head: Bytes,
    mut drain: watch::Receiver<bool>,
) -> Result<Ended, hyper::Error> {
    let Ok(stream) = TcpStream::from_std(socket.into()) else { return Ok(Ended::Closed) };
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
        Box::pin(async move { Ok::<_, std::convert::Infallible>(answer(&surface, request, &opened).await) })
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
    let Some(opening) = opened.borrow_mut().take() else {
        connection.await?;
        return Ok(Ended::Closed);
    };
    let parts = connection.into_parts();
    let io = parts.io.into_inner();
    let mut rest = parts.read_buf.to_vec();
    rest.extend_from_slice(&io.head);
    match io.stream.into_std() {
        Ok(socket) => Ok(Ended::Opened(Box::new(Opened { socket: socket.into(), opening, rest }))),
        Err(_) => Ok(Ended::Closed),
    }
}

async fn answer(surface: &Surface, request: Request<Incoming>, opened: &RefCell<Option<Opening>>) -> Response<AnyBody> {
    let (head, body) = request.into_parts();
    let decision = decide(surface, &head);
    let mut request = Request::from_parts(head, body);
    match decision {
        Decision::Open(opening) => {
            let response = handshake::opened(&opening, &mut request, &surface.origins);
            opened.replace(Some(opening));
            response.map(Either::Left)
        }
        Decision::Refused(refusal, detail) => surface.problem(refusal, &detail).map(Either::Right),
        Decision::Plain => api::serve(surface, request).await.map(Either::Right),
    }
}

/// A stream of which some bytes were read before hyper got it.
#[derive(Debug)]
struct Rewound {
    head: Bytes,
    stream: TcpStream,
    /// Whether the kernel refused bytes at the last write: then hyper still holds some.
    blocked: Rc<Cell<bool>>,
}

impl AsyncRead for Rewound {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.head.has_remaining() {
            let taken = self.head.len().min(buffer.remaining());
            buffer.put_slice(&self.head.split_to(taken));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.blocked.set(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.blocked.set(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

//! A hub that plays a script, for the tests of the commands that talk to one.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use fastwebsockets::{Frame, Payload};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::hub_url::HubUrl;

/// What one WebSocket connection gets.
pub(super) enum Play {
    /// This status and body instead of a handshake.
    Refuse(u16, &'static str),
    /// These messages, then the end of the connection without a word.
    Break(Vec<&'static str>),
    /// These messages, then a close frame.
    Close(Vec<&'static str>, u16),
    /// These messages, and the connection stays.
    Stay(Vec<&'static str>),
}

/// What a plain connection gets behind its answers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// The end.
    Close,
    /// It is read until the client ends it.
    Listen,
}

/// The request targets that were asked for.
pub(super) type Asked = Arc<Mutex<Vec<String>>>;

/// Plays one script per connection, in order; ends with the last.
pub(super) async fn websockets(plays: Vec<Play>) -> (HubUrl, Asked) {
    let (listener, url) = listen().await;
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        for play in plays {
            let (socket, _) = listener.accept().await.unwrap();
            let play = Arc::new(Mutex::new(Some(play)));
            let seen = Arc::clone(&seen);
            let service = service_fn(move |request: Request<Incoming>| {
                seen.lock().unwrap().push(request.uri().to_string());
                let play = play.lock().unwrap().take().unwrap();
                async move { Ok::<_, hyper::Error>(answer(request, play)) }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service)
                    .with_upgrades(),
            );
        }
    });
    (url, asked)
}

fn answer(mut request: Request<Incoming>, play: Play) -> Response<Full<Bytes>> {
    let (messages, close, stay) = match play {
        Play::Refuse(status, body) => {
            return Response::builder().status(status).body(Full::from(body)).unwrap();
        }
        Play::Break(messages) => (messages, None, false),
        Play::Close(messages, code) => (messages, Some(code), false),
        Play::Stay(messages) => (messages, None, true),
    };
    let (response, socket) = fastwebsockets::upgrade::upgrade(&mut request).unwrap();
    tokio::spawn(async move {
        let mut socket = socket.await.unwrap();
        for message in messages {
            socket.write_frame(Frame::text(Payload::Borrowed(message.as_bytes()))).await.unwrap();
        }
        if let Some(code) = close {
            socket.write_frame(Frame::close(code, b"bye")).await.unwrap();
        }
        if stay {
            let _ = socket.read_frame().await;
        }
    });
    response.map(|_| Full::default())
}

/// Reads from one plain connection until it has seen the heads of `requests` requests, and only then writes `answers`.
/// Gives back what it read, once the client is gone.
pub(super) async fn http(requests: usize, answers: String, then: Then) -> (HubUrl, tokio::task::JoinHandle<String>) {
    let (listener, url) = listen().await;
    let served = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut read = Vec::new();
        while String::from_utf8_lossy(&read).matches("POST ").count() < requests {
            if socket.read_buf(&mut read).await.unwrap() == 0 {
                break;
            }
        }
        socket.write_all(answers.as_bytes()).await.unwrap();
        while then == Then::Listen && socket.read_buf(&mut read).await.unwrap_or(0) > 0 {}
        String::from_utf8_lossy(&read).into_owned()
    });
    (url, served)
}

async fn listen() -> (TcpListener, HubUrl) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    (listener, url)
}

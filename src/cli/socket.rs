//! A WebSocket to the hub.

use std::time::Duration;

use bytes::Bytes;
use fastwebsockets::{FragmentCollector, OpCode, Role, WebSocket, WebSocketError};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::hub_url::HubUrl;
use super::pipeline::{self, NoAnswer};
use super::problem::Problem;

/// How long the handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a refusal's body that are read.
const PROBLEM_LIMIT: usize = 64 * 1024;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotConnected {
    #[error(transparent)]
    Unreachable(#[from] NoAnswer),
    #[error("refused: {0}")]
    Refused(Problem),
    #[error("the handshake failed: {0}")]
    Handshake(#[from] hyper::Error),
    #[error("no answer to the handshake in 10s")]
    Timeout,
}

/// What came.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A whole message.
    Message(Vec<u8>),
    /// The hub closed the connection.
    Closed { code: Option<u16>, reason: String },
    /// The connection broke.
    Lost(WebSocketError),
}

/// An open WebSocket. Pings and closes are answered while it is read.
pub(super) struct Socket(FragmentCollector<TokioIo<Upgraded>>);

impl Socket {
    /// Connects to `path` at the hub.
    pub(super) async fn connect(url: &HubUrl, path: &str) -> Result<Self, NotConnected> {
        timeout(HANDSHAKE_TIMEOUT, Self::shake_hands(url, path)).await.unwrap_or(Err(NotConnected::Timeout))
    }

    async fn shake_hands(url: &HubUrl, path: &str) -> Result<Self, NotConnected> {
        let stream = pipeline::open(url).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the connection; what goes wrong on it is told by the request or by the socket.
        tokio::spawn(async move { connection.with_upgrades().await.ok() });
        let request = Request::get(path)
            .header(HOST, url.authority())
            .header(UPGRADE, "websocket")
            .header(CONNECTION, "Upgrade")
            .header(SEC_WEBSOCKET_KEY, fastwebsockets::handshake::generate_key())
            .header(SEC_WEBSOCKET_VERSION, "13")
            .body(Empty::<Bytes>::new())
            .expect("invariant: path and host were checked when they were parsed");
        let mut response = sender.send_request(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), PROBLEM_LIMIT).collect().await;
            let body = body.map(|body| body.to_bytes()).unwrap_or_default();
            return Err(NotConnected::Refused(Problem::read(status, &body)));
        }
        let upgraded = hyper::upgrade::on(&mut response).await?;
        Ok(Self(FragmentCollector::new(WebSocket::after_handshake(TokioIo::new(upgraded), Role::Client))))
    }

    /// The next message, or the end. Not cancel safe: a read that is dropped half way loses bytes.
    pub(super) async fn next(&mut self) -> Incoming {
        loop {
            let frame = match self.0.read_frame().await {
                Ok(frame) => frame,
                Err(error) => return Incoming::Lost(error),
            };
            match frame.opcode {
                OpCode::Text | OpCode::Binary | OpCode::Continuation => {
                    return Incoming::Message(frame.payload.to_vec());
                }
                OpCode::Ping | OpCode::Pong => {}
                OpCode::Close => {
                    let code = frame.payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code));
                    let reason = frame.payload.get(2..).unwrap_or_default();
                    return Incoming::Closed { code, reason: String::from_utf8_lossy(reason).into_owned() };
                }
            }
        }
    }
}

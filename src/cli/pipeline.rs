//! One HTTP/1.1 connection on which requests do not wait for the answers to the ones before them (RFC 9112 §9.3.2).

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::hub_url::HubUrl;
use super::response::{BadResponse, Response, Responses};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("cannot reach {url}: {source}{}", hint(source))]
    Unreachable { url: String, source: io::Error },
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the connection was closed before the answer")]
    Closed,
    #[error(transparent)]
    NotOne(#[from] BadResponse),
}

/// The half that answers are read from.
#[derive(Debug)]
pub(super) struct Answers {
    socket: OwnedReadHalf,
    responses: Responses,
}

/// A connection to the hub: where to write requests, and where their answers come from, in the same order.
pub(super) async fn connect(url: &HubUrl) -> Result<(OwnedWriteHalf, Answers), NoAnswer> {
    let (read, write) = open(url).await?.into_split();
    Ok((write, Answers { socket: read, responses: Responses::default() }))
}

/// A TCP connection to the hub that notices a peer that is gone.
pub(super) async fn open(url: &HubUrl) -> Result<TcpStream, NoAnswer> {
    let unreachable = |source| NoAnswer::Unreachable { url: url.to_string(), source };
    let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(url.address())).await;
    let socket = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(unreachable)?;
    socket.set_nodelay(true).map_err(unreachable)?;
    // A subscriber only listens: without probes it would wait forever for a machine that lost its power.
    let probes = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(20))
        .with_interval(Duration::from_secs(10))
        .with_retries(3);
    socket2::SockRef::from(&socket).set_tcp_keepalive(&probes).map_err(unreachable)?;
    Ok(socket)
}

/// The bytes of a request.
pub(super) fn request(url: &HubUrl, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", url.authority()).into_bytes();
    for (name, value) in headers {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if method != "GET" {
        bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// One request on a connection of its own, and its answer.
pub(super) async fn exchange(url: &HubUrl, request: &[u8]) -> Result<Response, NoAnswer> {
    let (mut write, mut answers) = connect(url).await?;
    // A hub that refuses before it has read the whole body closes; its answer counts then, not the failed write.
    let (written, answer) = tokio::join!(write.write_all(request), answers.next());
    match (written, answer) {
        (_, Ok(answer)) => Ok(answer),
        (Err(error), Err(NoAnswer::Closed)) => Err(NoAnswer::Broken(error)),
        (_, Err(error)) => Err(error),
    }
}

impl Answers {
    /// The next answer. Cancel safe: what was read stays here.
    pub(super) async fn next(&mut self) -> Result<Response, NoAnswer> {
        let mut buffer = [0; 16 * 1024];
        let mut ended = false;
        loop {
            if let Some(response) = self.responses.next(ended)? {
                return Ok(response);
            }
            if ended {
                return Err(NoAnswer::Closed);
            }
            let count = self.socket.read(&mut buffer).await?;
            self.responses.feed(&buffer[..count]);
            ended = count == 0;
        }
    }
}

/// What to try, for the error that everyone meets first.
fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => " (is the hub running? `fanfare serve` starts one)",
        _ => "",
    }
}

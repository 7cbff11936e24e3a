//! A kept-alive HTTP connection: one request, one answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

/// A hub that is alive answers within this, however busy the machine is.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The longest answer that is read.
const ANSWER_LIMIT_BYTES: usize = 4 << 20;

/// A connection to a hub.
#[derive(Debug)]
pub(super) struct Http {
    stream: BufReader<TcpStream>,
    address: SocketAddr,
}

impl Http {
    /// Connects.
    pub(super) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE).context("the hub cannot be reached")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), address })
    }

    /// The body at `path`. Errors: anything but a 200 with a length.
    pub(super) fn get(&mut self, path: &str) -> anyhow::Result<String> {
        self.send("GET", path, "", "")?;
        self.answer().with_context(|| format!("GET {path}"))
    }

    /// The answer to `body` at `path`. Errors: anything but a 200 with a length.
    pub(super) fn post(&mut self, path: &str, body: &str) -> anyhow::Result<String> {
        let length = format!("Content-Length: {}\r\nContent-Type: text/plain\r\n", body.len());
        self.send("POST", path, &length, body)?;
        self.answer().with_context(|| format!("POST {path}"))
    }

    /// Asks for the event stream at `path`, whose lines come out from then on.
    pub(super) fn open_stream(mut self, path: &str) -> anyhow::Result<BufReader<TcpStream>> {
        self.send("GET", path, "Accept: text/event-stream\r\n", "")?;
        self.head().with_context(|| format!("stream at {path}"))?;
        Ok(self.stream)
    }

    fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) -> anyhow::Result<()> {
        // In one write: the hub waits for the rest of a request no longer than it must.
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n{body}", self.address);
        self.stream.get_mut().write_all(request.as_bytes()).with_context(|| format!("{method} {path}"))
    }

    fn answer(&mut self) -> anyhow::Result<String> {
        let length = self.head()?.context("an answer without Content-Length")?;
        ensure!(length <= ANSWER_LIMIT_BYTES, "an answer of {length} bytes");
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).context("the rest of an answer")?;
        String::from_utf8(body).context("an answer that is no text")
    }

    /// Reads the head of an answer and returns the length of its body, if it says one.
    fn head(&mut self) -> anyhow::Result<Option<usize>> {
        let status = self.line()?;
        let mut length = None;
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse().context("Content-Length")?);
            }
        }
        if status.split(' ').nth(1) != Some("200") {
            bail!("{status}");
        }
        Ok(length)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).context("no answer")?;
        ensure!(read > 0, "the hub closed the connection");
        Ok(line.trim_end().to_owned())
    }
}

//! Plain HTTP requests, one after another, for what is not load: metrics, and publishing where nobody listens.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::server::place::Place;
use crate::wire::handshake::{head_of, header};

const PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer read, in bytes.
const ANSWER_LIMIT_BYTES: usize = 4 << 20;

/// A connection that is kept alive.
pub(crate) struct Requests {
    socket: TcpStream,
    authority: String,
    answer: Vec<u8>,
}

impl Requests {
    /// Connects to `place`.
    pub(crate) fn connect(place: &Place) -> Result<Self> {
        let socket = TcpStream::connect_timeout(&place.address, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, authority: place.authority.clone(), answer: Vec::new() })
    }

    /// `POST`s `body` and waits for the answer. Errors unless it is a 2xx.
    pub(crate) fn post(&mut self, path: &str, body: &str) -> Result<()> {
        let length = body.len();
        self.exchange(
            path,
            &format!("POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n\r\n{body}", self.authority),
        )?;
        Ok(())
    }

    /// `GET`s a text. Errors unless it comes with a 2xx and a length.
    pub(crate) fn get(&mut self, path: &str) -> Result<String> {
        self.exchange(path, &format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.authority))
    }

    fn exchange(&mut self, path: &str, request: &str) -> Result<String> {
        self.socket.write_all(request.as_bytes()).with_context(|| path.to_owned())?;
        self.answer.clear();
        loop {
            let mut buffer = [0; 16 * 1024];
            let count = self.socket.read(&mut buffer).with_context(|| path.to_owned())?;
            if count == 0 {
                bail!("{path}: the server closed the connection");
            }
            self.answer.extend_from_slice(&buffer[..count]);
            ensure!(self.answer.len() <= ANSWER_LIMIT_BYTES, "{path}: the answer is too long");
            if let Some(body) = body_of(&self.answer).with_context(|| path.to_owned())? {
                return Ok(body);
            }
        }
    }
}

/// The body of an answer, once it is whole.
fn body_of(answer: &[u8]) -> Result<Option<String>> {
    let Some((head, head_bytes)) = head_of(answer) else { return Ok(None) };
    let status = head.lines().next().unwrap_or_default();
    let length: usize = match header(head, "content-length") {
        Some(length) => length.parse().with_context(|| format!("Content-Length {length}"))?,
        None if status.split(' ').nth(1) == Some("204") => 0,
        None => bail!("{status}: no Content-Length"),
    };
    let Some(body) = answer.get(head_bytes..head_bytes.saturating_add(length)) else { return Ok(None) };
    let body = String::from_utf8_lossy(body).into_owned();
    ensure!(status.split(' ').nth(1).is_some_and(|code| code.starts_with('2')), "{status}: {}", body.trim());
    Ok(Some(body))
}

/// The sum of all series of `name` in the text of `/metrics`.
pub(crate) fn metric(text: &str, name: &str) -> Result<f64> {
    let mut values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        // Another metric may begin with the same words.
        (rest.starts_with('{') || rest.starts_with(' ')).then_some(())?;
        rest.rsplit_once(' ')?.1.parse::<f64>().ok()
    });
    let first = values.next().with_context(|| format!("/metrics has no {name}"))?;
    Ok(first + values.sum::<f64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_the_sum_of_its_series_and_not_of_its_namesakes() {
        let text = "# TYPE w counter\nw_total{worker=\"0\"} 3\nw_total{worker=\"1\"} 4\nw_total_more 9\nx 1\n";
        assert_eq!(metric(text, "w_total").unwrap(), 7.0);
        assert_eq!(metric(text, "x").unwrap(), 1.0);
        assert!(metric(text, "w").is_err());
    }

    #[test]
    fn a_body_is_whole_with_its_last_byte_and_a_refusal_is_an_error() {
        assert_eq!(body_of(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{").unwrap(), None);
        assert_eq!(body_of(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap().unwrap(), "{}");
        let error = body_of(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope").unwrap_err();
        assert_eq!(error.to_string(), "HTTP/1.1 403 Forbidden: nope");
    }
}

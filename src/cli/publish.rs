//! `fanfare publish`.

use std::env;
use std::io::{self, BufRead, IsTerminal, Read};
use std::thread;

use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{Semaphore, mpsc};

use super::arguments::Publish;
use super::exit::Failure;
use super::hub_url::HubUrl;
use super::output;
use super::pipeline::{self, NoAnswer};
use super::problem::Problem;
use super::response::Response;

/// Requests on their way without an answer. Enough to hide a round trip, few enough that little is in doubt when it breaks.
const WINDOW: usize = 256;

/// Lines read ahead of the connection.
const READ_AHEAD: usize = 64;

/// Bytes of requests written with one call.
const BATCH_BYTES: usize = 64 * 1024;

/// A line, or a whole stdin, over this is not published. The hub's own limit is mostly much lower.
const PAYLOAD_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// Publishes what was asked for.
pub(super) fn publish(publish: Publish) -> Result<(), Failure> {
    let url = HubUrl::or_default(publish.hub.url.clone())?;
    let key = publish.key.clone().or_else(|| env::var("FANFARE_KEY").ok()).filter(|key| !key.is_empty());
    if let Some(key) = &key
        && key.bytes().any(|byte| !(b' '..=b'~').contains(&byte))
    {
        return Err(Failure::Usage("a key has only printable ASCII characters".to_owned()));
    }
    let publisher =
        Publisher { path: url.topic_path(&publish.topic), url, key, binary: publish.binary, json: publish.json };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Runtime(error.to_string()))?;
    match publish.data.as_deref() {
        Some("-") => runtime.block_on(publisher.lines(read_lines())),
        Some(data) => runtime.block_on(publisher.one(data.as_bytes())),
        None => runtime.block_on(publisher.one(&all_of_stdin()?)),
    }
}

struct Publisher {
    url: HubUrl,
    path: String,
    key: Option<String>,
    binary: bool,
    json: bool,
}

/// What the hub answers to an accepted publication.
#[derive(Debug, Deserialize)]
struct Receipt {
    epoch: String,
    offset: u64,
    receivers: u64,
}

impl Publisher {
    fn request(&self, payload: &[u8]) -> Vec<u8> {
        let kind = if self.binary { "application/octet-stream" } else { "text/plain; charset=utf-8" };
        let mut headers = vec![("content-type", kind)];
        headers.extend(self.key.as_deref().map(|key| ("x-api-key", key)));
        pipeline::request(&self.url, "POST", &self.path, &headers, payload)
    }

    /// Checks an answer and prints it, if that was asked for.
    fn accepted(&self, answer: &Response) -> Result<Receipt, Failure> {
        if !(200..300).contains(&answer.status) {
            return Err(Failure::Runtime(format!("refused: {}", Problem::read(answer.status, &answer.body))));
        }
        let receipt = serde_json::from_slice(&answer.body);
        let receipt = receipt.map_err(|error| Failure::Runtime(format!("not an answer of a hub: {error}")))?;
        if self.json {
            output::print(&[answer.body.trim_ascii(), b"\n"].concat())?;
        }
        Ok(receipt)
    }

    async fn one(&self, payload: &[u8]) -> Result<(), Failure> {
        let answer = pipeline::exchange(&self.url, &self.request(payload)).await;
        let receipt = self.accepted(&answer.map_err(|error| Failure::Runtime(error.to_string()))?)?;
        if !self.json {
            let Receipt { epoch, offset, receivers } = receipt;
            eprintln!("published at {epoch}:{offset}, receivers: {receivers}");
        }
        Ok(())
    }

    /// Publishes each line, in order, without waiting for the answer to the one before. Stops at the first refusal.
    async fn lines(&self, mut lines: mpsc::Receiver<io::Result<Vec<u8>>>) -> Result<(), Failure> {
        let connected = pipeline::connect(&self.url).await;
        let (socket, mut answers) = connected.map_err(|error| Failure::Runtime(error.to_string()))?;
        let window = Semaphore::new(WINDOW);
        let sent = std::cell::Cell::new(0_u64);
        let writing = self.write(socket, &mut lines, &window, &sent);
        tokio::pin!(writing);
        let mut accepted = 0;
        let mut last = None;
        let mut written: Option<io::Result<OwnedWriteHalf>> = None;
        loop {
            if matches!(&written, Some(Ok(_))) && accepted == sent.get() {
                break;
            }
            let answer = tokio::select! {
                // A write that fails is told after the answers that may say why.
                done = &mut writing, if written.is_none() => {
                    written = Some(done);
                    continue;
                }
                answer = answers.next() => answer,
            };
            let in_doubt = |failure: Failure| told(failure, accepted, sent.get());
            let answer = match (answer, &written) {
                (Ok(answer), _) => answer,
                (Err(NoAnswer::Closed), Some(Err(error))) => return Err(in_doubt(Failure::Runtime(error.to_string()))),
                (Err(error), _) => return Err(in_doubt(Failure::Runtime(error.to_string()))),
            };
            last = Some(self.accepted(&answer).map_err(in_doubt)?);
            accepted += 1;
            window.add_permits(1);
        }
        match last {
            _ if self.json => {}
            Some(Receipt { epoch, offset, .. }) => eprintln!("published: {accepted}, the last at {epoch}:{offset}"),
            None => eprintln!("published: 0"),
        }
        Ok(())
    }

    /// Writes a request per line until there are no more; gives the socket back, since closing it ends the answers.
    async fn write(
        &self,
        mut socket: OwnedWriteHalf,
        lines: &mut mpsc::Receiver<io::Result<Vec<u8>>>,
        window: &Semaphore,
        sent: &std::cell::Cell<u64>,
    ) -> io::Result<OwnedWriteHalf> {
        while let Some(line) = lines.recv().await {
            window.acquire().await.expect("invariant: the window is never closed").forget();
            let mut batch = self.request(&line?);
            let mut count = 1;
            while batch.len() < BATCH_BYTES {
                let Ok(permit) = window.try_acquire() else { break };
                // The permit goes back when it is dropped: there was no line for it.
                let Ok(line) = lines.try_recv() else { break };
                permit.forget();
                batch.extend_from_slice(&self.request(&line?));
                count += 1;
            }
            // Counted first: once a byte is out, the publication may have happened.
            sent.set(sent.get() + count);
            socket.write_all(&batch).await?;
        }
        Ok(socket)
    }
}

/// A failure in the middle of lines: which line it is about, and what is not known.
fn told(failure: Failure, accepted: u64, sent: u64) -> Failure {
    match failure {
        Failure::Runtime(what) => {
            let line = accepted + 1;
            let doubt = match sent.saturating_sub(line) {
                0 => String::new(),
                more => format!("; sent behind it and perhaps published: {more}"),
            };
            Failure::Runtime(format!("line {line}: {what}; {accepted} published before it{doubt}"))
        }
        other => other,
    }
}

/// Lines of stdin, without their line ends, read on a thread of its own: stdin cannot be waited for otherwise.
fn read_lines() -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (to, lines) = mpsc::channel(READ_AHEAD);
    thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        while let Some(line) = next_line(&mut stdin, PAYLOAD_LIMIT_BYTES).transpose() {
            let failed = line.is_err();
            if to.blocking_send(line).is_err() || failed {
                break;
            }
        }
    });
    lines
}

/// The next line without `\n` or `\r\n`, or `None` at the end.
fn next_line(from: &mut impl BufRead, limit_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if from.take(limit_bytes + 1).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
    }
    if line.len() as u64 > limit_bytes {
        return Err(io::Error::other(format!("a line has more than {limit_bytes} bytes")));
    }
    Ok(Some(line))
}

fn all_of_stdin() -> Result<Vec<u8>, Failure> {
    if io::stdin().is_terminal() {
        eprintln!("publishing what you type, as one; end with Ctrl-D");
    }
    let mut payload = Vec::new();
    let read = io::stdin().lock().take(PAYLOAD_LIMIT_BYTES + 1).read_to_end(&mut payload);
    read.map_err(|error| Failure::Runtime(format!("stdin: {error}")))?;
    if payload.len() as u64 > PAYLOAD_LIMIT_BYTES {
        return Err(Failure::Runtime(format!("stdin has more than {PAYLOAD_LIMIT_BYTES} bytes")));
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::super::fake_hub::{self, Then};
    use super::*;

    fn lines(mut text: &[u8], limit: u64) -> io::Result<Vec<Vec<u8>>> {
        std::iter::from_fn(|| next_line(&mut text, limit).transpose()).take(9).collect()
    }

    #[test]
    fn lines_are_cut_at_either_line_end_and_the_last_needs_none() {
        assert_eq!(lines(b"a\r\nb\n\nc", 9).unwrap(), [&b"a"[..], b"b", b"", b"c"]);
        assert_eq!(lines(b"", 9).unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_line_of_the_limit_passes_and_one_byte_more_does_not() {
        assert_eq!(lines(b"123\n", 3).unwrap(), [b"123"]);
        assert_eq!(lines(b"123", 3).unwrap(), [b"123"]);
        assert!(lines(b"1234\n", 3).is_err());
    }

    #[test]
    fn a_failure_in_the_middle_tells_what_is_certain_and_what_is_not() {
        let told = told(Failure::Runtime("x".into()), 4, 10).to_string();
        assert_eq!(told, "line 5: x; 4 published before it; sent behind it and perhaps published: 5");
    }

    fn receipt(offset: u64) -> String {
        let body = format!(r#"{{"topic":"t","epoch":"7","offset":{offset},"receivers":0}}"#);
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    /// Publishes `count` lines at a hub that answers `answers` once it has seen `seen` requests.
    async fn publish_lines(count: usize, seen: usize, answers: String) -> (Result<(), Failure>, String) {
        let (url, served) = fake_hub::http(seen, answers, Then::Listen).await;
        let path = url.topic_path(&crate::hub::TopicName::new("t").unwrap());
        let publisher = Publisher { url, path, key: Some("k".into()), binary: false, json: false };
        let (to, lines) = mpsc::channel(READ_AHEAD);
        tokio::spawn(async move {
            for line in 0..count {
                to.send(Ok(format!("line-{line}").into_bytes())).await.ok();
            }
        });
        let outcome = publisher.lines(lines).await;
        (outcome, served.await.unwrap())
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn lines_are_sent_before_the_first_answer_and_in_order() {
        // The hub answers nothing before it has the last request: without pipelining this would never end.
        let answers = (1..=100).map(receipt).collect();
        let (outcome, read) = block_on(publish_lines(100, 100, answers));
        outcome.unwrap();
        let bodies: Vec<&str> = read.split("line-").skip(1).map(|rest| rest.split("POST").next().unwrap()).collect();
        assert_eq!(bodies, (0..100).map(|line| line.to_string()).collect::<Vec<_>>());
        assert!(
            read.starts_with("POST /topics/t HTTP/1.1\r\nhost: 127.0.0.1:") && read.contains("\r\nx-api-key: k\r\n")
        );
    }

    #[test]
    fn no_more_than_the_window_is_sent_without_an_answer() {
        // One answer short: after the window is full, only as many lines follow as answers came.
        let answers: String = (1..=10).map(receipt).collect();
        let refusal = "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n";
        let (outcome, read) = block_on(publish_lines(10_000, WINDOW, answers + refusal));
        let told = outcome.unwrap_err().to_string();
        assert!(told.contains("line 11: refused: HTTP status 503; 10 published before it"), "{told}");
        assert!(read.matches("POST ").count() <= WINDOW + 10);
    }

    #[test]
    fn a_connection_that_breaks_leaves_the_unanswered_in_doubt_and_says_so() {
        let told = block_on(async {
            let (url, _) = fake_hub::http(3, receipt(1), Then::Close).await;
            let path = url.path("/topics/t");
            let publisher = Publisher { url, path, key: None, binary: true, json: false };
            // Kept open: more lines might come.
            let (to, lines) = mpsc::channel(READ_AHEAD);
            for _ in 0..3 {
                to.send(Ok(vec![0])).await.unwrap();
            }
            publisher.lines(lines).await.unwrap_err().to_string()
        });
        let doubt = "1 published before it; sent behind it and perhaps published: 1";
        assert!(told.starts_with("line 2: ") && told.ends_with(doubt), "{told}");
    }
}

//! `publish_stream`: a body of JSON lines, each published as it comes. For those who publish all the time, such as market data.
//!
//! The whole body is never in memory, and has no limit. Where mailboxes are full, the body is not read on, so the publisher
//! is slowed down by its own connection: nothing is refused because it is too fast.

use std::collections::HashMap;
use std::fmt::Display;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::Response;
use serde::Serialize;
use tokio::time::timeout;

use super::call::result;
use super::failure::{ApiError, Failure};
use super::field::{parse, topic_name};
use super::publication::{Content, Request, accept, count, topic_of};
use super::serve::{held, line_limit_bytes};
use crate::api::problem::problem;
use crate::api::surface::{Body, Surface};
use crate::hub::Topic;
use crate::refusal::Refusal;

/// Failed lines that are told of; further ones are counted.
pub const TOLD_LIMIT: usize = 1000;

/// Topics that one stream keeps at hand, so that it looks each up once.
const TOPICS_AT_HAND: usize = 4096;

/// How long a line waits for room in the mailboxes. Longer than any publisher does: what is to be slow is the stream, and what ends
/// the wait before is that the hub drains.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Lines after which others on this thread get a turn: about half a millisecond.
const LINES_PER_TURN: u64 = 256;

/// The last line of the answer.
#[derive(Debug, Serialize)]
struct Summary {
    lines: u64,
    published: u64,
    failed: u64,
    /// Why the rest of the body was not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    aborted: Option<ApiError>,
}

/// A line that was not published.
#[derive(Debug, Serialize)]
struct Failed {
    line: u64,
    error: ApiError,
}

struct Stream<'s> {
    surface: &'s Surface,
    topics: HashMap<Box<str>, Arc<Topic>>,
    lines: u64,
    published: u64,
    failed: u64,
    /// Failed lines, each as a line of JSON.
    told: Vec<u8>,
}

/// Publishes the lines of `body`, and answers with a line for each that failed and one about all.
///
/// The answer comes when the body has ended, or cannot be read on: `limits.header_timeout` passed without a byte, a line is longer
/// than one publication can be, the hub drains. Lines up to there count. Cancel safe per line.
pub async fn publish_stream<B>(surface: &Surface, body: B) -> Response<Body>
where
    B: hyper::body::Body,
    B::Error: Display,
{
    let mut stream = Stream { surface, topics: HashMap::new(), lines: 0, published: 0, failed: 0, told: Vec::new() };
    let aborted = stream.run(body).await.err();
    let is_refused = aborted.is_some() && stream.lines == 0;
    match aborted {
        // Nothing was done yet: an ordinary refusal.
        Some((refusal, detail)) if is_refused => problem(refusal, detail, surface),
        aborted => stream.answer(aborted),
    }
}

impl Stream<'_> {
    async fn run<B>(&mut self, body: B) -> Result<(), (Refusal, String)>
    where
        B: hyper::body::Body,
        B::Error: Display,
    {
        let limit_bytes = line_limit_bytes(self.surface);
        let patience: Duration = self.surface.config.limits.header_timeout.0;
        let mut body = pin!(body);
        // The beginning of a line whose end has not come.
        let mut begun = BytesMut::new();
        loop {
            let frame = timeout(patience, body.frame()).await;
            let frame = frame.map_err(|_| (Refusal::BodyTimeout, format!("nothing came for {patience:?}")))?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| (Refusal::BadBody, format!("the body could not be read: {error}")))?;
            let Ok(mut data) = frame.into_data() else { continue };
            let mut data: Bytes = data.copy_to_bytes(data.remaining());
            while let Some(end) = memchr::memchr(b'\n', &data) {
                let line = data.split_to(end + 1);
                if begun.len() + line.len() > limit_bytes {
                    return Err(too_long(limit_bytes));
                }
                if begun.is_empty() {
                    self.line(&line).await?;
                } else {
                    begun.extend_from_slice(&line);
                    let whole = begun.split();
                    self.line(&whole).await?;
                }
            }
            if begun.len() + data.len() > limit_bytes {
                return Err(too_long(limit_bytes));
            }
            begun.extend_from_slice(&data);
        }
        self.line(&begun).await
    }

    /// One line. Empty ones are left out, but have a number.
    async fn line(&mut self, line: &[u8]) -> Result<(), (Refusal, String)> {
        if self.surface.hub.is_draining() {
            return Err((Refusal::Draining, "the rest was not read".to_owned()));
        }
        let is_last_nothing = line.is_empty();
        self.lines += u64::from(!is_last_nothing);
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        match self.publish(line).await {
            Ok(()) => self.published += 1,
            Err(failure) => self.fail(failure),
        }
        if self.lines.is_multiple_of(LINES_PER_TURN) {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn publish(&mut self, line: &[u8]) -> Result<(), Failure> {
        let surface = self.surface;
        let rejected = |failure: &Failure| count(surface, failure);
        let mut request: Request<'_> = parse(line).inspect_err(rejected)?;
        let channel = request.channel.take();
        let content = Content::new(surface, request).inspect_err(rejected)?;
        let topic = self.topic(channel.as_deref(), &content).inspect_err(rejected)?;
        accept(surface, &topic, content, Instant::now() + PATIENCE).await.map(drop)
    }

    fn topic(&mut self, channel: Option<&str>, content: &Content) -> Result<Arc<Topic>, Failure> {
        if let Some(topic) = channel.and_then(|channel| self.topics.get(channel))
            && !content.has_version()
        {
            return Ok(Arc::clone(topic));
        }
        let name = topic_name(self.surface, channel)?;
        let topic = topic_of(self.surface, &name, content)?;
        if self.topics.len() >= TOPICS_AT_HAND {
            self.topics.clear();
        }
        self.topics.insert(name.as_str().into(), Arc::clone(&topic));
        Ok(topic)
    }

    fn fail(&mut self, failure: Failure) {
        self.failed += 1;
        if self.failed <= TOLD_LIMIT as u64 {
            let mut error = ApiError::from(failure);
            // It repeats what was sent.
            error.message.truncate(error.message.floor_char_boundary(200));
            self.tell(&Failed { line: self.lines, error });
        }
    }

    fn tell(&mut self, line: &impl Serialize) {
        self.told.extend(result(line).unwrap_or_default());
        self.told.push(b'\n');
    }

    fn answer(mut self, aborted: Option<(Refusal, String)>) -> Response<Body> {
        let is_aborted = aborted.is_some();
        let aborted = aborted.map(|(refusal, detail)| ApiError::internal(format!("{}: {detail}", refusal.code())));
        self.tell(&Summary { lines: self.lines, published: self.published, failed: self.failed, aborted });
        let mut response = held(self.surface, self.told);
        let headers = response.headers_mut();
        headers.insert(hyper::header::CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/x-ndjson"));
        if is_aborted {
            // The rest of the body may still be on its way: it would have to be read only to be thrown away.
            headers.insert(hyper::header::CONNECTION, hyper::header::HeaderValue::from_static("close"));
        }
        response
    }
}

fn too_long(limit_bytes: usize) -> (Refusal, String) {
    (Refusal::BodyTooLarge, format!("a line is over {limit_bytes} bytes"))
}

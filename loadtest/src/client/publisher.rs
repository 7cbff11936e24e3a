//! Sends publications: as frames on a subscriber's own connection, or as `POST`s on a connection kept alive per lane.

use std::rc::Rc;

use anyhow::{Context as _, Result, bail};

use crate::client::connector;
use crate::client::poller::{Interest, Poller, Ready};
use crate::client::subscriber::{FIRST_OTHER_TOKEN, Fleet, Watch};
use crate::clock;
use crate::server::endpoint::Endpoint;
use crate::verify::{LaneId, Ledger, SubscriberId};
use crate::wire::handshake::{HEAD_LIMIT_BYTES, head_of, header};
use crate::wire::line::{Flushed, Line, Received};
use crate::wire::outbox::Outbox;
use crate::wire::stamp::{Payloads, Stamp};

/// The longest answer to a `POST` that is read, in bytes.
const ANSWER_LIMIT_BYTES: usize = HEAD_LIMIT_BYTES + 64 * 1024;

/// How publications reach the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PublishBy {
    /// A frame on a subscriber's own connection: the first subscriber(s) of each topic publish.
    Ws,
    /// A `POST`, with keep-alive and pipelining, on connections of their own.
    Http,
}

/// The publishers of a run.
#[derive(Debug)]
pub(crate) struct Publishers {
    endpoint: Endpoint,
    /// The names of the topics.
    topics: Rc<[String]>,
    by: By,
}

#[derive(Debug)]
enum By {
    /// Subscribers publish.
    WebSocket,
    /// One connection per lane.
    Http(Vec<HttpPublisher>),
}

/// A keep-alive connection that publishes on one lane.
#[derive(Debug)]
struct HttpPublisher {
    line: Line,
    outbox: Outbox,
    blocked: bool,
    answers: Vec<u8>,
    /// Requests sent and not answered.
    unanswered: u64,
}

impl Publishers {
    /// The publishers of the lanes of `ledger` on `topics`. Those over HTTP connect and go on the fleet's poller.
    pub(crate) fn new(
        by: PublishBy,
        endpoint: &Endpoint,
        topics: Rc<[String]>,
        ledger: &Ledger,
        fleet: &mut Fleet,
    ) -> Result<Self> {
        let by = match by {
            PublishBy::Ws => By::WebSocket,
            PublishBy::Http => {
                let publishers = (0..ledger.lane_count()).map(|lane| {
                    let line = Line::plain(connector::dial(&endpoint.place, 1, 0).context("publisher")?.into());
                    // Not connected yet, perhaps: it counts as blocked, so that nothing is written before it is.
                    fleet.poller().add(&line, FIRST_OTHER_TOKEN + u64::from(lane), Interest::ReadAndWrite)?;
                    let outbox = Outbox::default();
                    Ok(HttpPublisher { line, outbox, blocked: true, answers: Vec::new(), unanswered: 0 })
                });
                By::Http(publishers.collect::<Result<_>>()?)
            }
        };
        Ok(Self { endpoint: endpoint.clone(), topics, by })
    }

    /// Queues the publication `stamp` of `lane`, whose publishing subscriber is `subscriber`; [`Publishers::flush`] sends it.
    pub(crate) fn queue(
        &mut self,
        lane: LaneId,
        subscriber: SubscriberId,
        stamp: &Stamp,
        payloads: &Payloads,
        fleet: &mut Fleet,
    ) {
        let Endpoint { place, dialect } = &self.endpoint;
        let topic = &self.topics[stamp.topic as usize];
        match &mut self.by {
            By::WebSocket => dialect.publish(topic, stamp, payloads, fleet.outbox(subscriber)),
            By::Http(publishers) => {
                let publisher = &mut publishers[lane.index()];
                dialect.post(&place.authority, topic, stamp, payloads, clock::unix_s(), publisher.outbox.bytes());
                publisher.unanswered += 1;
            }
        }
    }

    /// Sends what is queued on `lane`, in one write if the socket takes it.
    pub(crate) fn flush(
        &mut self,
        lane: LaneId,
        subscriber: SubscriberId,
        fleet: &mut Fleet,
        watch: &mut impl Watch,
    ) -> Result<()> {
        match &mut self.by {
            By::WebSocket => fleet.flush(subscriber, watch),
            By::Http(publishers) => {
                let publisher = &mut publishers[lane.index()];
                if publisher.blocked { Ok(()) } else { publisher.flush(lane, fleet.poller()) }
            }
        }
    }

    /// Handles an event of a publisher's own connection. Errors if the server refused a publication.
    pub(crate) fn handle(&mut self, event: Ready, fleet: &mut Fleet) -> Result<()> {
        let By::Http(publishers) = &mut self.by else { return Ok(()) };
        let lane = LaneId((event.token - FIRST_OTHER_TOKEN) as u32);
        let publisher = &mut publishers[lane.index()];
        if event.readable {
            publisher.read()?;
        }
        if event.writable && publisher.blocked {
            publisher.flush(lane, fleet.poller())?;
        }
        Ok(())
    }

    /// Publications sent whose acknowledgement has not come. Frames are not acknowledged.
    pub(crate) fn unanswered(&self) -> u64 {
        match &self.by {
            By::WebSocket => 0,
            By::Http(publishers) => publishers.iter().map(|publisher| publisher.unanswered).sum(),
        }
    }
}

impl HttpPublisher {
    fn flush(&mut self, lane: LaneId, poller: &Poller) -> Result<()> {
        let blocked = self.outbox.flush(&mut self.line).context("publisher")? == Flushed::Blocked;
        if blocked != self.blocked {
            let interest = if blocked { Interest::ReadAndWrite } else { Interest::Read };
            poller.change(&self.line, FIRST_OTHER_TOKEN + u64::from(lane.0), interest)?;
            self.blocked = blocked;
        }
        Ok(())
    }

    fn read(&mut self) -> Result<()> {
        let mut buffer = [0; 16 * 1024];
        match self.line.recv(&mut buffer).context("publisher")? {
            Received::Bytes(count) => self.answers.extend_from_slice(&buffer[..count]),
            Received::Nothing => return Ok(()),
            Received::End => bail!("the server closed a publisher's connection, {} answers missing", self.unanswered),
        }
        let mut at = 0;
        while let Some(length) = answer_length(&self.answers[at..])? {
            at += length;
            self.unanswered = self.unanswered.saturating_sub(1);
        }
        self.answers.drain(..at);
        if self.answers.len() > ANSWER_LIMIT_BYTES {
            bail!("an answer to a POST is longer than {ANSWER_LIMIT_BYTES} bytes");
        }
        Ok(())
    }
}

/// The length of the answer at the front of `bytes`, once it is whole. Errors unless it is a 2xx with a length.
fn answer_length(bytes: &[u8]) -> Result<Option<usize>> {
    let Some((head, head_length)) = head_of(bytes) else { return Ok(None) };
    let status = head.lines().next().unwrap_or_default();
    let body_length: usize = header(head, "content-length")
        .and_then(|length| length.parse().ok())
        .with_context(|| format!("an answer without Content-Length: {status}"))?;
    let Some(body) = bytes.get(head_length..head_length.saturating_add(body_length)) else { return Ok(None) };
    if !status.split(' ').nth(1).is_some_and(|code| code.starts_with('2')) {
        bail!("a publication was refused: {status}: {}", String::from_utf8_lossy(body).trim());
    }
    Ok(Some(head_length + body_length))
}

/// The open loop: publication `n` is due at `start + n / rate`, whatever the server does.
#[derive(Debug)]
pub(crate) struct Schedule {
    start_ns: u64,
    interval_ns: f64,
    next: u64,
}

impl Schedule {
    /// `rate_per_second` publications in all, the first one now.
    pub(crate) fn new(rate_per_second: f64) -> Self {
        Self { start_ns: clock::now_ns(), interval_ns: 1e9 / rate_per_second, next: 0 }
    }

    /// The number of the next publication and when it is due.
    pub(crate) fn next(&self) -> (u64, u64) {
        (self.next, self.start_ns + (self.next as f64 * self.interval_ns) as u64)
    }

    /// Publications that were due before `end_ns` and have not been published.
    pub(crate) fn behind(&self, end_ns: u64) -> u64 {
        let due = (end_ns.saturating_sub(self.start_ns) as f64 / self.interval_ns).ceil() as u64;
        due.saturating_sub(self.next)
    }

    /// The next one was published.
    pub(crate) fn advance(&mut self) {
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nContent-Length: 2\r\n\r\n{}";

    #[test]
    fn an_answer_is_whole_only_with_its_body() {
        for cut in 0..ANSWER.len() {
            assert_eq!(answer_length(&ANSWER[..cut]).unwrap(), None, "at {cut}");
        }
        let mut two = ANSWER.to_vec();
        two.extend_from_slice(ANSWER);
        assert_eq!(answer_length(&two).unwrap(), Some(ANSWER.len()));
    }

    #[test]
    fn a_refused_publication_tells_status_and_body() {
        let error = answer_length(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nnope\n").unwrap_err();
        assert_eq!(error.to_string(), "a publication was refused: HTTP/1.1 403 Forbidden: nope");
    }

    #[test]
    fn intended_times_do_not_move_when_publishing_is_late() {
        let mut schedule = Schedule { start_ns: 1_000_000, interval_ns: 1e9 / 3.0, next: 0 };
        let due: Vec<u64> = (0..4)
            .map(|_| {
                let (_, due) = schedule.next();
                schedule.advance();
                due
            })
            .collect();
        assert_eq!(due, [1_000_000, 334_333_333, 667_666_666, 1_001_000_000]);
    }

    #[test]
    fn what_was_due_and_not_published_is_counted() {
        let schedule = Schedule { start_ns: 1_000, interval_ns: 100.0, next: 3 };
        // Due before 1,500: at 1,000, 1,100, 1,200, 1,300 and 1,400.
        assert_eq!(schedule.behind(1_500), 2);
        assert_eq!(schedule.behind(1_300), 0);
        assert_eq!(schedule.behind(0), 0);
    }
}

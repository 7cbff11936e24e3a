//! What is kept of a topic, as JSON, a page at a time.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::Response;
use serde::Serialize;

use super::answer;
use super::problem::problem;
use super::query::HistoryQuery;
use super::surface::{Body, Surface};
use crate::hub::{Hub, Joined, Kind, Position, Recovery, Retained, Start, Topic, TopicName};
use crate::refusal::Refusal;

/// A page ends at this many payload bytes, whatever its `limit`; it has at least one publication.
pub const PAGE_LIMIT_BYTES: usize = 1024 * 1024;

#[derive(Serialize)]
struct Page<'a> {
    topic: &'a str,
    epoch: Option<String>,
    offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovered: Option<bool>,
    publications: Vec<Entry<'a>>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Entry<'a> {
    offset: u64,
    #[serde(flatten)]
    payload: Payload<'a>,
    /// Milliseconds since the Unix epoch.
    time: u64,
}

/// Text stays readable; bytes that are not text are base64 (RFC 4648 §4).
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Payload<'a> {
    Data(&'a str),
    Base64(String),
}

/// The answer to `GET /topics/{topic}`: the kept publications from the oldest, or from `since`, upwards.
///
/// A topic that does not exist is answered as one that keeps nothing, and is not made.
pub fn page(surface: &Surface, name: &TopicName, query: HistoryQuery) -> Response<Body> {
    let asked = query.since.is_some();
    let Some(topic) = surface.hub.find(name) else {
        let nothing = Page {
            topic: name.as_str(),
            epoch: None,
            offset: 0,
            recovered: asked.then_some(false),
            publications: Vec::new(),
            next: None,
        };
        return answer::json(&nothing);
    };
    let now = Instant::now();
    let found = match query.since {
        Some(since) => surface.hub.history(&topic, Start::Since(since), query.limit, now),
        None => from_oldest(&surface.hub, &topic, query.limit, now),
    };
    let shown = fitting(&found.replay, query.limit);
    let page = Page {
        topic: name.as_str(),
        epoch: Some(found.top.epoch.0.to_string()),
        offset: found.top.offset.0,
        recovered: asked.then_some(match found.recovery {
            Recovery::Complete => true,
            Recovery::Gap | Recovery::NotAsked => false,
        }),
        publications: shown.iter().map(|one| entry(surface, one)).collect(),
        next: next(&found, shown).map(|position| position.to_string()),
    };
    let body = serde_json::to_vec(&page).expect("invariant: a page has string keys and whole numbers");
    match surface.bodies.hold(body) {
        Ok(body) => answer::json_bytes(body),
        Err(no_room) => problem(Refusal::Overloaded, no_room, surface),
    }
}

/// The oldest kept publications, at most `limit`; what follows is after the last of them.
pub(super) fn from_oldest(hub: &Hub, topic: &Topic, limit: usize, now: Instant) -> Joined {
    // On a busy topic the oldest may be pushed out between the two calls. The third try is content with the newest.
    for _ in 0..2 {
        let found = hub.history(topic, Start::Since(hub.before_oldest(topic, now)), limit, now);
        match found.recovery {
            Recovery::Complete | Recovery::NotAsked => return found,
            Recovery::Gap => {}
        }
    }
    hub.history(topic, Start::Last(limit), limit, now)
}

/// The first of `kept` that make a page.
pub(super) fn fitting(kept: &[Retained], limit: usize) -> &[Retained] {
    let mut bytes = 0;
    let count = kept.iter().take(limit).take_while(|one| {
        let is_first = bytes == 0;
        bytes += one.payload.len().max(1);
        is_first || bytes <= PAGE_LIMIT_BYTES
    });
    &kept[..count.count()]
}

/// Where the next page starts, if there is more up to the top.
fn next(found: &Joined, shown: &[Retained]) -> Option<Position> {
    let last = shown.last()?.offset;
    (last < found.top.offset).then_some(Position { epoch: found.top.epoch, offset: last })
}

fn entry<'a>(surface: &Surface, kept: &'a Retained) -> Entry<'a> {
    let text = match kept.kind {
        Kind::Text => simdutf8::basic::from_utf8(&kept.payload).ok(),
        Kind::Binary => None,
    };
    let payload = text.map_or_else(|| Payload::Base64(BASE64.encode(&kept.payload)), Payload::Data);
    Entry { offset: kept.offset.0, payload, time: surface.unix_millis(kept.accepted) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::hub::{Epoch, Offset};

    fn kept(sizes: &[usize]) -> Vec<Retained> {
        let offsets = 1..;
        let one = |(offset, size): (u64, &usize)| Retained {
            offset: Offset(offset),
            kind: Kind::Binary,
            payload: Bytes::from(vec![0; *size]),
            accepted: Instant::now(),
            extras: None,
        };
        offsets.zip(sizes).map(one).collect()
    }

    #[test]
    fn a_page_ends_at_its_limit() {
        assert_eq!(fitting(&kept(&[1, 1, 1]), 2).len(), 2);
        assert_eq!(fitting(&kept(&[1, 1, 1]), 5).len(), 3);
        assert_eq!(fitting(&[], 5).len(), 0);
    }

    #[test]
    fn a_page_ends_at_its_bytes_but_has_at_least_one_publication() {
        let half = PAGE_LIMIT_BYTES / 2;
        assert_eq!(fitting(&kept(&[half, half, 1]), 10).len(), 2);
        assert_eq!(fitting(&kept(&[0, half, half, 1]), 10).len(), 2);
        assert_eq!(fitting(&kept(&[PAGE_LIMIT_BYTES + 1, 1]), 10).len(), 1);
    }

    #[test]
    fn the_next_page_starts_after_the_last_shown_unless_that_is_the_top() {
        let replay = kept(&[1, 1, 1]);
        let top = Position { epoch: Epoch(9), offset: Offset(3) };
        let found = Joined { top, replay: replay.clone(), recovery: Recovery::NotAsked };
        assert_eq!(next(&found, &replay[..2]), Some(Position { epoch: Epoch(9), offset: Offset(2) }));
        assert_eq!(next(&found, &replay), None);
        assert_eq!(next(&found, &[]), None);
    }
}

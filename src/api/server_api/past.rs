//! `history` and `history_remove`.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::call::{Answered, Done, result};
use super::failure::ApiError;
use super::field::{Shown, ShownClient, Since, keeps_history, parse, topic_name};
use crate::api::history::{fitting, from_oldest};
use crate::api::query::HistoryQuery;
use crate::api::surface::Surface;
use crate::hub::{Joined, Offset, Position, Recovery, Retained, Start, Topic, TopicName};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryRequest {
    channel: Option<String>,
    limit: Option<i64>,
    since: Option<Since>,
    reverse: Option<bool>,
}

#[derive(Serialize)]
struct History<'a> {
    publications: Vec<Entry<'a>>,
    epoch: String,
    offset: u64,
}

#[derive(Serialize)]
struct Entry<'a> {
    offset: u64,
    #[serde(flatten)]
    payload: Payload<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<ShownClient<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Payload<'a> {
    Data(Shown<'a>),
    B64Data(Shown<'a>),
}

/// Without a limit, or with 0, only the position. A negative limit is "all", within the bounds of a page.
pub(super) fn history(surface: &Surface, params: &[u8]) -> Answered {
    let request: HistoryRequest = parse(params)?;
    let name = kept_topic(surface, request.channel.as_deref())?;
    let reverse = request.reverse.unwrap_or(false);
    let limit = match request.limit.unwrap_or(0) {
        negative if negative < 0 => HistoryQuery::LIMIT_MAX,
        limit => usize::try_from(limit).unwrap_or(usize::MAX).min(HistoryQuery::LIMIT_MAX),
    };
    let Some(topic) = surface.hub.find(&name) else {
        if request.since.is_some_and(|since| !since.is_nowhere()) {
            return Err(ApiError::unrecoverable_position().into());
        }
        return result(&History { publications: Vec::new(), epoch: String::new(), offset: 0 });
    };
    let since = request.since.map(|since| since.position(surface, &topic)).transpose()?;
    let Joined { top, mut replay, recovery } = read(surface, &topic, since, reverse, limit);
    match recovery {
        Recovery::Gap => return Err(ApiError::unrecoverable_position().into()),
        Recovery::Complete | Recovery::NotAsked => {}
    }
    if reverse {
        replay.reverse();
    }
    let publications = fitting(&replay, limit).iter().map(entry).collect();
    result(&History { publications, epoch: top.epoch.0.to_string(), offset: top.offset.0 })
}

/// Oldest first.
fn read(surface: &Surface, topic: &Topic, since: Option<Position>, reverse: bool, limit: usize) -> Joined {
    let (hub, now) = (&surface.hub, Instant::now());
    match since {
        // Backwards nothing is recovered: what is gone before a position is gone for everyone.
        Some(since) if reverse && since.epoch == topic.epoch() => hub.history_before(topic, since.offset, limit, now),
        Some(since) => hub.history(topic, Start::Since(since), limit, now),
        None if limit == 0 => hub.history(topic, Start::Now, limit, now),
        None if reverse => hub.history_before(topic, Offset(u64::MAX), limit, now),
        None => from_oldest(hub, topic, limit, now),
    }
}

fn entry(kept: &Retained) -> Entry<'_> {
    let payload = match Shown::new(kept.kind, &kept.payload) {
        shown @ Shown::Base64(_) => Payload::B64Data(shown),
        shown @ (Shown::Json(_) | Shown::Text(_)) => Payload::Data(shown),
    };
    let extras = kept.extras.as_deref();
    let tags = extras.map_or(&[][..], |extras| &extras.tags).iter().map(|(name, value)| (&**name, &**value));
    let info = extras.and_then(|extras| extras.publisher.as_deref()).map(ShownClient::new);
    Entry { offset: kept.offset.0, payload, tags: tags.collect(), info }
}

/// Whoever comes back with a position from before finds that something is missing.
pub(super) fn history_remove(surface: &Surface, params: &[u8]) -> Answered {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct HistoryRemoveRequest {
        channel: Option<String>,
    }
    let request: HistoryRemoveRequest = parse(params)?;
    let name = kept_topic(surface, request.channel.as_deref())?;
    if let Some(topic) = surface.hub.find(&name) {
        surface.hub.remove_history(&topic);
    }
    result(&Done {})
}

fn kept_topic(surface: &Surface, channel: Option<&str>) -> Result<TopicName, ApiError> {
    let name = topic_name(surface, channel)?;
    if keeps_history(surface.hub.rules_of(&name)) {
        Ok(name)
    } else {
        Err(ApiError::not_available("history is off for this channel"))
    }
}

//! `publish` and `broadcast`.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::timeout_at;

use super::call::{Answered, result};
use super::failure::{ApiError, Failure};
use super::field::{Tags, keeps_history, parse, payload, topic_name};
use crate::api::publish::{publish, publish_as};
use crate::api::surface::Surface;
use crate::hub::{Claim, Draft, Extras, Idempotency, Receipt, Topic, TopicName, Version};
use crate::refusal::Refusal;

/// Topics of one broadcast. Each costs a publish on this worker's thread, so a request cannot name any number.
pub const BROADCAST_LIMIT: usize = 1000;

/// The longest `version_epoch`: one is remembered for each topic.
const VERSION_EPOCH_LIMIT_BYTES: usize = 255;

/// `channel` is for a publication, `channels` for a broadcast; the rest is the same.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request<'b> {
    pub(super) channel: Option<String>,
    channels: Option<Vec<String>>,
    #[serde(borrow)]
    pub(super) data: Option<&'b RawValue>,
    pub(super) b64data: Option<String>,
    skip_history: Option<bool>,
    tags: Option<Tags>,
    idempotency_key: Option<String>,
    /// A topic whose rules allow deltas has them for all publications, so there is nothing to ask for.
    #[serde(rename = "delta")]
    _delta: Option<bool>,
    version: Option<u64>,
    version_epoch: Option<String>,
}

/// What is to be published, on whichever topic.
#[derive(Debug, Clone)]
pub(super) struct Content {
    draft: Draft,
    /// It is not kept.
    passing: bool,
    has_version: bool,
    key: Option<Box<str>>,
}

/// Both are absent where no history is kept: a position that cannot be resumed from would be a false promise.
#[derive(Debug, Serialize)]
pub(super) struct Published {
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Result(Published),
    Error(ApiError),
}

pub(super) async fn publish_one(surface: &Surface, params: &[u8]) -> Answered {
    let request: Request<'_> = read(surface, params)?;
    let (name, content) = single(surface, request).inspect_err(|failure| count(surface, failure))?;
    let topic = topic_of(surface, &name, &content).inspect_err(|failure| count(surface, failure))?;
    let deadline = Instant::now() + surface.config.limits.publish_wait.0;
    result(&publish_content(surface, &topic, content, deadline).await?)
}

pub(super) async fn broadcast(surface: &Surface, params: &[u8]) -> Answered {
    #[derive(Serialize)]
    struct Broadcast {
        responses: Vec<Answer>,
    }
    let mut request: Request<'_> = read(surface, params)?;
    let channels = channels(&mut request).inspect_err(|error| count(surface, &error.clone().into()))?;
    let content = Content::new(surface, request).inspect_err(|failure| count(surface, failure))?;
    let deadline = Instant::now() + surface.config.limits.publish_wait.0;
    let mut responses = Vec::with_capacity(channels.len());
    for channel in &channels {
        // One after the other, in the order of the request; the draft's bytes are shared.
        let topic = topic_name(surface, Some(channel)).map_err(Failure::from);
        let topic = topic.and_then(|name| topic_of(surface, &name, &content));
        let response = match topic.inspect_err(|failure| count(surface, failure)) {
            Err(failure) => Answer::Error(failure.into()),
            Ok(topic) => match publish_content(surface, &topic, content.clone(), deadline).await {
                Ok(published) => Answer::Result(published),
                Err(failure) => Answer::Error(failure.into()),
            },
        };
        responses.push(response);
    }
    result(&Broadcast { responses })
}

fn read<'b>(surface: &Surface, params: &'b [u8]) -> Result<Request<'b>, Failure> {
    parse(params).inspect_err(|failure| count(surface, failure))
}

/// What [`publish`] counts itself is not counted here.
pub(super) fn count(surface: &Surface, failure: &Failure) {
    surface.counters.reject_http(match failure {
        Failure::Application(_) => Refusal::BadBody,
        Failure::Transport(refusal, _) => *refusal,
    });
}

fn channels(request: &mut Request<'_>) -> Result<Vec<String>, ApiError> {
    if request.channel.is_some() {
        return Err(ApiError::bad_request("channel is for publish, channels for broadcast"));
    }
    let channels = request.channels.take().filter(|channels| !channels.is_empty());
    let channels = channels.ok_or_else(|| ApiError::bad_request("channels is missing or empty"))?;
    if channels.len() > BROADCAST_LIMIT {
        let detail = format!("channels has {} entries, at most {BROADCAST_LIMIT} are taken", channels.len());
        return Err(ApiError::bad_request(detail));
    }
    Ok(channels)
}

/// One publication: where, and what.
fn single(surface: &Surface, request: Request<'_>) -> Result<(TopicName, Content), Failure> {
    let name = topic_name(surface, request.channel.as_deref())?;
    Ok((name, Content::new(surface, request)?))
}

impl Content {
    pub(super) fn has_version(&self) -> bool {
        self.has_version
    }

    /// What a request wants published.
    ///
    /// JSON is published as it was written, byte for byte; `b64data` as the bytes it encodes.
    pub(super) fn new(surface: &Surface, request: Request<'_>) -> Result<Self, Failure> {
        if request.channels.is_some() {
            return Err(ApiError::bad_request("channels is for broadcast, channel for publish").into());
        }
        let limit_bytes = surface.config.limits.message.bytes();
        let draft = match request.data.filter(|_| request.b64data.as_ref().is_none_or(String::is_empty)) {
            // The usual way: copied once.
            Some(json) => Draft::text(json.get()),
            None => {
                let payload = payload("data", request.data, request.b64data.as_deref())?;
                let (kind, bytes) = payload.ok_or_else(|| ApiError::bad_request("data is missing"))?;
                Draft::new(kind, &bytes)
            }
        };
        if draft.payload_len() > limit_bytes {
            let detail = format!("data is over limits.message, which is {limit_bytes} bytes");
            return Err(Failure::Transport(Refusal::BodyTooLarge, detail));
        }
        let version = version(request.version, request.version_epoch)?;
        let has_version = version.is_some();
        let tags = request.tags.unwrap_or_default();
        let draft = if tags.is_empty() && version.is_none() {
            draft
        } else {
            draft.with_extras(Arc::new(Extras { tags: tags.into_iter().collect(), version, ..Extras::default() }))
        };
        let passing = request.skip_history.unwrap_or(false);
        if passing && has_version {
            return Err(ApiError::bad_request("version needs history, which skip_history leaves out").into());
        }
        let key = request.idempotency_key.filter(|key| !key.is_empty());
        if key.as_ref().is_some_and(|key| key.len() > Idempotency::KEY_LIMIT_BYTES) {
            let detail = format!("idempotency_key is over {} bytes", Idempotency::KEY_LIMIT_BYTES);
            return Err(ApiError::bad_request(detail).into());
        }
        let draft = if passing { draft.passing() } else { draft };
        Ok(Self { draft, passing, has_version, key: key.map(Into::into) })
    }
}

/// Libraries send fields they do not use with their zero value; those are no wish.
fn version(number: Option<u64>, epoch: Option<String>) -> Result<Option<Box<Version>>, ApiError> {
    let epoch = epoch.unwrap_or_default();
    match number.unwrap_or(0) {
        0 if epoch.is_empty() => Ok(None),
        0 => Err(ApiError::bad_request("version_epoch needs a version")),
        _ if epoch.len() > VERSION_EPOCH_LIMIT_BYTES => {
            Err(ApiError::bad_request(format!("version_epoch is over {VERSION_EPOCH_LIMIT_BYTES} bytes")))
        }
        number => Ok(Some(Box::new(Version { number, epoch: epoch.into() }))),
    }
}

/// The topic that something is to be published on, made if there is none.
pub(super) fn topic_of(surface: &Surface, name: &TopicName, content: &Content) -> Result<Arc<Topic>, Failure> {
    if content.has_version && !keeps_history(surface.hub.rules_of(name)) {
        // Nothing remembers the last one: it would be ignored.
        return Err(ApiError::bad_request("version needs a channel with history").into());
    }
    surface.hub.topic(name).map_err(|refusal| Failure::Transport(refusal, format!("publish to {name:?}")))
}

/// Publishes on `topic`, and says what its publisher is told.
async fn publish_content(
    surface: &Surface,
    topic: &Arc<Topic>,
    content: Content,
    deadline: Instant,
) -> Result<Published, Failure> {
    let passing = content.passing;
    let Receipt { position, receivers: _ } = accept(surface, topic, content, deadline).await?;
    let is_kept = !passing && surface.hub.rules().get(topic.rules()).is_some_and(keeps_history);
    Ok(Published { offset: is_kept.then_some(position.offset.0), epoch: is_kept.then(|| position.epoch.0.to_string()) })
}

/// Publishes on `topic`, or finds that this was done.
///
/// Cancel safe: accepted whole or not at all, and then whoever has the same key gets the turn.
pub(super) async fn accept(
    surface: &Surface,
    topic: &Arc<Topic>,
    content: Content,
    deadline: Instant,
) -> Result<Receipt, Failure> {
    let Content { draft, passing: _, has_version: _, key } = content;
    let done = match key {
        None => publish(surface, topic, draft, deadline).await,
        Some(key) => publish_once(surface, topic, draft, &key, deadline).await,
    };
    done.map_err(|refusal| match refusal {
        Refusal::Wildcard => ApiError::bad_request(format!("{}: {}", topic.name(), refusal.cause())).into(),
        refusal => Failure::Transport(refusal, format!("publish to {:?}", topic.name())),
    })
}

async fn publish_once(
    surface: &Surface,
    topic: &Arc<Topic>,
    draft: Draft,
    key: &str,
    deadline: Instant,
) -> Result<Receipt, Refusal> {
    loop {
        match surface.hub.idempotency().claim(topic.name(), key, Instant::now()) {
            Claim::First(turn) => {
                return publish_as(surface, topic, draft, Some(turn), deadline).await;
            }
            Claim::Known(receipt) => return Ok(receipt),
            Claim::UnderWay(mut over) => {
                // It never says anything: that it is gone is what is waited for.
                if timeout_at(deadline.into(), over.changed()).await.is_err() {
                    surface.counters.reject_http(Refusal::Overloaded);
                    return Err(Refusal::Overloaded);
                }
            }
            Claim::NoRoom => {
                surface.counters.reject_http(Refusal::Overloaded);
                return Err(Refusal::Overloaded);
            }
        }
    }
}

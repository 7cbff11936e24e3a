//! `/api/{method}`: the server API in the shape of Centrifugo's, so that its client libraries work.
//!
//! A fault of the application is answered with HTTP 200 and `{"error":{"code","message"}}`, as those libraries expect;
//! a fault of the transport (key, body, load) with its HTTP status. A field that would be ignored is refused by name.

use std::fmt::Display;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::Response;
use hyper::http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::history::{fitting, from_oldest};
use super::keys::KeyCheck;
use super::problem::problem;
use super::publish::publish;
use super::query::HistoryQuery;
use super::route::ApiMethod;
use super::surface::{Body, Surface};
use super::{answer, request_body};
use crate::admin::counters::Protocol;
use crate::hub::{Draft, Epoch, Kind, Offset, Position, Receipt, Recovery, Retained, Start, Topic, TopicName};
use crate::refusal::Refusal;

/// Topics of one broadcast. Each costs a publish on this worker's thread, so a request cannot name any number.
pub const BROADCAST_LIMIT: usize = 1000;

/// What a request may have beside its payload: names, field names, white space.
const ENVELOPE_LIMIT_BYTES: usize = 64 * 1024;

/// Answers one call.
pub async fn serve<B>(surface: &Surface, method: ApiMethod, head: &Parts, body: B) -> Response<Body>
where
    B: hyper::body::Body,
    B::Error: Display,
{
    match surface.keys.check_headers_and_query(head) {
        KeyCheck::Known => {}
        KeyCheck::Unknown | KeyCheck::Missing => {
            let detail = "needs a key of api.keys in X-API-Key, Authorization: apikey KEY, or ?api_key=KEY";
            return problem(Refusal::UnknownKey, detail, surface);
        }
    }
    let limits = &surface.config.limits;
    // Base64 is a third longer than what it encodes; JSON in JSON is not longer than itself.
    let limit_bytes = (limits.message.bytes() / 3).saturating_mul(4).saturating_add(ENVELOPE_LIMIT_BYTES);
    let body = match request_body::read(head, body, limit_bytes, limits.header_timeout.0).await {
        Ok(body) => body,
        Err(error) => return problem(error.refusal(), error, surface),
    };
    let body = if body.trim_ascii().is_empty() { b"{}" } else { &body[..] };
    let answered = match method {
        ApiMethod::Publish => publish_one(surface, body).await,
        ApiMethod::Broadcast => broadcast(surface, body).await,
        ApiMethod::History => history(surface, body),
        ApiMethod::Info => info(surface, body),
    };
    match answered {
        Ok(result) => held(surface, result),
        Err(Failure::Application(error)) => answer::json(&Answer::<()>::Error(error)),
        Err(Failure::Transport(refusal, detail)) => problem(refusal, detail, surface),
    }
}

/// A whole answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Answer<R> {
    Result(R),
    Error(ApiError),
}

/// An error of the application.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct ApiError {
    code: u16,
    message: String,
}

#[derive(Debug)]
enum Failure {
    Application(ApiError),
    Transport(Refusal, String),
}

impl ApiError {
    fn internal(message: impl Into<String>) -> Self {
        Self { code: 100, message: message.into() }
    }
    fn bad_request(detail: impl Display) -> Self {
        Self { code: 107, message: format!("bad request: {detail}") }
    }
    fn not_available(detail: impl Display) -> Self {
        Self { code: 108, message: format!("not available: {detail}") }
    }
    fn unrecoverable_position() -> Self {
        Self { code: 112, message: "unrecoverable position".to_owned() }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Application(error)
    }
}

type Answered = Result<Vec<u8>, Failure>;

fn result(value: &impl Serialize) -> Answered {
    Ok(serde_json::to_vec(&Answer::Result(value)).expect("invariant: our answers have string keys and finite numbers"))
}

fn held(surface: &Surface, body: Vec<u8>) -> Response<Body> {
    match surface.bodies.hold(body) {
        Ok(body) => answer::json_bytes(body),
        Err(no_room) => problem(Refusal::Overloaded, no_room, surface),
    }
}

fn parse<'b, R: Deserialize<'b>>(body: &'b [u8]) -> Result<R, Failure> {
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => ApiError::bad_request(error).into(),
        serde_json::error::Category::Io | serde_json::error::Category::Syntax | serde_json::error::Category::Eof => {
            Failure::Transport(Refusal::BadBody, format!("not JSON: {error}"))
        }
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishRequest<'b> {
    channel: Option<String>,
    #[serde(borrow)]
    data: Option<&'b RawValue>,
    b64data: Option<String>,
    #[serde(borrow)]
    skip_history: Option<&'b RawValue>,
    #[serde(borrow)]
    tags: Option<&'b RawValue>,
    #[serde(borrow)]
    idempotency_key: Option<&'b RawValue>,
    #[serde(borrow)]
    delta: Option<&'b RawValue>,
    #[serde(borrow)]
    version: Option<&'b RawValue>,
    #[serde(borrow)]
    version_epoch: Option<&'b RawValue>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BroadcastRequest<'b> {
    channels: Option<Vec<String>>,
    #[serde(borrow)]
    data: Option<&'b RawValue>,
    b64data: Option<String>,
    #[serde(borrow)]
    skip_history: Option<&'b RawValue>,
    #[serde(borrow)]
    tags: Option<&'b RawValue>,
    #[serde(borrow)]
    idempotency_key: Option<&'b RawValue>,
    #[serde(borrow)]
    delta: Option<&'b RawValue>,
    #[serde(borrow)]
    version: Option<&'b RawValue>,
    #[serde(borrow)]
    version_epoch: Option<&'b RawValue>,
}

/// Both are absent where no history is kept: a position that cannot be resumed from would be a false promise.
#[derive(Debug, Serialize)]
struct Published {
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
}

async fn publish_one(surface: &Surface, body: &[u8]) -> Answered {
    let PublishRequest { channel, data, b64data, skip_history, tags, idempotency_key, delta, version, version_epoch } =
        parse(body).inspect_err(|_| surface.counters.reject_http(Refusal::BadBody))?;
    let rejected = |error: ApiError| {
        surface.counters.reject_http(Refusal::BadBody);
        Failure::from(error)
    };
    refuse_unsupported([
        ("skip_history", skip_history),
        ("tags", tags),
        ("idempotency_key", idempotency_key),
        ("delta", delta),
        ("version", version),
        ("version_epoch", version_epoch),
    ])
    .map_err(rejected)?;
    let name = topic_name(surface, channel.as_deref()).map_err(rejected)?;
    let draft = draft(surface, data, b64data.as_deref())?;
    let deadline = Instant::now() + surface.config.limits.publish_wait.0;
    match publish_to(surface, &name, draft, deadline).await {
        Ok(published) => result(&published),
        Err(refusal) => Err(Failure::Transport(refusal, format!("publish to {name:?}"))),
    }
}

async fn broadcast(surface: &Surface, body: &[u8]) -> Answered {
    #[derive(Serialize)]
    struct Broadcast {
        responses: Vec<Answer<Published>>,
    }
    let BroadcastRequest {
        channels,
        data,
        b64data,
        skip_history,
        tags,
        idempotency_key,
        delta,
        version,
        version_epoch,
    } = parse(body).inspect_err(|_| surface.counters.reject_http(Refusal::BadBody))?;
    let rejected = |error: ApiError| {
        surface.counters.reject_http(Refusal::BadBody);
        Failure::from(error)
    };
    refuse_unsupported([
        ("skip_history", skip_history),
        ("tags", tags),
        ("idempotency_key", idempotency_key),
        ("delta", delta),
        ("version", version),
        ("version_epoch", version_epoch),
    ])
    .map_err(rejected)?;
    let channels = channels.filter(|channels| !channels.is_empty());
    let channels = channels.ok_or_else(|| rejected(ApiError::bad_request("channels is missing or empty")))?;
    if channels.len() > BROADCAST_LIMIT {
        let detail = format!("channels has {} entries, at most {BROADCAST_LIMIT} are taken", channels.len());
        return Err(rejected(ApiError::bad_request(detail)));
    }
    let draft = draft(surface, data, b64data.as_deref())?;
    let deadline = Instant::now() + surface.config.limits.publish_wait.0;
    let mut responses = Vec::with_capacity(channels.len());
    for channel in &channels {
        // One after the other, in the order of the request; the draft's bytes are shared.
        let response = match topic_name(surface, Some(channel)) {
            Err(error) => {
                surface.counters.reject_http(Refusal::BadTopicName);
                Answer::Error(error)
            }
            Ok(name) => match publish_to(surface, &name, draft.clone(), deadline).await {
                Ok(published) => Answer::Result(published),
                Err(refusal) => Answer::Error(ApiError::internal(refusal.code())),
            },
        };
        responses.push(response);
    }
    result(&Broadcast { responses })
}

async fn publish_to(
    surface: &Surface,
    name: &TopicName,
    draft: Draft,
    deadline: Instant,
) -> Result<Published, Refusal> {
    let topic = surface.hub.topic(name).inspect_err(|refusal| surface.counters.reject_http(*refusal))?;
    let Receipt { position, receivers: _ } = publish(surface, &topic, draft, deadline).await?;
    let is_kept = keeps_history(surface, &topic);
    Ok(Published { offset: is_kept.then_some(position.offset.0), epoch: is_kept.then(|| position.epoch.0.to_string()) })
}

fn keeps_history(surface: &Surface, topic: &Topic) -> bool {
    surface.hub.rules().get(topic.rules()).is_some_and(|rules| rules.history.size > 0)
}

/// JSON is published as it was written, byte for byte; `b64data` as the bytes it encodes.
fn draft(surface: &Surface, data: Option<&RawValue>, b64data: Option<&str>) -> Result<Draft, Failure> {
    let limit_bytes = surface.config.limits.message.bytes();
    let rejected = |refusal, failure| {
        surface.counters.reject_http(refusal);
        failure
    };
    let draft = match (data, b64data.filter(|text| !text.is_empty())) {
        (Some(json), None) => Draft::text(json.get()),
        (None, Some(text)) => {
            let bytes = BASE64.decode(text).map_err(|error| {
                rejected(Refusal::BadBody, ApiError::bad_request(format_args!("b64data: {error}")).into())
            })?;
            Draft::new(Kind::Binary, &bytes)
        }
        (None, None) => return Err(rejected(Refusal::BadBody, ApiError::bad_request("data is missing").into())),
        (Some(_), Some(_)) => {
            let error = ApiError::bad_request("data and b64data exclude each other");
            return Err(rejected(Refusal::BadBody, error.into()));
        }
    };
    if draft.payload().len() > limit_bytes {
        let detail = format!("data is over limits.message, which is {limit_bytes} bytes");
        return Err(rejected(Refusal::BodyTooLarge, Failure::Transport(Refusal::BodyTooLarge, detail)));
    }
    Ok(draft)
}

/// Libraries send fields they do not use with their zero value; those are no wish.
fn refuse_unsupported<const N: usize>(fields: [(&str, Option<&RawValue>); N]) -> Result<(), ApiError> {
    let is_unset = |value: &RawValue| matches!(value.get(), "null" | "false" | "0" | "\"\"" | "{}" | "[]");
    match fields.into_iter().find(|(_, value)| value.is_some_and(|value| !is_unset(value))) {
        Some((field, _)) => Err(ApiError::bad_request(format_args!("{field} is not supported"))),
        None => Ok(()),
    }
}

fn topic_name(surface: &Surface, channel: Option<&str>) -> Result<TopicName, ApiError> {
    let channel = channel.ok_or_else(|| ApiError::bad_request("channel is missing"))?;
    let name = TopicName::new(channel).and_then(|name| name.at_most(surface.config.limits.topic_name));
    name.map_err(ApiError::bad_request)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryRequest {
    channel: Option<String>,
    limit: Option<i64>,
    since: Option<SinceRequest>,
    reverse: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SinceRequest {
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    epoch: String,
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
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Payload<'a> {
    #[serde(rename = "data")]
    Json(&'a RawValue),
    /// Text that is not JSON, as a JSON string.
    #[serde(rename = "data")]
    Text(&'a str),
    B64Data(String),
}

/// Without a limit, or with 0, only the position. A negative limit is "all", within the bounds of a page.
fn history(surface: &Surface, body: &[u8]) -> Answered {
    let request: HistoryRequest = parse(body)?;
    let name = topic_name(surface, request.channel.as_deref())?;
    if surface.hub.rules_of(&name).history.size == 0 {
        return Err(ApiError::not_available("history is off for this channel").into());
    }
    let reverse = request.reverse.unwrap_or(false);
    if reverse && request.since.is_some() {
        return Err(ApiError::bad_request("reverse together with since is not supported").into());
    }
    let limit = match request.limit.unwrap_or(0) {
        negative if negative < 0 => HistoryQuery::LIMIT_MAX,
        limit => usize::try_from(limit).unwrap_or(usize::MAX).min(HistoryQuery::LIMIT_MAX),
    };
    let Some(topic) = surface.hub.find(&name) else {
        if request.since.is_some_and(|since| since.offset > 0 || !since.epoch.is_empty()) {
            return Err(ApiError::unrecoverable_position().into());
        }
        return result(&History { publications: Vec::new(), epoch: String::new(), offset: 0 });
    };
    let now = Instant::now();
    let found = match request.since {
        Some(since) => {
            let start = Start::Since(position(surface, &topic, &since, now)?);
            surface.hub.history(&topic, start, limit, now)
        }
        None if limit == 0 => surface.hub.history(&topic, Start::Now, limit, now),
        None if reverse => surface.hub.history(&topic, Start::Last(limit), limit, now),
        None => from_oldest(&surface.hub, &topic, limit, now),
    };
    match found.recovery {
        Recovery::Gap => return Err(ApiError::unrecoverable_position().into()),
        Recovery::Complete | Recovery::NotAsked => {}
    }
    let mut kept = found.replay;
    if reverse {
        kept.reverse();
    }
    let publications = fitting(&kept, limit).iter().map(entry).collect();
    result(&History { publications, epoch: found.top.epoch.0.to_string(), offset: found.top.offset.0 })
}

/// A position without an epoch is one of the epoch that is.
fn position(surface: &Surface, topic: &Topic, since: &SinceRequest, now: Instant) -> Result<Position, ApiError> {
    let epoch = if since.epoch.is_empty() {
        surface.hub.history(topic, Start::Now, 0, now).top.epoch
    } else {
        Epoch(since.epoch.parse().map_err(|_| ApiError::unrecoverable_position())?)
    };
    Ok(Position { epoch, offset: Offset(since.offset) })
}

fn entry(kept: &Retained) -> Entry<'_> {
    let text = match kept.kind {
        Kind::Text => simdutf8::basic::from_utf8(&kept.payload).ok(),
        Kind::Binary => None,
    };
    let payload = match text {
        None => Payload::B64Data(BASE64.encode(&kept.payload)),
        Some(text) => serde_json::from_str(text).map_or(Payload::Text(text), Payload::Json),
    };
    Entry { offset: kept.offset.0, payload }
}

#[derive(Serialize)]
struct Info<'a> {
    nodes: [Node<'a>; 1],
}

#[derive(Serialize)]
struct Node<'a> {
    uid: &'a str,
    name: &'a str,
    version: &'a str,
    num_clients: u64,
    num_users: u64,
    num_channels: usize,
    num_subs: usize,
    uptime: u64,
}

fn info(surface: &Surface, body: &[u8]) -> Answered {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct InfoRequest {}
    let InfoRequest {} = parse(body)?;
    let census = surface.hub.census();
    let streams = [Protocol::Topic, Protocol::Endpoint, Protocol::Sse];
    let open = |protocol: Protocol| -> i64 {
        surface.counters.shards.iter().map(|shard| shard.connections[protocol.index()].get()).sum()
    };
    let node = Node {
        uid: &surface.node,
        name: "fanfare",
        version: env!("CARGO_PKG_VERSION"),
        num_clients: u64::try_from(streams.map(open).iter().sum::<i64>()).unwrap_or(0),
        // Nobody logs in (yet): there are clients, but no users.
        num_users: 0,
        num_channels: census.topics,
        num_subs: census.subscriptions,
        uptime: surface.started.elapsed().as_secs(),
    };
    result(&Info { nodes: [node] })
}

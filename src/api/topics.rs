//! `/topics/{topic}` without an upgrade or a stream: POST publishes, GET reads what is kept.

use std::fmt::Display;
use std::time::Instant;

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response};
use serde::Serialize;

use super::history;
use super::keys::KeyCheck;
use super::problem::{method_not_allowed, problem};
use super::publish::publish;
use super::query::{self, HistoryQuery};
use super::reach::Reach;
use super::request_body;
use super::surface::{Body, Surface};
use super::{answer, cors};
use crate::accept::origin::OriginCheck;
use crate::api::Route;
use crate::config::{PublishRule, ReadRule, TopicRules};
use crate::hub::{Draft, Kind, TopicName};
use crate::refusal::Refusal;
use crate::session::permission::{self, Asker, Permission};

#[derive(Serialize)]
struct Published<'a> {
    topic: &'a str,
    epoch: String,
    offset: u64,
    receivers: usize,
}

/// Answers one request on a topic, with the headers that its origin needs to read the answer.
pub async fn serve<B>(surface: &Surface, reach: &Reach, name: TopicName, head: &Parts, body: B) -> Response<Body>
where
    B: hyper::body::Body,
    B::Error: Display,
{
    let allow = Route::Topic(name.clone()).allow();
    // Not only for reading: a POST with a simple content type reaches us from any page without a preflight.
    match reach.origins.check_head(head) {
        OriginCheck::Allowed => {}
        OriginCheck::Refused => return origin_refused(surface, head),
    }
    let mut response = match head.method {
        Method::GET | Method::HEAD => match HistoryQuery::parse(head.uri.query()) {
            Ok(_) if let Err(error) = surface.hub.check_name(&name) => problem(Refusal::BadTopicName, error, surface),
            Ok(query) if may_read(surface, &name, head) => history::page(surface, &name, query),
            Ok(_) => problem(Refusal::SubscribeNotAllowed, format_args!("the history of {name:?}"), surface),
            Err(error) => problem(Refusal::BadParameter, error, surface),
        },
        Method::POST => match post(surface, &name, head, body).await {
            Ok(published) => published,
            Err((refusal, detail)) => problem(refusal, detail, surface),
        },
        Method::OPTIONS => cors::options(head, allow),
        ref other => method_not_allowed(other, allow, surface),
    };
    reach.origins.allow(&head.headers, response.headers_mut());
    response
}

/// 403 for a page whose origin is not allowed; also for handshakes.
pub fn origin_refused(surface: &Surface, head: &Parts) -> Response<Body> {
    let origin = head.headers.get(hyper::header::ORIGIN);
    let detail = format!(
        "the origin {origin:?} is neither this host nor in the origins of the server, the listener or the endpoint"
    );
    problem(Refusal::OriginRefused, detail, surface)
}

async fn post<B>(
    surface: &Surface,
    name: &TopicName,
    head: &Parts,
    body: B,
) -> Result<Response<Body>, (Refusal, String)>
where
    B: hyper::body::Body,
    B::Error: Display,
{
    query::parameters(head.uri.query(), []).map_err(|error| (Refusal::BadParameter, error.to_string()))?;
    // Before the body is read and before the topic is made: who may not publish costs neither.
    let rejected = |refusal| {
        surface.counters.reject_http(refusal);
        (refusal, String::new())
    };
    surface.hub.check_name(name).map_err(|error| (rejected(Refusal::BadTopicName).0, error.to_string()))?;
    let rule = surface.hub.rules_of(name).publish;
    may_publish(rule, surface.keys.check_headers(head), surface.keys.is_empty()).map_err(|refusal| {
        (rejected(refusal).0, format!("publish = {rule:?} for {name:?}: needs a key of api.keys in X-API-Key"))
    })?;
    let limits = &surface.config.limits;
    let body = request_body::read(head, body, limits.message.bytes(), limits.header_timeout.0).await;
    let body = body.map_err(|error| (rejected(error.refusal()).0, error.to_string()))?;
    let draft = Draft::new(kind_of(head.headers.get(CONTENT_TYPE), &body), &body);
    drop(body);
    let topic = surface.hub.topic(name).map_err(rejected)?;
    let deadline = Instant::now() + limits.publish_wait.0;
    let receipt = publish(surface, &topic, draft, deadline).await.map_err(|refusal| (refusal, String::new()))?;
    Ok(answer::json(&Published {
        topic: name.as_str(),
        epoch: receipt.position.epoch.0.to_string(),
        offset: receipt.position.offset.0,
        receivers: receipt.receivers,
    }))
}

/// Whether a topic is for everyone, whoever they are: nobody says so on `/topics`.
pub(crate) fn is_for_everyone(rules: &TopicRules, name: &TopicName) -> bool {
    let nobody = Asker { user: "", is_subscriber: false };
    permission::subscribe(rules, name.as_str(), nobody, false) == Ok(Permission::Granted)
}

/// Whether a GET may read the history: whoever may subscribe, unless the rules say otherwise; and who has a key.
fn may_read(surface: &Surface, name: &TopicName, head: &Parts) -> bool {
    let rules = surface.hub.rules_of(name);
    let is_open = match rules.read_history {
        ReadRule::Anyone => true,
        ReadRule::Subscribers => is_for_everyone(rules, name),
        ReadRule::Authenticated | ReadRule::Api => false,
    };
    is_open || surface.keys.check_headers(head) == KeyCheck::Known
}

/// Whether a POST may publish under `rule`. With `no_keys` there is none that could be shown.
fn may_publish(rule: PublishRule, key: KeyCheck, no_keys: bool) -> Result<(), Refusal> {
    match (rule, key) {
        (PublishRule::Anyone, KeyCheck::Known | KeyCheck::Unknown | KeyCheck::Missing) => Ok(()),
        (PublishRule::Subscribers | PublishRule::Authenticated | PublishRule::Api, key) => match key {
            KeyCheck::Known => Ok(()),
            KeyCheck::Missing if no_keys => Err(Refusal::PublishNotAllowed),
            KeyCheck::Unknown | KeyCheck::Missing => Err(Refusal::UnknownKey),
        },
    }
}

/// Text if it is declared as text, or not declared, and is UTF-8; else binary.
///
/// Declared as text are `text/*`, JSON, and forms: that is what `curl -d` says about everything.
fn kind_of(content_type: Option<&HeaderValue>, body: &[u8]) -> Kind {
    let declared_text = content_type.is_none_or(|value| {
        let value = value.as_bytes();
        let essence = value.split(|&b| b == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        essence.is_empty()
            || essence.starts_with(b"text/")
            || essence == b"application/json"
            || essence == b"application/x-www-form-urlencoded"
            || (essence.starts_with(b"application/") && essence.ends_with(b"+json"))
    });
    if declared_text && simdutf8::basic::from_utf8(body).is_ok() { Kind::Text } else { Kind::Binary }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_text_if_it_is_declared_so_and_is_utf_8() {
        let kind = |content_type: Option<&'static str>, body: &[u8]| {
            kind_of(content_type.map(HeaderValue::from_static).as_ref(), body)
        };
        for text in [
            None,
            Some("text/plain"),
            Some("TEXT/Plain; charset=utf-8"),
            Some("application/json"),
            Some("application/x-www-form-urlencoded"),
            Some("application/cloudevents+json; charset=utf-8"),
        ] {
            assert_eq!(kind(text, "héllo".as_bytes()), Kind::Text, "{text:?}");
            assert_eq!(kind(text, &[0xFF]), Kind::Binary, "{text:?}");
            assert_eq!(kind(text, &[]), Kind::Text, "{text:?}");
        }
        for binary in ["application/octet-stream", "image/png", "application/jsonx", "texty/plain"] {
            assert_eq!(kind(Some(binary), b"hello"), Kind::Binary, "{binary}");
        }
    }

    #[test]
    fn only_a_known_key_opens_a_topic_that_is_not_for_anyone() {
        use KeyCheck::{Known, Missing, Unknown};
        for rule in [PublishRule::Subscribers, PublishRule::Api] {
            assert_eq!(may_publish(rule, Known, false), Ok(()));
            assert_eq!(may_publish(rule, Unknown, false), Err(Refusal::UnknownKey));
            assert_eq!(may_publish(rule, Missing, false), Err(Refusal::UnknownKey));
            assert_eq!(may_publish(rule, Missing, true), Err(Refusal::PublishNotAllowed));
            assert_eq!(may_publish(rule, Unknown, true), Err(Refusal::UnknownKey));
        }
        for key in [Known, Missing, Unknown] {
            assert_eq!(may_publish(PublishRule::Anyone, key, true), Ok(()));
        }
    }
}

//! One request, one answer.

use std::fmt::Display;

use bytes::Bytes;
use hyper::Response;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use hyper::http::request::Parts;

use super::batch::{batch, error_json, push_field, told};
use super::call::call;
use super::failure::Failure;
use super::publish_stream::publish_stream;
use crate::api::keys::KeyCheck;
use crate::api::method::ApiMethod;
use crate::api::problem::problem;
use crate::api::surface::{Body, Surface};
use crate::api::{answer, request_body};
use crate::refusal::Refusal;

/// What a request may have beside its payload: names, field names, white space.
const ENVELOPE_LIMIT_BYTES: usize = 64 * 1024;

/// The description of all this for programs, as it is served.
pub const OPENAPI: &str = include_str!("openapi.json");

/// Answers one call.
pub async fn serve<B>(surface: &Surface, method: ApiMethod, head: &Parts, body: B) -> Response<Body>
where
    B: hyper::body::Body,
    B::Error: Display,
{
    if let Some(refused) = refused_key(surface, head) {
        return refused;
    }
    if method == ApiMethod::PublishStream {
        return publish_stream(surface, body).await;
    }
    let body = match body_of(surface, head, body).await {
        Ok(body) => body,
        Err(refused) => return refused,
    };
    let params = if body.trim_ascii().is_empty() { b"{}" } else { &body[..] };
    let done = if method == ApiMethod::Batch {
        batch(surface, params).await
    } else {
        call(surface, method, params).await.map(|result| {
            let mut answer = Vec::with_capacity(result.len() + 16);
            push_field(&mut answer, "result", &result);
            answer
        })
    };
    match done {
        Ok(answer) => held(surface, answer),
        Err(Failure::Transport(refusal, detail)) => problem(refusal, detail, surface),
        Err(Failure::Application(error)) if wants_statuses(head) => {
            let mut response = answer::json_bytes(error_json(&error));
            *response.status_mut() = error.status();
            response
        }
        Err(failure @ Failure::Application(_)) => answer::json_bytes(told(failure)),
    }
}

/// `GET /api/openapi.json`: what is served here, for programs. It says nothing that the documentation does not, so it needs
/// no key.
pub fn openapi() -> Response<Body> {
    let mut response = answer::json_bytes(OPENAPI);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The answer to a request without a known key; `None` if it has one.
pub(super) fn refused_key(surface: &Surface, head: &Parts) -> Option<Response<Body>> {
    match surface.keys.check_headers_and_query(head) {
        KeyCheck::Known => None,
        KeyCheck::Unknown | KeyCheck::Missing => {
            let detail = "needs a key of api.keys in X-API-Key, Authorization: apikey KEY, or ?api_key=KEY";
            Some(problem(Refusal::UnknownKey, detail, surface))
        }
    }
}

/// The body of a request with at most one payload, or of several that are small.
pub(super) async fn body_of<B>(surface: &Surface, head: &Parts, body: B) -> Result<Bytes, Response<Body>>
where
    B: hyper::body::Body,
    B::Error: Display,
{
    let limits = &surface.config.limits;
    let limit_bytes = line_limit_bytes(surface);
    let body = request_body::read(head, body, limit_bytes, limits.header_timeout.0).await;
    body.map_err(|error| problem(error.refusal(), error, surface))
}

/// Base64 is a third longer than what it encodes; JSON in JSON is not longer than itself.
pub(super) fn line_limit_bytes(surface: &Surface) -> usize {
    let message = surface.config.limits.message.bytes();
    (message / 3).saturating_mul(4).saturating_add(ENVELOPE_LIMIT_BYTES)
}

pub(super) fn held(surface: &Surface, body: Vec<u8>) -> Response<Body> {
    match surface.bodies.hold(body) {
        Ok(body) => answer::json_bytes(body),
        Err(no_room) => problem(Refusal::Overloaded, no_room, surface),
    }
}

/// Whether errors of the application are to be told as statuses, too.
fn wants_statuses(head: &Parts) -> bool {
    head.headers.get("x-centrifugo-error-mode").is_some_and(|mode| mode.as_bytes().eq_ignore_ascii_case(b"transport"))
}

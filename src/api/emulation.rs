//! `/emulation`: what clients without a WebSocket say to the connection of their stream.

use std::fmt::Display;

use bytes::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};

use super::problem::{method_not_allowed, problem};
use super::reach::Reach;
use super::request_body;
use super::surface::{Body, Surface};
use super::topics::origin_refused;
use super::{answer, cors};
use crate::accept::origin::OriginCheck;
use crate::hub::NotTaken;
use crate::protocol::centrifuge::{Emulation, Format};
use crate::refusal::Refusal;

/// What a request may have beside its commands: field names, the session, the node.
const ENVELOPE_LIMIT_BYTES: usize = 4096;

/// Takes the commands of one request to the connection that they are for: 204 says that its worker will do them, behind
/// those of earlier requests that were answered, unless the stream has ended. What they are answered comes over the stream.
pub(super) async fn serve<B>(
    surface: &Surface,
    reach: &Reach,
    head: &Parts,
    body: B,
    allow: &'static str,
) -> Response<Body>
where
    B: hyper::body::Body,
    B::Error: Display,
{
    if head.method != Method::POST {
        return preflight(surface, reach, head, allow);
    }
    match reach.origins.check_head(head) {
        OriginCheck::Allowed => {}
        OriginCheck::Refused => return origin_refused(surface, head),
    }
    let mut response = match take(surface, head, body).await {
        Ok(()) => answer::empty(StatusCode::NO_CONTENT),
        Err((refusal, detail)) => problem(refusal, detail, surface),
    };
    reach.origins.allow_with_credentials(&head.headers, response.headers_mut());
    response
}

/// Answers what is not a request of a client itself, but of the browser on its behalf: may its page ask?
pub(super) fn preflight(surface: &Surface, reach: &Reach, head: &Parts, allow: &'static str) -> Response<Body> {
    if head.method != Method::OPTIONS {
        return method_not_allowed(&head.method, allow, surface);
    }
    match reach.origins.check_head(head) {
        OriginCheck::Allowed => {}
        OriginCheck::Refused => return origin_refused(surface, head),
    }
    let mut response = cors::options(head, allow);
    reach.origins.allow_with_credentials(&head.headers, response.headers_mut());
    response
}

/// How commands are written in a body of this type.
pub(crate) fn format_of(head: &Parts) -> Format {
    let essence = head.headers.get(CONTENT_TYPE).and_then(|value| value.as_bytes().split(|&b| b == b';').next());
    match essence.is_some_and(|one| one.trim_ascii().eq_ignore_ascii_case(b"application/octet-stream")) {
        true => Format::Protobuf,
        false => Format::Json,
    }
}

async fn take<B>(surface: &Surface, head: &Parts, body: B) -> Result<(), (Refusal, String)>
where
    B: hyper::body::Body,
    B::Error: Display,
{
    let limits = &surface.config.limits;
    // JSON in a JSON string: each quotation mark in it is two bytes.
    let limit_bytes = limits.message.bytes().saturating_mul(2).saturating_add(ENVELOPE_LIMIT_BYTES);
    let body = request_body::read(head, body, limit_bytes, limits.header_timeout.0).await;
    let body = body.map_err(|error| (error.refusal(), error.to_string()))?;
    let emulation = Emulation::read(format_of(head), &body);
    let Emulation { session, node, data } = emulation.map_err(|error| (Refusal::BadBody, error.to_string()))?;
    if data.len() > limits.message.bytes() {
        let detail = format!("data is over limits.message, which is {} bytes", limits.message.bytes());
        return Err((Refusal::BodyTooLarge, detail));
    }
    // Another node of a cluster would be sent the whole as a message, and answer for it there. Alone, we know of none.
    if node != surface.node {
        return Err((Refusal::UnknownNode, "node is not this one".to_owned()));
    }
    if surface.hub.is_draining() {
        return Err((Refusal::Draining, String::new()));
    }
    let (place, waiting) = match surface.sessions.take(&session, data.len()) {
        Ok(taken) => taken,
        // Its stream has ended, and said why. SDKs take anything but 204 for the end of a transport, connect again, and may
        // do so before they have read that they should not (centrifuge-js: "A session gone from a running node is answered
        // with 204"). And who guesses learns nothing.
        Err(NotTaken::Unknown) => return Ok(()),
        Err(NotTaken::SessionFull) => return Err((Refusal::TooManyCommands, String::new())),
        Err(NotTaken::AllFull) => return Err((Refusal::Overloaded, "too many commands wait for workers".to_owned())),
    };
    let commands = Bytes::from(data.into_owned());
    surface
        .orders
        .give_commands(place, commands, waiting)
        .map_err(|_| (Refusal::Overloaded, "too many orders wait for its worker".to_owned()))
}

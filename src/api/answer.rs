//! The shapes of answers that are not refusals.

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::surface::Body;

/// An answer with these bytes.
pub fn bytes(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// 200 with `value` as JSON. Live data: not to be cached.
pub fn json(value: &impl Serialize) -> Response<Body> {
    let body = serde_json::to_vec(value).expect("invariant: our answers have string keys and finite numbers");
    json_bytes(body)
}

/// 200 with these bytes, which are JSON. Live data: not to be cached.
pub fn json_bytes(body: impl Into<Bytes>) -> Response<Body> {
    live(bytes(StatusCode::OK, "application/json", body))
}

/// A text for people and programs. Live data: not to be cached.
pub fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    live(bytes(status, "text/plain; charset=utf-8", body))
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    response
}

/// `response` with one more header.
pub fn with(mut response: Response<Body>, name: HeaderName, value: &'static str) -> Response<Body> {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

/// What a HEAD request gets instead of `response`: its head, with the length its body would have.
pub fn head_of(response: Response<Body>) -> Response<Body> {
    use hyper::body::Body as _;
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact()
        && parts.status != StatusCode::NO_CONTENT
        && parts.status != StatusCode::NOT_MODIFIED
    {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, Body::default())
}

fn live(response: Response<Body>) -> Response<Body> {
    with(response, CACHE_CONTROL, "no-store")
}

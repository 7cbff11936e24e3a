//! Preflights: a browser asks what a page of another origin may send, before it sends it.
//!
//! Who may is decided by [`crate::accept::origin`], before this.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD,
    ALLOW, HeaderValue, ORIGIN,
};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};

use super::answer;
use super::surface::Body;

/// The answer to an OPTIONS request on a topic: a browser's preflight, or someone who asks for the methods.
pub fn options(head: &Parts, methods: &'static str) -> Response<Body> {
    let mut response = answer::with(answer::empty(StatusCode::NO_CONTENT), ALLOW, methods);
    if head.headers.contains_key(ORIGIN) && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
        let accepted = HeaderValue::from_static("Authorization, Content-Type, Last-Event-ID, X-API-Key");
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, accepted);
        // Ten minutes: a changed configuration is seen soon, and a busy page asks rarely.
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    response
}

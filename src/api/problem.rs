//! How a refusal looks over HTTP: `application/problem+json` (RFC 9457) with the headers its status needs.

use std::fmt::Display;

use hyper::Response;
use hyper::header::{ALLOW, CONNECTION, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE, WWW_AUTHENTICATE};
use serde::Serialize;

use super::answer;
use super::surface::{Body, Surface};
use crate::refusal::Refusal;

/// Details longer than this many bytes are cut: they repeat what the client sent.
const DETAIL_LIMIT_BYTES: usize = 400;

#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

/// The answer that refuses a request, counted and logged (at `debug`: a client can cause any number of them).
///
/// `detail` names the offending value and the fix. It is always logged; the client sees it where it says no more than
/// the client knows, or in demo mode.
pub fn problem(refusal: Refusal, detail: impl Display, surface: &Surface) -> Response<Body> {
    surface.counters.refuse(refusal);
    let mut detail = detail.to_string();
    detail.truncate(detail.floor_char_boundary(DETAIL_LIMIT_BYTES));
    tracing::debug!(code = refusal.code(), detail, "refused");
    let shown = surface.demo || detail_is_for_clients(refusal);
    let status = refusal.status();
    let body = Problem {
        r#type: format!("/docs/http.md#{}", refusal.code()),
        title: refusal.summary(),
        status: status.as_u16(),
        code: refusal.code(),
        detail: (shown && !detail.is_empty()).then_some(&detail),
    };
    let mut response = answer::json(&body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(hyper::header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(seconds) = refusal.retry_after_seconds() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    match refusal {
        Refusal::BadWebSocketVersion | Refusal::UpgradeRequired => {
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            // RFC 9110 §7.8: a sender of Upgrade also sends it as a connection option.
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        }
        Refusal::UnknownKey => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("apikey"));
        }
        Refusal::TokenExpired
        | Refusal::TokenMalformed
        | Refusal::TokenKeyUnknown
        | Refusal::TokenSignature
        | Refusal::TokenNotForThis
        | Refusal::TokenNotYet
        | Refusal::TokenRevoked => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer error=\"invalid_token\""));
        }
        // The rest of the body may still be on its way: it would have to be read only to be thrown away.
        Refusal::BodyTimeout | Refusal::BodyTooLarge => {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Refusal::OriginRefused
        | Refusal::BadHandshake
        | Refusal::UnknownPath
        | Refusal::UnknownNode
        | Refusal::TooManyCommands
        | Refusal::MethodNotAllowed
        | Refusal::BadTopicName
        | Refusal::BadParameter
        | Refusal::BadBody
        | Refusal::PublishNotAllowed
        | Refusal::SubscribeNotAllowed
        | Refusal::Wildcard
        | Refusal::BadMessage
        | Refusal::Overloaded
        | Refusal::Draining
        | Refusal::TooManyConnections
        | Refusal::TooManyFromAddress
        | Refusal::TooManyHandshakes
        | Refusal::HistoryUnavailable
        | Refusal::TooManyTopics
        | Refusal::TlsFailed
        | Refusal::BadProxyHeader
        | Refusal::TokenKeysUnreachable
        | Refusal::UserBlocked
        | Refusal::InternalError => {}
    }
    response
}

/// 405 with the methods that are served at this path.
pub fn method_not_allowed(method: &hyper::Method, allow: &'static str, surface: &Surface) -> Response<Body> {
    let response =
        problem(Refusal::MethodNotAllowed, format_args!("{method} is not served here; served: {allow}"), surface);
    answer::with(response, ALLOW, allow)
}

/// Whether the detail says nothing about the server that its clients should not learn.
const fn detail_is_for_clients(refusal: Refusal) -> bool {
    match refusal {
        // Which origins, keys and rules there are, and what failed inside, is for the log.
        Refusal::OriginRefused
        | Refusal::UnknownKey
        | Refusal::PublishNotAllowed
        | Refusal::SubscribeNotAllowed
        | Refusal::Wildcard
        | Refusal::TokenExpired
        | Refusal::TokenMalformed
        | Refusal::TokenKeyUnknown
        | Refusal::TokenSignature
        | Refusal::TokenNotForThis
        | Refusal::TokenNotYet
        | Refusal::TokenRevoked
        | Refusal::TokenKeysUnreachable
        | Refusal::UserBlocked
        | Refusal::InternalError => false,
        Refusal::BadHandshake
        | Refusal::BadWebSocketVersion
        | Refusal::UnknownPath
        | Refusal::UnknownNode
        | Refusal::TooManyCommands
        | Refusal::MethodNotAllowed
        | Refusal::BadTopicName
        | Refusal::BadParameter
        | Refusal::BadBody
        | Refusal::BodyTooLarge
        | Refusal::Overloaded
        | Refusal::Draining
        | Refusal::TooManyConnections
        | Refusal::TooManyFromAddress
        | Refusal::TooManyHandshakes
        | Refusal::TlsFailed
        | Refusal::BadProxyHeader
        | Refusal::HistoryUnavailable
        | Refusal::TooManyTopics
        | Refusal::BadMessage
        | Refusal::UpgradeRequired
        | Refusal::BodyTimeout => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::Rig;

    #[test]
    fn every_refusal_says_its_code_and_counts() {
        let rig = Rig::new("");
        for &refusal in Refusal::ALL {
            let response = problem(refusal, "", &rig.surface);
            assert_eq!(response.status(), refusal.status());
            assert_eq!(response.headers()["content-type"], "application/problem+json");
            assert_eq!(rig.surface.counters.refused[refusal.index()].get(), 1);
            let needs_retry_after = matches!(refusal.status().as_u16(), 429 | 503);
            assert_eq!(response.headers().contains_key(RETRY_AFTER), needs_retry_after, "{refusal:?}");
            let needs_upgrade = refusal.status() == hyper::StatusCode::UPGRADE_REQUIRED;
            assert_eq!(response.headers().contains_key(UPGRADE), needs_upgrade, "{refusal:?}");
            assert_eq!(response.headers().contains_key(SEC_WEBSOCKET_VERSION), needs_upgrade, "{refusal:?}");
        }
    }

    #[test]
    fn what_helps_an_attacker_is_shown_in_demo_mode_only() {
        for (demo, shown) in [(false, false), (true, true)] {
            let mut rig = Rig::new("");
            rig.surface.demo = demo;
            let told = |refusal| rig.json(problem(refusal, "the detail", &rig.surface)).get("detail").is_some();
            for secret in
                [Refusal::OriginRefused, Refusal::UnknownKey, Refusal::PublishNotAllowed, Refusal::InternalError]
            {
                assert_eq!(told(secret), shown, "{secret:?} in demo: {demo}");
            }
            assert!(told(Refusal::BadParameter));
        }
    }

    #[test]
    fn a_detail_is_cut_between_characters() {
        let rig = Rig::new("");
        let long = "聊".repeat(1000);
        let body = rig.json(problem(Refusal::BadParameter, &long, &rig.surface));
        assert_eq!(body["detail"].as_str().unwrap().len(), DETAIL_LIMIT_BYTES / 3 * 3);
    }

    #[test]
    fn the_documentation_explains_every_refusal() {
        let docs = include_str!("../../docs/http.md");
        for &refusal in Refusal::ALL {
            let heading = format!("\n#### {}\n\n{}", refusal.code(), refusal.status().as_u16());
            assert!(docs.contains(&heading), "docs/http.md lacks {heading:?}");
        }
    }
}

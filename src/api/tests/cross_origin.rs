//! Pages of other origins: who may read and publish.

use hyper::Request;
use hyper::http::request::Builder;

use super::RULES;
use crate::api::testing::Rig;
use crate::hub::TopicName;

fn rig() -> Rig {
    Rig::new(&format!("{RULES}\n[server]\norigins = [\"https://app.example\"]"))
}

fn from(request: Builder, origin: &str) -> Builder {
    request.header("host", "hub.example:8000").header("origin", origin)
}

#[tokio::test]
async fn an_allowed_page_may_publish_and_read_the_answer() {
    let rig = rig();
    for origin in ["https://app.example", "http://hub.example:8000"] {
        let answer = rig.call(from(Request::post("/topics/open"), origin), "x").await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.header("access-control-allow-origin"), origin);
        assert_eq!(answer.header("vary"), "Origin");
        let refusal = rig.call(from(Request::get("/topics/open?x=1"), origin), "").await;
        assert_eq!(refusal.status(), 400);
        assert_eq!(refusal.header("access-control-allow-origin"), origin);
    }
}

#[tokio::test]
async fn another_page_may_neither_publish_nor_read() {
    let rig = rig();
    for request in [Request::post("/topics/open"), Request::get("/topics/open"), Request::options("/topics/open")] {
        let answer = rig.call(from(request, "https://evil.example"), "x").await;
        assert_eq!((answer.status(), answer.code().as_str()), (403, "origin-refused"));
        assert_eq!(answer.header("access-control-allow-origin"), "");
        assert!(answer.json().get("detail").is_none());
    }
    assert!(rig.surface.hub.find(&TopicName::new("open").unwrap()).is_none());
}

#[tokio::test]
async fn a_preflight_of_an_allowed_page_is_told_what_it_may_send() {
    let request = from(Request::options("/topics/open"), "https://app.example");
    let request = request.header("access-control-request-method", "POST");
    let answer = rig().call(request.header("access-control-request-headers", "x-api-key"), "").await;
    assert_eq!(answer.status(), 204);
    assert!(answer.body.is_empty());
    assert_eq!(answer.header("access-control-allow-origin"), "https://app.example");
    assert_eq!(answer.header("access-control-allow-methods"), "GET, HEAD, POST");
    assert!(answer.header("access-control-allow-headers").contains("X-API-Key"));
    assert_eq!(answer.header("access-control-max-age"), "600");
}

#[tokio::test]
async fn who_sends_no_origin_is_not_a_page_and_needs_no_headers() {
    let answer = rig().get("/topics/open").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("access-control-allow-origin"), "");
    assert_eq!(answer.header("vary"), "Origin");
}

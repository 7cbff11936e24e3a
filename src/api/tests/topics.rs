//! Publishing to a topic and reading what it keeps.

use hyper::Request;
use serde_json::json;

use super::RULES;
use crate::api::testing::{Answered, Rig};
use crate::hub::{Kind, Letter, TopicName, WorkerId};

async fn publish(rig: &Rig, topic: &str, content_type: &str, body: &'static [u8]) -> Answered {
    let answer = rig.call(Request::post(format!("/topics/{topic}")).header("content-type", content_type), body).await;
    assert_eq!(answer.status(), 200, "{answer:?}");
    answer
}

#[tokio::test]
async fn a_post_is_published_as_it_is_and_answered_with_its_place() {
    let rig = Rig::new(RULES);
    rig.subscribe("open", WorkerId(0));
    rig.subscribe("open", WorkerId(1));
    let answer = publish(&rig, "open", "application/x-www-form-urlencoded", b"h\xC3\xA9llo & goodbye").await;
    assert_eq!(answer.header("content-type"), "application/json");
    let receipt = answer.json();
    assert_eq!((&receipt["topic"], &receipt["offset"], &receipt["receivers"]), (&json!("open"), &json!(1), &json!(2)));
    assert!(receipt["epoch"].as_str().unwrap().parse::<u64>().is_ok());
    for worker in [WorkerId(0), WorkerId(1)] {
        match rig.work(worker) {
            Some(Letter::Publication(publication)) => {
                assert_eq!(publication.payload(), "héllo & goodbye");
                assert_eq!(publication.kind(), Kind::Text);
            }
            other => panic!("expected a publication, got {other:?}"),
        }
    }
    assert_eq!(rig.surface.counters.published_http.get(), 1);
}

#[tokio::test]
async fn bytes_that_are_not_text_stay_binary() {
    let rig = Rig::new(RULES);
    rig.subscribe("open", WorkerId(0));
    publish(&rig, "open", "text/plain", b"\xFF").await;
    publish(&rig, "open", "application/octet-stream", b"text").await;
    for payload in [&b"\xFF"[..], b"text"] {
        match rig.work(WorkerId(0)) {
            Some(Letter::Publication(publication)) => {
                assert_eq!((publication.kind(), &publication.payload()[..]), (Kind::Binary, payload));
            }
            other => panic!("expected a publication, got {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_topic_that_is_not_for_anyone_needs_a_key_and_is_not_made_without_one() {
    let rig = Rig::new(RULES);
    let with = |key: &'static str| Request::post("/topics/private").header("x-api-key", key);
    let missing = rig.post("/topics/private", "x").await;
    assert_eq!((missing.status(), missing.code().as_str()), (401, "unknown-key"));
    assert_eq!(missing.header("www-authenticate"), "apikey");
    let wrong = rig.call(with("wrong"), "x").await;
    assert_eq!((wrong.status(), wrong.code().as_str()), (401, "unknown-key"));
    assert!(rig.surface.hub.find(&TopicName::new("private").unwrap()).is_none());
    assert_eq!(rig.surface.counters.rejected_http[crate::refusal::Refusal::UnknownKey.index()].get(), 2);
    assert_eq!(rig.call(with("k"), "x").await.status(), 200);
}

#[tokio::test]
async fn where_no_key_exists_a_missing_one_is_not_the_problem() {
    let refused = Rig::new("").post("/topics/private", "x").await;
    assert_eq!((refused.status(), refused.code().as_str()), (403, "publish-not-allowed"));
}

#[tokio::test]
async fn reading_a_topic_that_does_not_exist_does_not_make_it() {
    let rig = Rig::new(RULES);
    let answer = rig.get("/topics/kept?since=5:7").await;
    let nothing = json!({
        "topic": "kept", "epoch": null, "offset": 0, "recovered": false, "publications": [], "next": null
    });
    assert_eq!(answer.json(), nothing);
    assert!(rig.get("/topics/kept").await.json().get("recovered").is_none());
    assert!(rig.surface.hub.find(&TopicName::new("kept").unwrap()).is_none());
    assert_eq!(rig.surface.hub.census().topics, 0);
}

#[tokio::test]
async fn history_is_paged_from_the_oldest_to_the_top() {
    let rig = Rig::new(RULES);
    for body in ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"] {
        assert_eq!(rig.post("/topics/open-kept", body).await.status(), 200);
    }
    let mut path = "/topics/open-kept?limit=4".to_owned();
    let mut pages = Vec::new();
    loop {
        let page = rig.get(&path).await.json();
        assert_eq!(page["offset"], 12);
        let data = page["publications"].as_array().unwrap().iter().map(|one| one["data"].as_str().unwrap().to_owned());
        pages.push(data.collect::<Vec<_>>());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/topics/open-kept?limit=4&since={next}");
    }
    assert_eq!(pages, [vec!["3", "4", "5", "6"], vec!["7", "8", "9", "10"], vec!["11", "12"]]);
}

#[tokio::test]
async fn a_position_is_recovered_exactly_or_not_at_all() {
    let rig = Rig::new(RULES);
    let epoch = rig.post("/topics/open-kept", "1").await.json()["epoch"].as_str().unwrap().to_owned();
    for _ in 0..11 {
        rig.post("/topics/open-kept", "more").await;
    }
    let since = async |position: String| rig.get(&format!("/topics/open-kept?since={position}")).await.json();
    let complete = since(format!("{epoch}:10")).await;
    assert_eq!(complete["recovered"], true);
    assert_eq!(complete["publications"].as_array().unwrap().len(), 2);
    let up_to_date = since(format!("{epoch}:12")).await;
    assert_eq!((&up_to_date["recovered"], &up_to_date["publications"]), (&json!(true), &json!([])));
    for gone in [format!("{epoch}:1"), format!("{epoch}:13"), format!("{}0:10", epoch)] {
        let answer = since(gone.clone()).await;
        assert_eq!((&answer["recovered"], &answer["publications"]), (&json!(false), &json!([])), "{gone}");
    }
}

#[tokio::test]
async fn history_shows_text_as_data_and_bytes_as_base64_with_their_time() {
    let rig = Rig::new(RULES);
    publish(&rig, "open-kept", "text/plain", b"{\"a\":1}").await;
    publish(&rig, "open-kept", "application/octet-stream", b"\x00\xFF").await;
    let page = rig.get("/topics/open-kept").await.json();
    assert_eq!(page["publications"][0]["data"], "{\"a\":1}");
    assert!(page["publications"][0].get("base64").is_none());
    assert_eq!(page["publications"][1]["base64"], "AP8=");
    assert!(page["publications"][1].get("data").is_none());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let time = u128::from(page["publications"][0]["time"].as_u64().unwrap());
    assert!(time <= now + 1 && time + 60_000 > now, "{time} {now}");
    assert_eq!(rig.get("/topics/open-kept").await.json(), page);
}

#[tokio::test]
async fn a_head_is_answered_like_a_get_without_its_body() {
    let rig = Rig::new(RULES);
    let get = rig.get("/topics/open-kept").await;
    let head = rig.call(Request::head("/topics/open-kept"), "").await;
    assert_eq!(head.status(), 200);
    assert!(head.body.is_empty());
    assert_eq!(head.header("content-length"), get.body.len().to_string());
}

#[tokio::test]
async fn a_parameter_that_would_be_ignored_is_refused() {
    let rig = Rig::new(RULES);
    let get = rig.get("/topics/open?from=1").await;
    assert_eq!((get.status(), get.code().as_str()), (400, "bad-parameter"));
    assert!(get.json()["detail"].as_str().unwrap().contains("accepted: limit, since"), "{get:?}");
    let post = rig.post("/topics/open?limit=1", "x").await;
    assert_eq!((post.status(), post.code().as_str()), (400, "bad-parameter"));
}

#[tokio::test]
async fn what_is_not_a_topic_name_is_told_why() {
    let rig = Rig::new(RULES);
    for path in ["/topics/", "/topics/a/b", "/topics/%00", "/topics/%FF"] {
        let answer = rig.post(path, "x").await;
        assert_eq!((answer.status(), answer.code().as_str()), (400, "bad-topic-name"), "{path}");
        assert!(answer.json()["detail"].is_string());
    }
    assert_eq!(rig.post("/topics/open%2Fdeep", "x").await.json()["topic"], "open/deep");
}

#[tokio::test]
async fn another_method_is_refused_with_those_there_are() {
    let rig = Rig::new(RULES);
    let answer = rig.call(Request::delete("/topics/open"), "").await;
    assert_eq!((answer.status(), answer.code().as_str()), (405, "method-not-allowed"));
    assert_eq!(answer.header("allow"), "GET, HEAD, POST");
}

#[tokio::test]
async fn while_draining_a_publish_is_refused_and_history_is_still_read() {
    let rig = Rig::new(RULES);
    rig.post("/topics/open-kept", "before").await;
    rig.surface.hub.drain();
    let refused = rig.post("/topics/open-kept", "after").await;
    assert_eq!((refused.status(), refused.code().as_str()), (503, "draining"));
    assert_eq!(refused.header("retry-after"), "5");
    assert_eq!(rig.get("/topics/open-kept").await.json()["offset"], 1);
}

#[tokio::test]
async fn at_the_limit_of_topics_a_publish_is_refused() {
    let rig = Rig::new(&format!("{RULES}\n[limits]\ntopics = 1"));
    rig.post("/topics/open-kept", "x").await;
    let refused = rig.post("/topics/open-other", "x").await;
    assert_eq!((refused.status(), refused.code().as_str()), (503, "too-many-topics"));
}

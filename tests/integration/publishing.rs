//! Publishing over HTTP: what is acknowledged, who may, and the server API.

use serde_json::json;

use crate::client::Heard;
use crate::hub::TestHub;

const CONFIG: &str = "[api]\nkeys = [\"right-key\"]\n[[topics]]\npattern = \"open\"\npublish = \"anyone\"\nhistory = { size = 5 }\n\
    [[topics]]\npattern = \"members\"\npublish = \"subscribers\"\n";

#[test]
fn an_acknowledgement_tells_position_and_receivers() {
    let hub = TestHub::start(2, CONFIG);
    let mut http = hub.http();
    let first = http.post("/topics/open", "a").json();
    assert_eq!((first["topic"].as_str(), first["offset"].as_u64()), (Some("open"), Some(1)));
    assert_eq!(first["receivers"], 0);
    let subscribers: Vec<_> = (0..3).map(|_| hub.websocket("/topics/open")).collect();
    let _stream = hub.events("/topics/open");
    let second = http.post("/topics/open", "b").json();
    assert_eq!((second["offset"].as_u64(), second["receivers"].as_u64()), (Some(2), Some(4)));
    assert_eq!(second["epoch"], first["epoch"]);
    drop(subscribers);
}

#[test]
fn text_stays_text_and_binary_stays_binary() {
    let hub = TestHub::start(1, CONFIG);
    let mut subscriber = hub.websocket("/topics/open");
    let mut http = hub.http();
    for (content_type, body, expected) in [
        ("text/plain", &b"caf\xc3\xa9"[..], Heard::Text("café".into())),
        ("application/json", b"{\"a\":1}", Heard::Text("{\"a\":1}".into())),
        ("application/octet-stream", b"abc", Heard::Binary(b"abc".to_vec())),
        ("text/plain", b"\xff", Heard::Binary(b"\xff".to_vec())),
        ("text/plain", b"", Heard::Text(String::new())),
    ] {
        assert_eq!(http.request("POST", "/topics/open", &[("Content-Type", content_type)], body).status, 200);
        assert_eq!(subscriber.hear(), expected);
    }
}

#[test]
fn who_may_publish_is_what_the_topic_says() {
    let hub = TestHub::start(1, CONFIG);
    let mut http = hub.http();
    let with_key = [("X-API-Key", "right-key")];
    for topic in ["members", "other"] {
        let target = format!("/topics/{topic}");
        let refused = http.post(&target, "x");
        assert_eq!((refused.status, refused.code().as_str()), (401, "unknown-key"), "{topic}");
        assert_eq!(http.request("POST", &target, &[("X-API-Key", "wrong-key")], b"x").status, 401, "{topic}");
        assert_eq!(http.request("POST", &target, &with_key, b"x").status, 200, "{topic}");
    }
    let mut member = hub.websocket("/topics/members");
    member.send_text("from within");
    assert_eq!(member.text(), "from within");
    let mut outsider = hub.websocket("/topics/other");
    outsider.send_text("not allowed");
    assert_eq!(outsider.closed_with(), 1008);
    // With JSON there is a way to say it without ending the connection.
    let mut outsider = hub.websocket("/topics/other?format=json");
    outsider.send_text("not allowed");
    assert_eq!(outsider.json()["error"]["code"], "publish-not-allowed");
    http.request("POST", "/topics/other", &with_key, b"still there");
    assert_eq!(outsider.json()["data"], "still there");
}

#[test]
fn history_is_read_page_by_page() {
    let hub = TestHub::start(1, CONFIG);
    let mut http = hub.http();
    for n in 1..=7 {
        http.publish("open", n.to_string());
    }
    let mut seen = Vec::new();
    let mut target = "/topics/open?limit=2".to_owned();
    loop {
        let page = http.get(&target).json();
        seen.extend(
            page["publications"].as_array().unwrap().iter().map(|one| one["data"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => target = format!("/topics/open?limit=2&since={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ["3", "4", "5", "6", "7"]);
}

#[test]
fn the_server_api_publishes_broadcasts_and_reads() {
    let hub = TestHub::start(1, CONFIG);
    let mut subscriber = hub.websocket("/topics/open");
    let mut other = hub.websocket("/topics/other");
    let mut http = hub.http();
    let mut call = |method: &str, body: serde_json::Value| {
        let body = body.to_string();
        let answer = http.request("POST", &format!("/api/{method}"), &[("X-API-Key", "right-key")], body.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let published = call("publish", json!({ "channel": "open", "data": { "n": 1 } }));
    assert_eq!(published["result"]["offset"], 1);
    assert_eq!(subscriber.text(), "{\"n\":1}");
    let broadcast = call("broadcast", json!({ "channels": ["open", "other"], "data": "both" }));
    assert_eq!(broadcast["result"]["responses"].as_array().unwrap().len(), 2);
    assert_eq!((subscriber.text(), other.text()), ("\"both\"".into(), "\"both\"".into()));
    let history = call("history", json!({ "channel": "open", "limit": 10 }));
    assert_eq!(history["result"]["publications"][0]["data"], json!({ "n": 1 }));
    let info = call("info", json!({}));
    assert_eq!(info["result"]["nodes"][0]["num_clients"], 2);
    assert_eq!(call("publish", json!({ "data": 1 }))["error"]["code"], 107);
    let refused = hub.http().request("POST", "/api/info", &[("X-API-Key", "wrong")], b"{}");
    assert_eq!(refused.status, 401);
}

#[test]
fn a_publication_is_not_lost_by_who_leaves_right_behind_it() {
    let hub = TestHub::start(2, CONFIG);
    let mut reader = hub.websocket("/topics/members");
    for n in 0..100 {
        let mut writer = hub.websocket("/topics/members");
        writer.send_text(&n.to_string());
        drop(writer);
        assert_eq!(reader.text(), n.to_string());
    }
}

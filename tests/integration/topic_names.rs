//! Which names topics may have, `name_regex`: a name that it does not allow is refused wherever a name can be said, and no topic
//! of it is ever made.

use serde_json::{Value, json};

use crate::client::WebSocket;
use crate::hub::TestHub;

/// In `room:` and `open:` a name is a number; in `free:` it is anything.
const CONFIG: &str = r#"
[api]
keys = ["k"]
[centrifuge]
anonymous = true
[[topics]]
pattern = "room:*"
name_regex = "[0-9]+"
publish = "anyone"
presence = true
history = { size = 10, ttl = "1h" }
[[topics]]
pattern = "free:*"
publish = "anyone"
[[topics]]
pattern = "*"
name_regex = "[a-z]{1,8}"
"#;

/// Names that no topic may have: not even the last pattern allows the last of them.
const BAD: [&str; 4] = ["room:x", "room:", "room:1x", "UPPER"];

fn is_made(hub: &TestHub, name: &str) -> bool {
    let channels = hub.http().call("k", "channels", &json!({}));
    channels["result"]["channels"].get(name).is_some()
}

#[test]
fn a_name_that_is_not_allowed_is_refused_at_its_url_and_beside_another() {
    let hub = TestHub::start(2, CONFIG);
    let escaped = |name: &str| name.replace(':', "%3A");
    for name in BAD {
        let path = format!("/topics/{}", escaped(name));
        for answer in [hub.http().post(&path, "x"), hub.http().get(&path)] {
            assert_eq!((answer.status, answer.code().as_str()), (400, "bad-topic-name"), "{path}");
            assert!(answer.json()["detail"].as_str().unwrap().contains("name_regex"), "{answer:?}");
        }
        let beside = format!("/topics/room:1?format=json&also={}", escaped(name));
        for target in [&path, &beside] {
            let Err(refused) = WebSocket::try_open(hub.address(), target, &[]) else { panic!("{target} is open") };
            assert_eq!((refused.status, refused.code().as_str()), (400, "bad-topic-name"), "{target}");
            let target = target.replace("format=json&", "");
            let events = hub.http().request("GET", &target, &[("Accept", "text/event-stream")], b"");
            assert_eq!((events.status, events.code().as_str()), (400, "bad-topic-name"), "{target}");
        }
        assert!(!is_made(&hub, name));
    }
    for name in ["room:1", "free:Whatever it is", "news"] {
        let path = format!("/topics/{}", escaped(name).replace(' ', "%20"));
        let mut socket = hub.websocket(&path);
        let answer = hub.http().request("POST", &path, &[("X-API-Key", "k")], b"hello");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(socket.text(), "hello");
        assert_eq!(hub.http().get(&path).status, 200);
    }
}

#[test]
fn a_client_of_the_centrifuge_protocol_is_told_that_its_request_is_bad() {
    let hub = TestHub::start(2, CONFIG);
    let mut socket = hub.websocket("/connection/websocket");
    socket.send_text(r#"{"id":1,"connect":{}}"#);
    assert!(socket.json()["connect"].is_object());
    let mut id = 1;
    let mut ask = |command: &str, params: Value| {
        id += 1;
        socket.send_text(&json!({"id": id, command: params}).to_string());
        let answer = socket.json();
        assert_eq!(answer["id"], id, "{answer}");
        answer
    };
    for name in BAD {
        for (command, params) in [
            ("subscribe", json!({"channel": name})),
            ("publish", json!({"channel": name, "data": 1})),
            ("history", json!({"channel": name, "limit": 1})),
            ("presence", json!({"channel": name})),
            ("presence_stats", json!({"channel": name})),
        ] {
            assert_eq!(ask(command, params)["error"]["code"], 107, "{command} {name}");
        }
        assert!(!is_made(&hub, name));
    }
    assert!(ask("subscribe", json!({"channel": "room:7"}))["subscribe"].is_object());
    assert!(ask("presence", json!({"channel": "room:7"}))["presence"].is_object());
}

#[test]
fn the_server_api_is_held_to_it_too() {
    let hub = TestHub::start(2, CONFIG);
    for name in BAD {
        for (method, body) in [
            ("publish", json!({"channel": name, "data": 1})),
            ("history", json!({"channel": name})),
            ("history_remove", json!({"channel": name})),
            ("presence", json!({"channel": name})),
            ("presence_stats", json!({"channel": name})),
            ("subscribe", json!({"channel": name, "user": "u"})),
            ("unsubscribe", json!({"channel": name, "user": "u"})),
        ] {
            assert_eq!(hub.http().call("k", method, &body)["error"]["code"], 107, "{method} {name}");
        }
        let both = hub.http().call("k", "broadcast", &json!({"channels": ["room:1", name], "data": 1}));
        let responses = &both["result"]["responses"];
        assert!(responses[0]["result"].is_object(), "{both}");
        assert_eq!(responses[1]["error"]["code"], 107, "{both}");
        let line = json!({"channel": name, "data": 1}).to_string();
        let stream = hub.http().request("POST", "/api/publish_stream", &[("X-API-Key", "k")], line.as_bytes());
        assert!(stream.text().contains("\"failed\":1"), "{stream:?}");
        assert!(!is_made(&hub, name));
    }
}

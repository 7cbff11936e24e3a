//! The server API reaches clients of the Centrifuge protocol: what a backend decides arrives at their sockets.
//!
//! The clients here have no user, so they are named by their ids, and found by all workers being asked.

use fanfare::admin::counters::Protocol;
use serde_json::{Value, json};

use crate::client::{Heard, WebSocket};
use crate::deadline::eventually;
use crate::hub::TestHub;

const CONFIG: &str = r#"
[api]
keys = ["k"]
[centrifuge]
anonymous = true
[[topics]]
pattern = "room*"
presence = true
history = { size = 10, ttl = "1h" }
recovery = "asked"
"#;

/// A client that is in, and its id.
struct Client {
    socket: WebSocket,
    id: String,
}

impl Client {
    #[track_caller]
    fn connect(hub: &TestHub) -> Self {
        let mut socket = hub.websocket("/connection/websocket");
        socket.send_text(r#"{"id":1,"connect":{}}"#);
        let id = socket.json()["connect"]["client"].as_str().unwrap().to_owned();
        Self { socket, id }
    }

    #[track_caller]
    fn subscribe(&mut self, channel: &str) {
        self.socket.send_text(&json!({"id": 2, "subscribe": {"channel": channel}}).to_string());
        assert!(self.socket.json()["subscribe"].is_object());
    }
}

#[track_caller]
fn ok(hub: &TestHub, method: &str, body: &Value) -> Value {
    let mut answer = hub.http().call("k", method, body);
    assert!(answer["result"].is_object(), "{method} {body}: {answer}");
    answer["result"].take()
}

#[test]
fn a_client_that_the_api_subscribes_is_told_and_gets_what_it_missed_and_what_comes() {
    let hub = TestHub::start(2, CONFIG);
    let (mut client, mut other) = (Client::connect(&hub), Client::connect(&hub));
    let epoch = ok(&hub, "publish", &json!({"channel": "room", "data": 1, "tags": {"a": "b"}}))["epoch"].take();
    ok(&hub, "publish", &json!({"channel": "room", "data": 2}));
    let since = json!({"offset": 1, "epoch": epoch});
    let body = json!({"user": "", "client": client.id, "channel": "room", "data": {"x": 1}, "recover_since": since});
    assert_eq!(ok(&hub, "subscribe", &body), json!({}));
    let push = client.socket.json();
    assert_eq!((&push["push"]["channel"], &push["push"]["subscribe"]["data"]), (&json!("room"), &json!({"x": 1})));
    assert_eq!(push["push"]["subscribe"]["recoverable"], true);
    assert_eq!(client.socket.json()["push"]["pub"], json!({"data": 2, "offset": 2}));
    ok(&hub, "publish", &json!({"channel": "room", "data": 3, "tags": {"a": "b"}}));
    assert_eq!(client.socket.json()["push"]["pub"], json!({"data": 3, "offset": 3, "tags": {"a": "b"}}));
    ok(&hub, "publish", &json!({"channel": "room", "data": "by", "skip_history": true}));
    assert_eq!(client.socket.json()["push"]["pub"], json!({"data": "by"}));
    // Again, for one that has it: nothing changes, and nothing is said.
    ok(&hub, "subscribe", &body);
    client.socket.assert_nothing_came();
    other.socket.assert_nothing_came();
    assert_eq!(ok(&hub, "presence_stats", &json!({"channel": "room"})), json!({"num_clients": 1, "num_users": 1}));
    let there = json!({"presence": {&client.id: {"user": "", "client": client.id}}});
    assert_eq!(ok(&hub, "presence", &json!({"channel": "room"})), there);
    assert_eq!(ok(&hub, "channels", &json!({"pattern": "ro*"})), json!({"channels": {"room": {"num_clients": 1}}}));
    assert_eq!(ok(&hub, "info", &json!({}))["nodes"][0]["num_clients"], 2);
}

#[test]
fn a_client_that_the_api_unsubscribes_is_told_and_gets_no_more() {
    let hub = TestHub::start(2, CONFIG);
    let mut client = Client::connect(&hub);
    for channel in ["room-1", "room-2", "room-3"] {
        client.subscribe(channel);
    }
    ok(&hub, "unsubscribe", &json!({"user": "", "client": client.id, "channel": "room-2"}));
    let unsubscribed = |channel: &str| json!({"push": {"channel": channel, "unsubscribe": {"code": 2000, "reason": "server unsubscribe"}}});
    assert_eq!(client.socket.json(), unsubscribed("room-2"));
    ok(&hub, "publish", &json!({"channel": "room-2", "data": 1}));
    ok(&hub, "publish", &json!({"channel": "room-3", "data": 2}));
    assert_eq!(client.socket.json()["push"]["pub"]["data"], 2);
    ok(&hub, "unsubscribe", &json!({"user": "", "client": client.id}));
    let mut left = [client.socket.json(), client.socket.json()];
    left.sort_by_key(|push| push.to_string());
    assert_eq!(left, [unsubscribed("room-1"), unsubscribed("room-3")]);
    eventually("nobody is there", || ok(&hub, "channels", &json!({})) == json!({"channels": {}}));
}

#[test]
fn a_client_that_the_api_disconnects_gets_the_code_and_the_others_stay() {
    let hub = TestHub::start(2, CONFIG);
    let (mut usual, mut own, mut stays) = (Client::connect(&hub), Client::connect(&hub), Client::connect(&hub));
    ok(&hub, "disconnect", &json!({"user": "", "client": usual.id}));
    assert_eq!(usual.socket.hear(), Heard::Close(Some((3503, "force disconnect".to_owned()))));
    let reason = json!({"code": 4321, "reason": "bye"});
    ok(&hub, "disconnect", &json!({"user": "", "client": own.id, "disconnect": reason}));
    assert_eq!(own.socket.hear(), Heard::Close(Some((4321, "bye".to_owned()))));
    // An id that somebody has, under a user that it is not of.
    ok(&hub, "disconnect", &json!({"user": "ann", "client": stays.id}));
    ok(&hub, "disconnect", &json!({"user": "", "client": stays.id, "whitelist": [stays.id]}));
    stays.socket.assert_nothing_came();
    drop((usual, own));
    eventually("the two are gone", || hub.open(Protocol::Centrifuge) == 1);
}

#[test]
fn a_client_that_the_api_refreshes_is_told_how_long_it_may_stay_or_goes() {
    let hub = TestHub::start(2, CONFIG);
    let mut client = Client::connect(&hub);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    ok(&hub, "refresh", &json!({"user": "", "client": client.id, "expire_at": now + 1000, "info": {"n": 1}}));
    let refresh = client.socket.json()["push"]["refresh"].take();
    assert!(refresh["expires"] == true && (990..=1000).contains(&refresh["ttl"].as_u64().unwrap()), "{refresh}");
    client.subscribe("room");
    let presence = ok(&hub, "presence", &json!({"channel": "room"}));
    assert_eq!(presence["presence"][&client.id]["conn_info"], json!({"n": 1}));
    ok(&hub, "refresh", &json!({"user": "", "client": client.id, "expired": true}));
    assert_eq!(client.socket.hear(), Heard::Close(Some((3005, "connection expired".to_owned()))));
}

#[test]
fn a_publisher_that_streams_reaches_a_slow_reader_with_every_line() {
    const LINES: usize = 20_000;
    let hub = TestHub::start(1, &format!("{CONFIG}\n[limits]\nmailbox = \"64KiB\""));
    let mut client = Client::connect(&hub);
    client.subscribe("feed");
    let address = hub.address();
    let publisher = std::thread::spawn(move || {
        let mut body = String::new();
        for n in 0..LINES {
            body.push_str(&format!("{{\"channel\":\"feed\",\"data\":{n}}}\n"));
        }
        let mut http = crate::client::Http::connect(address);
        http.request("POST", "/api/publish_stream", &[("X-API-Key", "k")], body.as_bytes())
    });
    let mut expected = 0;
    while expected < LINES {
        for line in client.socket.text().lines() {
            let push: Value = serde_json::from_str(line).unwrap();
            assert_eq!(push["push"]["pub"]["data"], expected);
            expected += 1;
        }
    }
    let answer = publisher.join().unwrap();
    let summary: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(summary, json!({"lines": LINES, "published": LINES, "failed": 0}));
}

//! Clients of the Centrifuge protocol over WebSockets, where it touches the hub's own matters: who else may read their topics,
//! many workers, slow readers, the end of a connection. What SDKs see is in `tests/interop/centrifuge`.

use std::sync::Arc;

use bytes::Bytes;
use fanfare::hub::{ClientId, Member, TopicName};
use serde_json::{Value, json};

use crate::client::{Backend, Http, Reply, WebSocket};
use crate::deadline::eventually;
use crate::hub::TestHub;

const CONFIG: &str = r#"
    [centrifuge]
    anonymous = true
    [api]
    keys = ["key"]
    [[topics]]
    pattern = "closed*"
    subscribe = "token"
    publish = "anyone"
    history = { size = 10, ttl = "1h" }
    [[topics]]
    pattern = "secret*"
    read_history = "api"
    publish = "anyone"
    history = { size = 10, ttl = "1h" }
    [[topics]]
    pattern = "delta*"
    delta = true
    recovery = "always"
    publish = "anyone"
    history = { size = 10, ttl = "1h" }
    [[topics]]
    pattern = "*"
    publish = "anyone"
    presence = true
    join_leave = "asked"
    history = { size = 10, ttl = "1h" }
"#;

fn subscribed(hub: &TestHub, channel: &str) -> WebSocket {
    let mut client = hub.client();
    let reply = client.ask(&json!({"id": 2, "subscribe": {"channel": channel}}));
    assert!(reply["subscribe"].is_object(), "{reply}");
    client
}

#[test]
fn a_topic_that_asks_who_its_clients_are_is_read_on_no_other_surface() {
    let hub = TestHub::start(2, CONFIG);
    for topic in ["closed", "$news"] {
        let path = format!("/topics/{topic}");
        let refused = WebSocket::try_open(hub.address(), &path, &[]).unwrap_err();
        assert_eq!((refused.status, refused.code().as_str()), (403, "subscribe-not-allowed"), "{topic}");
        let refused = hub.http().request("GET", &path, &[("Accept", "text/event-stream")], b"");
        assert_eq!((refused.status, refused.code().as_str()), (403, "subscribe-not-allowed"), "{topic}");
        let beside = format!("/topics/news?also={}&format=json", topic.replace('$', "%24"));
        let refused = WebSocket::try_open(hub.address(), &beside, &[]).unwrap_err();
        assert_eq!((refused.status, refused.code().as_str()), (403, "subscribe-not-allowed"), "{topic}");
    }
    for topic in ["closed", "secret"] {
        let path = format!("/topics/{topic}");
        hub.http().publish(topic, "1");
        assert_eq!(hub.http().get(&path).code(), "subscribe-not-allowed", "{topic}");
        let shown = hub.http().request("GET", &path, &[("X-API-Key", "key")], b"");
        assert_eq!(shown.json()["publications"][0]["data"], "1", "{topic}");
    }
    // Whoever may subscribe to it may, although its history is nobody's.
    assert!(WebSocket::try_open(hub.address(), "/topics/secret", &[]).is_ok());
}

#[test]
fn publications_are_the_same_for_clients_of_all_surfaces_on_all_workers() {
    let hub = TestHub::start(3, CONFIG);
    let mut clients: Vec<WebSocket> = (0..6).map(|_| subscribed(&hub, "news")).collect();
    let mut plain = hub.websocket("/topics/news?format=json");
    for n in 1..=4 {
        hub.http().publish("news", format!("{{\"n\":{n}}}"));
    }
    for client in &mut clients {
        for n in 1..=4 {
            let push = client.json();
            let publication = &push["push"]["pub"];
            assert_eq!((&publication["data"]["n"], &publication["offset"]), (&json!(n), &json!(n)), "{push}");
        }
    }
    for n in 1..=4 {
        assert_eq!(plain.json()["offset"], n);
    }
}

#[test]
fn who_was_promised_deltas_gets_the_first_publication_whole_and_then_what_differs() {
    let hub = TestHub::start(1, CONFIG);
    let long = "the same words again and again, ".repeat(20);
    let subscribe = json!({"id": 2, "subscribe": {"channel": "delta", "delta": "fossil"}});
    let mut early = hub.client();
    assert_eq!(early.ask(&subscribe)["subscribe"]["delta"], true);
    let publish = |n: u32| hub.http().publish("delta", format!("{{\"n\":{n},\"text\":\"{long}\"}}"));
    publish(1);
    assert_eq!(early.json()["push"]["pub"]["delta"], Value::Null);
    let mut late = hub.client();
    late.ask(&subscribe);
    publish(2);
    assert_eq!(early.json()["push"]["pub"]["delta"], true);
    assert_eq!(late.json()["push"]["pub"]["delta"], Value::Null);
    publish(3);
    let (one, other) = (early.json(), late.json());
    assert_eq!(one, other, "both have the same base now");
    assert_eq!(one["push"]["pub"]["delta"], true);
    assert!(one.to_string().len() < long.len() / 2, "{one}");
    // What is passed on without being kept is nobody's base afterwards.
    let passing = json!({"channel": "delta", "data": {"n": 0}, "skip_history": true}).to_string();
    let passed = hub.http().request("POST", "/api/publish", &[("X-API-Key", "key")], passing.as_bytes());
    assert_eq!(passed.status, 200);
    assert_eq!(early.json()["push"]["pub"]["offset"], Value::Null);
    publish(4);
    let whole = early.json();
    assert_eq!((&whole["push"]["pub"]["delta"], &whole["push"]["pub"]["offset"]), (&Value::Null, &json!(4)));
}

#[test]
fn who_leaves_before_its_first_publication_and_comes_back_gets_the_first_one_whole() {
    let hub = TestHub::start(1, CONFIG);
    let long = "the same words again and again, ".repeat(20);
    let publish = |n: u32| hub.http().publish("delta", format!("{{\"n\":{n},\"text\":\"{long}\"}}"));
    let subscribe = json!({"id": 2, "subscribe": {"channel": "delta", "delta": "fossil"}});
    publish(1);
    let mut client = hub.client();
    for n in 2..5 {
        assert_eq!(client.ask(&subscribe)["subscribe"]["delta"], true);
        client.ask(&json!({"id": 3, "unsubscribe": {"channel": "delta"}}));
        publish(n);
    }
    assert_eq!(client.ask(&subscribe)["subscribe"]["delta"], true);
    for (n, is_delta) in [(5, Value::Null), (6, json!(true))] {
        publish(n);
        let push = client.json();
        assert_eq!((&push["push"]["pub"]["offset"], &push["push"]["pub"]["delta"]), (&json!(n), &is_delta), "{push}");
    }
}

#[test]
fn who_gets_its_first_delta_while_another_comes_back_misses_nothing() {
    let hub = TestHub::start(1, CONFIG);
    let subscribe = json!({"id": 2, "subscribe": {"channel": "delta", "delta": "fossil"}});
    let mut newcomer = hub.client();
    let epoch = newcomer.ask(&subscribe)["subscribe"]["epoch"].clone();
    hub.http().publish("delta", "1");
    assert_eq!(newcomer.json()["push"]["pub"]["offset"], 1);
    let mut returner = hub.client();
    // In one frame: it joins behind what it publishes, before that is on its way to the other one.
    let publish = json!({"id": 2, "publish": {"channel": "delta", "data": 2}});
    let come_back = json!({"id": 3, "subscribe": {
        "channel": "delta", "delta": "fossil", "recover": true, "offset": 1, "epoch": epoch
    }});
    returner.send_text(&format!("{publish}\n{come_back}"));
    let replies = returner.text();
    assert!(replies.contains("\"recovered\":true") && replies.contains("\"data\":\"2\""), "{replies}");
    hub.http().publish("delta", "3");
    for offset in 2..=3 {
        assert_eq!(newcomer.json()["push"]["pub"]["offset"], offset);
    }
    assert_eq!(returner.json()["push"]["pub"]["offset"], 3);
}

#[test]
fn a_client_is_listed_ten_thousand_others_and_told_of_the_statistics_beyond() {
    let hub = TestHub::start(1, CONFIG);
    let mut client = subscribed(&hub, "room");
    let presence = hub.server().surface().hub.presence();
    let topic = hub.server().surface().hub.find(&TopicName::new("room").unwrap()).unwrap();
    let enter = |info_bytes: usize| {
        let connection_info = Bytes::from(format!("\"{}\"", "x".repeat(info_bytes)));
        let member = Member { user: "".into(), client: ClientId::random(), connection_info, topic_info: Bytes::new() };
        presence.enter(topic.id(), Arc::new(member.clone()));
        member.client
    };
    let listed = |client: &mut WebSocket| client.ask(&json!({"id": 3, "presence": {"channel": "room"}}));
    (1..9_999).for_each(|_| _ = enter(0));
    let large = enter(2 * 1024 * 1024);
    assert_eq!(listed(&mut client)["presence"]["presence"].as_object().unwrap().len(), 10_000);
    let one_more = enter(0);
    assert_eq!(listed(&mut client)["error"]["code"], 106, "10,001 are too many");
    presence.leave(topic.id(), one_more);
    presence.leave(topic.id(), large);
    let larger = enter(4 * 1024 * 1024);
    assert_eq!(listed(&mut client)["error"]["code"], 106, "over 4 MiB are too many");
    let stats = client.ask(&json!({"id": 4, "presence_stats": {"channel": "room"}}));
    assert_eq!(stats["presence_stats"], json!({"num_clients": 10_000, "num_users": 1}));
    presence.leave(topic.id(), larger);
    assert_eq!(listed(&mut client)["presence"]["presence"].as_object().unwrap().len(), 9_999);
}

#[test]
fn who_is_there_is_known_over_workers_and_forgotten_with_the_connection() {
    let hub = TestHub::start(3, CONFIG);
    let mut watcher = hub.client();
    let reply = watcher.ask(&json!({"id": 2, "subscribe": {"channel": "room", "join_leave": true}}));
    assert!(reply["subscribe"].is_object());
    assert!(watcher.json()["push"]["join"].is_object(), "its own coming");
    let others: Vec<WebSocket> = (0..5).map(|_| subscribed(&hub, "room")).collect();
    for _ in 0..5 {
        assert!(watcher.json()["push"]["join"]["info"]["client"].is_string());
    }
    let stats = watcher.ask(&json!({"id": 3, "presence_stats": {"channel": "room"}}));
    assert_eq!(stats["presence_stats"], json!({"num_clients": 6, "num_users": 1}));
    drop(others);
    for _ in 0..5 {
        assert!(watcher.json()["push"]["leave"]["info"]["client"].is_string());
    }
    let presence = watcher.ask(&json!({"id": 4, "presence": {"channel": "room"}}));
    assert_eq!(presence["presence"]["presence"].as_object().unwrap().len(), 1);
    watcher.ask(&json!({"id": 5, "unsubscribe": {"channel": "room"}}));
    eventually("nobody is left", || hub.server().surface().hub.presence().is_empty());
}

#[test]
fn a_drain_ends_clients_with_a_code_after_which_they_come_back() {
    let hub = TestHub::start(1, CONFIG);
    let mut client = subscribed(&hub, "news");
    hub.http().publish("news", "1");
    hub.server().drain();
    assert_eq!(client.json()["push"]["pub"]["data"], 1);
    assert_eq!(client.closed_with(), 3001);
}

#[test]
fn a_position_of_another_life_is_not_recovered_and_nothing_is_made_up() {
    let hub = TestHub::start(1, CONFIG);
    Http::connect(hub.address()).publish("news", "1");
    let mut client = hub.client();
    let command = json!({"id": 2, "subscribe": {
        "channel": "news", "recoverable": true, "recover": true, "offset": 1, "epoch": "7"
    }});
    let subscribed = &client.ask(&command)["subscribe"];
    assert_eq!(
        (&subscribed["was_recovering"], &subscribed["recovered"], &subscribed["publications"], &subscribed["offset"]),
        (&json!(true), &Value::Null, &Value::Null, &json!(1))
    );
}

#[test]
fn subscriptions_the_backend_grants_at_once_stay_within_the_limit() {
    let backend = Backend::start(|_| Reply::ok(r#"{"result":{}}"#));
    let hub = TestHub::start(
        1,
        &format!(
            "[centrifuge]\nanonymous = true\n[limits]\nsubscriptions = 2\n\
             [hooks]\nsubscribe = \"{}\"\ntimeout = \"20s\"\n[[topics]]\npattern = \"*\"\nhooks = [\"subscribe\"]\n",
            backend.url("/")
        ),
    );
    let mut client = hub.client();
    let commands: Vec<String> =
        (2..7).map(|id| json!({"id": id, "subscribe": {"channel": format!("room{id}")}}).to_string()).collect();
    client.send_text(&commands.join("\n"));
    let (mut granted, mut refused) = (0, 0);
    for _ in 0..5 {
        match client.json() {
            reply if reply["error"]["code"] == 106 => refused += 1,
            reply => granted += usize::from(reply["subscribe"].is_object()),
        }
    }
    assert_eq!((granted, refused), (2, 3));
    assert_eq!(hub.server().surface().hub.census().subscriptions, 2);
}

#[test]
fn who_does_not_say_who_it_is_is_not_pinged_and_ends_at_the_connect_timeout() {
    let hub = TestHub::start(
        1,
        "[liveness]\nping_interval = \"100ms\"\npong_timeout = \"100ms\"\n[centrifuge]\nconnect_timeout = \"1s\"\n",
    );
    let mut silent = hub.websocket("/connection/websocket");
    // The first that it hears.
    assert_eq!(silent.closed_with(), 3502);
}

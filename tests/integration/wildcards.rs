//! Who subscribes to a wildcard gets what is published below it, on every surface and worker, and nothing that other rules guard.

use fanfare::admin::counters::Protocol;
use fanfare::close_reason::CloseReason;
use serde_json::{Value, json};

use crate::client::WebSocket;
use crate::deadline::eventually;
use crate::hub::TestHub;

const CONFIG: &str = r#"
    [centrifuge]
    anonymous = true
    [api]
    keys = ["key"]
    [compression]
    enabled = true
    threshold = "100B"
    [[topics]]
    pattern = "news.secret*"
    subscribe = "token"
    publish = "anyone"
    wildcards = true
    [[topics]]
    pattern = "news*"
    publish = "anyone"
    wildcards = true
    filter = true
    delta = true
    presence = true
    join_leave = "asked"
    recovery = "always"
    history = { size = 10, ttl = "1h" }
    slow_consumer = { policy = "latest" }
    [[topics]]
    pattern = "*"
    publish = "anyone"
"#;

fn subscribed(hub: &TestHub, subscribe: &Value) -> WebSocket {
    let mut client = hub.client();
    let reply = client.ask(&json!({"id": 2, "subscribe": subscribe}));
    assert!(reply["subscribe"].is_object(), "{reply}");
    client
}

/// A publication as `channel`, and what it was published on and holds.
fn told(client: &mut WebSocket) -> (String, String, Value) {
    let push = client.json();
    let push = &push["push"];
    assert_eq!(push["pub"]["offset"], Value::Null, "no number of many topics' numbers: {push}");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&push["channel"]), text(&push["pub"]["channel"]), push["pub"]["data"].clone())
}

#[test]
fn clients_of_both_protocols_on_all_workers_get_all_topics_of_the_prefix_in_order() {
    let hub = TestHub::start(3, CONFIG);
    let mut clients: Vec<WebSocket> = (0..6).map(|_| subscribed(&hub, &json!({"channel": "news.*"}))).collect();
    let mut plain: Vec<WebSocket> = (0..3).map(|_| hub.websocket("/topics/news.*?format=json")).collect();
    let mut publisher = hub.http();
    for n in 0..20 {
        publisher.publish(&format!("news.{}", n % 3), n.to_string());
        publisher.publish(&format!("other.{}", n % 3), n.to_string());
    }
    for client in &mut clients {
        for n in 0..20 {
            assert_eq!(told(client), ("news.*".to_owned(), format!("news.{}", n % 3), json!(n)));
        }
    }
    for client in &mut plain {
        for n in 0..20 {
            let publication = client.json();
            assert_eq!(publication["topic"], format!("news.{}", n % 3));
            assert_eq!((&publication["data"], &publication["offset"]), (&json!(n.to_string()), &json!(n / 3 + 1)));
        }
    }
}

#[test]
fn who_has_the_topic_and_its_wildcard_gets_both_and_each_ends_alone() {
    let hub = TestHub::start(2, CONFIG);
    let mut client = subscribed(&hub, &json!({"channel": "news.*"}));
    let reply = client.ask(&json!({"id": 3, "subscribe": {"channel": "news.a"}}));
    assert_eq!(reply["subscribe"]["recoverable"], true, "{reply}");
    hub.publish("news.a", "1");
    let mut channels = [client.json(), client.json()].map(|push| push["push"]["channel"].clone());
    channels.sort_by_key(ToString::to_string);
    assert_eq!(channels, [json!("news.*"), json!("news.a")]);
    client.ask(&json!({"id": 4, "unsubscribe": {"channel": "news.*"}}));
    hub.publish("news.a", "2");
    let push = client.json();
    assert_eq!((&push["push"]["channel"], &push["push"]["pub"]["offset"]), (&json!("news.a"), &json!(2)));
    client.ask(&json!({"id": 5, "unsubscribe": {"channel": "news.a"}}));
    client.ask(&json!({"id": 6, "subscribe": {"channel": "news.*"}}));
    hub.publish("news.a", "3");
    assert_eq!(told(&mut client), ("news.*".to_owned(), "news.a".to_owned(), json!(3)));
}

#[test]
fn topics_with_other_rules_are_not_below_a_wildcard() {
    let hub = TestHub::start(1, CONFIG);
    let mut client = subscribed(&hub, &json!({"channel": "news.*"}));
    let refused = client.ask(&json!({"id": 3, "subscribe": {"channel": "news.secret.*"}}));
    assert_eq!(refused["error"]["code"], 103, "{refused}");
    hub.publish("news.secret.a", "1");
    hub.publish("news.a", "2");
    assert_eq!(told(&mut client).2, json!(2));
}

#[test]
fn a_wildcard_keeps_nothing_and_promises_nothing() {
    let hub = TestHub::start(1, CONFIG);
    hub.publish("news.a", "1");
    let mut client = hub.client();
    let subscribe = json!({
        "channel": "news.*", "recoverable": true, "positioned": true, "delta": "fossil",
        "recover": true, "offset": 1, "epoch": "1",
    });
    let reply = client.ask(&json!({"id": 2, "subscribe": subscribe}));
    for key in ["recoverable", "recovered", "positioned", "delta", "publications"] {
        assert_eq!(reply["subscribe"][key], Value::Null, "{key}: {reply}");
    }
    let reply = client.ask(&json!({"id": 3, "history": {"channel": "news.*", "limit": 10}}));
    assert_eq!(reply["history"]["publications"], json!([]), "{reply}");
}

#[test]
fn nothing_is_published_on_a_wildcard() {
    let hub = TestHub::start(1, CONFIG);
    let mut client = subscribed(&hub, &json!({"channel": "news.*"}));
    let reply = client.ask(&json!({"id": 3, "publish": {"channel": "news.*", "data": 1}}));
    assert_eq!(reply["error"]["code"], 107, "{reply}");
    let refused = hub.http().post("/topics/news.*", "1");
    assert_eq!((refused.status, refused.code().as_str()), (400, "wildcard"));
    let key = [("X-API-Key", "key"), ("Content-Type", "application/json")];
    let mut api = hub.http();
    let refused = api.request("POST", "/api/publish", &key, br#"{"channel":"news.*","data":1}"#);
    assert_eq!(refused.json()["error"]["code"], 107, "{refused:?}");
    // And a connection of several topics has none.
    for target in ["/topics/news.*?also=a&format=json", "/topics/a?also=news.*&format=json"] {
        let refused = WebSocket::try_open(hub.address(), target, &[]).unwrap_err();
        assert_eq!((refused.status, refused.code().as_str()), (400, "wildcard"), "{target}");
    }
    hub.publish("news.a", "2");
    assert_eq!(told(&mut client).2, json!(2));
}

#[test]
fn filters_compression_joins_and_presence_are_as_on_a_topic() {
    let hub = TestHub::start(2, CONFIG);
    let mut filtered = subscribed(&hub, &json!({"channel": "news.*", "tf": {"key": "lang", "cmp": "eq", "val": "en"}}));
    let offer = [("Sec-WebSocket-Extensions", "permessage-deflate")];
    let mut squeezed = WebSocket::try_open(hub.address(), "/topics/news.*?format=json", &offer).unwrap();
    let mut watching = subscribed(&hub, &json!({"channel": "news.*", "join_leave": true}));
    // It hears itself come.
    assert_eq!(watching.json()["push"]["channel"], "news.*");
    let mut passing = subscribed(&hub, &json!({"channel": "news.*"}));
    assert!(watching.json()["push"]["join"].is_object());
    let mut api = hub.http();
    let stats = api.call("key", "presence_stats", &json!({"channel": "news.*"}));
    assert_eq!(stats["result"]["num_clients"], 3, "{stats}");
    let long = "again and again, ".repeat(30);
    for lang in ["de", "en"] {
        let publication = json!({"channel": "news.a", "data": format!("{lang}: {long}"), "tags": {"lang": lang}});
        api.call("key", "publish", &publication);
    }
    let text = |lang: &str| json!(format!("{lang}: {long}"));
    assert_eq!(told(&mut filtered).2, text("en"));
    for lang in ["de", "en"] {
        assert_eq!(told(&mut watching).2, text(lang));
        assert_eq!(told(&mut passing).2, text(lang));
    }
    let frame = squeezed.frame().expect("a frame");
    assert!(frame.is_compressed, "{frame:?}");
    drop(passing);
    assert!(watching.json()["push"]["leave"].is_object());
    drop((filtered, watching, squeezed));
    eventually("all have left", || {
        api.call("key", "presence_stats", &json!({"channel": "news.*"}))["result"]["num_clients"] == 0
    });
}

#[test]
fn who_does_not_read_a_wildcard_is_given_up_whatever_the_policy_says() {
    for policy in ["disconnect", "skip", "latest"] {
        let hub = TestHub::start(
            1,
            &format!(
                "[limits]\nmessage = \"64KiB\"\nclose_timeout = \"200ms\"\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\nwildcards = true\n\
                 slow_consumer = {{ policy = \"{policy}\", lag = \"64KiB\" }}\n"
            ),
        );
        let _slow = WebSocket::open_with_small_buffer(hub.address(), "/topics/news.*?format=json");
        let (mut publisher, large) = (hub.http(), "x".repeat(30_000));
        eventually("it is given up", || {
            publisher.publish("news.a", &large);
            hub.closed(Protocol::Topic, CloseReason::SlowConsumer) == 1
        });
    }
}

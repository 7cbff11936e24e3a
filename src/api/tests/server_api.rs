//! `/api/{method}`, as Centrifugo's client libraries expect it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use hyper::Request;
use serde_json::{Value, json};

use super::RULES;
use crate::api::server_api::{BROADCAST_LIMIT, PRESENCE_LIMIT};
use crate::api::testing::{Answered, Rig};
use crate::hub::{ClientId, Idempotency, Kind, Letter, Member, WorkerId};

pub(super) async fn call(rig: &Rig, method: &str, body: impl Into<String>) -> Answered {
    let request = Request::post(format!("/api/{method}")).header("x-api-key", "k");
    rig.call(request, body.into()).await
}

pub(super) async fn ok(rig: &Rig, method: &str, body: impl Into<String>) -> Value {
    let answer = call(rig, method, body).await;
    assert_eq!((answer.status(), answer.header("content-type")), (200, "application/json"), "{answer:?}");
    answer.json()
}

fn received(rig: &Rig, worker: WorkerId) -> (Kind, Vec<u8>) {
    match rig.work(worker) {
        Some(Letter::Publication(publication)) => (publication.kind(), publication.payload().to_vec()),
        other => panic!("expected a publication, got {other:?}"),
    }
}

#[tokio::test]
async fn without_a_known_key_everything_is_401() {
    let rig = Rig::new(RULES);
    for request in [Request::post("/api/info"), Request::post("/api/info").header("x-api-key", "wrong")] {
        let answer = rig.call(request, "{}").await;
        assert_eq!((answer.status(), answer.code().as_str()), (401, "unknown-key"));
    }
    assert_eq!(rig.post("/api/info?api_key=k", "{}").await.status(), 200);
    assert_eq!(rig.call(Request::post("/api/info").header("authorization", "apikey k"), "{}").await.status(), 200);
    assert_eq!(rig.get("/api/info").await.header("allow"), "POST");
}

#[tokio::test]
async fn data_is_published_byte_for_byte_as_it_was_written() {
    let rig = Rig::new(RULES);
    rig.subscribe("news", WorkerId(0));
    for data in [r#"{"b" : 1.50,  "a":"\u00e9"}"#, "\"text\"", "17", "[1, 2]", "true"] {
        assert_eq!(
            ok(&rig, "publish", format!(r#"{{"channel":"news","data": {data} }}"#)).await,
            json!({"result": {}})
        );
        assert_eq!(received(&rig, WorkerId(0)), (Kind::Text, data.as_bytes().to_vec()));
    }
}

#[tokio::test]
async fn b64data_is_published_as_bytes() {
    let rig = Rig::new(RULES);
    rig.subscribe("news", WorkerId(0));
    ok(&rig, "publish", r#"{"channel":"news","b64data":"AP8="}"#).await;
    assert_eq!(received(&rig, WorkerId(0)), (Kind::Binary, vec![0, 255]));
}

#[tokio::test]
async fn a_position_is_told_only_where_history_is_kept() {
    let rig = Rig::new(RULES);
    let kept = ok(&rig, "publish", r#"{"channel":"kept","data":1}"#).await;
    assert_eq!(kept["result"]["offset"], 1);
    assert!(kept["result"]["epoch"].as_str().unwrap().parse::<u64>().is_ok());
    assert_eq!(ok(&rig, "publish", r#"{"channel":"other","data":1}"#).await, json!({"result": {}}));
}

#[tokio::test]
async fn what_an_application_does_wrong_is_error_107_with_http_200() {
    let rig = Rig::new(RULES);
    for (body, said) in [
        ("{}", "channel is missing"),
        (r#"{"channel":"","data":1}"#, "at least one byte"),
        (r#"{"channel":"a"}"#, "data is missing"),
        (r#"{"channel":"a","data":null}"#, "data is missing"),
        (r#"{"channel":"a","data":1,"b64data":"AA=="}"#, "exclude each other"),
        (r#"{"channel":"a","b64data":"?"}"#, "b64data"),
        (r#"{"channel":7,"data":1}"#, "invalid type"),
        (r#"{"channel":"a","data":1,"chanel":1}"#, "unknown field `chanel`"),
        (r#"{"channel":"a","channels":["b"],"data":1}"#, "channels is for broadcast"),
        (r#"{"channel":"a","data":1,"version":3}"#, "version needs a channel with history"),
        (r#"{"channel":"kept","data":1,"version":3,"skip_history":true}"#, "version needs history"),
        (r#"{"channel":"kept","data":1,"version_epoch":"e"}"#, "version_epoch needs a version"),
        (r#"{"channel":"a","data":1,"tags":{"a":1}}"#, "invalid type"),
    ] {
        let error = ok(&rig, "publish", body).await;
        assert_eq!(error["error"]["code"], 107, "{body}");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("bad request: ") && message.contains(said), "{body}: {message}");
    }
    let unused =
        r#"{"channel":"a","data":1,"tags":{},"idempotency_key":"","delta":false,"skip_history":null,"version":0}"#;
    assert_eq!(ok(&rig, "publish", unused).await, json!({"result": {}}));
}

#[tokio::test]
async fn what_is_not_json_is_400() {
    let rig = Rig::new(RULES);
    for body in ["{", "publish", "[]", "[\"a\"]", "{\"channel\":\"a\",\"data\":1}}"] {
        let answer = call(&rig, "publish", body).await;
        assert_eq!((answer.status(), answer.code().as_str()), (400, "bad-body"), "{body}");
    }
}

#[tokio::test]
async fn data_at_the_message_limit_is_published_in_both_forms_and_more_is_413() {
    let rig = Rig::new(&format!("{RULES}\n[limits]\nmessage = \"30KiB\""));
    let limit = 30 * 1024;
    let json = |len: usize| format!(r#"{{"channel":"a","data":"{}"}}"#, "x".repeat(len - 2));
    let base64 = |len: usize| format!(r#"{{"channel":"a","b64data":"{}"}}"#, BASE64.encode(vec![0; len]));
    for (body, status) in [
        (json(limit), 200),
        (json(limit + 1), 413),
        (base64(limit), 200),
        (base64(limit + 1), 413),
        (json(200_000), 413),
    ] {
        assert_eq!(call(&rig, "publish", body).await.status(), status);
    }
}

#[tokio::test]
async fn a_broadcast_answers_for_each_channel_in_order() {
    let rig = Rig::new(RULES);
    rig.subscribe("b", WorkerId(1));
    let answer = ok(&rig, "broadcast", r#"{"channels":["kept","","b"],"data":{"x":1}}"#).await;
    let responses = answer["result"]["responses"].as_array().unwrap();
    assert_eq!(responses.len(), 3);
    assert_eq!(responses[0]["result"]["offset"], 1);
    assert_eq!(responses[1]["error"]["code"], 107);
    assert_eq!(responses[2], json!({"result": {}}));
    assert_eq!(received(&rig, WorkerId(1)), (Kind::Text, br#"{"x":1}"#.to_vec()));
}

#[tokio::test]
async fn a_broadcast_takes_as_many_channels_as_its_limit() {
    let rig = Rig::new(RULES);
    let body = |count: usize| format!(r#"{{"channels":{},"data":1}}"#, json!(vec!["a"; count]));
    let most = ok(&rig, "broadcast", body(BROADCAST_LIMIT)).await;
    assert_eq!(most["result"]["responses"].as_array().unwrap().len(), BROADCAST_LIMIT);
    assert_eq!(ok(&rig, "broadcast", body(BROADCAST_LIMIT + 1)).await["error"]["code"], 107);
    assert_eq!(ok(&rig, "broadcast", body(0)).await["error"]["code"], 107);
}

#[tokio::test]
async fn history_is_read_from_the_oldest_from_a_position_and_backwards() {
    let rig = Rig::new(RULES);
    for n in 1..=12 {
        ok(&rig, "publish", format!(r#"{{"channel":"kept","data":{{"n":{n}}}}}"#)).await;
    }
    let offsets = |answer: &Value| -> Vec<u64> {
        let publications = answer["result"]["publications"].as_array().unwrap();
        publications.iter().map(|one| one["offset"].as_u64().unwrap()).collect()
    };
    let position = ok(&rig, "history", r#"{"channel":"kept"}"#).await;
    assert_eq!((offsets(&position), &position["result"]["offset"]), (vec![], &json!(12)));
    let epoch = position["result"]["epoch"].as_str().unwrap().to_owned();
    let all = ok(&rig, "history", r#"{"channel":"kept","limit":-1}"#).await;
    assert_eq!(offsets(&all), (3..=12).collect::<Vec<_>>());
    assert_eq!(all["result"]["publications"][0], json!({"offset": 3, "data": {"n": 3}}));
    assert_eq!(offsets(&ok(&rig, "history", r#"{"channel":"kept","limit":2}"#).await), [3, 4]);
    assert_eq!(offsets(&ok(&rig, "history", r#"{"channel":"kept","limit":2,"reverse":true}"#).await), [12, 11]);
    let since = |epoch: &str, offset: u64| {
        format!(r#"{{"channel":"kept","limit":2,"since":{{"offset":{offset},"epoch":"{epoch}"}}}}"#)
    };
    assert_eq!(offsets(&ok(&rig, "history", since(&epoch, 10)).await), [11, 12]);
    assert_eq!(offsets(&ok(&rig, "history", since("", 10)).await), [11, 12]);
    for gone in [since(&epoch, 1), since("1", 10), since("other", 10)] {
        assert_eq!(ok(&rig, "history", gone).await["error"]["code"], 112);
    }
}

#[tokio::test]
async fn history_shows_json_as_it_is_other_text_as_a_string_and_bytes_as_base64() {
    let rig = Rig::new(RULES);
    rig.post("/topics/open-kept", "not json").await;
    ok(&rig, "publish", r#"{"channel":"open-kept","b64data":"AP8="}"#).await;
    let answer = ok(&rig, "history", r#"{"channel":"open-kept","limit":10}"#).await;
    let publications = json!([{"offset": 1, "data": "not json"}, {"offset": 2, "b64data": "AP8="}]);
    assert_eq!(answer["result"]["publications"], publications);
}

#[tokio::test]
async fn history_that_is_off_is_error_108_and_one_never_used_is_empty() {
    let rig = Rig::new(RULES);
    assert_eq!(ok(&rig, "history", r#"{"channel":"other"}"#).await["error"]["code"], 108);
    let empty = ok(&rig, "history", r#"{"channel":"kept-but-unused","limit":1}"#).await;
    assert_eq!(empty, json!({"result": {"publications": [], "epoch": "", "offset": 0}}));
    assert_eq!(rig.surface.hub.census().topics, 0);
}

#[tokio::test]
async fn info_describes_this_node() {
    let rig = Rig::new(RULES);
    rig.subscribe("a", WorkerId(0));
    rig.surface.counters.shards[0].connections[0].add(3);
    for body in ["{}", ""] {
        let info = ok(&rig, "info", body).await;
        let node = &info["result"]["nodes"][0];
        assert_eq!((&node["num_clients"], &node["num_subs"], &node["num_channels"]), (&json!(3), &json!(1), &json!(1)));
        assert_eq!(node["uid"], rig.surface.node);
    }
}

#[tokio::test]
async fn while_draining_a_publish_is_503_and_a_broadcast_says_so_per_channel() {
    let rig = Rig::new(RULES);
    rig.surface.hub.drain();
    let publish = call(&rig, "publish", r#"{"channel":"a","data":1}"#).await;
    assert_eq!((publish.status(), publish.code().as_str()), (503, "draining"));
    let broadcast = ok(&rig, "broadcast", r#"{"channels":["a"],"data":1}"#).await;
    assert_eq!(broadcast["result"]["responses"][0]["error"], json!({"code": 100, "message": "draining"}));
}

#[tokio::test]
async fn tags_are_delivered_and_kept_each_once_in_their_order() {
    let rig = Rig::new(RULES);
    rig.subscribe("kept", WorkerId(0));
    ok(&rig, "publish", r#"{"channel":"kept","data":1,"tags":{"z":"1","a":"2","z":"3"}}"#).await;
    let Some(Letter::Publication(publication)) = rig.work(WorkerId(0)) else { panic!("a publication") };
    let tags = [("a", "2"), ("z", "3")].map(|(name, value)| (Box::from(name), Box::from(value)));
    assert_eq!(publication.extras().unwrap().tags[..], tags);
    let history = ok(&rig, "history", r#"{"channel":"kept","limit":1}"#).await;
    assert_eq!(history["result"]["publications"], json!([{"offset": 1, "data": 1, "tags": {"a": "2", "z": "3"}}]));
}

#[tokio::test]
async fn what_passes_history_by_is_delivered_without_a_position() {
    let rig = Rig::new(RULES);
    rig.subscribe("kept", WorkerId(0));
    let answer = ok(&rig, "publish", r#"{"channel":"kept","data":"by","skip_history":true}"#).await;
    assert_eq!(answer, json!({"result": {}}));
    assert_eq!(received(&rig, WorkerId(0)), (Kind::Text, br#""by""#.to_vec()));
    let history = ok(&rig, "history", r#"{"channel":"kept","limit":10}"#).await;
    assert_eq!((&history["result"]["offset"], &history["result"]["publications"]), (&json!(0), &json!([])));
}

#[tokio::test]
async fn an_idempotency_key_publishes_once_per_channel() {
    let rig = Rig::new(RULES);
    rig.subscribe("kept", WorkerId(0));
    let body = r#"{"channel":"kept","data":1,"idempotency_key":"x"}"#;
    let first = ok(&rig, "publish", body).await;
    assert_eq!(first["result"]["offset"], 1);
    assert_eq!(ok(&rig, "publish", body).await, first);
    let broadcast = r#"{"channels":["kept","kept-2","kept"],"data":1,"idempotency_key":"x"}"#;
    let answer = ok(&rig, "broadcast", broadcast).await;
    let offsets: Vec<_> =
        answer["result"]["responses"].as_array().unwrap().iter().map(|one| one["result"]["offset"].clone()).collect();
    assert_eq!(offsets, [1, 1, 1]);
    assert!(rig.work(WorkerId(0)).is_some() && rig.work(WorkerId(0)).is_none());
    let long = "k".repeat(Idempotency::KEY_LIMIT_BYTES);
    let body = |key: &str| format!(r#"{{"channel":"kept","data":1,"idempotency_key":"{key}"}}"#);
    assert_eq!(ok(&rig, "publish", body(&long)).await["result"]["offset"], 2);
    assert_eq!(ok(&rig, "publish", body(&format!("{long}k"))).await["error"]["code"], 107);
}

#[tokio::test]
async fn who_comes_while_the_same_key_waits_for_room_gets_its_receipt() {
    let rig = Rig::new(&format!("{RULES}\n[limits]\nmailbox = 1\npublish_wait = \"20s\""));
    rig.subscribe("kept", WorkerId(0));
    ok(&rig, "publish", r#"{"channel":"kept","data":"full"}"#).await;
    let body = r#"{"channel":"kept","data":1,"idempotency_key":"x"}"#;
    let mut publishes: Vec<_> = (0..3).map(|_| Box::pin(ok(&rig, "publish", body))).collect();
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for publish in &mut publishes {
        assert!(publish.as_mut().poll(&mut context).is_pending(), "there is no room");
    }
    // The first one's client goes away: one of the others has to publish.
    drop(publishes.remove(0));
    assert!(rig.work(WorkerId(0)).is_some());
    for publish in publishes {
        assert_eq!(publish.await["result"]["offset"], 2);
    }
    assert!(rig.work(WorkerId(0)).is_some() && rig.work(WorkerId(0)).is_none(), "published once");
}

#[tokio::test]
async fn a_version_that_is_not_newer_is_not_published() {
    let rig = Rig::new(RULES);
    let body = |version: u64, epoch: &str| {
        format!(r#"{{"channel":"kept","data":{version},"version":{version},"version_epoch":"{epoch}"}}"#)
    };
    for (version, epoch, offset) in [(5, "", 1), (4, "", 1), (5, "", 1), (6, "", 2), (1, "other", 3), (1, "other", 3)] {
        assert_eq!(ok(&rig, "publish", body(version, epoch)).await["result"]["offset"], offset, "{version} {epoch}");
    }
    let history = ok(&rig, "history", r#"{"channel":"kept","limit":-1}"#).await;
    let kept = history["result"]["publications"].as_array().unwrap();
    assert_eq!(kept.iter().map(|one| one["data"].clone()).collect::<Vec<_>>(), [5, 6, 1]);
    // The numbers of versions outlive what is kept.
    ok(&rig, "history_remove", r#"{"channel":"kept"}"#).await;
    assert_eq!(ok(&rig, "publish", body(1, "other")).await["result"]["offset"], 3);
}

#[tokio::test]
async fn history_is_read_backwards_from_a_position_and_removed_without_losing_count() {
    let rig = Rig::new(RULES);
    for n in 1..=12 {
        ok(&rig, "publish", format!(r#"{{"channel":"kept","data":{n}}}"#)).await;
    }
    let offsets = |answer: &Value| -> Vec<u64> {
        let publications = answer["result"]["publications"].as_array().unwrap();
        publications.iter().map(|one| one["offset"].as_u64().unwrap()).collect()
    };
    let position = ok(&rig, "history", r#"{"channel":"kept"}"#).await;
    let epoch = position["result"]["epoch"].as_str().unwrap().to_owned();
    let back = |offset: u64, limit: i64, epoch: &str| {
        let since = format!(r#"{{"offset":{offset},"epoch":"{epoch}"}}"#);
        format!(r#"{{"channel":"kept","limit":{limit},"reverse":true,"since":{since}}}"#)
    };
    assert_eq!(offsets(&ok(&rig, "history", back(11, 2, &epoch)).await), [10, 9]);
    assert_eq!(offsets(&ok(&rig, "history", back(5, -1, "")).await), [4, 3]);
    assert_eq!(offsets(&ok(&rig, "history", back(2, -1, &epoch)).await), Vec::<u64>::new());
    assert_eq!(ok(&rig, "history", back(11, 2, "17")).await["error"]["code"], 112);
    let before = rig.surface.hub.census();
    assert_eq!(
        (before.history_publications, ok(&rig, "history_remove", r#"{"channel":"kept"}"#).await),
        (10, json!({"result": {}}))
    );
    let census = rig.surface.hub.census();
    assert_eq!((census.history_publications, census.history_bytes), (0, 0));
    let left = ok(&rig, "history", r#"{"channel":"kept","limit":-1}"#).await;
    assert_eq!(
        (offsets(&left), &left["result"]["offset"], &left["result"]["epoch"]),
        (vec![], &json!(12), &json!(epoch))
    );
    assert_eq!(
        ok(&rig, "publish", r#"{"channel":"kept","data":13}"#).await["result"],
        json!({"offset": 13, "epoch": epoch})
    );
    let gap = format!(r#"{{"channel":"kept","limit":5,"since":{{"offset":11,"epoch":"{epoch}"}}}}"#);
    assert_eq!(ok(&rig, "history", gap).await["error"]["code"], 112);
    assert_eq!(ok(&rig, "history_remove", r#"{"channel":"other"}"#).await["error"]["code"], 108);
    assert_eq!(ok(&rig, "history_remove", r#"{"channel":"kept-but-unused"}"#).await, json!({"result": {}}));
}

#[tokio::test]
async fn presence_and_channels_tell_who_is_where() {
    let rig = Rig::new(&format!("{RULES}\n[[topics]]\npattern = \"room*\"\npresence = true"));
    let topic = rig.subscribe("room", WorkerId(0));
    rig.subscribe("kept", WorkerId(1));
    rig.surface.hub.topic(&crate::hub::TopicName::new("room-without-anyone").unwrap()).unwrap();
    let member = |user: &str, info: &'static str, topic_info: &'static [u8]| crate::hub::Member {
        user: user.into(),
        client: crate::hub::ClientId::random(),
        connection_info: info.into(),
        topic_info: bytes::Bytes::from_static(topic_info),
    };
    let members = [member("ann", r#"{"n": 1}"#, b""), member("ann", "no json", b"\xff"), member("", "", b"")];
    for one in &members {
        rig.surface.hub.presence().enter(topic.id(), std::sync::Arc::new(one.clone()));
    }
    let [first, second, third] = members.map(|member| member.client.to_string());
    let expected = json!({"presence": {
        &first: {"user": "ann", "client": &first, "conn_info": {"n": 1}},
        &second: {"user": "ann", "client": &second, "conn_info": "no json", "chan_info": "/w=="},
        &third: {"user": "", "client": &third},
    }});
    assert_eq!(ok(&rig, "presence", r#"{"channel":"room"}"#).await["result"], expected);
    let stats = ok(&rig, "presence_stats", r#"{"channel":"room"}"#).await;
    assert_eq!(stats, json!({"result": {"num_clients": 3, "num_users": 2}}));
    assert_eq!(ok(&rig, "presence", r#"{"channel":"room-2"}"#).await, json!({"result": {"presence": {}}}));
    for method in ["presence", "presence_stats"] {
        assert_eq!(ok(&rig, method, r#"{"channel":"kept"}"#).await["error"]["code"], 108);
        assert_eq!(ok(&rig, method, "{}").await["error"]["code"], 107);
    }
    for (pattern, channels) in [
        ("", json!({"kept": {"num_clients": 1}, "room": {"num_clients": 1}})),
        ("ro*", json!({"room": {"num_clients": 1}})),
        ("r[a-n]om", json!({})),
    ] {
        let answer = ok(&rig, "channels", json!({ "pattern": pattern }).to_string()).await;
        assert_eq!(answer, json!({"result": {"channels": channels}}), "{pattern}");
    }
    assert_eq!(ok(&rig, "channels", r#"{"pattern":"["}"#).await["error"]["code"], 107);
}

#[tokio::test]
async fn a_crowd_is_listed_up_to_the_limits_and_counted_beyond_them() {
    let rig = Rig::new(&format!("{RULES}\n[[topics]]\npattern = \"room*\"\npresence = true"));
    let topics = ["room-many", "room-heavy"].map(|name| rig.subscribe(name, WorkerId(0)).id());
    let presence = rig.surface.hub.presence();
    let enter = |topic, info: Bytes| {
        let member =
            Member { user: "".into(), client: ClientId::random(), connection_info: info, topic_info: Bytes::new() };
        presence.enter(topic, Arc::new(member));
    };
    let listed = async |channel: &str| ok(&rig, "presence", json!({ "channel": channel }).to_string()).await;
    (0..2000).for_each(|_| enter(topics[0], Bytes::new()));
    let answer = listed("room-many").await;
    assert_eq!(answer["result"]["presence"].as_object().unwrap().len(), 2000);
    (2000..=PRESENCE_LIMIT.members).for_each(|_| enter(topics[0], Bytes::new()));
    let heavy = Bytes::from(vec![b'1'; PRESENCE_LIMIT.bytes / 3]);
    (0..3).for_each(|_| enter(topics[1], heavy.clone()));
    for (channel, num_clients) in [("room-many", PRESENCE_LIMIT.members + 1), ("room-heavy", 3)] {
        let refused = listed(channel).await;
        assert_eq!(refused["error"]["code"], 108, "{refused}");
        let said = refused["error"]["message"].as_str().unwrap();
        assert!(said.contains(&format!("{num_clients} are there")) && said.contains("presence_stats"), "{said}");
        let stats = ok(&rig, "presence_stats", json!({ "channel": channel }).to_string()).await;
        assert_eq!(stats["result"], json!({"num_clients": num_clients, "num_users": 1}));
    }
}

#[tokio::test]
async fn a_channel_of_an_unknown_namespace_is_error_102_where_namespaces_must_be_known() {
    let rig = Rig::new(&format!("{RULES}\n[[topics]]\npattern = \"known:*\"\n[centrifuge]\nknown_namespaces = true"));
    assert_eq!(ok(&rig, "publish", r#"{"channel":"nosuch:x","data":1}"#).await["error"]["code"], 102);
    assert_eq!(ok(&rig, "publish", r#"{"channel":"known:x","data":1}"#).await, json!({"result": {}}));
    assert_eq!(ok(&rig, "publish", r#"{"channel":"nosuch","data":1}"#).await, json!({"result": {}}));
    let rig = Rig::new(RULES);
    assert_eq!(ok(&rig, "publish", r#"{"channel":"nosuch:x","data":1}"#).await, json!({"result": {}}));
}

#[tokio::test]
async fn what_is_not_available_says_why() {
    let rig = Rig::new(RULES);
    for (method, body, said) in [
        ("rpc", r#"{"method":"sum","params":{"a":1}}"#, "no extension"),
        ("map_publish", "{}", "none is a map"),
        ("map_stats", r#"{"channel":"a"}"#, "none is a map"),
        ("shared_poll_publish", "{}", "none polls"),
    ] {
        let error = ok(&rig, method, body).await;
        assert_eq!(error["error"]["code"], 108, "{method}");
        assert!(error["error"]["message"].as_str().unwrap().contains(said), "{error}");
    }
    assert_eq!(ok(&rig, "rpc", "{}").await["error"]["code"], 107);
    assert_eq!(call(&rig, "nosuch", "{}").await.status(), 404);
}

#[tokio::test]
async fn errors_are_statuses_for_those_who_ask_for_it() {
    let rig = Rig::new(RULES);
    for (method, body, status, code) in [
        ("publish", r#"{"channel":"","data":1}"#, 400, 107),
        ("history", r#"{"channel":"other"}"#, 400, 108),
        ("history", r#"{"channel":"kept","since":{"offset":1,"epoch":"x"}}"#, 416, 112),
        ("info", "{}", 200, 0),
    ] {
        let request = Request::post(format!("/api/{method}")).header("x-api-key", "k");
        let answer = rig.call(request.header("X-Centrifugo-Error-Mode", "transport"), body).await;
        assert_eq!((answer.status(), answer.json()["code"].as_u64().unwrap_or(0)), (status, code), "{method}");
    }
}

#[tokio::test]
async fn who_is_shut_out_is_written_down_until_it_is_taken_back() {
    use crate::identity::{Presented, Standing};
    let rig = Rig::new(RULES);
    let standing = |id, issued_unix| {
        let shown = Presented { user: "ann", id, issued_unix, fingerprint: None, channel: None };
        rig.surface.revocations.check(&shown, rig.surface.now_unix())
    };
    for (method, body, id, issued, expected) in [
        ("block_user", r#"{"user":"ann"}"#, None, Some(u64::MAX), Standing::Blocked),
        ("unblock_user", r#"{"user":"ann"}"#, None, Some(u64::MAX), Standing::Allowed),
        ("revoke_token", r#"{"uid":"t1"}"#, Some("t1"), Some(u64::MAX), Standing::Revoked),
        ("invalidate_user_tokens", r#"{"user":"ann","issued_before":100}"#, None, Some(99), Standing::Revoked),
        ("invalidate_user_tokens", r#"{"user":"ann","issued_before":90}"#, None, Some(100), Standing::Allowed),
    ] {
        assert_eq!(ok(&rig, method, body).await, json!({"result": {}}), "{method}");
        assert_eq!(standing(id, issued), expected, "{method} {body}");
    }
    for (method, body) in [
        ("block_user", "{}"),
        ("block_user", r#"{"user":""}"#),
        ("block_user", r#"{"user":"a","uid":"b"}"#),
        ("unblock_user", r#"{"user":"a","expire_at":1}"#),
        ("revoke_token", r#"{"user":"a"}"#),
        ("revoke_token", "{}"),
    ] {
        assert_eq!(ok(&rig, method, body).await["error"]["code"], 107, "{method} {body}");
    }
}

#[tokio::test]
async fn health_is_as_centrifugo_has_it() {
    let rig = Rig::new(RULES);
    let answer = rig.get("/health").await;
    assert_eq!((answer.status(), answer.json()), (200, json!({})));
}

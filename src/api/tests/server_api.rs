//! `/api/{method}`, as Centrifugo's client libraries expect it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hyper::Request;
use serde_json::{Value, json};

use super::RULES;
use crate::api::server_api::BROADCAST_LIMIT;
use crate::api::testing::{Answered, Rig};
use crate::hub::{Kind, Letter, WorkerId};

async fn call(rig: &Rig, method: &str, body: impl Into<String>) -> Answered {
    let request = Request::post(format!("/api/{method}")).header("x-api-key", "k");
    rig.call(request, body.into()).await
}

async fn ok(rig: &Rig, method: &str, body: impl Into<String>) -> Value {
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
        (r#"{"channel":"a","data":1,"idempotency_key":"x"}"#, "idempotency_key is not supported"),
        (r#"{"channel":"a","data":1,"tags":{"a":"b"}}"#, "tags is not supported"),
        (r#"{"channel":"a","data":1,"skip_history":true}"#, "skip_history is not supported"),
        (r#"{"channel":"a","data":1,"version":3}"#, "version is not supported"),
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
    for body in ["{", "publish", "{\"channel\":\"a\",\"data\":1}}"] {
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

//! The description for programs: every method is in it, and its examples are answered as it says.

use std::sync::Arc;

use hyper::Request;
use serde_json::Value;

use crate::api::ApiMethod;
use crate::api::testing::Rig;
use crate::hub::{ClientId, Entered, Member, Whereabouts, WorkerId};

const RULES: &str = r#"
[api]
keys = ["k"]
[[topics]]
pattern = "news"
presence = true
history = { size = 10, ttl = "1h" }
"#;

/// Ann is there, and subscribes to the news.
fn rig() -> Rig {
    let rig = Rig::new(RULES);
    let client = ClientId::random();
    let one = Whereabouts { client, worker: WorkerId(0), place: 1 };
    assert_eq!(rig.surface.hub.directory().enter("ann", one, 0), Entered::Yes);
    let topic = rig.subscribe("news", WorkerId(0));
    let (connection_info, topic_info) = (r#"{"name":"Ann"}"#.into(), bytes::Bytes::new());
    let member = Member { user: "ann".into(), client, connection_info, topic_info };
    rig.surface.hub.presence().enter(topic.id(), Arc::new(member));
    rig
}

async fn description(rig: &Rig) -> Value {
    let answer = rig.get("/api/openapi.json").await;
    assert_eq!((answer.status(), answer.header("content-type")), (200, "application/json"));
    answer.json()
}

/// Whether an answer looks like an example: names, numbers of entries, kinds of values, and the codes and texts of errors.
/// Names of clients are their ids, and epochs are what they are.
fn assert_alike(answer: &Value, example: &Value, place: &str) {
    match (answer, example) {
        (Value::Object(answer), Value::Object(example)) => {
            assert_eq!(answer.len(), example.len(), "{place}: {answer:?}");
            for (name, value) in example {
                let own = answer.get(name).or_else(|| answer.values().next().filter(|_| place.ends_with("presence")));
                let own = own.unwrap_or_else(|| panic!("{place} has no {name}: {answer:?}"));
                assert_alike(own, value, &format!("{place}.{name}"));
            }
        }
        (Value::Array(answer), Value::Array(example)) => {
            assert_eq!(answer.len(), example.len(), "{place}: {answer:?}");
            for (answer, example) in answer.iter().zip(example) {
                assert_alike(answer, example, place);
            }
        }
        (Value::Number(_), Value::Number(_)) if place.ends_with(".uptime") => {}
        (Value::String(_), Value::String(_))
            if ["epoch", "client", "uid", "version"].iter().any(|name| place.ends_with(name)) => {}
        (answer, example) => assert_eq!(answer, example, "{place}"),
    }
}

#[tokio::test]
async fn every_method_is_described_and_nothing_else_is() {
    let description = description(&rig()).await;
    let mut paths: Vec<&str> = description["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let mut methods: Vec<String> = ApiMethod::ALL.map(|method| format!("/api/{}", method.name())).into();
    paths.sort_unstable();
    methods.sort_unstable();
    assert_eq!(paths, methods);
    for (path, operation) in description["paths"].as_object().unwrap() {
        assert_eq!(operation["post"]["operationId"], path.strip_prefix("/api/").unwrap());
        assert!(operation["post"]["summary"].is_string() && operation["post"]["description"].is_string(), "{path}");
    }
}

#[tokio::test]
async fn every_example_is_answered_as_it_says() {
    let rig = rig();
    let description = description(&rig).await;
    for method in ApiMethod::ALL {
        let operation = &description["paths"][format!("/api/{}", method.name())]["post"];
        let content = if method == ApiMethod::PublishStream { "application/x-ndjson" } else { "application/json" };
        let asked = operation["requestBody"]["content"][content]["examples"].as_object().unwrap();
        let told = operation["responses"]["200"]["content"][content]["examples"].as_object().unwrap();
        assert!(!asked.is_empty() && asked.len() == told.len(), "{}", method.name());
        // In the order of the file: serde_json sorts them, and none needs another of its method before it.
        for (name, example) in asked {
            let body = match &example["value"] {
                Value::String(lines) => lines.clone(),
                value => value.to_string(),
            };
            let request = Request::post(format!("/api/{}", method.name())).header("x-api-key", "k");
            let answer = rig.call(request, body).await;
            assert_eq!((answer.status(), answer.header("content-type")), (200, content), "{} {name}", method.name());
            let place = format!("{} {name}", method.name());
            match &told[name]["value"] {
                Value::String(lines) => assert_eq!(std::str::from_utf8(&answer.body).unwrap(), lines, "{place}"),
                value => assert_alike(&answer.json(), value, &place),
            }
        }
    }
}

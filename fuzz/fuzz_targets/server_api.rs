//! Any body to a method of the server API: an answer that is JSON, line by line where there are lines, and what was accepted is
//! in the history as it was written.
#![no_main]

use std::sync::Arc;
use std::time::Instant;

use fanfare::accept::ListenerId;
use fanfare::admin::counters::Counters;
use fanfare::api::{self, Surface};
use fanfare::config::{ByteSize, Config, History, TopicRules};
use fanfare::hub::{Hub, Mailbox};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::runtime::Runtime;

/// The last segment of the path; the empty one is that of the old style. Sixteen, so that `'0'` is the first.
const METHODS: [&str; 16] = [
    "/publish",
    "/broadcast",
    "/history",
    "/info",
    "/subscribe",
    "/unsubscribe",
    "/disconnect",
    "/refresh",
    "/presence",
    "/presence_stats",
    "/history_remove",
    "/channels",
    "/batch",
    "/publish_stream",
    "/revoke_token",
    "",
];

#[derive(Deserialize)]
struct Sent<'a> {
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Summary {
    lines: Option<u64>,
    published: Option<u64>,
    failed: Option<u64>,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    result: Option<Outcome<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Outcome<'a> {
    offset: Option<u64>,
    #[serde(default, borrow)]
    publications: Vec<Publication<'a>>,
}

#[derive(Deserialize)]
struct Publication<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    b64data: Option<&'a RawValue>,
}

struct Rig {
    runtime: Runtime,
    surface: Surface,
}

impl Rig {
    /// Anew for each input: what one leaves behind must not change what another does.
    fn new() -> Self {
        let mut config = Config::default();
        config.api.keys = vec!["key".to_owned()];
        config.limits.topics = 8;
        config.limits.message = ByteSize(1024);
        let history = History { size: 3, ..History::default() };
        config.topics = vec![TopicRules { pattern: "k*".to_owned(), history, presence: true, ..TopicRules::default() }];
        let config = Arc::new(config);
        let mailbox = Mailbox::new(config.limits.mailbox.bytes(), Box::new(|| {}));
        let hub = Hub::new(&config, vec![Arc::new(mailbox)]);
        let surface = Surface::new(hub, config, Arc::new(Counters::new(1)), Instant::now(), false).expect("a surface");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        Self { runtime, surface }
    }

    fn call(&self, method: &str, body: &[u8]) -> (StatusCode, Bytes) {
        let request = Request::post(format!("/api{method}")).header("X-API-Key", "key");
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).expect("a request");
        self.runtime.block_on(async {
            let (head, body) = api::serve(&self.surface, self.surface.reach(ListenerId(0)), request).await.into_parts();
            (head.status, body.collect().await.expect("a whole body").to_bytes())
        })
    }
}

fuzz_target!(|input: (u8, &[u8])| {
    let (method, body) = input;
    let method = METHODS[usize::from(method) % METHODS.len()];
    let rig = Rig::new();
    let before = rig.call("/publish", br#"{"channel":"k","data":"before"}"#);
    assert_eq!(before.0, StatusCode::OK);
    let (status, answer) = rig.call(method, body);
    let text = std::str::from_utf8(&answer).expect("JSON is UTF-8");
    if status != StatusCode::OK {
        assert!(matches!(status.as_u16(), 400 | 413 | 503), "{status}");
        serde_json::from_str::<serde_json::Value>(text).expect("a problem is JSON");
        return;
    }
    match method {
        "/publish" | "/history" => {
            let answer: Answer = serde_json::from_str(text).expect("an answer");
            assert_ne!(answer.result.is_some(), answer.error.is_some());
        }
        "/publish_stream" => {
            let answers: Vec<Summary> =
                text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
            let Summary { lines, published, failed } = answers.last().expect("a line about all");
            assert!(lines.is_none_or(|lines| published.unwrap_or(0) + failed.unwrap_or(0) <= lines));
        }
        // A line for each command.
        "" => assert!(text.lines().all(|line| serde_json::from_str::<&RawValue>(line).is_ok())),
        _ => {
            serde_json::from_str::<&RawValue>(text).expect("JSON");
        }
    }
    // Whatever was accepted on the topic `k` is the last of its history, byte for byte.
    let (_, kept) = rig.call("/history", br#"{"channel":"k","limit":1,"reverse":true}"#);
    let kept: Answer = serde_json::from_slice(&kept).expect("an answer");
    let kept = kept.result.expect("a result");
    // Several methods at once may do anything, and history may be removed.
    let Some(last) = kept.publications.first() else { return };
    if kept.offset != Some(1) && !matches!(method, "/publish" | "/broadcast") {
        return;
    }
    if kept.offset == Some(1) {
        assert_eq!(last.data.map(RawValue::get), Some("\"before\""));
    } else if last.b64data.is_none() {
        let sent: Sent = serde_json::from_slice(body).expect("it was accepted");
        assert_eq!(last.data.map(RawValue::get), sent.data.map(RawValue::get));
    }
});

//! Metrics and health: the page is well-formed, and what happens moves its counters.

use std::collections::BTreeMap;

use crate::authority::{Authority, Signed};
use crate::client::Http;
use crate::deadline::eventually;
use crate::hub::{TestHub, root};

const CONFIG: &str = "[[topics]]\npattern = \"*\"\npublish = \"anyone\"\nhistory = { size = 10 }\n";

/// Reads an OpenMetrics page: every line is a comment of a known kind or a sample, samples stand behind the type of
/// their family, and the page ends as it should.
#[track_caller]
fn read(page: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut family = (String::new(), String::new());
    assert!(page.ends_with("# EOF\n"), "the page has no end");
    for line in page.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            match (words.next().unwrap(), words.next(), words.next()) {
                ("EOF", None, None) | ("HELP" | "UNIT", Some(_), Some(_)) => {}
                ("TYPE", Some(name), Some(kind)) => family = (name.to_owned(), kind.to_owned()),
                other => panic!("unknown comment {other:?}"),
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("not a sample: {line}"));
        let value = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
        let bare = name.split('{').next().unwrap();
        assert!(bare.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'), "{line}");
        let suffix = bare.strip_prefix(&*family.0).unwrap_or_else(|| panic!("{bare} does not belong to {family:?}"));
        match family.1.as_str() {
            "counter" => assert_eq!(suffix, "_total", "{line}"),
            "gauge" => assert_eq!(suffix, "", "{line}"),
            "histogram" => assert!(matches!(suffix, "_sum" | "_count" | "_bucket"), "{line}"),
            other => panic!("unknown type {other}"),
        }
        assert!(samples.insert(name.to_owned(), value).is_none(), "{name} stands there twice");
    }
    samples
}

#[track_caller]
fn metrics(http: &mut Http) -> BTreeMap<String, f64> {
    let page = http.get("/metrics");
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    read(page.text())
}

#[test]
fn every_documented_name_is_there() {
    // With a listener that speaks TLS and a hook: what is told of certificates and breakers is there only with some.
    let authority = Authority::new();
    let Signed { certificate, key } = authority.sign("hub", &["hub.example"]);
    let files = format!("certificate = {certificate:?}, key = {key:?}");
    let listener = format!("[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = {{ certificates = [{{ {files} }}] }}\n");
    let hub = TestHub::start(2, &format!("{CONFIG}{listener}[hooks]\nrpc = \"http://127.0.0.1:9/\"\n"));
    let samples = metrics(&mut hub.http());
    let documentation = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let documented: Vec<&str> =
        documentation.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(documented.len() > 20, "the table is not found");
    for name in documented {
        let is_of_it = |bare: &str| bare == name || bare.strip_suffix("_count") == Some(name);
        assert!(samples.keys().any(|one| one.split('{').next().is_some_and(is_of_it)), "{name} is not on the page");
    }
}

#[test]
fn what_happens_moves_the_counters() {
    let hub = TestHub::start(2, CONFIG);
    let mut http = hub.http();
    let before = metrics(&mut http);
    let mut subscribers: Vec<_> = (0..3).map(|_| hub.websocket("/topics/news")).collect();
    let mut stream = hub.events("/topics/news");
    http.publish("news", "by http");
    subscribers[0].send_text("by client");
    for subscriber in &mut subscribers {
        assert_eq!((subscriber.text(), subscriber.text()), ("by http".into(), "by client".into()));
    }
    assert_eq!((stream.event().data, stream.event().data), ("by http".into(), "by client".into()));
    assert_eq!(http.get("/nowhere").status, 404);
    let expected = [
        ("fanfare_messages_published_total{source=\"http\"}", 1.0),
        ("fanfare_messages_published_total{source=\"client\"}", 1.0),
        ("fanfare_deliveries_total{protocol=\"topic\"}", 6.0),
        ("fanfare_deliveries_total{protocol=\"sse\"}", 2.0),
        ("fanfare_connections{protocol=\"topic\"}", 3.0),
        ("fanfare_connections{protocol=\"sse\"}", 1.0),
        ("fanfare_connections_opened_total{protocol=\"topic\"}", 3.0),
        ("fanfare_subscriptions", 4.0),
        ("fanfare_topics", 1.0),
        ("fanfare_history_messages", 2.0),
        ("fanfare_handshakes_refused_total{code=\"unknown-path\"}", 1.0),
        ("fanfare_deliveries_lost_total{policy=\"disconnect\"}", 0.0),
        ("fanfare_session_panics_total", 0.0),
    ];
    let mut after = BTreeMap::new();
    eventually("the counters have moved", || {
        after = metrics(&mut http);
        expected.iter().all(|(name, moved)| after[*name] - before[*name] == *moved)
    });
    // 6 frames of 2 + 7 and 2 + 9 bytes, half of each.
    assert_eq!(after["fanfare_delivered_bytes_total{protocol=\"topic\"}"], f64::from(3 * (2 + 7) + 3 * (2 + 9)));
    subscribers.clear();
    eventually("those who went are counted", || {
        let now = metrics(&mut http);
        now["fanfare_connections{protocol=\"topic\"}"] == 0.0
            && now["fanfare_connections_closed_total{protocol=\"topic\",reason=\"gone\"}"] == 3.0
    });
    assert_eq!(metrics(&mut http)["fanfare_ready"], 1.0);
}

#[test]
fn health_is_ready_and_live() {
    let hub = TestHub::start(4, CONFIG);
    let mut http = hub.http();
    assert_eq!(http.get("/health/live").status, 200);
    assert_eq!(http.get("/health/ready").json()["status"], "ready");
    // Readiness sends a letter through every mailbox and leaves nothing behind.
    for _ in 0..100 {
        assert_eq!(http.get("/health/ready").status, 200);
    }
    let samples = metrics(&mut http);
    for worker in 0..4 {
        assert_eq!(samples[&format!("fanfare_worker_mailbox_depth{{worker=\"{worker}\"}}")], 0.0);
    }
}

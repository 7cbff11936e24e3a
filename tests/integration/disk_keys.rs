//! Idempotency keys of topics on disk: a publish that is repeated after the hub has died is not published twice, and is told no
//! position that was another's.

use std::path::Path;

use rustix::process::{Resource, Rlimit, Signal, prlimit};
use serde_json::{Value, json};

use crate::child::Process;
use crate::client::{Http, WebSocket};
use crate::deadline::eventually;

fn config(directory: &Path, sync: &str) -> String {
    let path = directory.join("history.redb");
    format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\ndrain = \"5s\"\n[api]\nkeys = [\"k\"]\n\
         [history]\npath = \"{}\"\nsync = \"{sync}\"\n\
         [[topics]]\npattern = \"disk*\"\nhistory = {{ size = 1000, store = \"disk\" }}\n\
         [[topics]]\npattern = \"*\"\nhistory = {{ size = 1000 }}\n",
        path.display()
    )
}

/// Publishes over the server API; `None` while the disk takes nothing.
fn try_publish(hub: &Process, topic: &str, data: &str, key: &str) -> Option<Value> {
    let body = json!({"channel": topic, "data": data, "idempotency_key": key}).to_string();
    let mut http = Http::connect(hub.address);
    let answer = http.request("POST", "/api/publish", &[("X-API-Key", "k")], body.as_bytes());
    if answer.status == 503 {
        assert_eq!(answer.code(), "history-unavailable");
        return None;
    }
    assert_eq!(answer.status, 200, "{answer:?}");
    Some(answer.json())
}

#[track_caller]
fn publish(hub: &Process, topic: &str, data: &str, key: &str) -> Value {
    try_publish(hub, topic, data, key).expect("it is published")
}

/// Offset and epoch.
#[track_caller]
fn place(answer: &Value) -> (u64, u64) {
    let result = &answer["result"];
    assert!(result.is_object(), "{answer}");
    (result["offset"].as_u64().unwrap(), result["epoch"].as_str().unwrap().parse().unwrap())
}

/// All that is kept of a topic: its epoch, and payloads by their offsets.
fn history(hub: &Process, topic: &str) -> (u64, Vec<(u64, Value)>) {
    let body = json!({"channel": topic, "limit": -1}).to_string();
    let mut http = Http::connect(hub.address);
    let answer = http.request("POST", "/api/history", &[("X-API-Key", "k")], body.as_bytes()).json();
    let publications = answer["result"]["publications"].as_array().unwrap();
    let kept = publications.iter().map(|one| (one["offset"].as_u64().unwrap(), one["data"].clone())).collect();
    (answer["result"]["epoch"].as_str().unwrap().parse().unwrap(), kept)
}

fn die(hub: &mut Process, signal: Signal) {
    hub.signal(signal);
    hub.exit_code();
}

#[test]
fn a_publish_that_is_repeated_after_kill_9_is_answered_with_its_place_and_published_once() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), "always");
    let mut hub = Process::start(&config);
    let first = publish(&hub, "disk-a", "1", "k");
    let other = publish(&hub, "disk-b", "1", "k");
    assert_eq!(place(&publish(&hub, "disk-a", "2", "l")).0, 2);
    let memory = publish(&hub, "memory", "1", "k");
    for round in 0..3 {
        die(&mut hub, if round == 2 { Signal::TERM } else { Signal::KILL });
        hub = Process::start(&config);
        let mut subscriber = WebSocket::open(hub.address, "/topics/disk-a?format=json");
        assert_eq!(publish(&hub, "disk-a", "again", "k"), first);
        assert_eq!(publish(&hub, "disk-b", "again", "k"), other, "of another topic");
        // What comes first to who listens is what was published next.
        assert_eq!(place(&publish(&hub, "disk-a", "new", &format!("new {round}"))), (3 + round, place(&first).1));
        assert_eq!(subscriber.json()["offset"], 3 + round);
    }
    assert_eq!(history(&hub, "disk-a").1.len(), 5);
    // Topics in memory begin anew, and so do their keys.
    let anew = publish(&hub, "memory", "again", "k");
    assert!(place(&anew).1 > place(&memory).1 && place(&anew).0 == 1, "{anew}");
}

#[test]
fn with_an_interval_kill_9_takes_a_key_with_its_publication_or_leaves_both() {
    // Longer than the test takes: nothing is written before the end.
    let directory = tempfile::tempdir().unwrap();
    let lazy = config(directory.path(), "60s");
    let mut hub = Process::start(&lazy);
    place(&publish(&hub, "disk", "kept", "kept"));
    die(&mut hub, Signal::TERM);
    let mut hub = Process::start(&lazy);
    let kept = place(&publish(&hub, "disk", "again", "kept"));
    let lost = place(&publish(&hub, "disk", "lost", "lost"));
    assert_eq!((kept.0, lost.0), (1, 2));
    die(&mut hub, Signal::KILL);
    let hub = Process::start(&lazy);
    // A key that is there stands where its publication stands now, in the new epoch.
    let again = place(&publish(&hub, "disk", "again", "kept"));
    assert_eq!(again.0, kept.0);
    assert!(again.1 > kept.1);
    // One that is not there is published, and its old place is nobody's in the new epoch.
    let found = place(&publish(&hub, "disk", "found", "lost"));
    assert_eq!(found, (2, again.1));
    assert_eq!(history(&hub, "disk"), (again.1, vec![(1, "kept".into()), (2, "found".into())]));
}

#[test]
fn a_key_whose_publication_a_full_disk_refused_is_free() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), "always");
    let mut hub = Process::start_under("trap '' XFSZ && ulimit -S -f 4096", &config);
    let payload = "x".repeat(20_000);
    let mut accepted = 0;
    let refused = (0..1_000).find(|n| {
        let answer = try_publish(&hub, "disk", &payload, &n.to_string());
        accepted += u64::from(answer.is_some());
        answer.is_none()
    });
    let refused = refused.expect("the disk is never full").to_string();
    let unlimited = Rlimit { current: None, maximum: None };
    prlimit(Some(hub.id()), Resource::Fsize, unlimited).unwrap();
    let mut first = Value::Null;
    eventually("the disk takes something again", || {
        first = try_publish(&hub, "disk", "after", &refused).unwrap_or_default();
        first.is_object()
    });
    assert_eq!(place(&first).0, accepted + 1);
    assert_eq!(publish(&hub, "disk", "again", &refused), first);
    die(&mut hub, Signal::KILL);
    let hub = Process::start(&config);
    assert_eq!(publish(&hub, "disk", "again", &refused), first);
    assert_eq!(place(&publish(&hub, "disk", "again", "0")).0, 1);
    assert_eq!(history(&hub, "disk").1.len() as u64, accepted + 1);
}

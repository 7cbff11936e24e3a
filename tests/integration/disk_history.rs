//! History on disk: what was acknowledged outlives the process, however it ends; and who comes back is told the truth.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::mpsc;
use std::thread;

use rustix::process::{Resource, Rlimit, Signal, prlimit};

use crate::child::{Process, binary, config_file};
use crate::client::{Http, WebSocket};
use crate::deadline::eventually;

const TOPICS: [&str; 3] = ["disk-a", "disk-b", "disk-c"];

fn config(directory: &Path, sync: &str) -> String {
    let path = directory.join("history.redb");
    format!(
        "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\ndrain = \"5s\"\n[history]\npath = \"{}\"\nsync = \"{sync}\"\n\
         [[topics]]\npattern = \"disk*\"\npublish = \"anyone\"\nhistory = {{ size = 100000, store = \"disk\" }}\n\
         [[topics]]\npattern = \"*\"\npublish = \"anyone\"\nhistory = {{ size = 1000 }}\n",
        path.display()
    )
}

fn split(position: &str) -> (u64, u64) {
    let (epoch, offset) = position.split_once(':').unwrap();
    (epoch.parse().unwrap(), offset.parse().unwrap())
}

/// Everything that is kept of a topic: its epoch, and payloads by offset.
fn history(hub: &Process, topic: &str) -> (u64, BTreeMap<u64, String>) {
    let mut socket = WebSocket::open(hub.address, &format!("/topics/{topic}?history=1000000&format=json"));
    let top = Http::connect(hub.address).get(&format!("/topics/{topic}")).json()["offset"].as_u64().unwrap();
    let (mut epoch, mut kept) = (0, BTreeMap::new());
    while kept.last_key_value().is_none_or(|(&last, _)| last < top) && top > 0 {
        let line = socket.json();
        epoch = line["epoch"].as_str().unwrap().parse().unwrap();
        kept.insert(line["offset"].as_u64().unwrap(), line["data"].as_str().unwrap().to_owned());
    }
    (epoch, kept)
}

/// Publishes numbered payloads on all topics, each from a thread of its own, until the hub is gone; tells what was
/// acknowledged, with its position.
fn publish_until_it_is_gone(hub: &Process, round: u32, acknowledged: &mpsc::Sender<(usize, String, String)>) {
    for (topic, name) in TOPICS.into_iter().enumerate() {
        let (address, acknowledged) = (hub.address, acknowledged.clone());
        // Ends by a panic of its client, when the socket does.
        thread::spawn(move || {
            let mut http = Http::connect(address);
            for n in 0.. {
                let payload = format!("{round}-{n}");
                let position = http.publish(name, &payload);
                if acknowledged.send((topic, position, payload)).is_err() {
                    return;
                }
            }
        });
    }
}

#[test]
fn what_was_acknowledged_is_there_after_kill_9_at_its_place_and_is_recovered() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), "always");
    let mut known: BTreeMap<(usize, u64), String> = BTreeMap::new();
    let mut epochs: BTreeMap<usize, u64> = BTreeMap::new();
    // Where a subscriber of the first topic stopped listening.
    let mut left_at: Option<String> = None;
    for round in 0..5 {
        let mut hub = Process::start(&config);
        for (topic, name) in TOPICS.into_iter().enumerate() {
            let (epoch, kept) = history(&hub, name);
            assert!(round == 0 || epochs[&topic] == epoch, "the epoch is another");
            for ((_, offset), payload) in known.range((topic, 0)..(topic + 1, 0)) {
                assert_eq!(kept.get(offset), Some(payload), "{name} {offset}");
            }
            let last = kept.last_key_value().map_or(0, |(&last, _)| last);
            assert!(kept.keys().copied().eq(1..=last), "a gap");
            // What was on its way when the hub was killed may be there. From now on it stays there, too.
            known.extend(kept.into_iter().map(|(offset, payload)| ((topic, offset), payload)));
        }
        let mut subscriber = match &left_at {
            None => WebSocket::open(hub.address, &format!("/topics/{}?format=json", TOPICS[0])),
            Some(position) => {
                let mut socket =
                    WebSocket::open(hub.address, &format!("/topics/{}?since={position}&format=json", TOPICS[0]));
                let notice = socket.json();
                assert_eq!(notice["recovered"], true, "{notice}");
                socket
            }
        };
        let (acknowledge, acknowledged) = mpsc::channel();
        publish_until_it_is_gone(&hub, round, &acknowledge);
        drop(acknowledge);
        for (topic, position, payload) in acknowledged.iter().take(150 + 37 * round as usize) {
            note(&mut known, &mut epochs, topic, &position, payload);
        }
        // What the subscriber gets goes on where it left, without a gap and without a double.
        let first = left_at.as_deref().map_or(1, |position| split(position).1 + 1);
        for expected in first..first + 40 {
            let line = subscriber.json();
            assert_eq!(line["offset"].as_u64(), Some(expected));
            let payload = line["data"].as_str().unwrap();
            let noted = known.entry((0, expected)).or_insert_with(|| payload.to_owned());
            assert_eq!(noted, payload, "the payload at {expected} is another");
            left_at = Some(format!("{}:{expected}", line["epoch"].as_str().unwrap()));
        }
        hub.signal(Signal::KILL);
        hub.exit_code();
        // Acknowledged in the moment before.
        for (topic, position, payload) in acknowledged {
            note(&mut known, &mut epochs, topic, &position, payload);
        }
    }
}

fn note(
    known: &mut BTreeMap<(usize, u64), String>,
    epochs: &mut BTreeMap<usize, u64>,
    topic: usize,
    position: &str,
    payload: String,
) {
    let (epoch, offset) = split(position);
    assert_eq!(*epochs.entry(topic).or_insert(epoch), epoch);
    let noted = known.entry((topic, offset)).or_insert_with(|| payload.clone());
    assert_eq!(*noted, payload, "offset {offset} was given twice");
}

#[test]
fn with_an_interval_kill_9_begins_new_epochs_and_an_end_in_order_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), "50ms");
    let mut hub = Process::start(&config);
    let positions: Vec<String> = (0..20).map(|n| Http::connect(hub.address).publish("disk", n.to_string())).collect();
    hub.signal(Signal::TERM);
    assert_eq!(hub.exit_code(), Some(0));
    let mut hub = Process::start(&config);
    let since = |hub: &Process, position: &str| {
        WebSocket::open(hub.address, &format!("/topics/disk?since={position}&format=json"))
    };
    let mut socket = since(&hub, &positions[17]);
    assert_eq!(socket.json()["recovered"], true);
    assert_eq!((socket.json()["data"].clone(), socket.json()["data"].clone()), ("18".into(), "19".into()));
    let last = Http::connect(hub.address).publish("disk", "20");
    assert_eq!(split(&last), (split(&positions[0]).0, 21));
    hub.signal(Signal::KILL);
    hub.exit_code();
    let hub = Process::start(&config);
    for position in [&positions[17], &last] {
        let notice = since(&hub, position).json();
        assert_eq!(notice["recovered"], false, "{notice}");
    }
    // What is on disk is told to those who ask for it, under the new epoch.
    let (epoch, kept) = history(&hub, "disk");
    assert!(epoch > split(&last).0);
    assert!(kept.len() >= 20 && kept.iter().all(|(offset, data)| (offset - 1).to_string() == *data), "{kept:?}");
}

#[test]
fn topics_in_memory_begin_anew_beside_those_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), "always");
    let mut hub = Process::start(&config);
    let mut http = Http::connect(hub.address);
    let (memory, disk) = (http.publish("memory", "a"), http.publish("disk", "a"));
    hub.signal(Signal::TERM);
    assert_eq!(hub.exit_code(), Some(0));
    let hub = Process::start(&config);
    for (position, topic, recovered) in [(memory, "memory", false), (disk, "disk", true)] {
        let notice = WebSocket::open(hub.address, &format!("/topics/{topic}?since={position}&format=json")).json();
        assert_eq!(notice["recovered"], recovered, "{topic}");
    }
}

fn output(config: &str) -> Output {
    let (_directory, file) = config_file(config);
    let mut command: Command = binary();
    command.arg("--config").arg(file).output().unwrap()
}

#[test]
fn a_damaged_store_is_refused_with_its_name_and_a_way_out_and_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), "always");
    let mut hub = Process::start(&config);
    let mut http = Http::connect(hub.address);
    for n in 0..200 {
        http.publish("disk", format!("{n}: {}", "payload ".repeat(100)));
    }
    hub.signal(Signal::TERM);
    assert_eq!(hub.exit_code(), Some(0));
    let path = directory.path().join("history.redb");
    let whole = std::fs::read(&path).unwrap();
    let at = whole.windows(8).rposition(|window| window == b"payload ").unwrap();
    let mut damaged = whole.clone();
    damaged[at] ^= 1;
    for damaged in [damaged, b"not a store at all".to_vec(), whole[..whole.len() / 2].to_vec()] {
        std::fs::write(&path, &damaged).unwrap();
        let refused = output(&config);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains("history.redb") && said.contains("move the file away"), "{said}");
    }
    std::fs::write(&path, whole).unwrap();
    let mut hub = Process::start(&config);
    // Another hub cannot have it as well.
    let refused = output(&config);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("another process has it open"), "{said}");
    assert_eq!(history(&hub, "disk").1.len(), 200);
    hub.signal(Signal::TERM);
    assert_eq!(hub.exit_code(), Some(0));
}

#[test]
fn a_full_disk_refuses_topics_on_disk_alone_and_they_go_on_when_it_has_room() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), "always");
    // No file may be longer than 2 MiB: what is written beyond fails, as on a full disk.
    let mut hub = Process::start_under("trap '' XFSZ && ulimit -S -f 4096", &config);
    let mut http = Http::connect(hub.address);
    let payload = "x".repeat(20_000);
    let mut subscriber = WebSocket::open(hub.address, "/topics/disk?format=json");
    let mut last = None;
    let refused = (0..1_000).find_map(|_| {
        let answer = http.post("/topics/disk", &payload);
        if answer.status == 503 {
            return Some(answer);
        }
        assert_eq!(answer.status, 200);
        last = Some(answer.position());
        None
    });
    let refused = refused.expect("the disk is never full");
    assert_eq!(refused.code(), "history-unavailable");
    assert!(refused.header("retry-after").is_some());
    for _ in 0..20 {
        assert_eq!(http.post("/topics/disk", "y").code(), "history-unavailable");
        http.publish("memory", "goes on");
    }
    let failures = metric(&mut http, "fanfare_history_disk_failures_total");
    assert!(failures >= 1.0, "{failures}");
    let unlimited = Rlimit { current: None, maximum: None };
    prlimit(Some(hub.id()), Resource::Fsize, unlimited).unwrap();
    eventually("the disk takes something again", || http.post("/topics/disk", "after").status == 200);
    let (epoch, offset) = split(&last.unwrap());
    // Nothing that was refused has a place, and nothing that was acknowledged lost its own.
    for expected in 1..=offset + 1 {
        let line = subscriber.json();
        assert_eq!((line["offset"].as_u64(), line["epoch"].as_str()), (Some(expected), Some(&*epoch.to_string())));
        assert_eq!(line["data"] == "after", expected == offset + 1);
    }
    hub.signal(Signal::KILL);
    hub.exit_code();
    let hub = Process::start(&config);
    let (kept_epoch, kept) = history(&hub, "disk");
    assert_eq!((kept_epoch, kept.len() as u64), (epoch, offset + 1));
}

#[test]
fn with_an_interval_what_a_full_disk_did_not_take_waits_and_is_written_when_it_has_room() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path(), "20ms");
    let mut hub = Process::start_under("trap '' XFSZ && ulimit -S -f 4096", &config);
    let mut http = Http::connect(hub.address);
    let payload = "x".repeat(20_000);
    let mut last = None;
    eventually("the disk is full", || {
        let answer = http.post("/topics/disk", &payload);
        if answer.status == 200 {
            last = Some(answer.position());
        }
        answer.status == 503
    });
    http.publish("memory", "goes on");
    let unlimited = Rlimit { current: None, maximum: None };
    prlimit(Some(hub.id()), Resource::Fsize, unlimited).unwrap();
    eventually("the disk takes something again", || http.post("/topics/disk", "after").status == 200);
    hub.signal(Signal::TERM);
    assert_eq!(hub.exit_code(), Some(0));
    let hub = Process::start(&config);
    let (epoch, offset) = split(&last.unwrap());
    let (kept_epoch, kept) = history(&hub, "disk");
    assert_eq!((kept_epoch, kept.len() as u64), (epoch, offset + 1));
    assert!(kept.iter().all(|(&at, data)| (data == "after") == (at == offset + 1)));
}

fn metric(http: &mut Http, name: &str) -> f64 {
    let page = http.get("/metrics").text().to_owned();
    let line = page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}: {page}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn clients_that_publish_on_a_topic_on_disk_reach_it_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let hub = Process::start(&config(directory.path(), "always"));
    let mut publisher = WebSocket::open(hub.address, "/topics/disk?format=json");
    for n in 0..200 {
        publisher.send_text(&n.to_string());
    }
    for n in 0..200_u64 {
        let line = publisher.json();
        assert_eq!((line["data"].as_str(), line["offset"].as_u64()), (Some(n.to_string().as_str()), Some(n + 1)));
    }
}

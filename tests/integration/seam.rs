//! The seam: who joins with history while others publish gets what was kept and then what is new, without a gap and
//! without a duplicate between the two.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use crate::client::{Events, WebSocket};
use crate::hub::TestHub;

const JOINS: usize = 1000;
const JOINERS: usize = 4;

/// What a joiner reads behind the moment of its join.
const LIVE: u64 = 15;

const CONFIG: &str = "[[topics]]\npattern = \"*\"\npublish = \"anyone\"\nhistory = { size = 100000 }\n\
    slow_consumer = { lag = \"8MiB\" }\n[limits]\nhistory_total = \"64MiB\"\n";

/// Where a joiner stopped reading.
#[derive(Debug, Clone)]
struct Place {
    epoch: String,
    offset: u64,
}

/// Takes in one publication: it has to be the next one.
#[track_caller]
fn next(place: &mut Place, line: &serde_json::Value) {
    let offset = line["offset"].as_u64().unwrap_or_else(|| panic!("not a publication: {line}"));
    assert_eq!(offset, place.offset + 1, "a gap or a duplicate");
    assert_eq!(line["data"].as_str().unwrap(), format!("number {offset}"), "offset and content do not belong together");
    place.offset = offset;
}

/// Comes back to a WebSocket where it left off: a notice, then exactly what was missed, then what is new.
fn resume_socket(hub: &TestHub, place: &mut Place) {
    let mut socket = hub.websocket(&format!("/topics/news?since={}:{}&format=json", place.epoch, place.offset));
    let notice = socket.json();
    assert_eq!(notice["recovered"], true, "{notice}");
    let joined_at = notice["offset"].as_u64().unwrap();
    assert!(joined_at >= place.offset, "joined before where it was");
    while place.offset < joined_at + LIVE {
        next(place, &socket.json());
    }
}

/// Comes to a WebSocket for the last publications, and what is new.
fn join_with_history(hub: &TestHub, place: &mut Place) {
    let mut socket: WebSocket = hub.websocket("/topics/news?history=20&format=json");
    let first = socket.json();
    place.offset = first["offset"].as_u64().unwrap() - 1;
    next(place, &first);
    for _ in 0..20 + LIVE {
        next(place, &socket.json());
    }
}

/// Comes back to an event stream as a browser does.
fn resume_stream(hub: &TestHub, place: &mut Place) {
    let id = format!("{}:{}", place.epoch, place.offset);
    let mut stream = Events::resume(hub.address(), "/topics/news", &id);
    let notice = stream.event();
    assert_eq!((notice.name.as_str(), notice.json()["recovered"].as_bool()), ("recovered", Some(true)));
    let joined_at = notice.json()["offset"].as_u64().unwrap();
    while place.offset < joined_at + LIVE {
        let event = stream.event();
        place.offset += 1;
        assert_eq!(event.id, format!("{}:{}", place.epoch, place.offset), "a gap or a duplicate");
        assert_eq!(event.data, format!("number {}", place.offset));
    }
}

#[test]
fn a_thousand_joins_while_publishing_continue_exactly() {
    let hub = TestHub::start(3, CONFIG);
    let first = hub.publish("news", "number 1");
    let (epoch, _) = first.split_once(':').unwrap();
    let mut publisher = hub.http();
    for n in 2..=100 {
        publisher.publish("news", format!("number {n}"));
    }
    let (over, joined) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let joiners: Vec<_> = (0..JOINERS)
            .map(|joiner| {
                let (hub, joined) = (&hub, &joined);
                scope.spawn(move || {
                    let mut place = Place { epoch: epoch.to_owned(), offset: 90 };
                    for n in 0..JOINS / JOINERS {
                        match (n + joiner) % 4 {
                            0 => join_with_history(hub, &mut place),
                            1 | 3 => resume_socket(hub, &mut place),
                            _ => resume_stream(hub, &mut place),
                        }
                        joined.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            for n in 101.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                publisher.publish("news", format!("number {n}"));
            }
        });
        let ended: Vec<_> = joiners.into_iter().map(thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::Relaxed);
        for joiner in ended {
            if let Err(panic) = joiner {
                std::panic::resume_unwind(panic);
            }
        }
    });
    assert_eq!(joined.into_inner(), JOINS);
    let complete = hub.counters().recoveries[0].get();
    assert_eq!(complete, (JOINS / 4 * 3) as u64, "every join with a position was recovered");
}

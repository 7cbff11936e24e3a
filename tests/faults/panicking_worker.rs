//! A worker that panics outside of any session: its clients are told to reconnect and miss nothing, the shard starts
//! again, and the clients of other workers do not notice.
//!
//! The hub calls a function on a worker's thread a second after 64 handshakes, to give memory back; here it panics. What
//! a worker has in hand when it panics elsewhere is in the unit tests of `worker/restart.rs`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use fanfare::admin::counters::Protocol;
use fanfare::close_reason::CloseReason;

use crate::client::{Heard, WebSocket, masked};
use crate::deadline::{PATIENCE, eventually};
use crate::hub::TestHub;
use crate::level::descriptors;
use crate::steady::{TOPIC, alone, beside_these};

const CONFIG: &str = "drain = \"5s\"\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\nhistory = { size = 10000 }\n\
    slow_consumer = { lag = \"64MiB\" }\n[[endpoints]]\npath = \"/room\"\ntopic = \"room\"\nannounce = { join = \"came\", leave = \"went\" }\n";

/// The shard whose worker panics.
const UNLUCKY: usize = 1;

/// Whether it is to panic, once.
static ARMED: AtomicBool = AtomicBool::new(false);

fn panic_on_the_unlucky_shard() {
    let here = thread::current().name() == Some(&format!("shard-{UNLUCKY}"));
    assert!(!(here && ARMED.swap(false, Ordering::Relaxed)), "a test asks for this panic");
}

/// Something that was opened, on the shard where it was placed.
fn placed<T>(hub: &TestHub, protocol: Protocol, open: impl FnOnce() -> T) -> (usize, T) {
    let counts = || hub.counters().shards.iter().map(|shard| shard.opened[protocol.index()].get()).collect::<Vec<_>>();
    let before = counts();
    let opened = open();
    let mut shard = None;
    eventually("it is counted", || {
        shard = counts().iter().zip(&before).position(|(now, before)| now > before);
        shard.is_some()
    });
    (shard.unwrap(), opened)
}

/// `count` of them on each shard, those on the unlucky one last. Others are closed only then: each goes to the shard with
/// fewer connections.
fn on_both<T>(hub: &TestHub, protocol: Protocol, count: usize, open: impl Fn() -> T) -> (Vec<T>, Vec<T>) {
    let (mut lucky, mut unlucky) = (Vec::new(), Vec::new());
    while lucky.len() < count || unlucky.len() < count {
        let (shard, opened) = placed(hub, protocol, &open);
        let side = if shard == UNLUCKY { &mut unlucky } else { &mut lucky };
        side.push(opened);
    }
    lucky.truncate(count);
    unlucky.truncate(count);
    (lucky, unlucky)
}

fn number(text: &str) -> Option<u64> {
    text.split_once(' ').map(|(number, _)| number.parse().unwrap())
}

/// Publications that a client reads after it has come back.
const AFTERWARDS: u64 = 100;

/// Reads until the hub says that it has to reconnect, does so, and goes on where it was.
fn read_and_resume(hub: &TestHub, mut socket: WebSocket) {
    let (mut at, mut position, mut end) = (0, String::new(), u64::MAX);
    while at < end {
        match socket.hear() {
            Heard::Text(text) => {
                let line: serde_json::Value = serde_json::from_str(&text).unwrap();
                let Some(data) = line["data"].as_str() else {
                    assert_eq!(line["recovered"], true);
                    continue;
                };
                at += 1;
                assert_eq!(number(data), Some(at), "a gap or a double");
                position = format!("{}:{}", line["epoch"].as_str().unwrap(), line["offset"]);
            }
            Heard::Close(Some((1012, _))) => {
                let _ = socket.socket.try_send(&masked(0x88, &[]));
                socket.socket.shut_down_writing();
                assert_eq!(socket.hear(), Heard::End);
                assert_eq!(end, u64::MAX, "it has to reconnect a second time");
                end = at + AFTERWARDS;
                socket = hub.websocket(&format!("/topics/{TOPIC}?format=json&since={position}"));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn its_clients_resume_without_a_gap_and_others_do_not_notice() {
    let _alone = alone();
    // The first runtime of a process opens two descriptors that stay, for signals.
    TestHub::start(1, "").drain_and_join(PATIENCE).1.unwrap();
    let before = descriptors(rustix::process::getpid());
    let hub = TestHub::start_with(2, CONFIG, panic_on_the_unlucky_shard);
    let address = hub.address();
    let steady = || hub.websocket(&format!("/topics/{TOPIC}"));
    let (lucky, unlucky) = on_both(&hub, Protocol::Topic, 10, steady);
    drop(unlucky);
    let (_, unlucky) = on_both(&hub, Protocol::Topic, 10, || hub.websocket(&format!("/topics/{TOPIC}?format=json")));
    let (mut streams, mut cut_streams) = on_both(&hub, Protocol::Sse, 2, || hub.events("/topics/quiet"));
    let (_, mut plain) = on_both(&hub, Protocol::Http, 3, || {
        let mut http = hub.http();
        assert_eq!(http.get("/health/live").status, 200);
        http
    });
    let mut rooms = on_both(&hub, Protocol::Endpoint, 1, || hub.websocket("/room"));
    let mut closed_count = 0;
    thread::scope(|scope| {
        let hub = &hub;
        let readers: Vec<_> =
            unlucky.into_iter().map(|socket| scope.spawn(move || read_and_resume(hub, socket))).collect();
        let report = beside_these(address, lucky, || {
            ARMED.store(true, Ordering::Relaxed);
            let (idle, mut closed) = on_both(hub, Protocol::Topic, 70, || hub.websocket("/topics/others"));
            eventually("the worker has restarted", || hub.counters().shards[UNLUCKY].restarts.get() == 1);
            for socket in &mut closed {
                assert_eq!(socket.closed_with(), 1012);
            }
            for mut socket in idle {
                socket.assert_nothing_came();
            }
            closed_count = closed.len() + readers.len();
            for reader in readers {
                assert!(reader.join().is_ok(), "a client of the worker that panicked has a gap");
            }
        });
        report.tell(&format!("a worker that panics with {closed_count} WebSockets on it"));
    });
    // Streams end properly, so that browsers resume; plain HTTP on that shard goes on, on the same connections.
    for stream in &mut cut_streams {
        assert_eq!(stream.next(), None);
        stream.assert_closed();
    }
    for http in &mut plain {
        assert_eq!(http.get("/health/ready").status, 200);
        http.publish("quiet", "after");
    }
    for stream in &mut streams {
        assert_eq!(stream.event().data, "after");
    }
    // Who stays in the room is told of each who went: those that were not needed, and the one of the other worker.
    let went = hub.sum(|shard| &shard.opened[Protocol::Endpoint.index()]) - 1;
    let mut told = 0;
    while told < went {
        told += u64::from(rooms.0[0].text() == "went");
    }
    let restarted = || hub.closed(Protocol::Topic, CloseReason::WorkerRestarted);
    eventually("all of them are counted", || restarted() == closed_count as u64);
    let (_, mut again) = on_both(&hub, Protocol::Topic, 10, steady);
    hub.publish(TOPIC, "the next");
    again.iter_mut().for_each(|socket| assert_eq!(socket.text(), "the next"));
    drop((streams, cut_streams, plain, rooms, again));
    eventually("nothing is left", || hub.server().surface().hub.census().subscriptions == 0);
    let gauges = || hub.counters().shards.iter().flat_map(|shard| shard.connections.iter().map(|gauge| gauge.get()));
    eventually("all gauges are at 0", || gauges().all(|value| value == 0));
    hub.drain_and_join(PATIENCE).1.unwrap();
    eventually("all descriptors are closed", || descriptors(rustix::process::getpid()) <= before);
}

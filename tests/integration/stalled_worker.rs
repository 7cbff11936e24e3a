//! Backpressure: while one worker stands still its mailbox fills up, publishers wait, and nothing is lost.
//!
//! The worker stands still because a test holds it at a [`Gate`], not because it is given much to do.

use std::time::{Duration, Instant};

use fanfare::hub::WorkerId;

use crate::client::{Heard, Http, WebSocket, masked};
use crate::deadline::{PATIENCE, eventually, eventually_is};
use crate::gate::{Gate, OpenAtEnd};
use crate::hub::TestHub;

const PAYLOAD_BYTES: usize = 16 * 1024;

/// Enough for both workers to have seen 64 handshakes.
const CONNECTIONS: usize = 140;

const CONFIG: &str = "drain = \"3s\"\n[limits]\nmessage = \"64KiB\"\nmailbox = \"256KiB\"\npublish_wait = \"400ms\"\n\
    [liveness]\nping_interval = \"300d\"\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n\
    slow_consumer = { lag = \"16MiB\" }\n";

/// A hub of two workers, one of which stands still.
struct Stalled {
    /// A subscriber of `news` on the worker that works, and so are the HTTP connections.
    publisher: WebSocket,
    http: Vec<Http>,
    /// Subscribers of `news` on both workers.
    subscribers: Vec<WebSocket>,
    gate: OpenAtEnd,
    hub: TestHub,
}

fn payload(n: usize) -> String {
    format!("{n:0width$}", width = PAYLOAD_BYTES)
}

/// Whether this connection's worker answers. Asked on all at once, so that no waiting is needed for those that do not.
fn answering(sockets: Vec<WebSocket>) -> (Vec<WebSocket>, Vec<WebSocket>) {
    let mut sockets = sockets;
    for socket in &mut sockets {
        socket.send_ping(b"?");
    }
    let mut answering = Vec::new();
    eventually("half of them answer", || {
        for index in (0..sockets.len()).rev() {
            if sockets[index].socket.has_something() {
                answering.push(sockets.remove(index));
            }
        }
        answering.len() >= CONNECTIONS / 3
    });
    for socket in &mut answering {
        assert_eq!(socket.hear(), Heard::Pong(b"?".to_vec()));
    }
    (answering, sockets)
}

/// Those HTTP connections whose worker answers, at least five.
fn working(mut https: Vec<Http>) -> Vec<Http> {
    for http in &mut https {
        http.socket.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    let mut working = Vec::new();
    eventually("some HTTP connections answer", || {
        for index in (0..https.len()).rev() {
            if https[index].socket.has_something() {
                working.push(https.remove(index));
            }
        }
        working.len() >= 5
    });
    for http in &mut working {
        assert_eq!(http.response().status, 200);
    }
    working
}

fn stall(gate: &'static Gate, collect: fn()) -> Stalled {
    let opened = OpenAtEnd(gate);
    let hub = TestHub::start_with(2, CONFIG, collect);
    let sockets: Vec<_> = (0..CONNECTIONS).map(|_| hub.websocket("/topics/other")).collect();
    let mut https: Vec<_> = (0..20).map(|_| hub.http()).collect();
    for http in &mut https {
        assert_eq!(http.get("/health/live").status, 200);
    }
    let subscribers: Vec<_> = (0..6).map(|_| hub.websocket("/topics/news")).collect();
    let publishers: Vec<_> = (0..6).map(|_| hub.websocket("/topics/news")).collect();
    eventually("a worker stands still", || gate.holds_somebody());
    drop(answering(sockets));
    let working = working(https);
    let mut publishers = publishers;
    for publisher in &mut publishers {
        publisher.send_ping(b"?");
    }
    let mut publisher = eventually_is("a publisher answers", || {
        let index = publishers.iter_mut().position(|one| one.socket.has_something())?;
        Some(publishers.remove(index))
    });
    assert_eq!(publisher.hear(), Heard::Pong(b"?".to_vec()));
    // The others stay subscribed: some of them are on the worker that stands still.
    let subscribers = subscribers.into_iter().chain(publishers).collect();
    Stalled { publisher, http: working, subscribers, gate: opened, hub }
}

/// The texts that come up to the one that says `last`; pongs between them are passed over.
fn texts_through(socket: &mut WebSocket, last: usize) -> Vec<usize> {
    let mut seen = Vec::new();
    while seen.last() != Some(&last) {
        match socket.hear() {
            Heard::Text(text) => seen.push(text.parse().unwrap()),
            Heard::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
    seen
}

#[test]
fn a_websocket_publisher_is_paused_and_then_goes_on_with_nothing_lost() {
    static GATE: Gate = Gate::new();
    let mut stalled = stall(&GATE, || GATE.pass());
    // Four times what the mailbox takes.
    let count = 64;
    let frames: Vec<u8> = (1..=count).flat_map(|n| masked(0x81, payload(n).as_bytes())).collect();
    stalled.publisher.socket.send(&frames);
    let accepted = || stalled.hub.counters().published_client.get();
    eventually("the mailbox is full", || {
        let mailbox = (0..2).map(|worker| stalled.hub.server().surface().hub.mailbox(WorkerId(worker)).depth());
        mailbox.max() >= Some(256 / 16 - 2) && accepted() > 0
    });
    // A while later it still is: the publisher waits instead of getting errors or losing messages.
    let then = accepted();
    let busy = || Duration::from_nanos(stalled.hub.sum(|shard| &shard.busy_ns));
    let busy_then = busy();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(accepted(), then, "a paused publisher publishes nothing");
    let busy = busy() - busy_then;
    assert!(
        busy < Duration::from_millis(100),
        "while it waits for room its worker sleeps, not {busy:?} of 300 ms busy"
    );
    assert!(then < count as u64, "{then} fitted into 256 KiB");
    stalled.gate.0.open();
    for subscriber in stalled.subscribers.iter_mut().chain([&mut stalled.publisher]) {
        assert_eq!(texts_through(subscriber, count), (1..=count).collect::<Vec<_>>());
    }
    stalled.publisher.assert_nothing_came();
    assert_eq!(accepted(), count as u64);
}

#[test]
fn an_http_publisher_waits_and_is_then_told_when_to_come_back() {
    static GATE: Gate = Gate::new();
    let mut stalled = stall(&GATE, || GATE.pass());
    let http = &mut stalled.http[0];
    let mut acknowledged = 0;
    let refused = loop {
        let began = Instant::now();
        let answer = http.post("/topics/news", payload(acknowledged + 1));
        if answer.status != 200 {
            let waited = began.elapsed();
            assert!(waited >= Duration::from_millis(400), "it was given up after {waited:?}");
            break answer;
        }
        acknowledged += 1;
        assert!(acknowledged < 64, "more than the mailbox takes were acknowledged");
    };
    assert_eq!((refused.status, refused.code().as_str()), (503, "overloaded"));
    assert!(refused.header("retry-after").is_some());
    // One that waits when room is made is acknowledged.
    let body = payload(acknowledged + 1);
    let head = format!("POST /topics/news HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    stalled.http[1].socket.send(&[head.as_bytes(), body.as_bytes()].concat());
    stalled.gate.0.open();
    assert_eq!(stalled.http[1].response().status, 200);
    // What was acknowledged came, what was refused did not.
    for subscriber in &mut stalled.subscribers {
        assert_eq!(texts_through(subscriber, acknowledged + 1), (1..=acknowledged + 1).collect::<Vec<_>>());
    }
}

#[test]
fn publishing_to_topics_without_subscribers_there_goes_on() {
    static GATE: Gate = Gate::new();
    let mut stalled = stall(&GATE, || GATE.pass());
    for n in 0..100 {
        assert_eq!(stalled.http[0].post("/topics/nobody-is-here", payload(n)).status, 200);
    }
}

#[test]
fn more_paused_publishers_than_may_hold_input_do_not_keep_their_worker_busy_and_lose_nothing() {
    static GATE: Gate = Gate::new();
    let gate = OpenAtEnd(&GATE);
    let hub = TestHub::start_with(2, CONFIG, || GATE.pass());
    // Two clients for each topic, mostly on different workers, since each goes to the one with fewer.
    let mut pairs: Vec<[WebSocket; 2]> =
        (0..300).map(|n| [0, 1].map(|_| hub.websocket(&format!("/topics/pair-{n}")))).collect();
    eventually("a worker stands still", || gate.0.holds_somebody());
    for socket in pairs.iter_mut().flatten() {
        socket.send_ping(b"?");
    }
    let mut answers: Vec<[bool; 2]> = vec![[false; 2]; pairs.len()];
    eventually("half of them answer", || {
        for (pair, answers) in pairs.iter_mut().zip(&mut answers) {
            for (socket, answers) in pair.iter_mut().zip(answers) {
                *answers = *answers || socket.socket.has_something();
            }
        }
        answers.iter().flatten().filter(|answers| **answers).count() >= 280
    });
    // Those whose topic has a subscriber on the worker that stands still publish 128 KiB each, in all far more than
    // a worker holds for publishers that wait.
    let count = 8;
    let mut publishing = Vec::new();
    for (pair, answers) in pairs.into_iter().zip(answers) {
        let [first, second] = pair;
        let (mut publisher, subscriber) = match answers {
            [true, false] => (first, second),
            [false, true] => (second, first),
            [true, true] | [false, false] => continue,
        };
        assert_eq!(publisher.hear(), Heard::Pong(b"?".to_vec()));
        let frames: Vec<u8> = (1..=count).flat_map(|n| masked(0x81, payload(n).as_bytes())).collect();
        publisher.socket.send(&frames);
        publishing.push((publisher, subscriber));
    }
    assert!(publishing.len() > 120, "only {} topics are on both workers", publishing.len());
    let busy = || Duration::from_nanos(hub.sum(|shard| &shard.busy_ns));
    let least = (0..10).map(|_| {
        let before = busy();
        std::thread::sleep(Duration::from_millis(100));
        busy() - before
    });
    let least = least.min().unwrap();
    assert!(least < Duration::from_millis(30), "busy for {least:?} of 100 ms");
    gate.0.open();
    for (publisher, subscriber) in &mut publishing {
        for socket in [publisher, subscriber] {
            assert_eq!(texts_through(socket, count), (1..=count).collect::<Vec<_>>());
        }
    }
}

#[test]
fn announcements_that_find_no_room_are_made_when_there_is_some() {
    static GATE: Gate = Gate::new();
    let gate = OpenAtEnd(&GATE);
    let endpoint =
        "[[endpoints]]\npath = \"/room\"\ntopic = \"room\"\nannounce = { join = \"came\", leave = \"went\" }\n";
    let hub = TestHub::start_with(2, &format!("{CONFIG}{endpoint}"), || GATE.pass());
    let crowd: Vec<_> = (0..CONNECTIONS).map(|_| hub.websocket("/topics/other")).collect();
    let mut members: Vec<_> = (0..6).map(|_| hub.websocket("/topics/room")).collect();
    let mut https: Vec<_> = (0..24).map(|_| hub.http()).collect();
    for http in &mut https {
        assert_eq!(http.get("/health/live").status, 200);
    }
    eventually("a worker stands still", || gate.0.holds_somebody());
    let mut working = working(https);
    let mut filler = working.pop().unwrap();
    let mut published = 0;
    while filler.post("/topics/room", payload(published + 1)).status == 200 {
        published += 1;
    }
    assert!(published > 0);
    let mut newcomers: Vec<_> = (0..3).map(|_| WebSocket::upgrade(working.pop().unwrap().socket, "/room")).collect();
    drop(newcomers.pop());
    gate.0.open();
    for member in &mut members {
        let seen = texts_through(member, published);
        assert_eq!(seen, (1..=published).collect::<Vec<_>>());
        let mut announced: Vec<_> = (0..4).map(|_| member.text()).collect();
        announced.sort();
        assert_eq!(announced, ["came", "came", "came", "went"]);
    }
    drop(crowd);
}

#[test]
fn the_hub_is_not_ready_while_a_worker_stands_still() {
    static GATE: Gate = Gate::new();
    let mut stalled = stall(&GATE, || GATE.pass());
    let answer = stalled.http[0].get("/health/ready");
    assert_eq!(answer.status, 503);
    assert_eq!(stalled.http[0].get("/health/live").status, 200);
    stalled.gate.0.open();
    eventually("it is ready", || stalled.http[0].get("/health/ready").status == 200);
}

#[test]
fn what_a_stalled_worker_was_owed_is_delivered_before_the_drain_closes_its_clients() {
    static GATE: Gate = Gate::new();
    let mut stalled = stall(&GATE, || GATE.pass());
    for n in 1..=5 {
        stalled.http[0].publish("news", n.to_string());
    }
    stalled.hub.server().drain();
    stalled.gate.0.open();
    for subscriber in &mut stalled.subscribers {
        let mut seen = Vec::new();
        let code = loop {
            match subscriber.hear() {
                Heard::Text(text) => seen.push(text),
                Heard::Close(close) => break close.map(|(code, _)| code),
                Heard::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(seen, ["1", "2", "3", "4", "5"]);
        assert_eq!(code, Some(1001));
        let _ = subscriber.socket.try_send(&masked(0x88, &[]));
    }
    drop(stalled.http);
    stalled.hub.drain_and_join(PATIENCE).1.unwrap();
}

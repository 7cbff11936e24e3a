//! A write delay: publications of its topics wait a little and go out together, none later than that; nothing else waits.

use std::time::{Duration, Instant};

use crate::client::{Heard, WebSocket};
use crate::hub::TestHub;

const DELAY: Duration = Duration::from_millis(500);

/// What a busy machine may add to it.
const SLACK: Duration = Duration::from_secs(5);

const CONFIG: &str = "[[topics]]\npattern = \"slow*\"\npublish = \"anyone\"\nwrite_delay = \"500ms\"\n\
    [[topics]]\npattern = \"*\"\npublish = \"anyone\"\n";

/// Does something that has to be over within the delay for its outcome to mean anything: again, if the machine was busy.
#[track_caller]
fn within_the_delay<T>(mut attempt: impl FnMut() -> T) -> T {
    for _ in 0..20 {
        let began = Instant::now();
        let outcome = attempt();
        if began.elapsed() < DELAY / 2 {
            return outcome;
        }
    }
    panic!("the machine is too busy");
}

#[test]
fn many_publications_within_the_delay_come_in_one_write_and_none_later() {
    const COUNT: usize = 20;
    let hub = TestHub::start(2, CONFIG);
    let mut http = hub.http();
    let (mut socket, began) = within_the_delay(|| {
        let mut socket = hub.websocket("/topics/slow");
        let began = Instant::now();
        for n in 0..COUNT {
            // Each is acknowledged, so each is in the worker's mailbox, one after the other.
            http.publish("slow", format!("{n:02}"));
        }
        assert!(!socket.socket.has_something(), "something did not wait");
        (socket, began)
    });
    let frames: Vec<u8> = (0..COUNT).flat_map(|n| [vec![0x81, 2], format!("{n:02}").into_bytes()].concat()).collect();
    assert_eq!(socket.socket.read_once(), frames);
    assert!(began.elapsed() < DELAY + SLACK, "{:?}", began.elapsed());
    socket.assert_nothing_came();
}

#[test]
fn one_after_the_other_none_comes_later_than_the_delay() {
    let hub = TestHub::start(1, &CONFIG.replace("500ms", "20ms"));
    let mut socket = hub.websocket("/topics/slow");
    for n in 0..50 {
        let began = Instant::now();
        hub.publish("slow", n.to_string());
        assert_eq!(socket.text(), n.to_string());
        assert!(began.elapsed() < DELAY / 25 + SLACK, "{:?}", began.elapsed());
    }
}

#[test]
fn a_topic_without_delay_does_not_wait_and_takes_along_what_waits_for_the_same_client() {
    let hub = TestHub::start(1, CONFIG);
    let mut http = hub.http();
    within_the_delay(|| {
        let mut both = hub.websocket("/topics/slow?also=quick&format=json");
        let mut quick = hub.websocket("/topics/quick");
        let mut slow = hub.websocket("/topics/slow");
        http.publish("slow", "may wait");
        http.publish("quick", "may not");
        assert_eq!(quick.text(), "may not");
        let mut came = [both.json(), both.json()].map(|line| line["data"].as_str().unwrap().to_owned());
        came.sort();
        assert_eq!(came, ["may not", "may wait"]);
        assert!(!slow.socket.has_something(), "it did not wait");
    });
}

#[test]
fn a_pong_does_not_wait_and_takes_along_what_waits() {
    let hub = TestHub::start(1, CONFIG);
    let mut http = hub.http();
    within_the_delay(|| {
        let mut socket = hub.websocket("/topics/slow");
        http.publish("slow", "hello");
        socket.send_ping(b"now");
        let heard = [socket.hear(), socket.hear()];
        assert!(heard.contains(&Heard::Pong(b"now".to_vec())) && heard.contains(&Heard::Text("hello".into())));
    });
}

#[test]
fn a_drain_waits_for_no_delay_and_loses_nothing() {
    let hub = TestHub::start(2, &CONFIG.replace("500ms", "1s"));
    let mut sockets: Vec<WebSocket> = (0..10).map(|_| hub.websocket("/topics/slow")).collect();
    hub.publish("slow", "last words");
    hub.server().drain();
    for socket in &mut sockets {
        assert_eq!(socket.text(), "last words");
        assert_eq!(socket.closed_with(), 1001);
    }
}

#[test]
fn over_the_lag_limit_nothing_waits_and_nothing_is_lost() {
    // Ten publications are over the limit: without a sweep at once each further one would wait for the delay.
    let hub = TestHub::start(
        1,
        "[limits]\nmessage = \"2KiB\"\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\nwrite_delay = \"1s\"\n\
         slow_consumer = { lag = \"16KiB\" }\n",
    );
    let mut socket = hub.websocket("/topics/slow?format=json");
    let mut http = hub.http();
    let began = Instant::now();
    for n in 1..=300 {
        http.publish("slow", "x".repeat(1600));
        if n % 5 == 0 {
            // It keeps up: what it has is read before more is published, as far as it came.
            while socket.socket.has_something() && socket.json()["offset"] != n {}
        }
    }
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    http.publish("slow", "the end");
    while socket.json()["data"] != "the end" {}
}

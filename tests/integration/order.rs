//! Order: every subscriber of a topic sees the same publications in the same sequence, that of their offsets.

use std::thread;

use crate::client::{Events, WebSocket, response};
use crate::client::{Http, masked};
use crate::hub::TestHub;

const PER_PUBLISHER: usize = 200;
const TOTAL: usize = 3 * PER_PUBLISHER;

/// Publishes one request after the other.
fn publish_in_turn(mut http: Http) {
    for n in 0..PER_PUBLISHER {
        http.publish("news", format!("in-turn {n}"));
    }
}

/// Publishes requests without waiting for the answers.
fn publish_pipelined(mut http: Http) {
    for n in 0..PER_PUBLISHER {
        let body = format!("pipelined {n}");
        let length = body.len();
        let request =
            format!("POST /topics/news HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}");
        http.socket.send(request.as_bytes());
    }
    for _ in 0..PER_PUBLISHER {
        assert_eq!(response(&mut http.socket).unwrap().status, 200);
    }
}

/// Publishes over a WebSocket, many messages in one write.
fn publish_by_socket(socket: &mut WebSocket) {
    for batch in 0..PER_PUBLISHER / 20 {
        let frames = (0..20).flat_map(|n| masked(0x81, format!("socket {}", batch * 20 + n).as_bytes()));
        socket.socket.send(&frames.collect::<Vec<u8>>());
    }
}

/// What a subscriber with offsets has to see: all of them, each once, in their order.
#[track_caller]
fn assert_numbered(seen: &[(u64, String)]) {
    let offsets: Vec<u64> = seen.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, (1..=TOTAL as u64).collect::<Vec<_>>());
}

fn numbered(line: &serde_json::Value) -> (u64, String) {
    (line["offset"].as_u64().unwrap(), line["data"].as_str().unwrap().to_owned())
}

#[test]
fn two_hundred_subscribers_on_four_workers_see_three_publishers_in_one_order() {
    let hub = TestHub::start(4, "[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n");
    let mut json: Vec<WebSocket> = (0..100).map(|_| hub.websocket("/topics/news?format=json")).collect();
    let mut plain: Vec<WebSocket> = (0..79).map(|_| hub.websocket("/topics/news")).collect();
    let mut streams: Vec<Events> = (0..20).map(|_| hub.events("/topics/news")).collect();
    let mut publisher = hub.websocket("/topics/news");
    thread::scope(|scope| {
        scope.spawn(|| publish_in_turn(hub.http()));
        scope.spawn(|| publish_pipelined(hub.http()));
        scope.spawn(|| publish_by_socket(&mut publisher));
    });

    let first: Vec<(u64, String)> = (0..TOTAL).map(|_| numbered(&json[0].json())).collect();
    assert_numbered(&first);
    for name in ["in-turn", "pipelined", "socket"] {
        let of_one = first.iter().filter_map(|(_, data)| data.strip_prefix(name)?.trim().parse::<usize>().ok());
        assert!(of_one.eq(0..PER_PUBLISHER), "what {name} published is not in its order");
    }
    for subscriber in &mut json[1..] {
        let seen: Vec<_> = (0..TOTAL).map(|_| numbered(&subscriber.json())).collect();
        assert_eq!(seen, first);
    }
    for subscriber in plain.iter_mut().chain([&mut publisher]) {
        let seen: Vec<_> = (0..TOTAL).map(|_| subscriber.text()).collect();
        assert!(seen.iter().eq(first.iter().map(|(_, data)| data)), "a plain subscriber saw another order");
        subscriber.assert_nothing_came();
    }
    for stream in &mut streams {
        for (offset, data) in &first {
            let event = stream.event();
            assert_eq!(&event.data, data);
            assert!(event.id.ends_with(&format!(":{offset}")), "{} is not the id of {offset}", event.id);
        }
    }
}

#[test]
fn topics_do_not_mix() {
    let hub = TestHub::start(2, "[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n");
    let topics = ["a", "b", "c"];
    let mut subscribers: Vec<_> =
        (0..12).map(|n| (topics[n % 3], hub.websocket(&format!("/topics/{}?format=json", topics[n % 3])))).collect();
    let mut http = hub.http();
    for n in 0..90 {
        http.publish(topics[n % 3], format!("{} {n}", topics[n % 3]));
    }
    for (topic, subscriber) in &mut subscribers {
        for offset in 1..=30 {
            let line = subscriber.json();
            assert_eq!((line["topic"].as_str(), line["offset"].as_u64()), (Some(*topic), Some(offset)));
            assert!(line["data"].as_str().unwrap().starts_with(*topic));
        }
        subscriber.assert_nothing_came();
    }
}

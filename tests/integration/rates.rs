//! How fast one connection may talk: what is within its rate passes, what is over it waits or ends the connection.

use std::time::{Duration, Instant};

use fanfare::admin::counters::Protocol;
use fanfare::close_reason::CloseReason;

use crate::client::{Heard, Socket, WebSocket, masked, upgrade_request};
use crate::deadline::eventually;
use crate::hub::TestHub;

const ANYONE: &str = "[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n";

fn hub(limits: &str) -> TestHub {
    TestHub::start(1, &format!("[limits]\n{limits}\n{ANYONE}"))
}

/// Messages `0`, `1`, … in one piece, so that the hub reads them at one time.
fn numbered(count: usize) -> Vec<u8> {
    (0..count).flat_map(|number| masked(0x81, number.to_string().as_bytes())).collect()
}

/// Asserts that the messages of [`numbered`] come back in order, each once.
#[track_caller]
fn assert_numbered(socket: &mut WebSocket, count: usize) {
    for number in 0..count {
        assert_eq!(socket.text(), number.to_string());
    }
}

fn throttled(hub: &TestHub) -> u64 {
    hub.sum(|shard| &shard.throttled)
}

#[test]
fn two_seconds_worth_of_messages_passes_at_once_and_one_more_closes_if_that_is_what_is_asked() {
    let hub = hub("message_rate = 10\nover_rate = \"close\"");
    let mut within = hub.websocket("/topics/within");
    within.socket.send(&numbered(20));
    assert_numbered(&mut within, 20);
    within.assert_nothing_came();
    let mut over = hub.websocket("/topics/over");
    let mut other = hub.websocket("/topics/over");
    over.socket.send(&numbered(21));
    // It is failed at once: what it was still owed is not of interest any more.
    let last = loop {
        match over.hear() {
            Heard::Text(_) => {}
            last => break last,
        }
    };
    assert_eq!(last, Heard::Close(Some((1008, "message rate is over the limit".to_owned()))));
    eventually("it is counted", || hub.closed(Protocol::Topic, CloseReason::MessageRate) == 1);
    // The others get what was within, and no more.
    assert_numbered(&mut other, 20);
    other.assert_nothing_came();
    assert_eq!(throttled(&hub), 0);
}

#[test]
fn messages_over_the_rate_wait_and_none_is_lost() {
    let hub = hub("message_rate = 10");
    let mut socket = hub.websocket("/topics/news");
    let began = Instant::now();
    socket.socket.send(&numbered(35));
    assert_numbered(&mut socket, 35);
    // 15 over the burst take 1.5 seconds; the hub counts time in tenths.
    assert!(began.elapsed() > Duration::from_millis(1200), "{:?}", began.elapsed());
    assert!(throttled(&hub) > 0);
    socket.send_close(1000);
    assert_eq!(socket.close_code(), 1000);
}

#[test]
fn messages_that_come_with_the_handshake_count() {
    let hub = hub("message_rate = 10");
    let mut socket = Socket::connect(hub.address());
    let began = Instant::now();
    socket.send(&[upgrade_request("/topics/news", &[]), numbered(30)].concat());
    let mut socket = WebSocket::accepted(socket);
    assert_numbered(&mut socket, 30);
    assert!(began.elapsed() > Duration::from_millis(700), "{:?}", began.elapsed());
}

#[test]
fn two_seconds_worth_of_bytes_passes_at_once_and_one_more_closes_if_that_is_what_is_asked() {
    let hub = hub("byte_rate = 1000\nmessage = 1000\nover_rate = \"close\"");
    // 100 bytes with its header.
    let frame = masked(0x82, &[0; 94]);
    let mut within = hub.websocket("/topics/within");
    within.socket.send(&frame.repeat(20));
    for _ in 0..20 {
        assert_eq!(within.hear(), Heard::Binary(vec![0; 94]));
    }
    let mut over = hub.websocket("/topics/over");
    over.socket.send(&[frame.repeat(20), vec![0x82]].concat());
    assert_eq!(over.hear(), Heard::Close(Some((1008, "byte rate is over the limit".to_owned()))));
    eventually("it is counted", || hub.closed(Protocol::Topic, CloseReason::ByteRate) == 1);
}

#[test]
fn bytes_over_the_rate_wait_and_none_is_lost() {
    let hub = hub("byte_rate = 1000\nmessage = 4000");
    let mut socket = hub.websocket("/topics/news");
    let began = Instant::now();
    // Also a message larger than the burst.
    socket.send_text(&"x".repeat(3500));
    assert_eq!(socket.text().len(), 3500);
    assert!(began.elapsed() > Duration::from_millis(1200), "{:?}", began.elapsed());
    assert!(throttled(&hub) > 0);
}

#[test]
fn who_is_within_the_rate_is_heard_however_many_others_wait() {
    // Together they hold more than the 4 MiB of input that makes everyone wait.
    let hub = hub("message_rate = 1");
    let flood = masked(0x81, b"x").repeat(9000);
    let mut flooders: Vec<WebSocket> = (0..300).map(|_| hub.websocket("/topics/flood")).collect();
    for flooder in &mut flooders {
        let _ = flooder.socket.try_send(&flood);
    }
    eventually("all of them wait", || throttled(&hub) >= 300);
    let mut other = hub.websocket("/topics/other");
    other.send_text("hello");
    assert_eq!(other.text(), "hello");
}

#[test]
fn who_waits_is_closed_as_anyone_is() {
    let hub = hub("message_rate = 1");
    let mut socket = hub.websocket("/topics/news");
    socket.socket.send(&numbered(1000));
    assert_numbered(&mut socket, 2);
    hub.server().drain();
    let code = loop {
        match socket.hear() {
            Heard::Text(_) => {}
            Heard::Close(Some((code, _))) => break code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 1001);
    // Its answer stands behind all that it had sent.
    socket.send_close(1001);
    assert_eq!(socket.hear(), Heard::End);
    eventually("it is counted", || hub.closed(Protocol::Topic, CloseReason::ServerDraining) == 1);
}

#[test]
fn as_many_pings_as_the_rate_allows_are_answered_and_one_more_closes() {
    let hub = hub("control_rate = 5");
    let ping = masked(0x89, b"p");
    let mut within = hub.websocket("/topics/news");
    within.socket.send(&ping.repeat(10));
    for _ in 0..10 {
        assert_eq!(within.hear(), Heard::Pong(b"p".to_vec()));
    }
    within.send_text("still here");
    assert_eq!(within.text(), "still here");
    for frame in [ping, masked(0x8a, b"")] {
        let mut over = hub.websocket("/topics/news");
        over.socket.send(&frame.repeat(11));
        let last = loop {
            match over.hear() {
                Heard::Pong(_) => {}
                last => break last,
            }
        };
        assert_eq!(last, Heard::Close(Some((1008, "ping and pong rate is over the limit".to_owned()))));
    }
    eventually("they are counted", || hub.closed(Protocol::Topic, CloseReason::ControlRate) == 2);
}

#[test]
fn a_stream_has_no_rate() {
    let hub = hub("message_rate = 1\nbyte_rate = 10\nmessage = 10\nover_rate = \"close\"\ncontrol_rate = 1");
    let mut stream = hub.events("/topics/news");
    for number in 0..5 {
        hub.publish("news", number.to_string());
        assert_eq!(stream.event().data, number.to_string());
    }
}

//! How long one connection may take: a message that is not finished, silence and age end it, and nothing else of it does.

use std::time::{Duration, Instant};

use fanfare::admin::counters::Protocol;
use fanfare::close_reason::CloseReason;

use crate::client::{Heard, WebSocket, masked};
use crate::deadline::eventually;
use crate::hub::TestHub;

const ANYONE: &str = "[[topics]]\npattern = \"*\"\npublish = \"anyone\"\nhistory = { size = 10 }\n";

fn hub(limits: &str) -> TestHub {
    TestHub::start(1, &format!("[limits]\nclose_timeout = \"200ms\"\n{limits}\n{ANYONE}"))
}

fn ended(hub: &TestHub, reason: CloseReason) -> u64 {
    hub.closed(Protocol::Topic, reason)
}

#[test]
fn a_message_that_is_not_finished_in_time_ends_its_connection_wherever_it_stops() {
    let hub = hub("message_timeout = \"300ms\"");
    let mut idle = hub.websocket("/topics/news");
    let mut finished = hub.websocket("/topics/news");
    let frame = masked(0x81, b"hello");
    // Half a header, a header alone, half a payload, and a fragment.
    let starts = [&frame[..1], &frame[..6], &frame[..8], &masked(0x01, b"hel")];
    finished.socket.send(&frame[..8]);
    finished.socket.send(&frame[8..]);
    assert_eq!(finished.text(), "hello");
    assert_eq!(idle.text(), "hello");
    let began = Instant::now();
    let mut sockets: Vec<WebSocket> = starts.map(|_| hub.websocket("/topics/other")).into();
    for (socket, start) in sockets.iter_mut().zip(starts) {
        socket.socket.send(start);
    }
    for socket in &mut sockets {
        assert_eq!(socket.hear(), Heard::Close(Some((4012, "message was not finished in time".to_owned()))));
    }
    // The hub counts time in tenths.
    assert!(began.elapsed() > Duration::from_millis(190), "{:?}", began.elapsed());
    eventually("they are counted", || ended(&hub, CloseReason::MessageTimeout) == 4);
    // Between two messages there is time, also for who sent one in pieces.
    idle.send_text("idle");
    finished.send_text("finished");
    for socket in [&mut idle, &mut finished] {
        let mut heard = [socket.text(), socket.text()];
        heard.sort();
        assert_eq!(heard, ["finished", "idle"]);
    }
}

#[test]
fn a_message_that_goes_on_and_on_is_not_finished_in_time() {
    let hub = hub("message_timeout = \"300ms\"\nfragments = 1000000\ncontrol_rate = 0");
    let mut socket = hub.websocket("/topics/news");
    socket.socket.send(&masked(0x01, b"x"));
    eventually("it is closed whatever else it sends", || {
        let _ = socket.socket.try_send(&[masked(0x00, b""), masked(0x8a, b"")].concat());
        ended(&hub, CloseReason::MessageTimeout) == 1
    });
}

#[test]
fn each_message_has_its_own_time() {
    let hub = hub("message_timeout = \"1s\"");
    let mut socket = hub.websocket("/topics/news");
    let frame = masked(0x81, b"hello");
    // At every moment a message is under way, but never the same for long.
    let began = Instant::now();
    socket.socket.send(&frame[..3]);
    let mut sent = 0;
    eventually("more time has passed than one message has", || {
        socket.socket.send(&[&frame[3..], &frame[..3]].concat());
        sent += 1;
        assert_eq!(socket.text(), "hello");
        began.elapsed() > Duration::from_millis(2500)
    });
    assert!(sent > 1);
    assert_eq!(ended(&hub, CloseReason::MessageTimeout), 0);
}

#[test]
fn who_sends_no_message_is_closed_and_pings_are_none() {
    let hub = hub("idle_timeout = \"300ms\"\ncontrol_rate = 0");
    let mut stream = hub.events("/topics/news");
    let mut talker = hub.websocket("/topics/talk");
    let mut silent = hub.websocket("/topics/news");
    let began = Instant::now();
    eventually("the silent one is closed", || {
        talker.send_text("x");
        assert_eq!(talker.text(), "x");
        let _ = silent.socket.try_send(&masked(0x89, b""));
        ended(&hub, CloseReason::IdleTimeout) == 1
    });
    assert!(began.elapsed() > Duration::from_millis(190), "{:?}", began.elapsed());
    let last = loop {
        match silent.hear() {
            Heard::Pong(_) => {}
            last => break last,
        }
    };
    assert_eq!(last, Heard::Close(Some((4010, "no message for too long".to_owned()))));
    talker.send_text("still here");
    assert_eq!(talker.text(), "still here");
    // A stream's client cannot say anything.
    hub.publish("news", "hello");
    assert_eq!(stream.event().data, "hello");
}

#[test]
fn who_is_old_is_told_to_reconnect_and_gets_what_was_published_until_then() {
    let hub = hub("connection_age = \"1s\"");
    let began = Instant::now();
    let mut socket = hub.websocket("/topics/news");
    let mut stream = hub.events("/topics/news");
    hub.publish("news", "hello");
    assert_eq!(socket.text(), "hello");
    assert_eq!(stream.event().data, "hello");
    assert_eq!(socket.hear(), Heard::Close(Some((4011, "connection is old: please reconnect".to_owned()))));
    // A tenth less, and the hub counts time in tenths.
    assert!(began.elapsed() > Duration::from_millis(790), "{:?}", began.elapsed());
    assert!(stream.next().is_none());
    stream.assert_closed();
    eventually("both are counted", || {
        ended(&hub, CloseReason::ConnectionAge) == 1 && hub.closed(Protocol::Sse, CloseReason::ConnectionAge) == 1
    });
}

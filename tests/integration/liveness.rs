//! Liveness: a silent peer is pinged and then given up; one that answers stays. The rules themselves are tested with
//! virtual time beside their code; here it is shown that they are in force.

use std::time::{Duration, Instant};

use fanfare::admin::counters::Protocol;
use fanfare::close_reason::CloseReason;

use crate::client::{Heard, masked};
use crate::deadline::eventually;
use crate::hub::TestHub;

const CONFIG: &str = "[liveness]\nping_interval = \"200ms\"\npong_timeout = \"300ms\"\n\
    [[topics]]\npattern = \"*\"\npublish = \"anyone\"\n";

#[test]
fn a_silent_peer_is_pinged_and_then_closed_with_its_reason() {
    let hub = TestHub::start(1, CONFIG);
    let mut silent = hub.websocket("/topics/news");
    assert!(matches!(silent.hear(), Heard::Ping(_)));
    let pinged = Instant::now();
    assert_eq!(silent.close_code(), 4009);
    // The coarse clock has units of 100 ms, and the ping was on its way for a while.
    assert!(pinged.elapsed() >= Duration::from_millis(150), "only {:?} to answer", pinged.elapsed());
    assert_eq!(silent.hear(), Heard::End);
    drop(silent);
    eventually("it is counted", || hub.closed(Protocol::Topic, CloseReason::NoPong) == 1);
    assert_eq!(hub.sum(|shard| &shard.pings), 1, "it is pinged once");
}

#[test]
fn a_peer_that_answers_stays() {
    let hub = TestHub::start(1, CONFIG);
    let mut peer = hub.websocket("/topics/news");
    for _ in 0..6 {
        let Heard::Ping(payload) = peer.hear() else { panic!("not a ping") };
        peer.socket.send(&masked(0x8a, &payload));
    }
    hub.publish("news", "still here");
    assert_eq!(peer.text(), "still here");
    eventually("its pongs are counted", || hub.sum(|shard| &shard.pongs) >= 6);
}

#[test]
fn anything_heard_is_as_good_as_a_pong() {
    let hub = TestHub::start(1, CONFIG);
    let mut peer = hub.websocket("/topics/news");
    for _ in 0..4 {
        loop {
            match peer.hear() {
                Heard::Ping(_) => break,
                Heard::Text(_) => {}
                other => panic!("{other:?}"),
            }
        }
        peer.send_text("I am here");
    }
}

#[test]
fn an_endpoint_with_its_own_interval_pings_on_schedule_also_one_who_talks() {
    let hub = TestHub::start(
        1,
        "[liveness]\nping_interval = \"1h\"\n[[endpoints]]\npath = \"/talk\"\nreply = \"{message}\"\n\
         ping_interval = \"300ms\"\n",
    );
    let mut peer = hub.websocket("/talk");
    let mut first = None;
    let mut pings = 0;
    while pings < 6 {
        peer.send_text("talking");
        match peer.hear() {
            Heard::Ping(payload) => {
                first.get_or_insert_with(Instant::now);
                pings += 1;
                peer.socket.send(&masked(0x8a, &payload));
            }
            Heard::Text(text) => assert_eq!(text, "talking"),
            other => panic!("{other:?}"),
        }
        peer.socket.has_something();
    }
    // Five intervals lie between six pings.
    let between = first.unwrap().elapsed();
    assert!(between >= Duration::from_millis(1200), "six pings within {between:?}");
}

#[test]
fn event_streams_get_a_comment_every_interval() {
    let hub = TestHub::start(1, CONFIG);
    let mut stream = hub.events("/topics/news");
    stream.read_until(|stream| stream.comments.len() >= 3);
    hub.publish("news", "x");
    assert_eq!(stream.event().data, "x");
}

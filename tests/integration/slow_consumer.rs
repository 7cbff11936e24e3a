//! Slow consumers: a client that stops reading harms nobody else, costs bounded memory, and what it did not get is
//! told and counted exactly, by the policy of its topic.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use fanfare::admin::counters::Protocol;
use fanfare::close_reason::CloseReason;

use crate::client::{Heard, WebSocket};
use crate::deadline::eventually;
use crate::hub::TestHub;

const PAYLOAD_BYTES: usize = 4096;

/// More than the kernel takes for a reader that stopped, by far.
const COUNT: u64 = 400;

/// Those who do read.
const READERS: u64 = 10;

const LAG_BYTES: i64 = 128 * 1024;

/// What a worker may hold over its topic's lag limit: the segment being filled, and outboxes.
const SLACK_BYTES: i64 = 128 * 1024;

fn config(policy: &str) -> String {
    format!(
        "[limits]\nmessage = \"16KiB\"\nclose_timeout = \"10s\"\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n\
         slow_consumer = {{ policy = \"{policy}\", lag = {LAG_BYTES} }}\n"
    )
}

fn payload(n: u64) -> String {
    format!("{n:0width$}", width = PAYLOAD_BYTES)
}

fn offset(line: &serde_json::Value) -> u64 {
    let offset = line["offset"].as_u64().unwrap_or_else(|| panic!("not a publication: {line}"));
    assert_eq!(line["data"].as_str().unwrap(), payload(offset), "a damaged frame");
    offset
}

/// Publishes [`COUNT`] messages beside `sleeper`, which does not read, and asserts that all others get all of them in
/// time, and that the hub's memory stays bounded meanwhile.
fn publish_beside_a_sleeper(hub: &TestHub) {
    let mut readers: Vec<WebSocket> = (0..READERS).map(|_| hub.websocket("/topics/news?format=json")).collect();
    let (over, most, read) = (AtomicBool::new(false), AtomicI64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        // Also when an assertion below fails: the scope waits for its threads.
        let _over = SetWhenDropped(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                most.fetch_max(hub.outbound_pending_bytes(), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(10));
            }
        });
        let reading: Vec<_> = readers
            .iter_mut()
            .map(|reader| {
                let read = &read;
                scope.spawn(move || {
                    for n in 1..=COUNT {
                        assert_eq!(offset(&reader.json()), n);
                        read.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let mut publisher = hub.http();
        for n in 1..=COUNT {
            // The readers' threads share a busy machine: they must not become slow consumers themselves.
            eventually("the readers keep up", || read.load(Ordering::Relaxed) + READERS * 16 >= n * READERS);
            publisher.publish("news", payload(n));
        }
        let ended: Vec<_> = reading.into_iter().map(thread::ScopedJoinHandle::join).collect();
        over.store(true, Ordering::Relaxed);
        for reader in ended {
            assert!(reader.is_ok(), "a reader did not get everything");
        }
    });
    let most = most.into_inner();
    assert!(most <= LAG_BYTES + SLACK_BYTES, "{most} bytes were waiting");
}

struct SetWhenDropped<'a>(&'a AtomicBool);

impl Drop for SetWhenDropped<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn lost(hub: &TestHub, policy: usize) -> u64 {
    hub.sum(|shard| &shard.lost[policy])
}

#[test]
fn under_disconnect_it_is_closed_with_its_code_and_the_others_get_everything() {
    let hub = TestHub::start(1, &config("disconnect"));
    let mut sleeper = WebSocket::open_with_small_buffer(hub.address(), "/topics/news?format=json");
    publish_beside_a_sleeper(&hub);
    // It reads again before the close timeout: whole frames without a gap, then the reason.
    let mut received = 0;
    let code = loop {
        match sleeper.hear() {
            Heard::Text(text) => {
                received += 1;
                assert_eq!(offset(&serde_json::from_str(&text).unwrap()), received);
            }
            Heard::Close(Some((code, _))) => break code,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 4008);
    assert_eq!(sleeper.hear(), Heard::End);
    eventually("the loss is counted", || lost(&hub, 0) > 0);
    let lost = lost(&hub, 0);
    assert!(received + lost < COUNT, "it was given up long before the end: {received} received, {lost} lost");
    // It lagged by its limit when it was given up, and by no more.
    let frames = LAG_BYTES as u64 / PAYLOAD_BYTES as u64;
    assert!((frames - 8..=frames).contains(&lost), "{lost} lost of a lag of {frames} frames");
    eventually("the connection is gone", || hub.closed(Protocol::Topic, CloseReason::SlowConsumer) == 1);
}

#[test]
fn under_disconnect_what_it_did_not_get_is_counted_exactly() {
    // Fewer bytes than the lag limit, but old: nothing is published after it is given up.
    let count = 100;
    let hub = TestHub::start(
        1,
        "[limits]\nclose_timeout = \"10s\"\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n\
         slow_consumer = { lag = \"4MiB\", age = \"500ms\" }\n",
    );
    let mut sleeper = WebSocket::open_with_small_buffer(hub.address(), "/topics/news?format=json");
    let mut publisher = hub.http();
    for n in 1..=count {
        publisher.publish("news", payload(n));
    }
    eventually("the loss is counted", || lost(&hub, 0) > 0);
    let mut received = 0;
    while let Heard::Text(text) = sleeper.hear() {
        received += 1;
        assert_eq!(offset(&serde_json::from_str(&text).unwrap()), received);
    }
    assert_eq!(received + lost(&hub, 0), count);
}

#[test]
fn under_disconnect_one_that_never_reads_again_is_dropped_at_the_close_timeout() {
    let hub = TestHub::start(1, &config("disconnect").replace("10s", "300ms"));
    let _sleeper = WebSocket::open_with_small_buffer(hub.address(), "/topics/news");
    publish_beside_a_sleeper(&hub);
    eventually("the connection is gone", || hub.closed(Protocol::Topic, CloseReason::SlowConsumer) == 1);
    eventually("nothing is kept for it", || hub.outbound_pending_bytes() == 0);
}

#[test]
fn under_skip_it_goes_on_with_the_newest_and_is_told_what_it_missed() {
    let hub = TestHub::start(1, &config("skip"));
    let mut sleeper = WebSocket::open_with_small_buffer(hub.address(), "/topics/news?format=json");
    publish_beside_a_sleeper(&hub);
    let (mut received, mut missed, mut at) = (0, 0, 0);
    while at < COUNT {
        let line = sleeper.json();
        if let Some(notice) = line.get("missed") {
            let [from, to, count] = ["from", "to", "count"].map(|key| notice[key].as_u64().unwrap());
            assert_eq!(notice["topic"], "news");
            assert_eq!(from, at + 1, "the notice begins where the frames ended: {notice}");
            assert_eq!(count, to - from + 1, "{notice}");
            (missed, at) = (missed + count, to);
        } else {
            assert_eq!(offset(&line), at + 1, "a gap without a notice");
            (received, at) = (received + 1, at + 1);
        }
    }
    assert_eq!(received + missed, COUNT);
    assert!(missed > COUNT / 2, "only {missed} missed: it was not slow");
    eventually("what it missed is counted", || lost(&hub, 1) == missed);
    // It is a subscriber like any other again.
    hub.publish("news", payload(COUNT + 1));
    assert_eq!(offset(&sleeper.json()), COUNT + 1);
}

#[test]
fn under_latest_it_gets_the_newest_and_the_rest_is_counted() {
    let hub = TestHub::start(1, &config("latest"));
    let mut sleeper = WebSocket::open_with_small_buffer(hub.address(), "/topics/news?format=json");
    publish_beside_a_sleeper(&hub);
    let (mut received, mut at) = (0, 0);
    while at < COUNT {
        let next = offset(&sleeper.json());
        assert!(next > at, "{next} came after {at}");
        (received, at) = (received + 1, next);
    }
    sleeper.assert_nothing_came();
    assert!(received < COUNT / 2, "it got {received}: it was not slow");
    eventually("the rest is counted", || lost(&hub, 2) == COUNT - received);
}

#[test]
fn over_the_outbound_budget_the_largest_laggards_go_first() {
    // One worker, so the whole budget is its own; no topic's own limit is reached.
    let budget: i64 = 512 * 1024;
    let hub = TestHub::start(
        1,
        &format!(
            "[limits]\nmessage = \"16KiB\"\noutbound_total = {budget}\n[[topics]]\npattern = \"*\"\n\
             publish = \"anyone\"\nslow_consumer = {{ lag = \"64MiB\" }}\n"
        ),
    );
    let sleepers: Vec<_> =
        (0..4).map(|n| WebSocket::open_with_small_buffer(hub.address(), &format!("/topics/t{n}"))).collect();
    let mut reader = hub.websocket("/topics/t0?format=json");
    let mut publisher = hub.http();
    let mut most = 0;
    for n in 1..=200 {
        for topic in 0..4 {
            publisher.publish(&format!("t{topic}"), payload(n));
        }
        assert_eq!(offset(&reader.json()), n, "a reader beside them gets everything");
        most = most.max(hub.outbound_pending_bytes());
    }
    eventually("some were given up", || hub.closed(Protocol::Topic, CloseReason::SlowConsumer) > 0);
    assert!(most <= budget, "{most} bytes were waiting");
    eventually("the loss is counted", || lost(&hub, 0) > 0);
    drop(sleepers);
    hub.publish("t0", payload(201));
    assert_eq!(offset(&reader.json()), 201);
}

#[test]
fn an_event_stream_under_skip_is_told_by_a_named_event_and_can_resume_from_there() {
    let hub = TestHub::start(1, &config("skip"));
    let socket = crate::client::Socket::connect_with_small_buffer(hub.address());
    let mut sleeper = crate::client::Events::on(socket, "/topics/news", &[]);
    publish_beside_a_sleeper(&hub);
    let (mut received, mut missed, mut at) = (0, 0, 0);
    while at < COUNT {
        let event = sleeper.event();
        if event.name == "missed" {
            let notice = &event.json()["missed"];
            assert_eq!(notice["from"], at + 1);
            assert!(event.id.ends_with(&format!(":{at}")), "a notice does not move the id: {}", event.id);
            (missed, at) = (missed + notice["count"].as_u64().unwrap(), notice["to"].as_u64().unwrap());
        } else {
            (received, at) = (received + 1, at + 1);
            assert_eq!(event.data, payload(at));
            assert!(event.id.ends_with(&format!(":{at}")), "{}", event.id);
        }
    }
    assert_eq!(received + missed, COUNT);
    assert!(missed > 0, "it was not slow");
}

/// What each worker's share of a second is, by now.
fn busy(hub: &TestHub) -> Duration {
    Duration::from_nanos(hub.sum(|shard| &shard.busy_ns))
}

#[test]
fn a_hub_with_nothing_to_do_sleeps_whoever_is_connected() {
    let hub = TestHub::start(1, &config("skip"));
    // One who has stopped reading, one who was closed and does not answer, one half of a request, one idle stream.
    let sleeper = WebSocket::open_with_small_buffer(hub.address(), "/topics/news?format=json");
    publish_beside_a_sleeper(&hub);
    let mut closed = hub.websocket("/topics/other");
    closed.socket.send(&[0x81, 0x00]);
    assert_eq!(closed.close_code(), 1002);
    let mut half = hub.http();
    half.socket.send(b"GET /");
    let stream = hub.events("/topics/news");
    let idle = hub.http().get("/health/live");
    assert_eq!(idle.status, 200);
    // In the best of some tenths of a second: what else the machine does must not count.
    let least = (0..10).map(|_| {
        let before = busy(&hub);
        thread::sleep(Duration::from_millis(100));
        busy(&hub) - before
    });
    let least = least.min().unwrap();
    assert!(least < Duration::from_millis(30), "busy for {least:?} of 100 ms");
    drop((sleeper, closed, half, stream));
}

#[test]
fn who_was_cut_off_comes_back_and_misses_nothing() {
    let config = config("disconnect").replace("[[topics]]", "[[topics]]\nhistory = { size = 10000 }");
    let hub = TestHub::start(1, &config);
    let mut socket = WebSocket::open_with_small_buffer(hub.address(), "/topics/news?format=json");
    let stream = crate::client::Socket::connect_with_small_buffer(hub.address());
    let mut stream = crate::client::Events::on(stream, "/topics/news", &[]);
    publish_beside_a_sleeper(&hub);
    eventually("both were given up", || lost(&hub, 0) > 0 && hub.sum(|shard| &shard.lost[0]) > 40);

    let (mut at, mut epoch) = (0, String::new());
    while let Heard::Text(text) = socket.hear() {
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        at += 1;
        assert_eq!(offset(&line), at);
        epoch = line["epoch"].as_str().unwrap().to_owned();
    }
    assert!(0 < at && at < COUNT, "it was cut off at {at}");
    let mut socket = hub.websocket(&format!("/topics/news?since={epoch}:{at}&format=json"));
    assert_eq!(socket.json()["recovered"], true);
    for n in at + 1..=COUNT {
        assert_eq!(offset(&socket.json()), n);
    }

    let mut at = 0;
    while let Some(event) = stream.next() {
        at += 1;
        assert_eq!(event.data, payload(at));
    }
    assert!(0 < at && at < COUNT, "it was cut off at {at}");
    let mut stream = crate::client::Events::resume(hub.address(), "/topics/news", &stream.last_id);
    assert_eq!(stream.event().json()["recovered"], true);
    for n in at + 1..=COUNT {
        assert_eq!(stream.event().data, payload(n));
    }
}

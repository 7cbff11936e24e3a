//! Limits at their edges: the last one fits, the next one is told why it does not, and room that is given back is room.

use std::time::Duration;

use fanfare::admin::counters::Protocol;
use fanfare::close_reason::CloseReason;
use fanfare::hub::TopicName;
use fanfare::refusal::Refusal;

use crate::client::{Heard, Http, Response, Socket, WebSocket, masked, response, upgrade_request};
use crate::deadline::{eventually, eventually_is};
use crate::hub::TestHub;

const ANYONE: &str = "[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n";

fn hub(limits: &str) -> TestHub {
    TestHub::start(1, &format!("[limits]\n{limits}\n{ANYONE}"))
}

#[test]
fn a_message_of_the_limit_is_published_and_one_byte_more_is_not() {
    let hub = hub("message = 1000");
    let mut subscriber = hub.websocket("/topics/news");
    let mut socket = hub.websocket("/topics/news");
    socket.send_text(&"x".repeat(1000));
    assert_eq!(socket.text().len(), 1000);
    assert_eq!(subscriber.text().len(), 1000);
    socket.send_text(&"x".repeat(1001));
    assert_eq!(socket.close_code(), 1009);
    assert_eq!(socket.hear(), Heard::End);
    drop(socket);
    subscriber.assert_nothing_came();
    eventually("it is counted", || hub.closed(Protocol::Topic, CloseReason::MessageTooBig) == 1);
}

#[test]
fn the_sum_of_fragments_counts() {
    let hub = hub("message = 1000");
    let mut socket = hub.websocket("/topics/news");
    for fragment in [masked(0x02, &[1; 400]), masked(0x00, &[2; 400]), masked(0x80, &[3; 200])] {
        socket.socket.send(&fragment);
    }
    let Heard::Binary(bytes) = socket.hear() else { panic!("not binary") };
    assert_eq!(bytes.len(), 1000);
    for fragment in [masked(0x02, &[1; 400]), masked(0x00, &[2; 400]), masked(0x00, &[3; 201])] {
        socket.socket.send(&fragment);
    }
    assert_eq!(socket.close_code(), 1009);
}

#[test]
fn a_length_beyond_the_limit_is_refused_before_its_bytes_come() {
    let hub = hub("message = 1000");
    let mut socket = hub.websocket("/topics/news");
    // Claims 2^40 bytes and sends none.
    socket.socket.send(&[0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
    assert_eq!(socket.close_code(), 1009);
}

#[test]
fn a_body_of_the_limit_is_published_and_one_byte_more_is_not() {
    let hub = hub("message = 1000");
    let mut http = hub.http();
    assert_eq!(http.post("/topics/news", "x".repeat(1000)).status, 200);
    let answer = hub.http().post("/topics/news", "x".repeat(1001));
    assert_eq!((answer.status, answer.code().as_str()), (413, "body-too-large"));
    // Chunked, so that the size is not told beforehand.
    let mut chunked = hub.http();
    chunked.socket.send(b"POST /topics/news HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
    let _ = chunked.socket.try_send(format!("3e9\r\n{}\r\n0\r\n\r\n", "x".repeat(1001)).as_bytes());
    assert_eq!(chunked.response().status, 413);
    assert_eq!(hub.counters().published_http.get(), 1);
}

#[test]
fn a_message_of_as_many_fragments_as_the_limit_is_published_and_empty_ones_do_not_go_on_for_ever() {
    let hub = hub("fragments = 3");
    let mut socket = hub.websocket("/topics/news");
    for fragment in [masked(0x01, b"a"), masked(0x00, b""), masked(0x80, b"b")] {
        socket.socket.send(&fragment);
    }
    assert_eq!(socket.text(), "ab");
    for fragment in [masked(0x01, b"a"), masked(0x00, b""), masked(0x00, b""), masked(0x00, b"")] {
        socket.socket.send(&fragment);
    }
    assert_eq!(socket.hear(), Heard::Close(Some((1008, "message has too many fragments".to_owned()))));
    eventually("it is counted", || hub.closed(Protocol::Topic, CloseReason::TooManyFragments) == 1);
}

#[test]
fn a_connection_takes_as_many_topics_as_the_limit() {
    let hub = hub("subscriptions = 3");
    let mut stream = hub.events("/topics/a?also=b&also=c&also=a");
    hub.publish("c", "x");
    assert_eq!(stream.event().json()["topic"], "c");
    let answer = hub.http().request("GET", "/topics/a?also=b&also=c&also=d", &[("Accept", "text/event-stream")], b"");
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad-parameter"));
    assert!(answer.text().contains("limits.subscriptions"), "{}", answer.text());
    let mut socket = hub.websocket("/topics/a?also=b&also=c&also=a&format=json");
    hub.publish("c", "x");
    assert_eq!(socket.json()["topic"], "c");
    let answer = WebSocket::try_open(hub.address(), "/topics/a?also=b&also=c&also=d&format=json", &[]).unwrap_err();
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad-parameter"));
    assert!(answer.text().contains("limits.subscriptions"), "{}", answer.text());
}

#[test]
fn a_topic_name_of_the_limit_is_taken_and_a_byte_more_is_refused_before_anything_is_made() {
    let hub = TestHub::start(1, &format!("[limits]\ntopic_name = 6\n[api]\nkeys = [\"k\"]\n{ANYONE}"));
    let _socket = hub.websocket("/topics/%E8%81%8A%E5%A4%A9");
    hub.publish("sixsix", "x");
    let refused = |answer: Response| {
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad-topic-name"));
        assert!(answer.text().contains("at most 6 bytes, this one has 7"), "{}", answer.text());
    };
    refused(hub.http().post("/topics/seven77", "x"));
    refused(hub.http().get("/topics/seven77"));
    refused(WebSocket::try_open(hub.address(), "/topics/seven77", &[]).unwrap_err());
    refused(WebSocket::try_open(hub.address(), "/topics/a?also=seven77&format=json", &[]).unwrap_err());
    let body = br#"{"channel":"seven77","data":"x"}"#;
    let answer = hub.http().request("POST", "/api/publish", &[("X-API-Key", "k")], body);
    assert!(answer.text().contains("at most 6 bytes, this one has 7"), "{}", answer.text());
    let name = TopicName::new("seven77").unwrap();
    assert!(hub.server().surface().hub.find(&name).is_none());
}

#[test]
fn what_fails_at_its_last_topic_leaves_nothing_subscribed() {
    let hub = hub("topics = 2");
    let mut socket = hub.websocket("/topics/one?also=two&also=three&format=json");
    assert_eq!(socket.closed_with(), 1013);
    let subscriptions = || hub.server().surface().hub.census().subscriptions;
    assert_eq!(subscriptions(), 0);
    // Nor is a topic kept in memory for it: two others take their places.
    let _others = eventually_is("its topics are freed", || {
        let mut socket = hub.websocket("/topics/four?also=five&format=json");
        socket.send_ping(b"in?");
        (socket.hear() == Heard::Pong(b"in?".to_vec())).then_some(socket)
    });
    assert_eq!(subscriptions(), 2);
}

#[test]
fn a_connection_over_the_limit_is_answered_503_and_a_place_given_back_is_taken() {
    let hub = hub("connections = 3");
    let mut held: Vec<WebSocket> = (0..3).map(|_| hub.websocket("/topics/news")).collect();
    let mut socket = Socket::connect(hub.address());
    socket.send(&upgrade_request("/topics/news", &[]));
    let answer = response(&mut socket).expect("a full hub says so");
    assert_eq!((answer.status, answer.code().as_str()), (503, "too-many-connections"));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(socket.read(1), None, "and closes");
    assert!(hub.counters().refused[Refusal::TooManyConnections.index()].get() > 0);
    let mut leaver = held.pop().unwrap();
    leaver.send_close(1000);
    assert_eq!(leaver.close_code(), 1000);
    drop(leaver);
    let mut next =
        eventually_is("there is room again", || WebSocket::try_open(hub.address(), "/topics/news", &[]).ok());
    next.send_text("hello");
    assert_eq!(next.text(), "hello");
    assert_eq!(held[0].text(), "hello");
}

#[test]
fn http_connections_and_greetings_have_places_too_and_give_them_back() {
    let hub = hub("connections = 2\nheader_timeout = \"300ms\"");
    let mut http = hub.http();
    assert_eq!(http.get("/health/live").status, 200);
    let mut greeting = Socket::connect(hub.address());
    greeting.send(b"GET ");
    eventually("both places are taken", || {
        let mut third = Http::connect(hub.address());
        third.socket.try_send(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").is_ok()
            && response(&mut third.socket).is_some_and(|answer| answer.status == 503)
    });
    // The greeting is dropped when it is too slow.
    assert_eq!(greeting.read_to_end().len(), 0);
    eventually("its place is free", || {
        let mut third = Http::connect(hub.address());
        third.socket.try_send(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").is_ok()
            && response(&mut third.socket).is_some_and(|answer| answer.status == 200)
    });
}

#[test]
fn places_are_given_back_however_a_connection_ends() {
    let hub = hub("connections = 8");
    for round in 0..200 {
        let open = || WebSocket::try_open(hub.address(), "/topics/news", &[]).ok();
        let mut socket = eventually_is("there is room", open);
        match round % 5 {
            0 => drop(socket),
            1 => socket.send_close(1000),
            2 => socket.socket.send(&[0x81, 0x00]),
            3 => socket.socket.shut_down_writing(),
            _ => {
                let mut http = hub.http();
                let _ = http.socket.try_send(b"GET /health/live HTTP/1.1\r\nHost: x\r\n");
            }
        }
    }
    eventually("nobody is left", || hub.open(Protocol::Topic) == 0 && hub.open(Protocol::Http) == 0);
    let held: Vec<_> = (0..8)
        .map(|_| eventually_is("there is room", || WebSocket::try_open(hub.address(), "/topics/news", &[]).ok()))
        .collect();
    assert_eq!(held.len(), 8);
}

#[test]
fn a_topic_over_the_limit_is_refused_and_one_that_is_freed_makes_room() {
    let hub = hub("topics = 2");
    let mut first = hub.websocket("/topics/one");
    let _second = hub.websocket("/topics/two");
    let answer = hub.http().post("/topics/three", "x");
    assert_eq!((answer.status, answer.code().as_str()), (503, "too-many-topics"));
    assert!(answer.header("retry-after").is_some());
    let mut third = hub.websocket("/topics/three");
    assert_eq!(third.closed_with(), 1013);
    // What there is goes on.
    hub.publish("one", "x");
    assert_eq!(first.text(), "x");
    first.send_close(1000);
    assert_eq!(first.close_code(), 1000);
    drop(first);
    eventually("the first topic is freed", || hub.http().post("/topics/three", "x").status == 200);
}

#[test]
fn history_is_cut_to_its_size_and_to_the_budget_of_all_topics() {
    let hub = TestHub::start(
        1,
        "[limits]\nhistory_total = \"256KiB\"\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\nhistory = { size = 100 }\n",
    );
    let mut http = hub.http();
    for _ in 0..120 {
        http.publish("small", "x");
    }
    assert_eq!(hub.server().surface().hub.census().history_publications, 100);
    for n in 0..40 {
        http.publish(&format!("large{}", n % 4), "x".repeat(10_000));
        assert!(hub.server().surface().hub.census().history_bytes <= 256 * 1024);
    }
    // The newest are what is kept.
    let page = http.get("/topics/large3").json();
    assert_eq!(page["publications"].as_array().unwrap().last().unwrap()["offset"], 10);
}

#[test]
fn a_client_that_pings_and_never_reads_is_not_read_on_and_costs_little() {
    let hub = hub("message = 1000\ncontrol_rate = 0");
    let mut flooder = WebSocket::open_with_small_buffer(hub.address(), "/topics/news");
    let pings: Vec<u8> = (0..500).flat_map(|_| masked(0x89, &[0; 125])).collect();
    // Until its bytes stay in the kernel, or for 64 MB if they never do.
    let mut sent = 0;
    flooder.socket.write_within(Duration::from_secs(1));
    while sent < 64 * 1024 * 1024 && flooder.socket.try_send(&pings).is_ok() {
        sent += pings.len();
    }
    assert!(sent < 64 * 1024 * 1024, "it was read on and on");
    assert!(hub.outbound_pending_bytes() < 256 * 1024, "{}", hub.outbound_pending_bytes());
    // Nobody else notices.
    let mut other = hub.websocket("/topics/other");
    hub.publish("other", "x");
    assert_eq!(other.text(), "x");
}

#[test]
fn an_idle_http_connection_is_closed_after_its_time() {
    let hub = hub("keep_alive = \"300ms\"");
    let mut http = hub.http();
    assert_eq!(http.get("/health/live").status, 200);
    assert_eq!(http.socket.read_to_end().len(), 0);
    eventually("it is gone", || hub.open(Protocol::Http) == 0);
}

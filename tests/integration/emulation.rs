//! Clients of the Centrifuge protocol without a WebSocket: a stream goes down, requests go up, and what they do is the same
//! as on a socket. A session is its client's alone, and gone with its stream.

use serde_json::{Value, json};

use fanfare::admin::counters::Protocol;
use fanfare::close_reason::CloseReason;

use crate::client::{Carrier, Heard, Http, Stream, WebSocket, field, framed, say};
use crate::deadline::{eventually, eventually_is};
use crate::gate::{Gate, OpenAtEnd};
use crate::hub::TestHub;

const TOPICS: &str = "[centrifuge]\nanonymous = true\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n";

const CONNECT: &str = r#"{"connect":{},"id":1}"#;

fn hub() -> TestHub {
    TestHub::start(2, TOPICS)
}

fn is_empty(hub: &TestHub) -> bool {
    let sessions = &hub.server().surface().sessions;
    sessions.is_empty() && sessions.waiting_bytes() == 0
}

#[track_caller]
fn assert_all_gone(hub: &TestHub) {
    eventually("no session is left", || is_empty(hub) && hub.open(Protocol::Centrifuge) == 0);
}

/// The commands of a conversation, for each format.
struct Words {
    connect: Vec<u8>,
    subscribe: Vec<u8>,
    publish: Vec<u8>,
    both: Vec<u8>,
}

impl Words {
    fn of(carrier: Carrier) -> Self {
        if carrier == Carrier::Protobuf {
            // Command: id = 1, connect = 4, subscribe = 5, publish = 7; their channel = 1, data = 2.
            let command = |id: u8, number: u8, body: &[u8]| framed(&[&[0x08, id][..], &field(number, body)].concat());
            let subscribe = command(2, 5, &field(1, b"room"));
            let publish = command(3, 7, &[field(1, b"room"), field(2, br#"{"n":1}"#)].concat());
            let unsubscribe = command(4, 6, &field(1, b"room"));
            let both = [unsubscribe, command(5, 5, &field(1, b"hall"))].concat();
            return Self { connect: command(1, 4, b""), subscribe, publish, both };
        }
        Self {
            connect: CONNECT.into(),
            subscribe: br#"{"subscribe":{"channel":"room"},"id":2}"#.into(),
            publish: br#"{"publish":{"channel":"room","data":{"n":1}},"id":3}"#.into(),
            both: b"{\"unsubscribe\":{\"channel\":\"room\"},\"id\":4}\n{\"subscribe\":{\"channel\":\"hall\"},\"id\":5}"
                .into(),
        }
    }
}

/// Values of the fields with this number in a Protobuf message, which has no fields but varints and bytes.
fn fields(message: &[u8], number: u8) -> Vec<Vec<u8>> {
    let (mut rest, mut found) = (message, Vec::new());
    let varint = |rest: &mut &[u8]| {
        let (mut value, mut shift) = (0_usize, 0);
        loop {
            let (&byte, behind) = rest.split_first().unwrap();
            *rest = behind;
            value |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return value;
            }
        }
    };
    while !rest.is_empty() {
        let tag = varint(&mut rest);
        let value = varint(&mut rest);
        if tag & 7 == 2 {
            let (bytes, behind) = rest.split_at(value);
            rest = behind;
            if tag >> 3 == usize::from(number) {
                found.push(bytes.to_vec());
            }
        } else if tag >> 3 == usize::from(number) {
            found.push(vec![value as u8]);
        }
    }
    found
}

/// The one field with this number.
#[track_caller]
fn the(message: &[u8], number: u8) -> Vec<u8> {
    let mut found = fields(message, number);
    assert_eq!(found.len(), 1, "field {number} of {message:02x?}");
    found.remove(0)
}

fn converse(hub: &TestHub, mut stream: Stream, carrier: Carrier, words: &Words) {
    if carrier == Carrier::Protobuf {
        let reply = stream.next().unwrap();
        let result = the(&reply, 5);
        // ConnectResult: client = 1, ping = 7, pong = 8, session = 9, node = 10.
        assert_eq!((the(&reply, 1), the(&result, 8)), (vec![1], vec![1]));
        let text = |number| String::from_utf8(the(&result, number)).unwrap();
        (stream.session, stream.node) = (text(9), text(10));
    } else {
        let reply = stream.let_in();
        assert_eq!((&reply["id"], &reply["connect"]["pong"]), (&json!(1), &json!(true)), "{reply}");
    }
    assert_eq!(stream.session.len(), 64);
    stream.say(&words.subscribe);
    let subscribed = stream.next().unwrap();
    hub.publish("room", r#"{"n":0}"#);
    let pushed = stream.next().unwrap();
    stream.say(&words.publish);
    let mut both = [stream.next().unwrap(), stream.next().unwrap()];
    both.sort_by_key(Vec::len);
    let [published, own] = both;
    stream.say(&words.both);
    let (left, joined) = (stream.next().unwrap(), stream.next().unwrap());
    // What is published on a topic that it has left does not come.
    hub.publish("room", "{}");
    hub.publish("hall", r#"{"n":2}"#);
    let last = stream.next().unwrap();
    if carrier == Carrier::Protobuf {
        // Reply: id = 1, push = 4, subscribe = 6, unsubscribe = 7, publish = 8. Push: channel = 2, pub = 4. Publication: data = 4.
        for (reply, id, method) in [(subscribed, 2, 6), (published, 3, 8), (left, 4, 7), (joined, 5, 6)] {
            assert_eq!((the(&reply, 1), fields(&reply, method).len()), (vec![id], 1), "{reply:02x?}");
        }
        for (push, channel, data) in [(pushed, "room", 0), (own, "room", 1), (last, "hall", 2)] {
            let push = the(&push, 4);
            assert_eq!(the(&push, 2), channel.as_bytes());
            assert_eq!(the(&the(&push, 4), 4), format!("{{\"n\":{data}}}").as_bytes());
        }
    } else {
        let json = |message: &[u8]| serde_json::from_slice::<Value>(message).unwrap();
        assert_eq!(json(&subscribed), json!({"id": 2, "subscribe": {}}));
        assert_eq!(json(&published), json!({"id": 3, "publish": {}}));
        assert_eq!(json(&left), json!({"id": 4, "unsubscribe": {}}));
        assert_eq!(json(&joined), json!({"id": 5, "subscribe": {}}));
        for (push, channel, data) in [(pushed, "room", 0), (own, "room", 1), (last, "hall", 2)] {
            let push = &json(&push)["push"];
            assert_eq!((&push["channel"], &push["pub"]["data"]), (&json!(channel), &json!({"n": data})));
        }
    }
}

#[test]
fn every_carrier_carries_a_whole_conversation() {
    let hub = hub();
    for carrier in Carrier::ALL {
        let words = Words::of(carrier);
        let stream = Stream::open(hub.address(), carrier, &words.connect);
        assert_eq!(stream.head.header("transfer-encoding"), Some("chunked"));
        converse(&hub, stream, carrier, &words);
    }
    assert_all_gone(&hub);
}

#[test]
fn a_client_of_http_1_0_gets_a_body_that_ends_with_the_connection() {
    let hub = hub();
    for carrier in [Carrier::Json, Carrier::Events, Carrier::PostedEvents] {
        let words = Words::of(carrier);
        let stream = Stream::open_old(hub.address(), carrier, &words.connect);
        assert_eq!(stream.head.header("transfer-encoding"), None);
        converse(&hub, stream, carrier, &words);
    }
    assert_all_gone(&hub);
}

#[test]
fn a_stream_has_the_head_and_the_first_bytes_that_sdks_know() {
    let hub = hub();
    for (carrier, content_type) in [
        (Carrier::Json, "text/plain; charset=utf-8"),
        (Carrier::Protobuf, "application/octet-stream"),
        (Carrier::Events, "text/event-stream"),
        (Carrier::PostedEvents, "text/event-stream"),
    ] {
        let mut stream = Stream::open(hub.address(), carrier, Words::of(carrier).connect);
        let header = |name: &str| stream.head.header(name).unwrap_or_default().to_owned();
        assert_eq!(header("content-type"), content_type);
        assert_eq!(header("cache-control"), "private, no-cache, no-store, must-revalidate, max-age=0");
        assert_eq!(header("x-accel-buffering"), "no");
        assert_eq!(header("access-control-allow-origin"), "");
        stream.next().unwrap();
        if matches!(carrier, Carrier::Events | Carrier::PostedEvents) {
            assert_eq!(stream.pieces[0], b"\r\n");
            assert!(stream.pieces[1].starts_with(b"data: {\"id\":1,\"connect\":{\"client\":\""));
            assert!(stream.pieces[1].ends_with(b"}}\n\n"));
        }
    }
}

#[test]
fn the_first_words_may_be_several_commands_and_are_answered_at_once() {
    let hub = hub();
    let first = format!(
        "{CONNECT}\n{}\n{}",
        r#"{"subscribe":{"channel":"x1"},"id":2}"#, r#"{"subscribe":{"channel":"x2"},"id":3}"#
    );
    for carrier in [Carrier::Json, Carrier::Events, Carrier::PostedEvents] {
        let mut stream = Stream::open(hub.address(), carrier, &first);
        assert_eq!(stream.let_in()["id"], 1);
        assert_eq!(stream.json(), json!({"id": 2, "subscribe": {}}));
        assert_eq!(stream.json(), json!({"id": 3, "subscribe": {}}));
        let pieces = stream.pieces.iter().filter(|piece| *piece != b"\r\n").count();
        assert_eq!(pieces, 1, "replies to one frame are one piece");
    }
}

#[test]
fn first_words_that_are_none_end_the_stream_with_its_reason() {
    let hub = hub();
    for first in ["", "x", "[]", r#"{"subscribe":{"channel":"a"},"id":1}"#, r#"{"connect":{}}"#] {
        for carrier in [Carrier::Json, Carrier::PostedEvents] {
            let mut stream = Stream::open(hub.address(), carrier, first);
            let last = stream.next().unwrap();
            let golden = r#"{"push":{"disconnect":{"code":3501,"reason":"bad request"}}}"#;
            assert_eq!(String::from_utf8(last).unwrap(), golden, "{first}");
            stream.assert_ended();
        }
    }
    let mut http = hub.http();
    let answer = http.get("/connection/sse");
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad-parameter"));
    assert_eq!(http.get("/connection/sse?cf_connect=%FF").code(), "bad-parameter");
    assert_all_gone(&hub);
}

#[test]
fn a_request_beside_a_stream_says_what_is_wrong_with_it() {
    let hub = TestHub::start(1, &format!("[limits]\nmessage = \"4KiB\"\n{TOPICS}"));
    let stream = Stream::connect(hub.address(), Carrier::Json);
    let (session, node) = (stream.session.as_str(), stream.node.as_str());
    let status = |session: &str, node: &str, data: &str| {
        let answer = say(&mut hub.http(), Carrier::Json, session, node, data.as_bytes());
        (answer.status, if answer.status == 204 { String::new() } else { answer.code() })
    };
    let unknown = (404, "unknown-node".to_owned());
    assert_eq!(status("dc79", "another", "{}"), unknown);
    assert_eq!(status(session, "another", "{}"), unknown);
    assert_eq!(status(session, "", "{}"), unknown);
    assert_eq!(status(session, node, &" ".repeat(4097)), (413, "body-too-large".to_owned()));
    assert_eq!(status(session, node, &" ".repeat(4096)).0, 204);
    let mut http = hub.http();
    for body in ["", "x", "[]", "{}{}", "{\"session\":1}"] {
        let answer = http.post("/emulation", body);
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad-body"), "{body}");
    }
    let answer = http.get("/emulation");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS")));
    let answer = http.get("/connection/http_stream");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS")));
    let answer = Http::connect(hub.address()).post("/emulation", " ".repeat(64 * 1024));
    assert_eq!(answer.status, 413);
    let answer = Http::connect(hub.address()).post("/connection/http_stream", " ".repeat(4097));
    assert_eq!((answer.status, answer.code().as_str()), (413, "body-too-large"));
}

#[test]
fn malformed_commands_beside_a_stream_end_it_as_on_a_socket() {
    let hub = hub();
    for commands in ["", "x", "{}", r#"{"connect":{},"id":9}"#, r#"{"send":{"data":1}}"#] {
        let mut stream = Stream::connect(hub.address(), Carrier::Json);
        stream.say(commands);
        let code = if commands.contains("send") { 3508 } else { 3501 };
        assert_eq!(stream.json()["push"]["disconnect"]["code"], code, "{commands}");
        stream.assert_ended();
    }
    assert_all_gone(&hub);
}

#[test]
fn a_session_is_not_told_to_others_and_ends_with_its_stream() {
    let hub = hub();
    let mut stream = Stream::open(hub.address(), Carrier::Json, CONNECT);
    let client = stream.let_in()["connect"]["client"].as_str().unwrap().to_owned();
    let mut http = hub.http();
    let simple = client.replace('-', "");
    assert!(!stream.session.contains(&simple));
    for guess in [&client, &simple, &format!("{simple}{simple}"), &stream.session.to_uppercase()[..63].to_owned()] {
        // No more than to one whose stream has just ended: its SDK must not take that for the end of another.
        assert_eq!(say(&mut http, Carrier::Json, guess, &stream.node, b"x").status, 204, "{guess}");
    }
    let mut other = Stream::connect(hub.address(), Carrier::Json);
    assert_ne!(other.session, stream.session);
    assert_eq!(other.node, stream.node);
    let (session, node) = (stream.session.clone(), stream.node.clone());
    drop(stream);
    eventually("its session is gone", || hub.server().surface().sessions.len() == 1);
    assert_eq!(say(&mut http, Carrier::Json, &session, &node, b"x").status, 204);
    // None of that has reached the one that is there.
    other.say(r#"{"id":2,"publish":{"channel":"a","data":1}}"#);
    assert_eq!(other.json(), json!({"id": 2, "publish": {}}));
    // A WebSocket has none: what it says comes on itself.
    let mut socket = hub.websocket("/connection/websocket");
    socket.send_text(CONNECT);
    let reply = socket.json();
    assert!(reply["connect"].get("session").is_none() && reply["connect"].get("node").is_none(), "{reply}");
    assert_eq!(hub.server().surface().sessions.len(), 1);
}

#[test]
fn pages_of_allowed_origins_may_use_streams_with_their_cookies_and_others_may_not() {
    let hub = TestHub::start(1, &format!("origins = [\"https://app.example\"]\n{TOPICS}"));
    let app = "https://app.example";
    for carrier in Carrier::ALL {
        let stream = Stream::open_from(hub.address(), carrier, Words::of(carrier).connect, app);
        assert_eq!(stream.head.header("access-control-allow-origin"), Some(app));
        assert_eq!(stream.head.header("access-control-allow-credentials"), Some("true"));
        assert_eq!(stream.head.header("vary"), Some("Origin"));
    }
    let evil = ("Origin", "https://evil.example");
    for (method, path) in [
        ("POST", "/connection/http_stream"),
        ("POST", "/connection/sse"),
        ("GET", "/connection/sse?cf_connect=%7B%7D"),
        ("GET", "/connection/uni_sse"),
        ("POST", "/connection/uni_http_stream"),
        ("POST", "/emulation"),
        ("OPTIONS", "/emulation"),
        ("OPTIONS", "/connection/http_stream"),
    ] {
        let answer = hub.http().request(method, path, &[evil], b"{}");
        assert_eq!((answer.status, answer.code().as_str()), (403, "origin-refused"), "{method} {path}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    for path in ["/emulation", "/connection/http_stream", "/connection/uni_http_stream"] {
        let asks = [("Origin", app), ("Access-Control-Request-Method", "POST")];
        let answer = hub.http().request("OPTIONS", path, &asks, b"");
        assert_eq!((answer.status, answer.header("access-control-allow-methods")), (204, Some("POST, OPTIONS")));
        assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
        assert!(answer.header("access-control-allow-headers").is_some_and(|headers| headers.contains("Content-Type")));
    }
    let answer = hub.http().request("POST", "/emulation", &[("Origin", app)], b"{}");
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (404, Some(app)));
}

#[test]
fn who_answers_pings_beside_its_stream_stays_and_who_does_not_is_told_and_goes() {
    let liveness = "[liveness]\nping_interval = \"1s\"\npong_timeout = \"800ms\"\n";
    let hub = TestHub::start(1, &format!("{liveness}{TOPICS}"));
    let mut stream = Stream::connect(hub.address(), Carrier::Events);
    for _ in 0..3 {
        assert_eq!(stream.next().unwrap(), b"{}");
        stream.say("{}");
    }
    let mut silent = Stream::connect(hub.address(), Carrier::Json);
    let mut listener = Stream::listen(hub.address(), Carrier::Json, "");
    assert_eq!(silent.next().unwrap(), b"{}");
    let last = loop {
        let next = silent.next().unwrap();
        if next != b"{}" {
            break next;
        }
    };
    assert_eq!(last, br#"{"push":{"disconnect":{"code":3012,"reason":"no pong"}}}"#);
    silent.assert_ended();
    eventually("it is counted", || hub.closed(Protocol::Centrifuge, CloseReason::NoPong) >= 1);
    // Who only listens is not expected to say anything.
    assert!(listener.json()["connect"].get("pong").is_none());
    for _ in 0..4 {
        assert_eq!(listener.next().unwrap(), b"{}");
    }
}

#[test]
fn a_listener_hears_bare_pushes_and_nothing_is_heard_of_it() {
    let hub = hub();
    for carrier in [Carrier::Json, Carrier::Events, Carrier::PostedEvents] {
        for first in ["", "{}", r#"{"name":"js","data":{"a":1}}"#] {
            let mut stream = Stream::listen(hub.address(), carrier, first);
            let push = stream.let_in();
            let connect = &push["connect"];
            assert_eq!(push.as_object().unwrap().len(), 1, "{push}");
            assert!(connect["client"].as_str().is_some_and(|id| id.len() == 36), "{push}");
            assert!(connect.get("pong").is_none() && connect.get("node").is_none(), "{push}");
            assert_eq!(stream.session.len(), 64, "{push}");
            let node = hub.server().surface().node.clone();
            // Its session opens nothing.
            stream.node = node;
            stream.say("x");
            assert!(hub.server().surface().sessions.is_empty());
        }
    }
    for (method, path, body) in [
        ("POST", "/connection/uni_http_stream", "{]"),
        ("POST", "/connection/uni_sse", "[]"),
        ("GET", "/connection/uni_sse?cf_connect=x", ""),
    ] {
        let answer = hub.http().request(method, path, &[], body.as_bytes());
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad-body"), "{method} {path}");
    }
    assert_all_gone(&hub);
}

#[test]
fn a_listener_in_protobuf_hears_messages_with_their_length() {
    let hub = hub();
    let mut stream = Stream::listen(hub.address(), Carrier::Protobuf, field(4, b"js"));
    // Push: connect = 10. Connect: client = 1.
    let push = stream.next().unwrap();
    assert_eq!(the(&the(&push, 10), 1).len(), 36);
}

#[test]
fn a_listener_on_a_socket_says_who_it_is_in_its_first_frame_or_in_its_url() {
    let hub = hub();
    let mut socket = hub.websocket("/connection/uni_websocket");
    socket.send_text("{}");
    assert!(socket.json()["connect"]["client"].is_string());
    // Whatever it says later.
    socket.send_text(r#"{"publish":{"channel":"a","data":1},"id":2}"#);
    socket.send_text("x");
    socket.assert_nothing_came();
    let mut socket = hub.websocket("/connection/uni_websocket?cf_connect=%7B%22name%22%3A%22js%22%7D&mine=1");
    assert!(socket.json()["connect"]["client"].is_string());
    let mut socket = hub.websocket("/connection/uni_websocket");
    socket.send_text("[]");
    assert_eq!(socket.text(), r#"{"disconnect":{"code":3501,"reason":"bad request"}}"#);
    let Heard::Close(Some((3501, reason))) = socket.hear() else { panic!("not closed") };
    assert_eq!(reason, "bad request");
}

#[test]
fn who_is_not_let_in_is_told_on_its_stream() {
    let hub = TestHub::start(1, &TOPICS.replace("anonymous = true", "anonymous = false"));
    let mut stream = Stream::open(hub.address(), Carrier::Events, CONNECT);
    assert_eq!(stream.next().unwrap(), br#"{"push":{"disconnect":{"code":3501,"reason":"bad request"}}}"#);
    stream.assert_ended();
    let mut stream = Stream::listen(hub.address(), Carrier::Events, "{}");
    assert_eq!(stream.next().unwrap(), br#"{"disconnect":{"code":3501,"reason":"bad request"}}"#);
    stream.assert_ended();
    let mut socket = hub.websocket("/connection/uni_websocket?cf_connect=%7B%7D");
    assert_eq!(socket.text(), r#"{"disconnect":{"code":3501,"reason":"bad request"}}"#);
    assert_eq!(socket.close_code(), 3501);
    assert_all_gone(&hub);
}

#[test]
fn a_drain_ends_streams_with_a_push_and_their_last_chunk() {
    let hub = hub();
    let mut stream = Stream::connect(hub.address(), Carrier::Json);
    let mut listener = Stream::listen(hub.address(), Carrier::Events, "");
    listener.let_in();
    hub.server().drain();
    assert_eq!(stream.next().unwrap(), br#"{"push":{"disconnect":{"code":3001,"reason":"shutdown"}}}"#);
    stream.assert_ended();
    assert_eq!(listener.next().unwrap(), br#"{"disconnect":{"code":3001,"reason":"shutdown"}}"#);
    listener.assert_ended();
}

#[test]
fn many_sessions_at_once_get_their_own_answers_and_leave_nothing_behind() {
    const SESSIONS: usize = 200;
    let hub = hub();
    let mut streams: Vec<Stream> =
        (0..SESSIONS).map(|index| Stream::open(hub.address(), Carrier::ALL[[0, 2, 3][index % 3]], CONNECT)).collect();
    for stream in &mut streams {
        stream.let_in();
    }
    assert_eq!(hub.server().surface().sessions.len(), SESSIONS);
    let mut http = hub.http();
    for (index, stream) in streams.iter().enumerate() {
        let commands = format!(
            "{{\"subscribe\":{{\"channel\":\"t{index}\"}},\"id\":2}}\n\
             {{\"publish\":{{\"channel\":\"t{index}\",\"data\":{index}}},\"id\":3}}"
        );
        let answer = say(&mut http, Carrier::Json, &stream.session, &stream.node, commands.as_bytes());
        assert_eq!(answer.status, 204);
    }
    for (index, stream) in streams.iter_mut().enumerate() {
        assert_eq!(stream.json(), json!({"id": 2, "subscribe": {}}));
        let both = [stream.json(), stream.json()];
        assert!(both.contains(&json!({"id": 3, "publish": {}})), "{both:?}");
        assert!(both.iter().any(|push| push["push"]["pub"]["data"] == index), "{both:?}");
    }
    drop(streams);
    assert_all_gone(&hub);
}

#[test]
fn what_is_said_faster_than_its_rate_waits_and_comes_in_order() {
    let limits = "[limits]\nmessage_rate = 10\n";
    let hub = TestHub::start(1, &format!("{limits}{TOPICS}"));
    let mut stream = Stream::connect(hub.address(), Carrier::Json);
    let mut http = hub.http();
    // Two seconds' worth passes at once, the words that opened the stream included.
    for number in 2..28 {
        let commands = format!("{{\"publish\":{{\"channel\":\"a\",\"data\":{number}}},\"id\":{number}}}");
        assert_eq!(say(&mut http, Carrier::Json, &stream.session, &stream.node, commands.as_bytes()).status, 204);
    }
    for number in 2..28 {
        assert_eq!(stream.json(), json!({"id": number, "publish": {}}));
    }
    assert!(hub.sum(|shard| &shard.throttled) > 0);
    drop(stream);
    assert_all_gone(&hub);
}

#[test]
fn over_its_rate_a_stream_ends_if_that_is_what_is_asked() {
    let limits = "[limits]\nmessage_rate = 10\nover_rate = \"close\"\n";
    let hub = TestHub::start(1, &format!("{limits}{TOPICS}"));
    let mut stream = Stream::connect(hub.address(), Carrier::Json);
    let mut http = hub.http();
    for number in 2..50 {
        let commands = format!("{{\"publish\":{{\"channel\":\"a\",\"data\":1}},\"id\":{number}}}");
        let status = say(&mut http, Carrier::Json, &stream.session, &stream.node, commands.as_bytes()).status;
        assert_eq!(status, 204);
    }
    let last = loop {
        let next = stream.json();
        if next.get("push").is_some() {
            break next;
        }
    };
    assert!(last["push"]["disconnect"]["code"].is_number(), "{last}");
    stream.assert_ended();
    eventually("it is counted", || hub.closed(Protocol::Centrifuge, CloseReason::MessageRate) == 1);
    assert_all_gone(&hub);
}

#[test]
fn who_says_more_than_may_wait_is_told_to_come_back_and_nothing_that_was_taken_is_lost() {
    // One message a second after a burst of five seconds' worth at most: the rest waits.
    let limits = "[limits]\nmessage_rate = 5\nmessage = \"4KiB\"\n";
    let hub = TestHub::start(1, &format!("{limits}{TOPICS}"));
    let mut stream = Stream::connect(hub.address(), Carrier::Json);
    let mut http = hub.http();
    let filling = "x".repeat(3900);
    let (mut taken, mut number) = (Vec::new(), 2);
    let refused = loop {
        let commands = format!("{{\"publish\":{{\"channel\":\"a\",\"data\":\"{filling}\"}},\"id\":{number}}}");
        let answer = say(&mut http, Carrier::Json, &stream.session, &stream.node, commands.as_bytes());
        if answer.status != 204 {
            break answer;
        }
        taken.push(number);
        number += 1;
        assert!(number < 1000, "it has no end");
    };
    assert_eq!((refused.status, refused.code().as_str()), (429, "too-many-commands"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(taken.len() >= 15, "{taken:?}");
    for number in taken {
        assert_eq!(stream.json()["id"], number);
    }
    drop(stream);
    assert_all_gone(&hub);
}

#[test]
fn what_finds_no_room_waits_and_comes_in_order() {
    static GATE: Gate = Gate::new();
    let gate = OpenAtEnd(&GATE);
    // A mailbox that takes 20 publications, while one of two workers stands still.
    let limits = "[limits]\nmailbox = \"64KiB\"\nmessage = \"16KiB\"\npublish_wait = \"400ms\"\n";
    let hub = TestHub::start_with(2, &format!("drain = \"3s\"\n{limits}{TOPICS}"), || GATE.pass());
    // Enough for both workers to have seen 64 handshakes.
    let sockets: Vec<WebSocket> = (0..140).map(|_| hub.websocket("/topics/other")).collect();
    let mut readers: Vec<WebSocket> = (0..4).map(|_| hub.websocket("/topics/a")).collect();
    let mut streams: Vec<Stream> = (0..8).map(|_| Stream::connect(hub.address(), Carrier::Json)).collect();
    let mut https: Vec<Http> = (0..8).map(|_| hub.http()).collect();
    for http in &mut https {
        assert_eq!(http.get("/health/live").status, 200);
    }
    eventually("a worker stands still", || GATE.holds_somebody());
    drop(sockets);
    for http in &mut https {
        http.socket.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    let mut http = eventually_is("an HTTP connection answers", || {
        let index = https.iter_mut().position(|one| one.socket.has_something())?;
        Some(https.remove(index))
    });
    assert_eq!(http.response().status, 200);
    const ROUNDS: u32 = 6;
    let filling = "y".repeat(3000);
    for round in 0..ROUNDS {
        for stream in &streams {
            let commands: Vec<String> = (0..4)
                .map(|of| {
                    let id = 2 + round * 4 + of;
                    format!("{{\"publish\":{{\"channel\":\"a\",\"data\":\"{filling}\"}},\"id\":{id}}}")
                })
                .collect();
            let said = say(&mut http, Carrier::Json, &stream.session, &stream.node, commands.join("\n").as_bytes());
            assert_eq!(said.status, 204);
        }
    }
    let accepted = || hub.counters().published_client.get();
    let all = u64::from(ROUNDS) * 4 * streams.len() as u64;
    eventually("the mailbox is full", || accepted() >= 15);
    assert!(accepted() < all / 2, "{} of {all} fitted into 64 KiB", accepted());
    gate.0.open();
    for stream in &mut streams {
        for id in 2..2 + ROUNDS * 4 {
            assert_eq!(stream.json(), json!({"id": id, "publish": {}}));
        }
    }
    for reader in &mut readers {
        for _ in 0..streams.len() * ROUNDS as usize * 4 {
            assert_eq!(reader.text().len(), filling.len() + 2);
        }
    }
    drop(streams);
    assert_all_gone(&hub);
}

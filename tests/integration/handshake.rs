//! The handshake: who is let in, and what the others are told; heads in any pieces, and what comes before and behind
//! them on the same connection.

use std::time::{Duration, Instant};

use fanfare::admin::counters::Protocol;
use fanfare::refusal::Refusal;

use crate::client::{Events, Heard, Response, Socket, WebSocket, masked, response, upgrade_request};
use crate::deadline::eventually;
use crate::hub::TestHub;

const CONFIG: &str = "origins = [\"https://app.example\"]\n[limits]\nheader = \"8KiB\"\nheader_timeout = \"500ms\"\n\
    [[endpoints]]\npath = \"/echo\"\nreply = \"{message}\"\norigins = [\"https://echo.example\"]\n\
    [[pages]]\npath = \"/page\"\ntext = \"a page\"\n\
    [[topics]]\npattern = \"*\"\npublish = \"anyone\"\nhistory = { size = 10 }\n";

fn hub() -> TestHub {
    TestHub::start(1, CONFIG)
}

#[track_caller]
fn answer(hub: &TestHub, request: &[u8]) -> Response {
    let mut socket = Socket::connect(hub.address());
    socket.send(request);
    response(&mut socket).expect("closed without an answer")
}

/// The usual handshake with one of its lines replaced, or left out if `by` is empty.
fn replaced(line: &str, by: &str) -> Vec<u8> {
    let text = String::from_utf8(upgrade_request("/topics/news", &[])).unwrap();
    let by = if by.is_empty() { String::new() } else { format!("{by}\r\n") };
    let start = text.find(&format!("{line}:")).unwrap();
    let end = start + text[start..].find("\r\n").unwrap() + 2;
    format!("{}{by}{}", &text[..start], &text[end..]).into_bytes()
}

#[test]
fn a_handshake_that_lacks_something_is_answered_400_with_the_reason() {
    let hub = hub();
    for (line, by, reason) in [
        ("Connection", "", "Connection: Upgrade"),
        ("Connection", "Connection: keep-alive", "Connection: Upgrade"),
        ("Sec-WebSocket-Version", "", "Sec-WebSocket-Version"),
        ("Sec-WebSocket-Key", "", "Sec-WebSocket-Key"),
        ("Sec-WebSocket-Key", "Sec-WebSocket-Key: dG9vIHNob3J0", "Sec-WebSocket-Key"),
        ("Sec-WebSocket-Key", "Sec-WebSocket-Key: not base64, but 24 by", "Sec-WebSocket-Key"),
        (
            "Sec-WebSocket-Key",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "twice",
        ),
    ] {
        let answer = answer(&hub, &replaced(line, by));
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad-handshake"), "{line} -> {by:?}");
        assert!(answer.text().contains(reason), "{line} -> {by:?}: {}", answer.text());
    }
    assert_eq!(hub.counters().refused[Refusal::BadHandshake.index()].get(), 7);
}

#[test]
fn header_names_and_tokens_are_read_in_any_case_and_place() {
    let hub = hub();
    let request = "GET /echo HTTP/1.1\r\nhost: localhost\r\nCONNECTION: keep-alive, upgrade\r\nuPGRADE: WebSocket\r\n\
        sec-websocket-version: 13\r\nSEC-WEBSOCKET-KEY: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut socket = Socket::connect(hub.address());
    socket.send(request.as_bytes());
    let mut socket = WebSocket::accepted(socket);
    socket.send_text("hello");
    assert_eq!(socket.text(), "hello");
}

#[test]
fn another_version_is_answered_426_with_the_one_that_is_spoken() {
    let hub = hub();
    for version in ["8", "14", "x"] {
        let answer = answer(&hub, &replaced("Sec-WebSocket-Version", &format!("Sec-WebSocket-Version: {version}")));
        assert_eq!((answer.status, answer.header("sec-websocket-version")), (426, Some("13")));
    }
}

#[test]
fn http_1_0_cannot_upgrade() {
    let hub = hub();
    let request = String::from_utf8(upgrade_request("/topics/news", &[])).unwrap().replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(answer(&hub, request.as_bytes()).status, 400);
}

#[test]
fn an_unknown_path_is_answered_404() {
    let hub = hub();
    assert_eq!(hub.http().get("/nowhere").status, 404);
    assert_eq!(WebSocket::try_open(hub.address(), "/nowhere", &[]).unwrap_err().status, 404);
    assert_eq!(WebSocket::try_open(hub.address(), "/page", &[]).unwrap_err().status, 404);
    assert_eq!(hub.http().get("/topics").status, 404);
}

#[test]
fn a_wrong_method_is_answered_405_with_those_that_are_right() {
    let hub = hub();
    for (method, target, allowed) in [
        ("PUT", "/topics/news", "POST"),
        ("DELETE", "/topics/news", "GET"),
        ("POST", "/page", "GET"),
        ("POST", "/metrics", "GET"),
        ("POST", "/echo", "GET"),
        ("GET", "/api/publish", "POST"),
    ] {
        let answer = hub.http().request(method, target, &[], b"");
        assert_eq!(answer.status, 405, "{method} {target}");
        let allow = answer.header("allow").unwrap_or_default();
        assert!(allow.contains(allowed) && !allow.contains(method), "{method} {target}: allow {allow}");
    }
    let post = String::from_utf8(upgrade_request("/topics/news", &[])).unwrap().replacen("GET", "POST", 1);
    assert_eq!(answer(&hub, post.as_bytes()).status, 405, "a handshake is a GET");
}

#[test]
fn an_endpoint_without_an_upgrade_is_answered_426() {
    let hub = hub();
    let answer = hub.http().get("/echo");
    assert_eq!((answer.status, answer.code().as_str()), (426, "upgrade-required"));
    assert_eq!(answer.header("upgrade"), Some("websocket"));
}

#[test]
fn origins_are_let_in_by_the_rules_of_their_place() {
    let hub = hub();
    for (target, origin, status) in [
        ("/topics/news", "https://app.example", 101),
        ("/topics/news", "https://APP.example:443", 101),
        ("/topics/news", "http://localhost", 101),
        ("/topics/news", "http://app.example", 403),
        ("/topics/news", "https://app.example.evil", 403),
        ("/topics/news", "https://echo.example", 403),
        ("/topics/news", "null", 403),
        ("/echo", "https://echo.example", 101),
        ("/echo", "https://app.example", 403),
    ] {
        let opened = WebSocket::try_open(hub.address(), target, &[("Origin", origin)]);
        match opened {
            Ok(_) => assert_eq!(status, 101, "{target} from {origin}"),
            Err(answer) => {
                assert_eq!(answer.status, status, "{target} from {origin}");
                assert_eq!(answer.code(), "origin-refused");
            }
        }
    }
    // No page: any program.
    hub.websocket("/echo");
    // A stream and a publish are asked, too.
    let headers = [("Origin", "https://evil.example"), ("Accept", "text/event-stream")];
    assert_eq!(hub.http().request("GET", "/topics/news", &headers, b"").status, 403);
    assert_eq!(hub.http().request("POST", "/topics/news", &headers[..1], b"x").status, 403);
    assert_eq!(hub.counters().published_http.get(), 0);
}

#[test]
fn topic_names_are_decoded_and_checked() {
    let hub = hub();
    let longest = "n".repeat(255);
    for (encoded, name) in [
        ("caf%C3%A9", "café"),
        ("a%2Fb", "a/b"),
        ("a%20b", "a b"),
        ("%E4%BD%A0", "你"),
        ("a+b", "a+b"),
        (longest.as_str(), longest.as_str()),
    ] {
        let answer = hub.http().post(&format!("/topics/{encoded}"), "x");
        assert_eq!((answer.status, answer.json()["topic"].as_str()), (200, Some(name)));
        let mut socket = hub.websocket(&format!("/topics/{encoded}?history=1&format=json"));
        assert_eq!(socket.json()["topic"], name);
    }
    let too_long = "n".repeat(256);
    let too_long_in_bytes = "%C3%A9".repeat(128);
    for bad in ["", "a%00b", "a%0Ab", "%7F", "%C2%85", "%FF", "%C3", "a/b", &too_long, &too_long_in_bytes] {
        let target = format!("/topics/{bad}");
        for status in [
            hub.http().post(&target, "x").status,
            hub.http().get(&target).status,
            WebSocket::try_open(hub.address(), &target, &[]).unwrap_err().status,
            hub.http().request("GET", &target, &[("Accept", "text/event-stream")], b"").status,
        ] {
            assert_eq!(status, 400, "{target}");
        }
    }
}

#[test]
fn parameters_that_would_be_ignored_are_refused() {
    let hub = hub();
    for query in ["sinec=1:1", "since=1", "history=-1", "history=x", "format=xml", "since=1:1&history=1"] {
        let refused = WebSocket::try_open(hub.address(), &format!("/topics/news?{query}"), &[]).unwrap_err();
        assert_eq!((refused.status, refused.code().as_str()), (400, "bad-parameter"), "{query}");
    }
}

#[test]
fn a_head_over_the_limit_is_answered_431() {
    let hub = hub();
    let large = "x".repeat(9 * 1024);
    let answer = answer(&hub, &upgrade_request("/topics/news", &[("X-Large", &large)]));
    assert_eq!(answer.status, 431);
    // Just below it is none.
    let fitting = "x".repeat(7 * 1024);
    WebSocket::try_open(hub.address(), "/topics/news", &[("X-Large", &fitting)]).unwrap();
}

#[test]
fn a_head_without_an_end_does_not_grow_past_the_limit() {
    let hub = hub();
    let mut socket = Socket::connect(hub.address());
    socket.send(b"GET /topics/news HTTP/1.1\r\n");
    let line = format!("X-More: {}\r\n", "x".repeat(1000));
    for _ in 0..64 {
        if socket.try_send(line.as_bytes()).is_err() {
            break;
        }
    }
    let answer = String::from_utf8_lossy(&socket.read_to_end()).into_owned();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    eventually("it is gone", || hub.open(Protocol::Http) == 0);
}

#[test]
fn who_sends_its_head_too_slowly_is_dropped() {
    let hub = hub();
    let began = Instant::now();
    for beginning in ["", "GET /topics/ne", "GET /topics/news HTTP/1.1\r\nHost: localhost\r\n"] {
        let mut socket = Socket::connect(hub.address());
        socket.send(beginning.as_bytes());
        let answer = String::from_utf8_lossy(&socket.read_to_end()).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(3 * 400), "they had the time there was, not {took:?}");
}

#[test]
fn a_drip_of_bytes_does_not_extend_the_deadline() {
    let hub = hub();
    let mut socket = Socket::connect(hub.address());
    let began = Instant::now();
    for byte in upgrade_request("/topics/news", &[]).iter().cycle() {
        if socket.try_send(&[*byte]).is_err() || socket.has_ended() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
        assert!(began.elapsed() < Duration::from_secs(10), "still not dropped");
    }
}

#[test]
fn a_head_may_be_split_anywhere() {
    let hub = hub();
    let request = upgrade_request("/echo", &[]);
    for cut in 1..request.len() {
        let mut socket = Socket::connect(hub.address());
        socket.send(&request[..cut]);
        // Another connection's answer shows that the worker has had time to see the first piece.
        if cut % 16 == 0 {
            assert_eq!(hub.http().get("/health/live").status, 200);
        }
        socket.send(&request[cut..]);
        let mut socket = WebSocket::accepted(socket);
        socket.send_text("x");
        assert_eq!(socket.text(), "x", "cut at {cut}");
    }
}

#[test]
fn frames_in_the_same_segment_as_the_head_are_not_lost() {
    let hub = hub();
    let frames = [masked(0x81, b"one"), masked(0x82, b"two")].concat();
    let mut socket = Socket::connect(hub.address());
    socket.send(&[&upgrade_request("/echo", &[])[..], &frames].concat());
    let mut socket = WebSocket::accepted(socket);
    assert_eq!(socket.hear(), Heard::Text("one".into()));
    assert_eq!(socket.hear(), Heard::Binary(b"two".to_vec()));
    // Cut within a frame.
    let request = upgrade_request("/echo", &[]);
    for cut in 1..frames.len() {
        let mut socket = Socket::connect(hub.address());
        socket.send(&[&request[..], &frames[..cut]].concat());
        let mut socket = WebSocket::accepted(socket);
        socket.socket.send(&frames[cut..]);
        assert_eq!(socket.hear(), Heard::Text("one".into()), "cut at {cut}");
        assert_eq!(socket.hear(), Heard::Binary(b"two".to_vec()), "cut at {cut}");
    }
}

#[test]
fn a_message_in_the_same_segment_as_the_head_is_published() {
    let hub = hub();
    let mut listener = hub.websocket("/topics/news");
    let mut socket = Socket::connect(hub.address());
    socket.send(&[upgrade_request("/topics/news", &[]), masked(0x81, b"eager")].concat());
    let mut socket = WebSocket::accepted(socket);
    assert_eq!(listener.text(), "eager");
    assert_eq!(socket.text(), "eager");
}

#[test]
fn a_kept_alive_connection_can_become_a_websocket() {
    let hub = hub();
    let mut http = hub.http();
    for n in 1..=3 {
        assert_eq!(http.post("/topics/news", format!("plain {n}")).json()["offset"], n);
    }
    let mut socket = WebSocket::upgrade(http.socket, "/topics/news?history=1");
    assert_eq!(socket.text(), "plain 3");
    socket.send_text("by socket");
    assert_eq!(socket.text(), "by socket");
    eventually("it is counted as what it is", || (hub.open(Protocol::Http), hub.open(Protocol::Topic)) == (0, 1));
}

#[test]
fn a_kept_alive_connection_can_become_a_websocket_with_frames_behind_the_head() {
    let hub = hub();
    let mut http = hub.http();
    assert_eq!(http.get("/page").text(), "a page");
    // A request, the handshake and a message, all in one segment.
    let page = b"GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
    http.socket.send(&[page, upgrade_request("/echo", &[]), masked(0x81, b"hello")].concat());
    assert_eq!(http.response().text(), "a page");
    let mut socket = WebSocket::accepted(http.socket);
    assert_eq!(socket.text(), "hello");
}

#[test]
fn a_kept_alive_connection_can_become_an_event_stream() {
    let hub = hub();
    let mut http = hub.http();
    http.publish("news", "before");
    let mut stream = Events::on(http.socket, "/topics/news?history=1", &[]);
    assert_eq!(stream.event().data, "before");
    for n in 0..100 {
        hub.publish("news", format!("live {n}"));
    }
    for n in 0..100 {
        assert_eq!(stream.event().data, format!("live {n}"));
    }
    eventually("it is counted as what it is", || (hub.open(Protocol::Http), hub.open(Protocol::Sse)) == (0, 1));
}

#[test]
fn a_refused_handshake_leaves_the_connection_usable() {
    let hub = hub();
    let mut http = hub.http();
    http.socket.send(&upgrade_request("/nowhere", &[]));
    assert_eq!(http.response().status, 404);
    assert_eq!(http.get("/page").text(), "a page");
    http.socket.send(&upgrade_request("/echo", &[("Origin", "https://evil.example")]));
    assert_eq!(http.response().status, 403);
    let mut socket = WebSocket::upgrade(http.socket, "/echo");
    socket.send_text("after all");
    assert_eq!(socket.text(), "after all");
}

#[test]
fn pipelined_posts_are_published_and_answered_in_their_order() {
    let hub = hub();
    let mut subscriber = hub.websocket("/topics/news");
    let mut http = hub.http();
    let requests = (1..=50).flat_map(|n: usize| {
        let body = "x".repeat(n);
        format!("POST /topics/news HTTP/1.1\r\nHost: localhost\r\nContent-Length: {n}\r\n\r\n{body}").into_bytes()
    });
    http.socket.send(&requests.collect::<Vec<u8>>());
    for n in 1..=50 {
        assert_eq!(http.response().json()["offset"], n);
        assert_eq!(subscriber.text().len(), n);
    }
}

#[test]
fn garbage_is_answered_400_or_dropped() {
    let hub = hub();
    for garbage in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..], b"hello\r\n\r\n"] {
        let mut socket = Socket::connect(hub.address());
        socket.send(garbage);
        let answer = String::from_utf8_lossy(&socket.read_to_end()).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    assert_eq!(hub.http().get("/page").text(), "a page");
}

//! TLS: whatever is served, is served over it, byte for byte; and what goes wrong in it disturbs nobody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanfare::admin::counters::Protocol;
use fanfare::refusal::Refusal;
use rustls::ClientConfig;

use crate::authority::{Authority, Signed};
use crate::child::Process;
use crate::client::{Events, Heard, Http, Socket, WebSocket, response, upgrade_request};
use crate::deadline::{eventually, eventually_is};
use crate::hub::TestHub;

const TOPICS: &str = "[[topics]]\npattern = \"*\"\npublish = \"anyone\"\nhistory = { size = 1000 }\n\
    slow_consumer = { lag = \"64MiB\", age = \"1h\" }\n[[endpoints]]\npath = \"/echo\"\nreply = \"{message}\"\n";

/// A hub that speaks plain HTTP at one port and TLS at another.
struct SecureHub {
    hub: TestHub,
    client: Arc<ClientConfig>,
}

fn listener(signed: &Signed, more: &str) -> String {
    format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n{more}\ntls = {{ certificates = [{{ certificate = {:?}, key = {:?} }}] }}\n",
        signed.certificate, signed.key
    )
}

impl SecureHub {
    fn start(workers: usize, config: &str) -> Self {
        Self::start_with(workers, config, || {})
    }

    /// With a function that a worker calls a second after 64 handshakes.
    fn start_with(workers: usize, config: &str, collect: fn()) -> Self {
        let authority = Authority::new();
        let signed = authority.sign("hub", &["hub.example"]);
        let hub = &format!("{config}\n{TOPICS}\n{}", listener(&signed, ""));
        let hub = TestHub::start_with(workers, hub, collect);
        let client = Arc::new(authority.client(None));
        Self { hub, client }
    }

    fn socket(&self) -> Socket {
        Socket::connect(self.hub.server().addresses()[1]).with_tls(&self.client, "hub.example")
    }

    fn websocket(&self, target: &str) -> WebSocket {
        WebSocket::upgrade(self.socket(), target)
    }

    fn http(&self) -> Http {
        Http { socket: self.socket() }
    }

    fn refused(&self, refusal: Refusal) -> u64 {
        self.hub.counters().refused[refusal.index()].get()
    }
}

#[test]
fn sockets_streams_and_requests_are_served_over_it() {
    let hub = SecureHub::start(2, "");
    let mut socket = hub.websocket("/topics/news");
    let mut plain = hub.hub.websocket("/topics/news");
    let mut events = Events::on(hub.socket(), "/topics/news", &[]);
    let answer = hub.http().post("/topics/news", "over TLS");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        (socket.text(), plain.text(), events.event().data),
        ("over TLS".into(), "over TLS".into(), "over TLS".into())
    );
    socket.send_text("from a socket");
    assert_eq!((socket.text(), plain.text()), ("from a socket".into(), "from a socket".into()));
    let history = hub.http().get("/topics/news?limit=10");
    assert_eq!(history.status, 200);
    assert!(history.text().contains("from a socket"));
    assert!(hub.http().get("/metrics").text().contains("fanfare_tls_certificate_expiry_timestamp_seconds{listener="));
}

#[test]
fn messages_of_many_records_pass_both_ways() {
    let hub = SecureHub::start(1, "[limits]\nmessage = \"2MiB\"");
    let mut socket = hub.websocket("/echo");
    for size in [0, 1, 16 * 1024 - 4, 16 * 1024, 16 * 1024 + 1, 100_000, 1_500_000] {
        let text: String = (0..size).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
        socket.send_text(&text);
        assert!(socket.text() == text, "{size} bytes");
    }
}

#[test]
fn a_connection_that_served_requests_becomes_a_socket() {
    let hub = SecureHub::start(1, "");
    let mut http = hub.http();
    for number in 0..3 {
        assert_eq!(http.post("/topics/news", format!("{number}")).status, 200);
    }
    let mut socket = WebSocket::upgrade(http.socket, "/topics/news?history=2");
    assert_eq!((socket.text(), socket.text()), ("1".into(), "2".into()));
    socket.send_text("here");
    assert_eq!(socket.text(), "here");
    socket.send_close(1000);
    assert_eq!(socket.close_code(), 1000);
    assert_eq!(socket.hear(), Heard::End);
    eventually("it is gone", || hub.hub.open(Protocol::Topic) == 0);
}

#[test]
fn an_upgrade_behind_answers_that_wait_for_room_is_answered_in_its_place() {
    let hub = SecureHub::start(1, "");
    hub.hub.publish("news", "x".repeat(60_000));
    let address = hub.hub.server().addresses()[1];
    let mut socket = Socket::connect_with_small_buffer(address).with_tls(&hub.client, "hub.example");
    const COUNT: usize = 50;
    let requests = b"GET /topics/news?limit=1 HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(COUNT);
    socket.send(&[requests, upgrade_request("/topics/news", &[])].concat());
    for _ in 0..COUNT {
        let answer = response(&mut socket).unwrap();
        assert!(answer.status == 200 && answer.body.len() > 60_000);
    }
    let mut socket = WebSocket::accepted(socket);
    socket.send_text("here");
    assert_eq!(socket.text(), "here");
}

#[test]
fn who_stops_reading_gets_everything_in_order_when_it_reads_again() {
    let hub = SecureHub::start(1, "");
    let address = hub.hub.server().addresses()[1];
    let small = Socket::connect_with_small_buffer(address).with_tls(&hub.client, "hub.example");
    let mut slow = WebSocket::upgrade(small, "/topics/news");
    let mut steady = hub.websocket("/topics/news");
    let mut http = hub.hub.http();
    let body = |number: usize| format!("{number} {}", "x".repeat(number * 37 % 9000));
    const COUNT: usize = 600;
    for number in 0..COUNT {
        http.publish("news", body(number));
    }
    for number in 0..COUNT {
        assert_eq!(steady.text(), body(number));
    }
    eventually("it is blocked", || hub.hub.outbound_pending_bytes() > 0);
    for number in 0..COUNT {
        assert_eq!(slow.text(), body(number), "{number}");
    }
    eventually("nothing is owed", || hub.hub.outbound_pending_bytes() == 0);
    slow.send_text("still here");
    assert_eq!(slow.text(), "still here");
}

#[test]
fn a_slow_consumer_is_disconnected_and_can_resume() {
    let authority = Authority::new();
    let signed = authority.sign("hub", &["hub.example"]);
    let config = "[[topics]]\npattern = \"*\"\npublish = \"anyone\"\nhistory = { size = 10000 }\n\
        slow_consumer = { lag = \"64KiB\" }\n";
    let hub = TestHub::start(1, &format!("{config}{}", listener(&signed, "")));
    let address = hub.server().addresses()[1];
    let client = Arc::new(authority.client(None));
    let small = Socket::connect_with_small_buffer(address).with_tls(&client, "hub.example");
    let mut slow = WebSocket::upgrade(small, "/topics/news?format=json");
    let mut http = hub.http();
    let lost = || hub.sum(|shard| &shard.lost[0]);
    let mut last = String::new();
    eventually("it is too far behind", || {
        last = http.publish("news", "x".repeat(4000));
        lost() > 0
    });
    // Whole messages, then the close frame: no record and no frame is cut.
    let mut seen = 0;
    let code = loop {
        match slow.hear() {
            Heard::Text(text) => {
                let json: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(json["offset"], seen + 1);
                seen += 1;
            }
            Heard::Close(code) => break code.unwrap().0,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 4008);
    let (epoch, top) = last.split_once(':').unwrap();
    let target = format!("/topics/news?format=json&since={epoch}:{seen}");
    let mut back = WebSocket::upgrade(Socket::connect(address).with_tls(&client, "hub.example"), &target);
    assert_eq!(back.json()["recovered"], true);
    for offset in seen + 1..=top.parse().unwrap() {
        assert_eq!(back.json()["offset"], offset);
    }
}

#[test]
fn what_is_not_tls_is_refused_counted_and_disturbs_nobody() {
    let hub = SecureHub::start(1, "");
    let mut steady = hub.websocket("/topics/news");
    let address = hub.hub.server().addresses()[1];
    let mut plain = Socket::connect(address);
    plain.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // An alert, and the end.
    assert_eq!(plain.read_to_end().first(), Some(&0x15));
    eventually("it is counted", || hub.refused(Refusal::TlsFailed) == 1);
    // One who does not know the authority goes away in the middle.
    let stranger = Arc::new(Authority::new().client(None));
    let mut socket = Socket::connect(address).with_tls(&stranger, "hub.example");
    assert!(socket.try_send(b"GET / HTTP/1.1\r\n\r\n").is_err());
    drop(socket);
    eventually("it is counted", || hub.refused(Refusal::TlsFailed) == 2);
    // One whose records cannot be opened, in the middle of all.
    let mut broken = hub.websocket("/topics/news");
    broken.socket.send_raw(&[0x17, 3, 3, 0, 40].iter().copied().chain([7; 40]).collect::<Vec<u8>>());
    eventually("it is closed", || hub.hub.open(Protocol::Topic) == 1);
    steady.send_text("undisturbed");
    assert_eq!(steady.text(), "undisturbed");
}

#[test]
fn a_handshake_that_does_not_go_on_ends_in_time() {
    let hub = SecureHub::start(1, "[limits]\nheader_timeout = \"300ms\"\nconnections = 1");
    let address = hub.hub.server().addresses()[1];
    let mut half = Socket::connect(address);
    half.send(&[0x16, 3, 1, 2, 0, 1]);
    assert!(half.read_to_end().is_empty());
    // Its place is free again.
    eventually_is("there is room", || WebSocket::try_upgrade(hub.socket(), "/topics/news", &[]).ok());
}

#[test]
fn a_storm_of_handshakes_delays_neither_a_topic_nor_another_client() {
    let hub = SecureHub::start(2, "");
    let mut steady = hub.hub.websocket("/topics/news");
    let mut secure = hub.websocket("/topics/news");
    let address = hub.hub.server().addresses()[1];
    const THREADS: usize = 4;
    const EACH: usize = 100;
    std::thread::scope(|scope| {
        let storm = || {
            for _ in 0..EACH {
                let mut socket =
                    WebSocket::upgrade(Socket::connect(address).with_tls(&hub.client, "hub.example"), "/echo");
                socket.send_text("hello");
                assert_eq!(socket.text(), "hello");
            }
        };
        let storms: Vec<_> = (0..THREADS).map(|_| scope.spawn(storm)).collect();
        let mut http = hub.hub.http();
        let mut count = 0;
        while !storms.iter().all(|storm| storm.is_finished()) {
            http.publish("news", format!("{count}"));
            assert_eq!((steady.text(), secure.text()), (count.to_string(), count.to_string()));
            count += 1;
        }
        assert!(count > 10, "{count} publications beside the storm");
    });
    let opened = hub.hub.sum(|shard| &shard.opened[Protocol::Endpoint.index()]);
    assert_eq!(opened, (THREADS * EACH) as u64);
    assert_eq!(hub.refused(Refusal::TlsFailed), 0);
    eventually("all are gone", || hub.hub.open(Protocol::Endpoint) == 0);
}

#[test]
fn clients_must_have_a_certificate_where_an_authority_is_named() {
    let authority = Authority::new();
    let signed = authority.sign("hub", &["hub.example"]);
    let listener = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = {{ certificates = [{{ certificate = {:?}, key = {:?} }}], client_ca = {:?} }}\n",
        signed.certificate,
        signed.key,
        authority.path("ca.pem")
    );
    let hub = TestHub::start(1, &format!("{TOPICS}{listener}"));
    let connect =
        |client: ClientConfig| Socket::connect(hub.server().addresses()[1]).with_tls(&Arc::new(client), "hub.example");
    let known = authority.sign("client", &["client.example"]);
    let mut socket = WebSocket::upgrade(connect(authority.client(Some(&known))), "/echo");
    socket.send_text("let in");
    assert_eq!(socket.text(), "let in");
    let mut stranger = connect(authority.client(None));
    // In TLS 1.3 the client has finished when it is refused.
    let _ = stranger.try_send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(stranger.read_to_end().is_empty());
    eventually("it is counted", || hub.counters().refused[Refusal::TlsFailed.index()].get() == 1);
}

#[test]
fn a_drain_closes_its_sockets_with_a_code() {
    let hub = SecureHub::start(1, "drain = \"5s\"");
    let mut socket = hub.websocket("/topics/news");
    hub.hub.publish("news", "before");
    hub.hub.server().drain();
    assert_eq!(socket.text(), "before");
    assert_eq!(socket.close_code(), 1001);
    assert_eq!(socket.hear(), Heard::End);
    hub.hub.drain_and_join(Duration::from_secs(10)).1.unwrap();
}

#[test]
fn a_worker_that_panics_closes_its_sockets_with_a_code_behind_the_rest_of_a_record() {
    static PANICKED: AtomicBool = AtomicBool::new(false);
    let hub = SecureHub::start_with(1, "", || assert!(PANICKED.swap(true, Ordering::Relaxed), "a test asks for this"));
    let mut idle = hub.websocket("/topics/other");
    let mut slow = hub.websocket("/topics/news");
    // More than the kernel takes: a record is cut.
    let text = |n: usize| format!("{n:05}{}", "x".repeat(60_000));
    let count = 400;
    for n in 0..count {
        hub.hub.publish("news", text(n));
    }
    eventually("something waits for the slow one", || hub.hub.outbound_pending_bytes() > 0);
    drop((0..70).map(|_| hub.hub.websocket("/topics/other")).collect::<Vec<_>>());
    eventually("the worker has panicked", || hub.hub.sum(|shard| &shard.restarts) == 1);
    assert_eq!(idle.closed_with(), 1012);
    let mut got = 0;
    let end = loop {
        match slow.hear() {
            Heard::Text(received) => assert_eq!(received, text(got), "whole messages in order"),
            end => break end,
        }
        got += 1;
    };
    assert!(got < count, "it got everything: nothing was cut");
    let Heard::Close(Some((code, _))) = end else { panic!("{end:?}") };
    assert_eq!(code, 1012);
}

#[test]
fn new_certificates_are_shown_after_a_hangup_and_open_connections_stay() {
    let authority = Authority::new();
    let signed = authority.sign("hub", &["old.example"]);
    let process = Process::start(&format!("{TOPICS}{}", listener(&signed, "")));
    let address = process.address;
    let client = Arc::new(authority.client(None));
    let connect = |name: &str| {
        let mut socket = Socket::connect(address).with_tls(&client, name);
        socket.try_send(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        socket.read_to_end().starts_with(b"HTTP/1.1 200").then_some(())
    };
    let mut open = WebSocket::upgrade(Socket::connect(address).with_tls(&client, "old.example"), "/echo");
    assert!(connect("old.example").is_some() && connect("new.example").is_none());
    authority.sign("hub", &["new.example"]);
    process.signal(rustix::process::Signal::HUP);
    eventually("the new certificate is shown", || connect("new.example").is_some());
    assert!(connect("old.example").is_none());
    open.send_text("still here");
    assert_eq!(open.text(), "still here");
}

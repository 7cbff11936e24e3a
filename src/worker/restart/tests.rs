//! A worker is made to panic at each place where something is in hand that others count on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use super::*;
use crate::admin::counters::Protocol;
use crate::config::{Config, Loaded, Source};
use crate::hub::TopicName;
use crate::server::Server;

/// Connections of all kinds that are allowed at once.
const LIMIT: usize = 8;

/// Long enough for a busy machine; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

const CONFIG: &str = r#"
    [server]
    listen = ["127.0.0.1:0"]
    workers = 1
    drain = "10s"
    [limits]
    connections = 8
    message = "1MiB"
    mailbox = "1MiB"
    close_timeout = "5s"
    [liveness]
    ping_interval = "300d"
    [centrifuge]
    anonymous = true
    [[topics]]
    pattern = "kept"
    publish = "anyone"
    recovery = "always"
    history = { size = 10 }
    [[topics]]
    pattern = "*"
    publish = "anyone"
    slow_consumer = { lag = "64MiB" }
"#;

fn start() -> Server {
    let config = Config::from_toml(CONFIG, Path::new("")).unwrap();
    Server::start(&Loaded { config, source: Source::File("test.toml".into()), warnings: Vec::new() }, || {}).unwrap()
}

#[track_caller]
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "it is still not so that {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

struct Client(TcpStream);

/// What a client hears: a message, a close code, or the end.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Message(Vec<u8>),
    Close(u16),
    End,
}

impl Client {
    fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.addresses()[0]).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    fn subscribe(server: &Server) -> Self {
        Self::connect(server).upgraded()
    }

    fn upgraded(self) -> Self {
        self.upgraded_at("/topics/news")
    }

    fn upgraded_at(mut self, path: &str) -> Self {
        let answer = self.request(
            &format!("GET {path}"),
            "Connection: Upgrade\r\nUpgrade: websocket\r\n\
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            b"",
        );
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        self
    }

    /// Sends a request and reads the head of its answer, and no body.
    fn request(&mut self, line: &str, headers: &str, body: &[u8]) -> String {
        self.0.write_all(&[format!("{line} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes(), body].concat()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.read(1).expect("the hub closed instead of answering"));
        }
        String::from_utf8(head).unwrap()
    }

    fn publish(&mut self, text: &str) -> u16 {
        self.publish_on("news", text)
    }

    fn publish_on(&mut self, topic: &str, text: &str) -> u16 {
        let head = self.request(
            &format!("POST /topics/{topic}"),
            &format!("Content-Length: {}\r\n", text.len()),
            text.as_bytes(),
        );
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        self.read(length.parse().unwrap()).unwrap();
        head[9..12].parse().unwrap()
    }

    fn say(&mut self, text: &str) {
        // Masked with zeros: the payload stays as it is.
        self.0.write_all(&[&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat()).unwrap();
    }

    fn read(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        match self.0.read_exact(&mut bytes) {
            Ok(()) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("nothing came in time"),
            Err(_) => None,
        }
    }

    fn hear(&mut self) -> Heard {
        let Some(head) = self.read(2) else { return Heard::End };
        let length = match head[1] {
            126 => u64::from(u16::from_be_bytes(self.read(2).unwrap().try_into().unwrap())),
            127 => u64::from_be_bytes(self.read(8).unwrap().try_into().unwrap()),
            short => u64::from(short),
        };
        let payload = self.read(length as usize).unwrap();
        match head[0] {
            0x81 | 0x82 => Heard::Message(payload),
            0x88 => Heard::Close(u16::from_be_bytes([payload[0], payload[1]])),
            other => panic!("opcode {other:#x}"),
        }
    }

    /// The next message of a client of the Centrifuge protocol.
    #[track_caller]
    fn json(&mut self) -> serde_json::Value {
        let Heard::Message(message) = self.hear() else { panic!("not a message") };
        serde_json::from_slice(&message).unwrap()
    }

    /// A client of the Centrifuge protocol that subscribes with what else stands in its command; told is the reply.
    fn subscribe_to_kept(server: &Server, wish: &str) -> (Self, serde_json::Value) {
        let mut client = Self::connect(server).upgraded_at("/connection/websocket");
        client.say(r#"{"id":1,"connect":{}}"#);
        assert!(client.json()["connect"]["client"].is_string());
        client.say(&format!(r#"{{"id":2,"subscribe":{{"channel":"kept"{wish}}}}}"#));
        let reply = client.json();
        (client, reply["subscribe"].clone())
    }

    #[track_caller]
    fn assert_told_to_reconnect(self) {
        self.assert_closed_with(1012);
    }

    #[track_caller]
    fn assert_closed_with(mut self, code: u16) {
        assert_eq!(self.hear(), Heard::Close(code));
        assert_eq!(self.hear(), Heard::End);
    }
}

/// Asserts that nothing of the worker before is left: no connection, no subscription, and room for as many as ever.
#[track_caller]
fn assert_balanced(server: &Server, restarts: u64) {
    let shard = &server.surface().counters.shards[0];
    eventually("it has restarted", || shard.restarts.get() == restarts);
    eventually("all connections are closed", || shard.connections.iter().all(|gauge| gauge.get() == 0));
    // A connection is counted as closed before it leaves its topics.
    eventually("nobody is subscribed", || {
        let topic = server.surface().hub.find(&TopicName::new("news").unwrap());
        server.surface().hub.census().subscriptions == 0 && topic.is_none_or(|topic| topic.subscribers() == 0)
    });
    let mut clients: Vec<_> = (1..LIMIT).map(|_| Client::subscribe(server)).collect();
    let mut publisher = Client::connect(server);
    assert_eq!(publisher.publish("all is well"), 200);
    for client in &mut clients {
        assert_eq!(client.hear(), Heard::Message(b"all is well".to_vec()));
    }
    let refused = Client::connect(server).request("GET /health/live", "", b"");
    assert!(refused.starts_with("HTTP/1.1 503 "), "{LIMIT} places and no more: {refused}");
    drop((clients, publisher));
    eventually("all connections are closed", || shard.connections.iter().all(|gauge| gauge.get() == 0));
}

#[test]
fn a_panic_over_a_letter_gives_back_its_charge_and_tells_all_to_reconnect() {
    let server = start();
    let mut publisher = Client::connect(&server);
    // In all more than the mailbox takes: with charges that stay, the last ones would not be accepted.
    let payload = format!("panic in the mailbox{}", " ".repeat(400 * 1024));
    for _ in 0..4 {
        let clients: Vec<_> = (0..3).map(|_| Client::subscribe(&server)).collect();
        assert_eq!(publisher.publish(&payload), 200, "plain HTTP goes on, on the same connection");
        clients.into_iter().for_each(Client::assert_told_to_reconnect);
    }
    drop(publisher);
    assert_balanced(&server, 4);
    let closed = &server.surface().counters.shards[0].closed[Protocol::Topic.index()];
    assert_eq!(closed.of(CloseReason::WorkerRestarted).get(), 12);
}

#[test]
fn a_panic_in_the_midst_of_a_write_cuts_that_connection_and_tells_the_others_to_reconnect() {
    let server = start();
    let mut clients: Vec<_> = (0..3).map(|_| Client::subscribe(&server)).collect();
    let mut publisher = Client::connect(&server);
    assert_eq!(publisher.publish("panic in the sweep"), 200);
    let mut heard: Vec<_> = clients.iter_mut().map(Client::hear).collect();
    heard.sort_by_key(|one| matches!(one, Heard::Close(_)));
    assert_eq!(heard, [Heard::Message(b"panic in the sweep".to_vec()), Heard::Close(1012), Heard::Close(1012)]);
    for client in &mut clients {
        assert_eq!(client.hear(), Heard::End);
    }
    drop((clients, publisher));
    assert_balanced(&server, 1);
}

#[test]
fn a_panic_over_a_handshake_gives_back_its_place() {
    let server = start();
    let client = Client::subscribe(&server);
    let mut half = Client::connect(&server);
    half.0.write_all(b"GET /health/live HTTP/1.1\r\nHo").unwrap();
    let mut wisher = Client::connect(&server);
    wisher.0.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nWish: panic in a handshake\r\n\r\n").unwrap();
    assert_eq!(wisher.read(1), None);
    client.assert_told_to_reconnect();
    // Who had not sent its whole head by then is served by the next worker.
    half.0.write_all(b"st: x\r\n\r\n").unwrap();
    let mut status = [0; 12];
    half.0.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
    drop((half, wisher));
    assert_balanced(&server, 1);
}

#[test]
fn a_panic_over_input_tells_all_to_reconnect() {
    let server = start();
    let (other, mut wisher) = (Client::subscribe(&server), Client::subscribe(&server));
    wisher.say("panic in reading");
    wisher.assert_told_to_reconnect();
    other.assert_told_to_reconnect();
    assert_balanced(&server, 1);
}

#[test]
fn a_panic_over_plain_http_ends_that_connection_alone_and_gives_back_its_place() {
    let server = start();
    let mut other = Client::subscribe(&server);
    let mut wisher = Client::connect(&server);
    wisher.0.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\nWish: panic in plain HTTP\r\n\r\n").unwrap();
    assert_eq!(wisher.read(1), None);
    other.say("hello");
    assert_eq!(other.hear(), Heard::Message(b"hello".to_vec()));
    let shard = &server.surface().counters.shards[0];
    assert_eq!(shard.closed[Protocol::Http.index()].of(CloseReason::InternalError).get(), 1);
    drop((other, wisher));
    assert_balanced(&server, 0);
}

#[test]
fn clients_of_the_centrifuge_protocol_come_back_and_have_missed_nothing() {
    let server = start();
    let mut publisher = Client::connect(&server);
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::subscribe_to_kept(&server, ""));
    }
    // The worker panics with the second of each three on its way to them: they get it from the history.
    for round in 0..3 {
        let (first, payload) = (3 * round + 1, "panic in the mailbox");
        assert_eq!(publisher.publish_on("kept", &first.to_string()), 200);
        for (client, _) in &mut clients {
            let push = client.json();
            assert_eq!((&push["push"]["pub"]["data"], &push["push"]["pub"]["offset"]), (&first.into(), &first.into()));
        }
        assert_eq!(publisher.publish_on("kept", payload), 200);
        for (client, subscribed) in std::mem::take(&mut clients) {
            // "Internal server error": SDKs come back.
            client.assert_closed_with(3004);
            let epoch = subscribed["epoch"].as_str().unwrap();
            let wish = format!(r#","recover":true,"offset":{first},"epoch":"{epoch}""#);
            let (client, subscribed) = Client::subscribe_to_kept(&server, &wish);
            assert_eq!((&subscribed["recovered"], &subscribed["epoch"]), (&true.into(), &epoch.into()));
            let missed = serde_json::json!([{"data": payload, "offset": first + 1}]);
            assert_eq!(subscribed["publications"], missed, "{subscribed}");
            clients.push((client, subscribed));
        }
        assert_eq!(publisher.publish_on("kept", "true"), 200);
        for (client, _) in &mut clients {
            let push = client.json();
            assert_eq!(
                (&push["push"]["pub"]["data"], &push["push"]["pub"]["offset"]),
                (&true.into(), &(first + 2).into())
            );
        }
    }
    let closed = &server.surface().counters.shards[0].closed[Protocol::Centrifuge.index()];
    assert_eq!(closed.of(CloseReason::WorkerRestarted).get(), 9);
    drop((clients, publisher));
    assert_balanced(&server, 3);
}

#[test]
fn a_cut_frame_is_completed_before_the_close_frame() {
    let server = start();
    let (mut slow, mut wisher) = (Client::subscribe(&server), Client::subscribe(&server));
    let mut publisher = Client::connect(&server);
    let text = |n: usize| format!("{n}{}", "x".repeat(500_000));
    // More than the kernel takes, and less than makes a slow consumer.
    let count = 60;
    for count in 1..=count {
        assert_eq!(publisher.publish(&text(count)), 200);
        assert_eq!(wisher.hear(), Heard::Message(text(count).into_bytes()));
    }
    wisher.say("panic in reading");
    wisher.assert_told_to_reconnect();
    let mut got = 0;
    let end = loop {
        match slow.hear() {
            Heard::Message(message) => {
                got += 1;
                assert_eq!(message, text(got).into_bytes());
            }
            end => break end,
        }
    };
    assert_eq!(end, Heard::Close(1012));
    assert!(0 < got && got < count, "{got} of {count}");
    assert_eq!(slow.hear(), Heard::End);
    drop((slow, publisher));
    assert_balanced(&server, 1);
}

#[test]
fn a_panic_during_the_drain_does_not_keep_it_from_its_end() {
    let server = start();
    let (mut other, mut wisher) = (Client::subscribe(&server), Client::subscribe(&server));
    server.drain();
    assert_eq!((other.hear(), wisher.hear()), (Heard::Close(1001), Heard::Close(1001)));
    // It does not answer the close frame, and so does not the other.
    wisher.say("panic in reading");
    assert_eq!((other.hear(), wisher.hear()), (Heard::End, Heard::End));
    drop((other, wisher));
    let restarts = || server.surface().counters.shards[0].restarts.get();
    eventually("its shard is over", || server.is_over());
    assert_eq!(restarts(), 1);
    server.join().unwrap();
}

#[test]
fn a_worker_that_panics_again_and_again_ends_the_hub_with_an_error() {
    let server = start();
    for restarts in 0..RESTARTS {
        let mut wisher = Client::subscribe(&server);
        wisher.say("panic in reading");
        wisher.assert_told_to_reconnect();
        assert_eq!(server.surface().counters.shards[0].restarts.get(), restarts as u64 + 1);
    }
    let mut wisher = Client::subscribe(&server);
    wisher.say("panic in reading");
    assert_eq!(wisher.hear(), Heard::End);
    eventually("its shard is over", || server.is_over());
    let error = server.join().unwrap_err();
    assert!(error.to_string().contains("worker 0 panicked again and again"), "{error}");
}

#[test]
fn restarts_long_ago_do_not_count() {
    let start = Instant::now();
    let mut restarts = Restarts::default();
    for n in 0..RESTARTS as u32 {
        assert_eq!(restarts.judge(start + Duration::from_secs(1) * n), Verdict::Restart);
    }
    assert_eq!(restarts.judge(start + WINDOW - Duration::from_millis(1)), Verdict::GiveUp);
    assert_eq!(restarts.judge(start + WINDOW), Verdict::Restart);
    assert_eq!(restarts.judge(start + WINDOW), Verdict::GiveUp);
}

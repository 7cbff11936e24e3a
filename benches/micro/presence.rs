//! Who is in a topic of many: one member more and less, how many there are, all of them, and the answers that list them, by the
//! server API and to a client, over sockets of a hub with one worker. The first two are to be the same for 1 and 50,000 members.

use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion};
use fanfare::config::{Config, Loaded, Source};
use fanfare::hub::{ClientId, Doorman, Member, Notice, Presence, Roll, TopicId, TopicName};
use fanfare::server::Server;

const TOPIC: TopicId = TopicId(1);
const ANY: Roll = Roll { members: usize::MAX, bytes: usize::MAX };

const CONFIG: &str = "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\n[liveness]\nping_interval = \"300d\"\n[centrifuge]\nanonymous = true\n[api]\nkeys = [\"k\"]\n\
    [[topics]]\npattern = \"*\"\npresence = true\nread_presence = \"anyone\"\n";

fn member(number: usize) -> Arc<Member> {
    let user = format!("user-{number}").into();
    Arc::new(Member {
        user,
        client: ClientId::random(),
        connection_info: Default::default(),
        topic_info: Default::default(),
    })
}

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("presence");
    for members in [1, 50_000] {
        let presence = Presence::default();
        (0..members).for_each(|number| presence.enter(TOPIC, member(number)));
        let another = member(members);
        group.bench_function(BenchmarkId::new("enter_and_leave", members), |b| {
            b.iter(|| {
                presence.enter(TOPIC, Arc::clone(&another));
                presence.leave(TOPIC, another.client)
            });
        });
        group.bench_function(BenchmarkId::new("stats", members), |b| b.iter(|| presence.attending(black_box(TOPIC))));
        group.bench_function(BenchmarkId::new("members", members), |b| b.iter(|| presence.members(TOPIC, ANY)));
    }
    let (doorman, now) = (Doorman::default(), Instant::now());
    group.bench_function("doorman/told", |b| b.iter(|| doorman.join(TOPIC, black_box(0), now)));
    while doorman.join(TOPIC, 50, now) == Notice::Told {}
    group.bench_function("doorman/dropped", |b| b.iter(|| doorman.join(TOPIC, black_box(50), now)));

    let config = Config::from_toml(CONFIG, Path::new("")).expect("a good configuration");
    let loaded = Loaded { config, source: Source::File("bench.toml".into()), warnings: Vec::new() };
    let server = Server::start(&loaded, || {}).expect("a free port");
    let hub = &server.surface().hub;
    for members in [1_000, 10_000, 50_000] {
        let name = format!("of-{members}");
        let topic = hub.topic(&TopicName::new(&name).expect("a good name")).expect("room");
        (0..members).for_each(|number| hub.presence().enter(topic.id(), member(number)));
        let socket = TcpStream::connect(server.addresses()[0]).expect("a hub");
        let mut socket = BufReader::with_capacity(1 << 20, socket);
        group.bench_function(BenchmarkId::new("api", members), |b| b.iter(|| ask_api(&mut socket, &name)));
        println!("    an answer of {} bytes", ask_api(&mut socket, &name));
        if members <= 10_000 {
            let mut socket = client(&server);
            group.bench_function(BenchmarkId::new("client", members), |b| b.iter(|| ask_client(&mut socket, &name)));
            println!("    an answer of {} bytes", ask_client(&mut socket, &name));
        }
        // While it lives it stays the topic of that name.
        drop(topic);
    }
    group.finish();
    server.drain();
    server.join().expect("it ends in order");
}

/// Asks the server API for the members of a topic; returns the length of the answer.
fn ask_api(socket: &mut BufReader<TcpStream>, topic: &str) -> usize {
    let body = format!("{{\"channel\":\"{topic}\"}}");
    let length = body.len();
    let request =
        format!("POST /api/presence HTTP/1.1\r\nHost: x\r\nX-API-Key: k\r\nContent-Length: {length}\r\n\r\n{body}");
    socket.get_mut().write_all(request.as_bytes()).expect("it is open");
    let length = head(socket).expect("its length");
    let mut body = vec![0; length];
    socket.read_exact(&mut body).expect("all of it");
    assert!(body.starts_with(b"{\"result\":{\"presence\":{\""), "an error");
    length
}

/// Reads the head of a response; returns the length of its body, if it says it.
fn head(socket: &mut BufReader<TcpStream>) -> Option<usize> {
    let mut length = None;
    loop {
        let mut line = String::new();
        socket.read_line(&mut line).expect("a line");
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().ok(),
            None if line == "\r\n" => return length,
            Some(_) | None => {}
        }
    }
}

/// A client of the Centrifuge protocol.
fn client(server: &Server) -> BufReader<TcpStream> {
    let socket = TcpStream::connect(server.addresses()[0]).expect("a hub");
    let mut socket = BufReader::with_capacity(1 << 20, socket);
    let upgrade = "GET /connection/websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.get_mut().write_all(upgrade.as_bytes()).expect("it is open");
    head(&mut socket);
    command(&mut socket, "{\"id\":1,\"connect\":{}}");
    socket
}

/// Asks as a client does.
fn ask_client(socket: &mut BufReader<TcpStream>, topic: &str) -> usize {
    command(socket, &format!("{{\"id\":2,\"presence\":{{\"channel\":\"{topic}\"}}}}"))
}

/// Sends a command; returns the length of its answer.
fn command(socket: &mut BufReader<TcpStream>, command: &str) -> usize {
    // Masked with zeros: the payload stays as it is.
    let head = [0x81, 0x80 | command.len() as u8, 0, 0, 0, 0];
    socket.get_mut().write_all(&[&head, command.as_bytes()].concat()).expect("it is open");
    let mut head = [0; 2];
    socket.read_exact(&mut head).expect("an answer");
    let length = match head[1] {
        126 => {
            let mut long = [0; 2];
            socket.read_exact(&mut long).expect("its length");
            u64::from(u16::from_be_bytes(long))
        }
        127 => {
            let mut long = [0; 8];
            socket.read_exact(&mut long).expect("its length");
            u64::from_be_bytes(long)
        }
        short => u64::from(short),
    };
    let mut answer = vec![0; length as usize];
    socket.read_exact(&mut answer).expect("all of it");
    assert!(!answer.windows(8).take(64).any(|part| part == b"\"error\":"), "an error");
    answer.len()
}

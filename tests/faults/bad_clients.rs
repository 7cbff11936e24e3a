//! Clients that stop reading, read a byte per second, send half of something and vanish, reset, or close one half.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockRef, Type};

use crate::child::Process;
use crate::client::{Heard, Socket, WebSocket, masked, upgrade_request};
use crate::deadline::eventually;
use crate::level::{Level, Metrics};
use crate::steady::{TOPIC, alone, beside};

const CONFIG: &str = "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\ndrain = \"2s\"\n\
    [limits]\nclose_timeout = \"1s\"\nheader_timeout = \"1s\"\n[liveness]\nping_interval = \"300d\"\n\
    [[topics]]\npattern = \"*\"\npublish = \"anyone\"\nslow_consumer = { lag = \"256KiB\" }\n";

/// A subscriber of the steady topic, and its bare socket, whose kernel buffer takes little.
fn subscriber(hub: SocketAddr) -> (TcpStream, WebSocket) {
    let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&hub.into()).unwrap();
    let stream = TcpStream::from(socket);
    let bare = stream.try_clone().unwrap();
    (bare, WebSocket::upgrade(Socket::over(stream), &format!("/topics/{TOPIC}")))
}

/// Does `fault` with so many clients: once for what a hub sets up on first use, then beside the steady topic, between two
/// looks at what the hub holds.
fn do_twice(what: &str, count: usize, config: &str, fault: impl Fn(&Process)) {
    let _alone = alone();
    let hub = Process::start(config);
    beside(hub.address, || fault(&hub));
    eventually("the first round is over", || Metrics::of(hub.address).value("fanfare_subscriptions") == 0);
    let before = Level::of(&hub);
    beside(hub.address, || fault(&hub)).tell(&format!("{count} {what}"));
    before.is_reached_again(&hub);
}

/// Waits until so many WebSockets more have ended for `reason`.
fn more_closed(hub: &Process, reason: &str, before: u64, count: usize) {
    eventually("all of them are closed", || Metrics::of(hub.address).closed(reason) >= before + count as u64);
    assert_eq!(Metrics::of(hub.address).closed(reason), before + count as u64);
}

/// WebSockets that have ended for `reason` by now.
fn closed(hub: &Process, reason: &str) -> u64 {
    Metrics::of(hub.address).closed(reason)
}

#[test]
fn clients_that_stop_reading_are_given_up() {
    let count = 50;
    do_twice("clients that stop reading", count, CONFIG, |hub| {
        let before = closed(hub, "slow_consumer");
        let _sleepers: Vec<_> = (0..count).map(|_| subscriber(hub.address)).collect();
        more_closed(hub, "slow_consumer", before, count);
    });
}

#[test]
fn clients_that_read_a_byte_per_second_are_given_up() {
    let count = 50;
    do_twice("clients that read a byte per second", count, CONFIG, |hub| {
        let before = closed(hub, "slow_consumer");
        let drips: Vec<_> = (0..count).map(|_| subscriber(hub.address)).collect();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    for (bare, _) in &drips {
                        let _ = (&*bare).read(&mut [0]);
                    }
                    // Not a wait for something: this is what such a client does.
                    thread::sleep(Duration::from_secs(1));
                }
            });
            more_closed(hub, "slow_consumer", before, count);
            over.store(true, Ordering::Relaxed);
        });
    });
}

/// What a client has sent when it vanishes: parts of a head, of a frame's header, of its payload, of a message.
fn halves() -> [Vec<u8>; 6] {
    let head = upgrade_request(&format!("/topics/{TOPIC}"), &[]);
    let frame = masked(0x81, &[b'x'; 300]);
    let with = |bytes: &[u8]| [&head, bytes].concat();
    [
        head[..head.len() / 2].to_vec(),
        with(&frame[..1]),
        with(&frame[..3]),
        with(&frame[..6]),
        with(&frame[..100]),
        with(&masked(0x01, b"the first of several frames")),
    ]
}

/// How a client goes away.
#[derive(Debug, Clone, Copy)]
enum Exit {
    /// By closing: what it did not read makes the kernel send a reset.
    Close,
    /// By a reset (`SO_LINGER` 0).
    Reset,
}

/// Opens `count` clients that send half of something and go.
fn send_halves(hub: SocketAddr, count: usize, exit: Exit) {
    for half in halves().iter().cycle().take(count) {
        let mut stream = TcpStream::connect(hub).unwrap();
        stream.write_all(half).unwrap();
        match exit {
            Exit::Close => {}
            Exit::Reset => SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(),
        }
    }
}

#[test]
fn clients_that_send_half_of_something_and_vanish_leave_nothing() {
    do_twice("clients that send half of something and vanish", 3000, CONFIG, |hub| {
        send_halves(hub.address, 3000, Exit::Close);
    });
}

#[test]
fn clients_that_reset_leave_nothing() {
    do_twice("clients that send half of something and reset", 3000, CONFIG, |hub| {
        send_halves(hub.address, 3000, Exit::Reset);
    });
}

#[test]
fn subscribers_that_reset_in_the_middle_of_the_stream_leave_nothing() {
    let count = 1000;
    do_twice("subscribers that reset in the middle of the stream", count, CONFIG, |hub| {
        let before = closed(hub, "gone");
        for _ in 0..count {
            let (bare, socket) = subscriber(hub.address);
            SockRef::from(&bare).set_linger(Some(Duration::ZERO)).unwrap();
            drop((bare, socket));
        }
        more_closed(hub, "gone", before, count);
    });
}

#[test]
fn clients_that_close_one_half_are_closed() {
    let count = 1000;
    // None of them reads until all are there, which takes a busy machine long: they are not to be given up for that.
    let config = CONFIG.replace("256KiB", "64MiB");
    do_twice("clients that close their sending half", count, &config, |hub| {
        let before = closed(hub, "gone");
        let mut halved: Vec<_> = (0..count).map(|_| subscriber(hub.address).1).collect();
        for socket in &halved {
            socket.socket.shut_down_writing();
        }
        for socket in &mut halved {
            eventually("the hub has closed its half, too", || socket.socket.has_ended());
        }
        more_closed(hub, "gone", before, count);
    });
}

#[test]
fn clients_that_vanish_without_a_word_are_given_up_by_their_pings() {
    let count = 100;
    let _alone = alone();
    let hub = Process::start(&CONFIG.replace("300d\"", "1s\"\npong_timeout = \"10s\"").replace("256KiB", "64MiB"));
    beside(hub.address, || {});
    let before = Level::of(&hub);
    let report = beside(hub.address, || {
        let mut silent: Vec<_> = (0..count).map(|_| WebSocket::open(hub.address, "/topics/of-the-silent")).collect();
        for socket in &mut silent {
            socket.socket.send(&masked(0x81, b"half of it")[..8]);
        }
        more_closed(&hub, "no_pong", 0, count);
        assert!(matches!(silent[0].hear(), Heard::Ping(_)));
    });
    report.tell(&format!("{count} clients that send half of a frame and are silent from then on"));
    before.is_reached_again(&hub);
}

//! Drain: what was acknowledged is delivered, everyone is told to reconnect, nothing new is let in, and it ends in time.

use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use fanfare::admin::counters::Protocol;
use fanfare::close_reason::CloseReason;

use crate::client::{Heard, WebSocket, masked};
use crate::deadline::{PATIENCE, eventually};
use crate::hub::TestHub;

const CONFIG: &str = "drain = \"5s\"\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n";

/// Reads until the close frame, answers it, and asserts that the socket ends; returns texts and code.
fn read_to_close(mut socket: WebSocket) -> (Vec<String>, Option<u16>) {
    let mut texts = Vec::new();
    loop {
        match socket.hear() {
            Heard::Text(text) => texts.push(text),
            Heard::Close(close) => {
                socket.socket.send(&masked(0x88, &[]));
                assert_eq!(socket.hear(), Heard::End);
                return (texts, close.map(|(code, _)| code));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn every_acknowledged_publication_reaches_every_reader_before_its_close_frame() {
    // Several times: what can be lost is what is on its way in the very moment of the drain.
    for _ in 0..10 {
        let hub = TestHub::start(3, CONFIG);
        let readers: Vec<_> = (0..12).map(|_| hub.websocket("/topics/news")).collect();
        let (acknowledged, refused) = (AtomicU64::new(0), AtomicU64::new(0));
        let mut publishers: Vec<_> = (0..3).map(|_| hub.http()).collect();
        let ended = thread::scope(|scope| {
            let reading: Vec<_> =
                readers.into_iter().map(|reader| scope.spawn(move || read_to_close(reader))).collect();
            for publisher in &mut publishers {
                scope.spawn(|| {
                    loop {
                        let request = b"POST /topics/news HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx";
                        if publisher.socket.try_send(request).is_err() {
                            break;
                        }
                        match crate::client::response(&mut publisher.socket) {
                            Some(answer) if answer.status == 200 => acknowledged.fetch_add(1, Ordering::SeqCst),
                            Some(answer) => {
                                assert_eq!((answer.status, answer.code().as_str()), (503, "draining"));
                                assert!(answer.header("retry-after").is_some());
                                refused.fetch_add(1, Ordering::SeqCst);
                                break;
                            }
                            // Closed between two requests.
                            None => break,
                        };
                    }
                });
            }
            eventually("they publish", || acknowledged.load(Ordering::SeqCst) > 50);
            hub.server().drain();
            reading.into_iter().map(|reading| reading.join().unwrap()).collect::<Vec<_>>()
        });
        let acknowledged = acknowledged.into_inner();
        for (texts, code) in ended {
            assert_eq!(code, Some(1001));
            // More than were acknowledged only if an acknowledgement was still on its way when its connection closed.
            assert!(texts.len() as u64 >= acknowledged, "{} of {acknowledged} came", texts.len());
        }
        hub.drain_and_join(Duration::from_secs(5)).1.unwrap();
    }
}

#[test]
fn a_publication_acknowledged_just_before_the_drain_is_delivered() {
    for _ in 0..20 {
        let hub = TestHub::start(2, CONFIG);
        let readers: Vec<_> = (0..4).map(|_| hub.websocket("/topics/news")).collect();
        let mut publisher = hub.http();
        publisher.publish("news", "the last word");
        hub.server().drain();
        for reader in readers {
            assert_eq!(read_to_close(reader), (vec!["the last word".to_owned()], Some(1001)));
        }
    }
}

#[test]
fn it_ends_before_its_deadline_when_clients_answer() {
    let hub = TestHub::start(2, CONFIG);
    let readers: Vec<_> = (0..50).map(|_| hub.websocket("/topics/news")).collect();
    thread::scope(|scope| {
        for reader in readers {
            scope.spawn(|| assert_eq!(read_to_close(reader), (Vec::new(), Some(1001))));
        }
        let (took, result) = hub.drain_and_join(PATIENCE);
        result.unwrap();
        assert!(took < Duration::from_secs(4), "{took:?}");
    });
}

#[test]
fn it_ends_at_its_deadline_when_clients_do_not_answer() {
    let hub = TestHub::start(2, "drain = \"1s\"\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n");
    let mut silent = hub.websocket("/topics/news");
    let (took, result) = hub.drain_and_join(PATIENCE);
    result.unwrap();
    assert!(took >= Duration::from_millis(900), "it was given the time there was, not {took:?}");
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert_eq!(silent.close_code(), 1001);
    assert_eq!(silent.hear(), Heard::End);
}

#[test]
fn event_streams_end_with_the_last_chunk() {
    let hub = TestHub::start(2, CONFIG);
    let mut one = hub.events("/topics/news");
    let mut several = hub.events("/topics/news?also=sport");
    hub.publish("news", "hello");
    hub.server().drain();
    assert_eq!(one.event().data, "hello");
    assert_eq!(one.next(), None);
    one.assert_closed();
    drop(one);
    assert_eq!(several.event().json()["data"], "hello");
    assert_eq!(several.next(), None);
    several.assert_closed();
    drop(several);
    hub.drain_and_join(Duration::from_secs(5)).1.unwrap();
}

#[test]
fn nobody_is_let_in_any_more() {
    let hub = TestHub::start(2, CONFIG);
    // Holds the drain open: it does not answer its close frame yet.
    let mut holder = hub.websocket("/topics/news");
    let address = hub.address();
    hub.server().drain();
    assert_eq!(holder.close_code(), 1001);
    eventually("connections are refused", || match TcpStream::connect(address) {
        Err(_) => true,
        // It was in the kernel's queue when the listener closed, and is reset.
        Ok(stream) => {
            drop(stream);
            false
        }
    });
    holder.socket.send(&masked(0x88, &[]));
    assert_eq!(holder.hear(), Heard::End);
    drop(holder);
    hub.drain_and_join(Duration::from_secs(5)).1.unwrap();
}

#[test]
fn who_was_closed_is_counted_as_drained() {
    let hub = TestHub::start(1, CONFIG);
    let reader = hub.websocket("/topics/news");
    let stream = hub.events("/topics/news");
    hub.server().drain();
    read_to_close(reader);
    drop(stream);
    for protocol in [Protocol::Topic, Protocol::Sse] {
        eventually("it is counted", || hub.closed(protocol, CloseReason::ServerDraining) == 1);
    }
}

#[test]
fn draining_twice_is_draining_once() {
    let hub = TestHub::start(2, CONFIG);
    let reader = hub.websocket("/topics/news");
    hub.server().drain();
    hub.server().drain();
    assert_eq!(read_to_close(reader).1, Some(1001));
    hub.drain_and_join(Duration::from_secs(5)).1.unwrap();
}

#[test]
fn an_idle_http_connection_does_not_hold_the_drain_up() {
    let hub = TestHub::start(2, CONFIG);
    let mut kept_alive = hub.http();
    assert_eq!(kept_alive.get("/health/live").status, 200);
    // Has sent half of a request.
    let mut half = hub.http();
    half.socket.send(b"POST /topics/news HTTP/1.1\r\nHo");
    let (took, result) = hub.drain_and_join(PATIENCE);
    result.unwrap();
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn a_request_under_way_when_the_drain_begins_is_answered() {
    let hub = TestHub::start(1, CONFIG);
    let mut http = hub.http();
    assert_eq!(http.get("/health/ready").status, 200);
    http.socket.send(b"POST /topics/news HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(http.response().status, 100);
    // The request is under way, so the connection is kept for its answer.
    hub.server().drain();
    http.socket.send(b"x");
    let answer = http.response();
    assert_eq!((answer.status, answer.code().as_str()), (503, "draining"));
}

#[test]
fn a_reader_with_a_backlog_gets_it_before_its_close_frame() {
    let hub = TestHub::start(2, CONFIG);
    let readers: Vec<_> = (0..4).map(|_| WebSocket::open_with_small_buffer(hub.address(), "/topics/news")).collect();
    let mut publisher = hub.http();
    let text = |n: usize| format!("{n:05000}");
    for n in 1..=100 {
        publisher.publish("news", text(n));
    }
    hub.server().drain();
    thread::scope(|scope| {
        for reader in readers {
            scope.spawn(|| {
                let (texts, code) = read_to_close(reader);
                assert!(texts.into_iter().eq((1..=100).map(text)), "not all of the backlog came");
                assert_eq!(code, Some(1001));
            });
        }
    });
    hub.drain_and_join(Duration::from_secs(5)).1.unwrap();
}

#[test]
fn those_who_come_in_the_moment_of_the_drain_are_served_or_sent_away() {
    for _ in 0..10 {
        let hub = TestHub::start(2, CONFIG);
        let address = hub.address();
        let come_on = std::sync::atomic::AtomicBool::new(true);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while come_on.load(Ordering::Relaxed) {
                        let Ok(stream) = TcpStream::connect(address) else { break };
                        let mut socket = crate::client::Socket::over(stream);
                        if socket.try_send(&crate::client::upgrade_request("/topics/news", &[])).is_err() {
                            continue;
                        }
                        // Its answer and the close frame, or 503, or nothing: in any case an end.
                        if !come_on.load(Ordering::Relaxed) {
                            socket.shut_down_writing();
                            socket.read_to_end();
                        }
                    }
                });
            }
            eventually("they come", || hub.sum(|shard| &shard.opened[Protocol::Topic.index()]) > 30);
            hub.server().drain();
            eventually("it is over", || hub.server().is_over());
            come_on.store(false, Ordering::Relaxed);
        });
        hub.drain_and_join(PATIENCE).1.unwrap();
    }
}

//! A small hub that can be told to break one promise.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine as _;
use sha1::{Digest as _, Sha1};

/// What goes wrong, with every tenth publication, for the last subscriber of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    Drop,
    Duplicate,
    /// It comes behind the next one.
    Swap,
    /// One bit of its last byte is wrong.
    Flip,
    /// The connection ends.
    HangUp,
    /// `POST` is answered with 403.
    Forbid,
    /// Every publication wakes a worker, say the metrics, whether somebody listens or not.
    Wake,
}

#[derive(Default)]
struct Topic {
    sockets: Vec<TcpStream>,
    count: u64,
    posts: u64,
    held: Option<Vec<u8>>,
}

type Topics = Arc<Mutex<HashMap<String, Topic>>>;

/// Starts the stub on a free port; its threads end with the test process.
pub(crate) fn start(fault: Fault) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let topics = Topics::default();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let topics = Arc::clone(&topics);
            thread::spawn(move || serve(stream.unwrap(), &topics, fault));
        }
    });
    port
}

/// One connection, until it ends.
fn serve(mut stream: TcpStream, topics: &Topics, fault: Fault) -> Option<()> {
    loop {
        let head = read_head(&mut stream)?;
        let path = head.split(' ').nth(1)?.to_owned();
        let header =
            |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
        if let Some(key) = header("Sec-WebSocket-Key:") {
            return serve_websocket(stream, &path, &key, topics, fault);
        }
        if path == "/metrics" {
            let posts = topics.lock().unwrap().values().map(|topic| topic.posts).sum::<u64>();
            let wakeups = if fault == Fault::Wake { posts } else { 0 };
            let text = format!("fanfare_worker_wakeups_total{{worker=\"0\"}} {wakeups}\n");
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len());
            stream.write_all(answer.as_bytes()).ok()?;
            continue;
        }
        let mut body = vec![0; header("Content-Length:")?.parse().ok()?];
        stream.read_exact(&mut body).ok()?;
        if fault == Fault::Forbid {
            stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 8\r\n\r\nno entry").ok()?;
        } else {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").ok()?;
            topics.lock().unwrap().entry(path.clone()).or_default().posts += 1;
            publish(topics, &path, &frame(0x82, &body), fault);
        }
    }
}

fn serve_websocket(mut stream: TcpStream, path: &str, key: &str, topics: &Topics, fault: Fault) -> Option<()> {
    let accept = accept_key(key);
    {
        // The answer and a ping in one write: frames that come with the handshake must not be overlooked.
        let mut topics = topics.lock().unwrap();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        stream.write_all(&[answer.as_bytes(), &frame(0x89, b"there?")].concat()).ok()?;
        let topic = topics.entry(path.to_owned()).or_default();
        topic.sockets.push(stream.try_clone().ok()?);
    }
    let (mut has_ponged, mut published_count) = (false, 0);
    loop {
        let (first, payload) = read_message(&mut stream)?;
        if first == 0x8a {
            assert_eq!(payload, b"there?");
            has_ponged = true;
        } else if first == 0x89 {
            // Under the lock: publishers write to this socket too.
            let _topics = topics.lock().unwrap();
            stream.write_all(&frame(0x8a, &payload)).ok()?;
        } else if first == 0x88 {
            let mut topics = topics.lock().unwrap();
            stream.write_all(&frame(0x88, &payload)).ok()?;
            let gone = stream.peer_addr().ok()?;
            topics.get_mut(path)?.sockets.retain(|socket| socket.peer_addr().ok() != Some(gone));
            return None;
        } else {
            published_count += 1;
            // The first window may be on its way before the ping is read.
            assert!(has_ponged || published_count <= 4, "the ping of the handshake was overlooked");
            publish(topics, path, &frame(first, &payload), fault);
        }
    }
}

fn publish(topics: &Topics, path: &str, frame: &[u8], fault: Fault) -> Option<()> {
    let mut topics = topics.lock().unwrap();
    let topic = topics.get_mut(path)?;
    topic.count += 1;
    let Topic { sockets, count, held, posts: _ } = topic;
    let is_tenth = *count % 10 == 0;
    let last = sockets.len().checked_sub(1)?;
    for (index, socket) in sockets.iter_mut().enumerate() {
        if index != last {
            socket.write_all(frame).ok();
            continue;
        }
        if let Some(held) = held.take() {
            socket.write_all(frame).ok();
            socket.write_all(&held).ok();
            continue;
        }
        let mut frame = frame.to_vec();
        match fault {
            Fault::Drop if is_tenth => frame.clear(),
            Fault::Duplicate if is_tenth => frame = frame.repeat(2),
            Fault::Swap if is_tenth => *held = Some(std::mem::take(&mut frame)),
            Fault::Flip if is_tenth => *frame.last_mut()? ^= 1,
            Fault::HangUp if is_tenth => {
                frame.clear();
                socket.shutdown(std::net::Shutdown::Both).ok();
            }
            _ => {}
        }
        socket.write_all(&frame).ok();
    }
    Some(())
}

/// `Sec-WebSocket-Accept` for `key`.
pub(crate) fn accept_key(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    base64::engine::general_purpose::STANDARD.encode(hash.finalize())
}

/// Reads a client's frame: its first byte and its payload; `None` at the end.
pub(crate) fn read_message(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    stream.read_exact(&mut head).ok()?;
    let mut length = u64::from(head[1] & 0x7f);
    if length == 126 {
        let mut extended = [0; 2];
        stream.read_exact(&mut extended).ok()?;
        length = u64::from(u16::from_be_bytes(extended));
    }
    let mut key = [0; 4];
    stream.read_exact(&mut key).ok()?;
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).ok()?;
    for (at, byte) in payload.iter_mut().enumerate() {
        *byte ^= key[at % 4];
    }
    Some((head[0], payload))
}

/// A server's frame that begins with the byte `first`.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(length as u8),
        length => {
            frame.push(126);
            frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// Reads up to the empty line; `None` at the end.
pub(crate) fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    String::from_utf8(head).ok()
}

//! Small hubs that speak the Centrifuge and the Pusher protocol, as far as the harness does, by general JSON.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::stub::{accept_key, frame, read_head, read_message};

/// What is spoken, and what goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// Pings with every tenth publication, in the same message, and expects the pong.
    Centrifuge,
    /// With an offset behind the data, as for a channel with history.
    CentrifugeWithOffsets,
    /// Refuses every subscription.
    CentrifugeForbidden,
    /// Tells a wrong channel with every tenth publication.
    CentrifugeMisnaming,
    /// Ends a message in the middle of its JSON with every tenth publication.
    CentrifugeCut,
    Pusher,
    /// Answers publications with 401.
    PusherForbidden,
}

impl Language {
    fn is_pusher(self) -> bool {
        matches!(self, Self::Pusher | Self::PusherForbidden)
    }
}

#[derive(Default)]
struct Hub {
    channels: HashMap<String, Vec<TcpStream>>,
    publication_count: u64,
}

/// Starts the hub on a free port; its threads end with the test process.
pub(crate) fn start(language: Language) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let hub = Arc::new(Mutex::new(Hub::default()));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let hub = Arc::clone(&hub);
            thread::spawn(move || serve(stream.unwrap(), &hub, language));
        }
    });
    port
}

/// One connection, until it ends.
fn serve(mut stream: TcpStream, hub: &Mutex<Hub>, language: Language) -> Option<()> {
    loop {
        let head = read_head(&mut stream)?;
        let header =
            |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
        if let Some(key) = header("Sec-WebSocket-Key:") {
            stream
                .write_all(
                    format!(
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                         Sec-WebSocket-Accept: {}\r\n\r\n",
                        accept_key(&key)
                    )
                    .as_bytes(),
                )
                .ok()?;
            return if language.is_pusher() {
                assert!(head.starts_with("GET /app/thekey?protocol=7"), "{head}");
                serve_pusher(stream, hub)
            } else {
                assert!(head.starts_with("GET /connection/websocket "), "{head}");
                serve_centrifuge(stream, hub, language)
            };
        }
        let mut body = vec![0; header("Content-Length:")?.parse().ok()?];
        stream.read_exact(&mut body).ok()?;
        assert!(head.starts_with("POST /apps/7/events?auth_key=thekey&auth_timestamp="), "{head}");
        if language == Language::PusherForbidden {
            stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\nbad token").ok()?;
            continue;
        }
        let event: Value = serde_json::from_slice(&body).unwrap();
        let channel = event["channel"].as_str().unwrap();
        let message = json!({ "event": event["name"], "channel": channel, "data": event["data"] }).to_string();
        hub.lock().unwrap().send(channel, &message);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").ok()?;
    }
}

impl Hub {
    fn send(&mut self, channel: &str, message: &str) {
        self.publication_count += 1;
        for socket in self.channels.get_mut(channel).into_iter().flatten() {
            socket.write_all(&frame(0x81, message.as_bytes())).ok();
        }
    }

    fn join(&mut self, channel: &str, stream: &TcpStream) {
        self.channels.entry(channel.to_owned()).or_default().push(stream.try_clone().unwrap());
    }
}

fn serve_pusher(mut stream: TcpStream, hub: &Mutex<Hub>) -> Option<()> {
    let hello =
        json!({ "event": "pusher:connection_established", "data": "{\"socket_id\":\"1.2\",\"activity_timeout\":30}" });
    stream.write_all(&frame(0x81, hello.to_string().as_bytes())).ok()?;
    stream.write_all(&frame(0x81, br#"{"event":"pusher:ping","data":{}}"#)).ok()?;
    loop {
        let (_, message) = read_message(&mut stream)?;
        let message: Value = serde_json::from_slice(&message).unwrap();
        match message["event"].as_str().unwrap() {
            "pusher:subscribe" => {
                let channel = message["data"]["channel"].as_str().unwrap();
                let reply =
                    json!({ "event": "pusher_internal:subscription_succeeded", "channel": channel, "data": "{}" });
                let mut hub = hub.lock().unwrap();
                stream.write_all(&frame(0x81, reply.to_string().as_bytes())).ok()?;
                hub.join(channel, &stream);
            }
            "pusher:pong" => {}
            other => panic!("{other}"),
        }
    }
}

fn serve_centrifuge(mut stream: TcpStream, hub: &Mutex<Hub>, language: Language) -> Option<()> {
    let (mut pings, mut pongs) = (0_u64, 0_u64);
    loop {
        let (_, message) = read_message(&mut stream)?;
        let mut replies = Vec::new();
        let mut hub = hub.lock().unwrap();
        for line in message.split(|&byte| byte == b'\n') {
            let command: Value = serde_json::from_slice(line).unwrap();
            let id = &command["id"];
            if let Some(subscribe) = command.get("subscribe") {
                if language == Language::CentrifugeForbidden {
                    replies.push(
                        json!({ "id": id, "error": { "code": 103, "message": "permission denied" } }).to_string(),
                    );
                } else {
                    hub.join(subscribe["channel"].as_str().unwrap(), &stream);
                    replies.push(json!({ "id": id, "subscribe": {} }).to_string());
                }
            } else if let Some(publish) = command.get("publish") {
                let channel = publish["channel"].as_str().unwrap();
                let number = hub.publication_count + 1;
                let is_tenth = number.is_multiple_of(10);
                let named = if is_tenth && language == Language::CentrifugeMisnaming { "elsewhere" } else { channel };
                let offset = if language == Language::CentrifugeWithOffsets {
                    format!(",\"offset\":{number}")
                } else {
                    String::new()
                };
                let data = &publish["data"];
                let mut push = format!(r#"{{"push":{{"channel":"{named}","pub":{{"data":{data}{offset}}}}}}}"#);
                if is_tenth && language == Language::CentrifugeCut {
                    push.pop();
                }
                if is_tenth && language == Language::Centrifuge {
                    push.push_str("\n{}");
                    pings += 1;
                }
                hub.send(channel, &push);
                replies.push(json!({ "id": id, "publish": {} }).to_string());
            } else if command.get("connect").is_some() {
                let connect = json!({ "client": "b6e98356", "version": "stub", "ping": 25, "pong": true });
                replies.push(json!({ "id": id, "connect": connect }).to_string());
            } else {
                assert_eq!(command, json!({}));
                pongs += 1;
            }
        }
        // Those on the way are not overdue.
        assert!(pings <= pongs + 64, "{pings} pings, {pongs} pongs");
        if !replies.is_empty() {
            stream.write_all(&frame(0x81, replies.join("\n").as_bytes())).ok()?;
        }
    }
}

//! Listeners: what is served at one is not served at another, and each kind of socket serves the same.

use std::os::unix::fs::PermissionsExt as _;

use fanfare::refusal::Refusal;

use crate::client::{Http, Response, Socket, WebSocket};
use crate::deadline::eventually;
use crate::hub::TestHub;

const TOPICS: &str = "[[topics]]\npattern = \"*\"\npublish = \"anyone\"\nhistory = { size = 10 }\n\
    [[endpoints]]\npath = \"/echo\"\nreply = \"{message}\"\n[[pages]]\npath = \"/docs\"\ndirectory = \"tests\"\n\
    [api]\nkeys = [\"key\"]\n";

/// A hub that serves everything at its first address, and besides what `listeners` say.
fn hub(listeners: &str) -> TestHub {
    TestHub::start(2, &format!("{TOPICS}{listeners}"))
}

fn at(hub: &TestHub, index: usize) -> Socket {
    Socket::connect(hub.server().addresses()[index])
}

fn get(hub: &TestHub, index: usize, target: &str) -> Response {
    Http { socket: at(hub, index) }.get(target)
}

fn try_websocket(hub: &TestHub, index: usize, target: &str) -> Result<WebSocket, Response> {
    WebSocket::try_upgrade(at(hub, index), target, &[])
}

#[test]
fn what_is_served_at_one_is_unknown_at_another() {
    let hub = hub("[[listeners]]\naddress = \"127.0.0.1:0\"\nsurfaces = [\"sockets\"]\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\nsurfaces = [\"api\", \"metrics\", \"health\"]\n");
    let (public, internal) = (1, 2);
    let mut socket = try_websocket(&hub, public, "/topics/news").unwrap();
    let mut echo = try_websocket(&hub, public, "/echo").unwrap();
    echo.send_text("hello");
    assert_eq!(echo.text(), "hello");
    for target in ["/metrics", "/health/live", "/topics/news", "/", "/docs/testing.md", "/api/info"] {
        let answer = get(&hub, public, target);
        assert_eq!((answer.status, answer.code().as_str()), (404, "unknown-path"), "{target}");
        assert_eq!(Http { socket: at(&hub, public) }.post("/topics/news", "x").status, 404);
    }
    for (target, status) in [("/metrics", 200), ("/health/live", 200), ("/topics/news", 404), ("/", 404)] {
        assert_eq!(get(&hub, internal, target).status, status, "{target}");
    }
    assert_eq!(try_websocket(&hub, internal, "/topics/news").unwrap_err().status, 404);
    assert_eq!(try_websocket(&hub, internal, "/echo").unwrap_err().status, 404);
    let body = br#"{"channel":"news","data":"from inside"}"#;
    let headers = [("X-API-Key", "key"), ("Content-Type", "application/json")];
    let answer = Http { socket: at(&hub, internal) }.request("POST", "/api/publish", &headers, body);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(socket.text(), "\"from inside\"", "they share their topics");
}

#[test]
fn a_listener_has_origins_and_compression_of_its_own() {
    let hub =
        hub("[[listeners]]\naddress = \"127.0.0.1:0\"\norigins = [\"https://app.example\"]\ncompression = true\n");
    let origin = [("Origin", "https://app.example")];
    assert!(WebSocket::try_upgrade(at(&hub, 1), "/topics/news", &origin).is_ok());
    assert_eq!(WebSocket::try_upgrade(at(&hub, 0), "/topics/news", &origin).unwrap_err().status, 403);
    let offer = [("Sec-WebSocket-Extensions", "permessage-deflate")];
    for (index, agreed) in [(0, false), (1, true)] {
        let mut socket = at(&hub, index);
        socket.send(&crate::client::upgrade_request("/topics/news", &offer));
        let answer = crate::client::response(&mut socket).unwrap();
        assert_eq!((answer.status, answer.header("sec-websocket-extensions").is_some()), (101, agreed));
    }
}

#[test]
fn a_base_path_is_part_of_every_path_and_of_no_other() {
    let hub = hub("[[listeners]]\naddress = \"127.0.0.1:0\"\nbase_path = \"/push\"\n");
    let mut socket = try_websocket(&hub, 1, "/push/topics/news").unwrap();
    assert_eq!(Http { socket: at(&hub, 1) }.post("/push/topics/news", "hello").status, 200);
    assert_eq!(socket.text(), "hello");
    assert_eq!(get(&hub, 1, "/push/health/live").status, 200);
    assert_eq!(get(&hub, 1, "/push").status, 200);
    assert_eq!(get(&hub, 1, "/push/docs/integration").header("location"), Some("./integration/"));
    for target in ["/topics/news", "/pushed/topics/news", "/health/live"] {
        assert_eq!(get(&hub, 1, target).status, 404, "{target}");
        assert_eq!(try_websocket(&hub, 1, target).unwrap_err().status, 404, "{target}");
    }
    assert_eq!(get(&hub, 0, "/push/health/live").status, 404);
}

#[test]
fn a_unix_socket_serves_what_tcp_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hub.sock");
    let hub = hub(&format!("[[listeners]]\naddress = \"unix:{}\"\nmode = \"600\"\n", path.display()));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // More than one: they are placed on both workers.
    let mut sockets: Vec<WebSocket> =
        (0..8).map(|_| WebSocket::upgrade(Socket::connect_unix(&path), "/topics/news")).collect();
    let mut http = Http { socket: Socket::connect_unix(&path) };
    for number in 0..100 {
        http.publish("news", format!("{number}"));
    }
    for socket in &mut sockets {
        for number in 0..100 {
            assert_eq!(socket.text(), number.to_string());
        }
    }
    hub.publish("news", "from TCP");
    sockets.iter_mut().for_each(|socket| assert_eq!(socket.text(), "from TCP"));
    drop(http);
    hub.drain_and_join(std::time::Duration::from_secs(20)).1.unwrap();
    assert!(!path.exists());
}

#[test]
fn a_listener_has_a_limit_of_connections_of_its_own() {
    let hub = hub("[[listeners]]\naddress = \"127.0.0.1:0\"\nconnections = 2\n");
    let one = try_websocket(&hub, 1, "/topics/news").unwrap();
    let _two = try_websocket(&hub, 1, "/topics/news").unwrap();
    let answer = get(&hub, 1, "/health/live");
    assert_eq!((answer.status, answer.code().as_str()), (503, "too-many-connections"));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(get(&hub, 0, "/health/live").status, 200, "others have room");
    drop(one);
    eventually("its place is free", || try_websocket(&hub, 1, "/topics/news").is_ok());
    assert!(hub.counters().refused[Refusal::TooManyConnections.index()].get() >= 1);
}

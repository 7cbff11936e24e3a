//! Limits per client address, and how a client's address is known behind a proxy.

use fanfare::admin::counters::Protocol;
use fanfare::refusal::Refusal;

use crate::client::{Http, Response, Socket, WebSocket, upgrade_request};
use crate::deadline::eventually;
use crate::hub::TestHub;

const TOPICS: &str = "[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n";
const PROXIED: &str =
    "[[listeners]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\ntrusted_proxies = [\"127.0.0.0/8\"]\n";
const FORWARDED: &str = "[[listeners]]\naddress = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.0/8\"]\n";

fn hub(config: &str) -> TestHub {
    TestHub::start(2, &format!("{config}\n{TOPICS}"))
}

fn at(hub: &TestHub, index: usize) -> Socket {
    Socket::connect(hub.server().addresses()[index])
}

fn refused(hub: &TestHub, refusal: Refusal) -> u64 {
    hub.counters().refused[refusal.index()].get()
}

#[test]
fn the_last_connection_of_an_address_is_let_in_and_the_next_is_told_why_not() {
    let hub = hub("[limits]\nconnections_per_address = 3\n");
    let mut sockets: Vec<WebSocket> = (0..3).map(|_| hub.websocket("/topics/news")).collect();
    let answer = hub.http().get("/health/live");
    assert_eq!((answer.status, answer.code().as_str()), (429, "too-many-from-address"));
    assert_eq!(answer.header("retry-after"), Some("10"));
    sockets.pop();
    eventually("there is room for it", || WebSocket::try_open(hub.address(), "/topics/news", &[]).is_ok());
    drop(sockets);
    eventually("nothing is left of it", || hub.server().surface().addresses.is_empty());
}

#[test]
fn plain_requests_hold_a_place_as_long_as_their_connection() {
    let hub = hub("[limits]\nconnections_per_address = 1\n");
    let mut http = hub.http();
    assert_eq!(http.get("/health/live").status, 200);
    assert_eq!(hub.http().get("/health/live").status, 429);
    let mut socket = WebSocket::upgrade(http.socket, "/topics/news");
    assert_eq!(hub.http().get("/health/live").status, 429);
    socket.send_close(1000);
    assert_eq!(socket.close_code(), 1000);
    eventually("its place is free", || hub.http().get("/health/live").status == 200);
    eventually("nothing is left of it", || hub.server().surface().addresses.is_empty());
}

#[test]
fn an_address_that_connects_too_often_is_told_to_wait() {
    let hub = hub("[limits]\nhandshakes_per_address = 1\n");
    let statuses: Vec<u16> = (0..8).map(|_| hub.http().get("/health/live").status).collect();
    // Five at once, and one for each second that this has taken.
    assert_eq!(statuses[..5], [200; 5]);
    assert!(statuses.contains(&429), "{statuses:?}");
    let answer = hub.http().get("/health/live");
    assert_eq!((answer.code().as_str(), answer.header("retry-after")), ("too-many-handshakes", Some("5")));
}

/// A connection that a proxy makes for the client at `address`.
fn proxied(hub: &TestHub, header: &[u8]) -> Socket {
    let mut socket = at(hub, 1);
    socket.send(header);
    socket
}

fn version_1(address: &str) -> Vec<u8> {
    format!("PROXY TCP4 {address} 192.0.2.200 40000 443\r\n").into_bytes()
}

fn version_2(address: [u8; 4]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    header.extend_from_slice(&address);
    header.extend_from_slice(&[192, 0, 2, 200, 0x9c, 0x40, 1, 0xbb]);
    header
}

#[test]
fn a_proxy_header_says_who_is_counted() {
    let hub = hub(&format!("[limits]\nconnections_per_address = 2\n{PROXIED}"));
    let open = |header: &[u8]| WebSocket::try_upgrade(proxied(&hub, header), "/topics/news", &[]);
    let mut first = open(&version_1("203.0.113.1")).unwrap();
    let second = open(&version_2([203, 0, 113, 1])).unwrap();
    assert_eq!(open(&version_1("203.0.113.1")).unwrap_err().status, 429);
    let _other = open(&version_2([203, 0, 113, 2])).unwrap();
    first.send_text("hello");
    assert_eq!(first.text(), "hello");
    drop(second);
    eventually("there is room", || open(&version_1("203.0.113.1")).is_ok());
    // The proxy's own health check counts for nobody.
    let mut local = proxied(&hub, b"PROXY UNKNOWN\r\n");
    local.send(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(local.read_to_end().starts_with(b"HTTP/1.1 200"));
}

#[test]
fn a_proxy_header_may_come_in_pieces_and_with_the_request() {
    let hub = hub(PROXIED);
    let whole = [version_2([203, 0, 113, 1]), upgrade_request("/topics/news", &[])].concat();
    for cut in [1, 12, 16, 20, 27, 28, 29, 60, whole.len() - 1] {
        let mut socket = at(&hub, 1);
        socket.send(&whole[..cut]);
        // Nothing tells when the hub has read it; it makes no difference to what is asserted.
        std::thread::yield_now();
        socket.send(&whole[cut..]);
        let mut socket = WebSocket::accepted(socket);
        socket.send_text("hello");
        assert_eq!(socket.text(), "hello");
    }
}

#[test]
fn a_connection_without_the_header_is_closed_and_counted() {
    let hub = hub(PROXIED);
    let mut direct = at(&hub, 1);
    direct.send(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(direct.read_to_end().is_empty());
    assert_eq!(refused(&hub, Refusal::BadProxyHeader), 1);
}

#[test]
fn who_is_no_trusted_proxy_may_not_use_a_listener_for_proxies() {
    let listener =
        "[[listeners]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\ntrusted_proxies = [\"192.0.2.0/24\"]\n";
    let hub = hub(listener);
    let mut socket = proxied(&hub, &version_1("203.0.113.1"));
    let _ = socket.try_send(&upgrade_request("/topics/news", &[]));
    assert!(socket.read_to_end().is_empty());
    assert_eq!(refused(&hub, Refusal::BadProxyHeader), 1);
    assert_eq!(hub.open(Protocol::Topic), 0);
}

#[test]
fn a_forwarded_address_counts_if_a_trusted_proxy_says_it() {
    let hub = hub(&format!("[limits]\nconnections_per_address = 2\n{FORWARDED}"));
    let open = |index: usize, header: (&str, &str)| -> Result<WebSocket, Response> {
        WebSocket::try_upgrade(at(&hub, index), "/topics/news", &[header])
    };
    let one = ("X-Forwarded-For", "203.0.113.1");
    let _first = open(1, one).unwrap();
    // What a client writes there stands left of what the proxy saw.
    let second = open(1, ("X-Forwarded-For", "198.51.100.7, 203.0.113.1")).unwrap();
    let answer = open(1, one).unwrap_err();
    assert_eq!((answer.status, answer.code().as_str()), (429, "too-many-from-address"));
    assert_eq!(open(1, ("Forwarded", "for=203.0.113.1;proto=https")).unwrap_err().status, 429);
    let _other = open(1, ("X-Forwarded-For", "203.0.113.2")).unwrap();
    // At a listener that trusts nobody it is the peer that counts, whatever it says.
    let _direct = [open(0, one).unwrap(), open(0, ("X-Forwarded-For", "203.0.113.9")).unwrap()];
    assert_eq!(open(0, ("X-Forwarded-For", "203.0.113.10")).unwrap_err().status, 429);
    drop(second);
    eventually("there is room", || open(1, one).is_ok());
    // Requests that open nothing are not counted: a proxy sends those of many clients over one connection.
    let mut http = Http { socket: at(&hub, 1) };
    for _ in 0..5 {
        assert_eq!(http.request("GET", "/health/live", &[one], b"").status, 200);
    }
}

//! The plain upgrade beside hyper's reading of the same bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::handshake::{Caller, polled_once};
use super::super::listener::ListenerId;
use super::*;
use crate::api::testing::Rig;

const CONFIG: &str = r#"
    [server]
    origins = ["https://good.example"]
    [limits]
    subscriptions = 3
    [[endpoints]]
    path = "/echo"
    reply = "{message}"
    [[endpoints]]
    path = "/only"
    reply = "{message}"
    origins = ["https://only.example"]
    [[pages]]
    path = "/page"
    text = "page"
"#;

const COMPRESSING: &str = "compression.enabled = true\n";

const HEAD: &str = "GET /topics/news HTTP/1.1\r\nHost: hub:8000\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const CALLER: Caller = Caller { listener: ListenerId(0), peer: None };

fn read_both(rig: &Rig, head: &[u8]) -> (Option<InPlace>, Option<InPlace>) {
    (read(&rig.surface, CALLER, head), polled_once(&rig.surface, CALLER, head))
}

#[test]
fn the_sample_of_the_rfc_gets_the_answer_of_the_rfc() {
    let opened = read(&Rig::new(CONFIG).surface, CALLER, HEAD.as_bytes()).unwrap();
    let answer = String::from_utf8(opened.response).unwrap();
    assert!(answer.contains("\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{answer}");
    assert!(opened.rest.is_empty());
}

#[test]
fn what_browsers_and_libraries_send_is_plain_and_answered_as_hyper_answers_it() {
    let rig = Rig::new(CONFIG);
    let browser = "GET /topics/news?since=7:1&format=json HTTP/1.1\r\nHost: good.example\r\nConnection: keep-alive, Upgrade\r\n\
        Pragma: no-cache\r\nCache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nUpgrade: websocket\r\n\
        Origin: https://good.example\r\nSec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br\r\n\
        Accept-Language: de,en;q=0.9\r\nCookie: a=b; c=d\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
    let library = "GET /echo HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: WebSocket\r\nconnection: upgrade\r\n\
        sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\nbehind";
    for head in [browser, library, HEAD] {
        let (plain, polled) = read_both(&rig, head.as_bytes());
        assert!(plain.is_some(), "{head}");
        assert_eq!(plain, polled);
    }
}

#[test]
fn an_offer_of_compression_is_answered_where_it_is_enabled_and_nowhere_else() {
    let rig = Rig::new(&[COMPRESSING, CONFIG].concat());
    let offering =
        |offer: &str| HEAD.replacen("\r\n\r\n", &format!("\r\nSec-WebSocket-Extensions: {offer}\r\n\r\n"), 1);
    let browser = offering("permessage-deflate; client_max_window_bits");
    for (head, answered) in [
        (browser.as_str(), Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n")),
        (&offering("permessage-deflate; server_max_window_bits=14"), Some("; server_max_window_bits=12\r\n")),
        (&offering("permessage-deflate; server_max_window_bits=8"), None),
        (HEAD, None),
    ] {
        let (plain, polled) = read_both(&rig, head.as_bytes());
        assert_eq!(plain, polled);
        let answer = String::from_utf8(plain.unwrap().response).unwrap();
        match answered {
            Some(answered) => assert!(answer.contains(answered), "{answer}"),
            None => assert!(!answer.contains("extensions"), "{answer}"),
        }
    }
    let malformed = offering("permessage-deflate;;");
    assert_eq!(read_both(&rig, malformed.as_bytes()), (None, None), "the ordinary way says why");
    let off = Rig::new(CONFIG);
    for head in [browser, malformed] {
        let (plain, polled) = read_both(&off, head.as_bytes());
        assert_eq!(plain, polled);
        assert!(!String::from_utf8(plain.unwrap().response).unwrap().contains("extensions"));
    }
}

#[test]
fn what_is_not_plain_is_left_to_hyper() {
    let rig = Rig::new(CONFIG);
    let with = |from: &str, to: &str| {
        assert!(HEAD.contains(from), "{from}");
        HEAD.replacen(from, to, 1)
    };
    for head in [
        with("GET", "POST"),
        with("HTTP/1.1", "HTTP/1.0"),
        with("/topics/news", "http://hub:8000/topics/news"),
        with("/topics/news", "/topics/news#part"),
        with("/topics/news", "/topics/a/b"),
        with("/topics/news", "/topics/news?since=nonsense"),
        with("/topics/news", "/page"),
        with("/topics/news", "/nowhere"),
        with("Upgrade: websocket", "Upgrade: h2c, websocket"),
        with("Connection: Upgrade", "Connection: close, Upgrade"),
        with("Connection: Upgrade", "Connection: keep-alive"),
        with("Connection: Upgrade\r\n", ""),
        with("Version: 13", "Version: 8"),
        with("25jZQ==", "25jZQ="),
        with("25jZQ==", "25j!Q=="),
        with("Host: hub:8000", "Host: hub:8000\r\nHost: other"),
        with("Host: hub:8000", "Host: hub:8000\r\nOrigin: https://evil.example"),
        with("Host: hub:8000", "Host: hub:8000\r\nOrigin: https://good.example\r\nOrigin: https://good.example"),
        with("Host: hub:8000", "Host: hub:8000\r\nContent-Length: 3"),
        with("Host: hub:8000", "Host: hub:8000\r\nTransfer-Encoding: chunked"),
        with("Host: hub:8000", "Host: hub:8000\r\nExpect: 100-continue"),
        with("Host: hub:8000", &"X: y\r\n".repeat(HEADERS + 1)[..6 * (HEADERS + 1) - 2]),
        HEAD[..HEAD.len() - 1].to_owned(),
    ] {
        assert_eq!(read(&rig.surface, CALLER, head.as_bytes()), None, "{head}");
    }
    rig.surface.hub.drain();
    assert_eq!(read(&rig.surface, CALLER, HEAD.as_bytes()), None, "a hub that drains opens nothing");
}

fn targets() -> impl Strategy<Value = String> {
    let known = select(vec![
        "/topics/news",
        "/topics/a%2Fb",
        "/topics/%ff",
        "/topics/",
        "/topics/a/b",
        "/topics/news?",
        "/topics/news?since=1:2",
        "/topics/news?history=3&format=json",
        "/topics/news?also=b&also=c&format=json",
        "/topics/news?also=b&also=c&also=d&format=json",
        "/topics/news?x=1",
        "/topics/news?since=1:2&history=3",
        "/echo",
        "/echo?x",
        "/only",
        "/page",
        "/",
        "//topics/news",
        "/health/live",
        "*",
        "",
        "topics/news",
        "http://hub/echo",
        "/echo#x",
        "/ech\u{6f}",
        "/topics/ü",
        "/topics/a b",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => "/[!-~]{0,20}", 1 => "/topics/[ -~]{0,12}"]
}

fn lines() -> impl Strategy<Value = String> {
    let pick = |name: &'static [&'static str], values: &'static [&'static str]| {
        (select(name), select(values), select(&["", " ", "  ", "\t"][..]))
            .prop_map(|(name, value, space)| format!("{name}:{space}{value}{space}"))
    };
    prop_oneof![
        6 => pick(&["Upgrade", "upgrade"], &["websocket", "WebSocket", "h2c", "websocket, h2c", ""]),
        6 => pick(&["Connection", "CONNECTION"], &["Upgrade", "upgrade", "keep-alive, Upgrade", "close", "Upgrade, close", "upgrade,", ""]),
        6 => pick(&["Sec-WebSocket-Key"], &["dGhlIHNhbXBsZSBub25jZQ==", "AAAAAAAAAAAAAAAAAAAAAA==", "short", "dGhlIHNhbXBsZSBub25jZQ=="]),
        6 => pick(&["Sec-WebSocket-Version"], &["13", "8", "13, 8", " 13"]),
        4 => pick(&["Host"], &["hub", "hub:8000", "good.example", "", "a b", "ü"]),
        3 => pick(&["Origin"], &["https://good.example", "https://only.example", "http://hub", "null", "", "x", "http://hub:80"]),
        1 => pick(&["Content-Length", "content-length"], &["0", "3", "x"]),
        1 => pick(&["Transfer-Encoding"], &["chunked", "identity"]),
        1 => pick(&["Expect"], &["100-continue"]),
        1 => pick(&["Cookie", "X-Thing", "Accept", "Last-Event-ID", "Sec-WebSocket-Protocol"], &["text/event-stream", "7:1", "x"]),
        3 => pick(&["Sec-WebSocket-Extensions"], &[
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10",
            "permessage-deflate; unknown",
            "permessage-deflate;;",
            "",
        ]),
        1 => "[ -~]{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_is_answered_is_answered_as_hyper_answers_it(
        method in select(&["GET", "GET", "GET", "GET", "HEAD", "get", "POST"][..]),
        target in targets(),
        version in select(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0"][..]),
        whole in any::<bool>(),
        compressing in any::<bool>(),
        mut lines in vec(lines(), 0..9),
        rest in vec(any::<u8>(), 0..8),
    ) {
        if whole {
            // Otherwise nearly none would be a handshake.
            for line in ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"] {
                let name = line.split(':').next().unwrap_or("");
                lines.retain(|one| !one.to_ascii_lowercase().starts_with(&name.to_ascii_lowercase()));
                lines.push(line.to_owned());
            }
        }
        let mut head = format!("{method} {target} {version}\r\n").into_bytes();
        for line in lines {
            head.extend(line.into_bytes());
            head.extend(b"\r\n");
        }
        head.extend(b"\r\n");
        head.extend(rest);
        let config = if compressing { [COMPRESSING, CONFIG].concat() } else { CONFIG.to_owned() };
        let (plain, polled) = read_both(&Rig::new(&config), &head);
        if plain.is_some() {
            prop_assert_eq!(plain, polled, "{}", String::from_utf8_lossy(&head));
        }
    }

    #[test]
    fn one_byte_changed_never_opens_what_hyper_would_not(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut head = HEAD.as_bytes().to_vec();
        let at = at.index(head.len());
        head[at] = byte;
        let (plain, polled) = read_both(&Rig::new(CONFIG), &head);
        if plain.is_some() {
            prop_assert_eq!(plain, polled, "{}", String::from_utf8_lossy(&head));
        }
    }
}

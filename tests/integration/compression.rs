//! permessage-deflate: one compressed frame for all who agreed on it, the same messages as without, and nothing that a
//! client can do with it costs more than its limit.

use std::fmt::Write as _;

use fanfare::admin::counters::Protocol;
use fanfare::close_reason::CloseReason;

use crate::client::{Heard, WebSocket, deflated, masked};
use crate::deadline::eventually;
use crate::hub::TestHub;

const CONFIG: &str = "[compression]\nenabled = true\nthreshold = \"200B\"\n[limits]\nmessage = \"64KiB\"\n\
    [[topics]]\npattern = \"raw*\"\npublish = \"anyone\"\ncompress = false\n\
    [[topics]]\npattern = \"kept*\"\npublish = \"anyone\"\nhistory = { size = 100 }\n\
    [[topics]]\npattern = \"*\"\npublish = \"anyone\"\n\
    [[endpoints]]\npath = \"/echo\"\nreply = \"{message}\"\n";

/// As browsers offer it.
const BROWSER: &str = "permessage-deflate; client_max_window_bits";

fn hub() -> TestHub {
    TestHub::start(2, CONFIG)
}

fn compressed(hub: &TestHub, target: &str) -> WebSocket {
    WebSocket::open_compressed(hub.address(), target, BROWSER, "")
}

/// A list of objects, as APIs write them; longer than every window but the largest.
fn json(number: usize) -> String {
    let mut text = String::from("[");
    for at in 0..200 {
        let value = (at * 7919 + number * 104_729) % 9973;
        write!(text, "{{\"id\":{at},\"name\":\"sensor {at}\",\"value\":{value}}},").unwrap();
    }
    text
}

#[track_caller]
fn assert_fails(hub: &TestHub, target: &str, bytes: &[u8], code: u16) {
    let mut socket = compressed(hub, target);
    socket.socket.send(bytes);
    assert_eq!(socket.closed_with(), code);
}

#[test]
fn everyone_gets_the_same_whatever_it_agreed_on_and_each_publication_is_compressed_once_per_window() {
    let hub = hub();
    let offers = [
        (BROWSER, ""),
        ("permessage-deflate; server_max_window_bits=9", "; server_max_window_bits=9"),
        ("permessage-deflate; server_max_window_bits=11", "; server_max_window_bits=9"),
        ("permessage-deflate; server_max_window_bits=13; client_max_window_bits=13", "; server_max_window_bits=12"),
        ("permessage-deflate; server_max_window_bits=\"15\"", "; server_max_window_bits=15"),
    ];
    let mut sockets: Vec<WebSocket> = (0..20)
        .map(|number| {
            let (offer, answer) = offers[number % offers.len()];
            WebSocket::open_compressed(hub.address(), "/topics/news", offer, answer)
        })
        .collect();
    sockets.push(hub.websocket("/topics/news"));
    let texts: Vec<String> = (0..10).map(json).collect();
    for text in &texts {
        hub.publish("news", text);
    }
    let mut frames = Vec::new();
    for (number, socket) in sockets.iter_mut().enumerate() {
        for text in &texts {
            let frame = socket.frame().unwrap();
            assert_eq!(frame.is_compressed, number < 20);
            if frame.is_compressed {
                assert!(frame.payload.len() < text.len() / 3, "{} of {}", frame.payload.len(), text.len());
            } else {
                assert_eq!(frame.payload, text.as_bytes());
            }
            frames.push(frame);
        }
    }
    // Who asked for the same window got the same bytes.
    for at in 0..texts.len() {
        for (a, b) in [(0, 4), (1, 2), (0, 5), (3, 8)] {
            assert_eq!(frames[a * texts.len() + at], frames[b * texts.len() + at]);
        }
        assert_ne!(frames[at], frames[texts.len() + at], "another window, other bytes");
    }
    for text in &texts {
        hub.publish("news", text);
        for socket in &mut sockets {
            assert_eq!(socket.hear(), Heard::Text(text.clone()));
        }
    }
    let published: usize = texts.iter().map(|text| 2 * text.len()).sum();
    eventually("the counters are brought up to date", || {
        hub.sum(|shard| &shard.compression_in_bytes) == 3 * published as u64
    });
    assert!(hub.sum(|shard| &shard.compression_out_bytes) < published as u64);
}

#[test]
fn what_is_small_does_not_compress_or_must_not_be_compressed_goes_out_as_it_is() {
    let hub = hub();
    let mut news = compressed(&hub, "/topics/news");
    for size in [0, 1, 199] {
        hub.publish("news", "a".repeat(size));
        let frame = news.frame().unwrap();
        assert_eq!((frame.is_compressed, frame.payload.len()), (false, size));
    }
    hub.publish("news", "a".repeat(200));
    assert!(news.frame().unwrap().is_compressed);
    let mut noise = 1_u32;
    let random: Vec<u8> = (0..1000)
        .map(|_| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        })
        .collect();
    hub.publish("news", &random);
    let frame = news.frame().unwrap();
    assert_eq!((frame.is_compressed, frame.payload), (false, random));

    let mut raw = compressed(&hub, "/topics/raw-1");
    hub.publish("raw-1", json(1));
    let frame = raw.frame().unwrap();
    assert_eq!((frame.is_compressed, frame.payload), (false, json(1).into_bytes()));
    // What such a client sends may still be compressed.
    raw.socket.send(&masked(0xc1, &deflated(b"from a client")));
    assert_eq!(raw.hear(), Heard::Text("from a client".into()));
}

#[test]
fn the_json_format_is_compressed_with_its_envelope_and_several_topics_each_by_its_own_rules() {
    let hub = hub();
    let mut socket = compressed(&hub, "/topics/news?also=raw-1&format=json");
    for (topic, is_compressed) in [("news", true), ("raw-1", false), ("news", true)] {
        hub.publish(topic, json(3));
        let frame = socket.frame().unwrap();
        assert_eq!((frame.opcode, frame.is_compressed), (1, is_compressed), "{topic}");
    }
    hub.publish("news", json(4));
    let line = socket.json();
    assert_eq!((line["topic"].as_str(), line["data"].as_str()), (Some("news"), Some(&*json(4))));
}

#[test]
fn history_comes_in_the_frames_that_were_sent_live() {
    let hub = hub();
    let mut live = compressed(&hub, "/topics/kept");
    let positions: Vec<String> = (0..5).map(|number| hub.publish("kept", json(number))).collect();
    let frames: Vec<_> = (0..5).map(|_| live.frame().unwrap()).collect();
    assert!(frames.iter().all(|frame| frame.is_compressed));
    for _ in 0..3 {
        let mut late = compressed(&hub, &format!("/topics/kept?since={}", positions[1]));
        for frame in &frames[2..] {
            assert_eq!(late.frame().as_ref(), Some(frame));
        }
        late.assert_nothing_came();
    }
    let mut uncompressed = hub.websocket("/topics/kept?history=1");
    assert_eq!(uncompressed.text(), json(4));
}

#[test]
fn what_clients_send_compressed_is_published_like_anything_else() {
    let hub = hub();
    let (mut sender, mut other) = (compressed(&hub, "/topics/room"), hub.websocket("/topics/room"));
    let text = json(7);
    let payload = deflated(text.as_bytes());
    let (front, back) = payload.split_at(payload.len() / 2);
    let whole = masked(0xc1, &payload);
    let cut = [masked(0x41, front), masked(0x89, b"?"), masked(0x00, b""), masked(0x80, back)].concat();
    for bytes in [&whole, &cut] {
        for piece in bytes.chunks(100) {
            sender.socket.send(piece);
        }
        if bytes == &cut {
            assert_eq!(sender.hear(), Heard::Pong(b"?".to_vec()));
        }
        assert_eq!(other.text(), text);
        assert_eq!(sender.text(), text);
    }
    sender.socket.send(&masked(0xc2, &deflated(&[0, 255])));
    sender.socket.send(&masked(0xc1, &[0]));
    sender.send_text("not compressed");
    for socket in [&mut other, &mut sender] {
        assert_eq!(socket.hear(), Heard::Binary(vec![0, 255]));
        assert_eq!(socket.hear(), Heard::Text(String::new()));
        assert_eq!(socket.hear(), Heard::Text("not compressed".into()));
    }
}

#[test]
fn an_endpoint_answers_a_compressed_message() {
    let hub = hub();
    let mut socket = compressed(&hub, "/echo");
    socket.socket.send(&masked(0xc1, &deflated(json(1).as_bytes())));
    assert_eq!(socket.text(), json(1));
}

#[test]
fn a_bomb_ends_its_connection_at_the_limit_and_nobody_else_notices() {
    let hub = hub();
    let mut other = compressed(&hub, "/topics/room");
    let fits = vec![b'a'; 64 * 1024];
    other.socket.send(&masked(0xc2, &deflated(&fits)));
    assert_eq!(other.hear(), Heard::Binary(fits));
    for size in [64 * 1024 + 1, 50 << 20] {
        let bomb = deflated(&vec![b'a'; size]);
        assert!(bomb.len() < 64 * 1024);
        assert_fails(&hub, "/topics/room", &masked(0xc2, &bomb), 1009);
        let cut = [masked(0x42, &bomb[..10]), masked(0x80, &bomb[10..])].concat();
        assert_fails(&hub, "/echo", &cut, 1009);
    }
    // Too much on the wire, whatever is in it: refused by the header.
    assert_fails(&hub, "/topics/room", &masked(0xc2, &vec![0; 80 * 1024])[..14], 1009);
    other.assert_nothing_came();
    assert_eq!(hub.closed(Protocol::Topic, CloseReason::MessageTooBig), 3);
}

#[test]
fn what_cannot_be_inflated_ends_with_1007_and_a_misplaced_bit_with_1002() {
    let hub = hub();
    let hello = deflated(b"hello, hello");
    assert_fails(&hub, "/echo", &masked(0xc1, &[0xff, 0xff]), 1007);
    assert_fails(&hub, "/echo", &masked(0xc1, &hello[..hello.len() - 2]), 1007);
    assert_fails(&hub, "/echo", &masked(0xc1, &deflated(b"caf\xc3")), 1007);
    assert_fails(&hub, "/echo", &masked(0xc9, b""), 1002);
    assert_fails(&hub, "/echo", &[masked(0x41, &hello), masked(0xc0, b"")].concat(), 1002);
    assert_fails(&hub, "/echo", &masked(0xa1, b""), 1002);
    assert_eq!(hub.closed(Protocol::Endpoint, CloseReason::InvalidDeflate), 2);
    let mut plain = hub.websocket("/echo");
    plain.socket.send(&masked(0xc1, &hello));
    assert_eq!(plain.closed_with(), 1002, "nothing was agreed on");
}

#[test]
fn an_offer_that_cannot_be_kept_is_declined_and_a_malformed_one_refused() {
    let hub = hub();
    let open = |offer: &str| WebSocket::try_open(hub.address(), "/echo", &[("Sec-WebSocket-Extensions", offer)]);
    for declined in ["permessage-deflate; server_max_window_bits=8", "permessage-deflate; x", "permessage-bzip2"] {
        let mut socket = open(declined).unwrap();
        socket.send_text("without");
        assert_eq!(socket.text(), "without");
        socket.socket.send(&masked(0xc1, &deflated(b"x")));
        assert_eq!(socket.closed_with(), 1002);
    }
    WebSocket::open_compressed(
        hub.address(),
        "/echo",
        "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=14",
        "; server_max_window_bits=12",
    );
    let refused = open("permessage-deflate;;").unwrap_err();
    assert_eq!(refused.status, 400, "{refused:?}");
}

#[test]
fn without_the_key_nothing_is_agreed_on() {
    let hub = TestHub::start(1, "[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n");
    let mut socket = WebSocket::try_open(hub.address(), "/topics/a", &[("Sec-WebSocket-Extensions", BROWSER)]).unwrap();
    hub.publish("a", json(1));
    let frame = socket.frame().unwrap();
    assert_eq!((frame.is_compressed, frame.payload), (false, json(1).into_bytes()));
}

#[test]
fn a_handshake_by_the_ordinary_way_agrees_all_the_same() {
    let hub = hub();
    // Two lines of offers: read by hyper, as whatever is not usual.
    let lines = [("Sec-WebSocket-Extensions", "x-other; a=\"b\""), ("Sec-WebSocket-Extensions", BROWSER)];
    let mut socket = WebSocket::try_open(hub.address(), "/topics/news", &lines).unwrap();
    hub.publish("news", json(1));
    assert!(socket.frame().unwrap().is_compressed);
}

/// Reads a series of `fanfare_compression_bytes_total` as a scraper does.
fn compression_bytes(hub: &TestHub, stage: &str) -> u64 {
    let answer = hub.http().get("/metrics");
    let series = format!("fanfare_compression_bytes_total{{stage=\"{stage}\"}} ");
    answer.text().lines().find_map(|line| line.strip_prefix(&series)).expect("the metric is there").parse().unwrap()
}

#[test]
fn a_listener_has_a_threshold_of_its_own_and_a_publication_is_compressed_once_for_all_of_them() {
    // The address of `server.listen` has a threshold of 200 bytes.
    let hub = TestHub::start(
        2,
        &format!(
            "{CONFIG}[[listeners]]\naddress = \"127.0.0.1:0\"\ncompression_threshold = \"1000B\"\n\
             [[listeners]]\naddress = \"127.0.0.1:0\"\ncompression_threshold = \"200B\"\n\
             [[listeners]]\naddress = \"127.0.0.1:0\"\ncompression = false\ncompression_threshold = \"1B\"\n"
        ),
    );
    let addresses = hub.server().addresses().to_vec();
    let offer = [("Sec-WebSocket-Extensions", BROWSER)];
    let open = |index: usize, target: &str| match index {
        3 => WebSocket::try_open(addresses[3], target, &offer).unwrap(),
        _ => WebSocket::open_compressed(addresses[index], target, BROWSER, ""),
    };
    // Three at each, so that both workers have some of each.
    let mut sockets: Vec<(usize, WebSocket)> =
        (0..12).map(|number| (number % 4, open(number % 4, "/topics/kept"))).collect();
    let expected = |index: usize, size: usize| match index {
        0 | 2 => size >= 200,
        1 => size >= 1000,
        _ => false,
    };
    let text = |size: usize| "a few words, ".repeat(100)[..size].to_owned();
    let sizes = [199, 200, 999, 1000];
    let mut positions = Vec::new();
    for size in sizes {
        positions.push(hub.publish("kept", text(size)));
        let mut frames = Vec::new();
        for (index, socket) in &mut sockets {
            let frame = socket.frame().unwrap();
            assert_eq!(frame.is_compressed, expected(*index, size), "{size} bytes at listener {index}");
            if frame.is_compressed {
                frames.push(frame);
            } else {
                assert_eq!(frame.payload, text(size).into_bytes());
            }
        }
        assert!(frames.windows(2).all(|two| two[0] == two[1]), "one compressed frame for all");
    }
    let once = 200 + 999 + 1000;
    eventually("each publication is counted", || compression_bytes(&hub, "in") >= once);
    hub.publish("kept", text(1000));
    for (index, socket) in &mut sockets {
        assert_eq!(socket.hear(), Heard::Text(text(1000)), "listener {index}");
    }
    eventually("the last one is counted", || compression_bytes(&hub, "in") > once);
    assert_eq!(compression_bytes(&hub, "in"), once + 1000, "once, whatever the thresholds are");
    assert!(compression_bytes(&hub, "out") < 300);

    // History comes in the same frames, whoever asks first.
    for index in [1, 0, 3, 2, 1] {
        let mut late = open(index, &format!("/topics/kept?since={}", positions[0]));
        for size in [200, 999, 1000, 1000] {
            let frame = late.frame().unwrap();
            assert_eq!(frame.is_compressed, expected(index, size), "{size} bytes at listener {index}");
        }
        late.assert_nothing_came();
    }
}

//! RFC 6455 end to end: what breaks the rules ends the connection with the code that says so, what keeps them does not.
//! The decoder is tested at every split beside its code, and `cargo xtask conformance` runs the Autobahn suite.

use std::time::{Duration, Instant};

use fanfare::admin::counters::Protocol;
use fanfare::close_reason::CloseReason;

use crate::client::{Heard, WebSocket, close_payload, masked};
use crate::deadline::eventually;
use crate::hub::TestHub;

const CONFIG: &str = "[limits]\nmessage = \"64KiB\"\nclose_timeout = \"400ms\"\n\
    [[endpoints]]\npath = \"/echo\"\nreply = \"{message}\"\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n";

fn hub() -> TestHub {
    TestHub::start(1, CONFIG)
}

/// Sends `bytes` and asserts that the connection is failed with `code`.
#[track_caller]
fn assert_failed(hub: &TestHub, bytes: &[u8], code: u16) {
    let mut socket = hub.websocket("/echo");
    socket.socket.send(bytes);
    assert_eq!(socket.close_code(), code, "for {:02x?}", &bytes[..bytes.len().min(16)]);
    assert_eq!(socket.hear(), Heard::End);
}

#[test]
fn frames_that_break_the_protocol_end_with_1002() {
    let hub = hub();
    let unmasked: &[u8] = &[0x81, 0x01, b'x'];
    let with_reserved_bit = masked(0xc1, b"x");
    let with_reserved_opcode = masked(0x83, b"x");
    let fragmented_ping = masked(0x09, b"x");
    let long_ping = masked(0x89, &[0; 126]);
    let nothing_to_continue = masked(0x80, b"x");
    let interrupted = [masked(0x01, b"a"), masked(0x81, b"b")].concat();
    let short_close = masked(0x88, &[3]);
    let unsendable_code = masked(0x88, &close_payload(1006, ""));
    // 5 bytes, told in 16 bits.
    let long_length: &[u8] = &[0x81, 0xfe, 0x00, 0x05, 0, 0, 0, 0, b'h', b'e', b'l', b'l', b'o'];
    for bytes in [
        unmasked,
        &with_reserved_bit,
        &with_reserved_opcode,
        &fragmented_ping,
        &long_ping,
        &nothing_to_continue,
        &interrupted,
        &short_close,
        &unsendable_code,
        long_length,
    ] {
        assert_failed(&hub, bytes, 1002);
    }
    eventually("they are counted", || hub.closed(Protocol::Endpoint, CloseReason::Protocol("")) == 10);
}

#[test]
fn text_that_is_not_utf_8_ends_with_1007_as_early_as_it_is_known() {
    let hub = hub();
    assert_failed(&hub, &masked(0x81, b"\xce\xba\xff"), 1007);
    // The fragment is not the last one; no more is needed to know.
    assert_failed(&hub, &masked(0x01, b"\xed\xa0\x80"), 1007);
    // A character that the message ends within.
    assert_failed(&hub, &[masked(0x01, b"\xe2\x82"), masked(0x80, b"")].concat(), 1007);
    assert_failed(&hub, &masked(0x88, b"\x03\xe8\xff"), 1007);
}

#[test]
fn a_character_may_be_split_over_fragments() {
    let hub = hub();
    let mut socket = hub.websocket("/echo");
    socket.socket.send(&masked(0x01, b"\xe2"));
    socket.socket.send(&masked(0x00, b"\x82"));
    socket.socket.send(&masked(0x80, b"\xac"));
    assert_eq!(socket.hear(), Heard::Text("€".into()));
}

#[test]
fn fragments_with_a_ping_between_them_are_one_message() {
    let hub = hub();
    let mut socket = hub.websocket("/echo");
    socket.socket.send(&masked(0x02, b"ab"));
    socket.send_ping(b"between");
    socket.socket.send(&masked(0x00, b""));
    socket.socket.send(&masked(0x80, b"cd"));
    assert_eq!(socket.hear(), Heard::Pong(b"between".to_vec()));
    assert_eq!(socket.hear(), Heard::Binary(b"abcd".to_vec()));
}

#[test]
fn a_ping_is_answered_with_its_payload_up_to_125_bytes() {
    let hub = hub();
    let mut socket = hub.websocket("/echo");
    for length in [0, 1, 125] {
        let payload = vec![0xa5; length];
        socket.send_ping(&payload);
        assert_eq!(socket.hear(), Heard::Pong(payload));
    }
    socket.socket.send(&masked(0x8a, b"an unasked pong is ignored"));
    socket.assert_nothing_came();
}

#[test]
fn messages_come_whole_from_any_number_of_pieces() {
    let hub = hub();
    let mut socket = hub.websocket("/echo");
    let text: String = ('a'..='z').cycle().take(70_000 - 5_000).collect();
    for length in [0, 125, 126, 65_000, 65_535] {
        let text = text.get(..length).map_or_else(|| "x".repeat(length), str::to_owned);
        let frame = masked(0x81, text.as_bytes());
        for piece in frame.chunks(frame.len() / 7 + 1) {
            socket.socket.send(piece);
        }
        assert_eq!(socket.hear(), Heard::Text(text));
    }
}

#[test]
fn a_frame_that_comes_byte_by_byte_is_a_frame() {
    let hub = hub();
    let mut socket = hub.websocket("/echo");
    for byte in masked(0x81, "Grüße".as_bytes()) {
        socket.socket.send(&[byte]);
    }
    assert_eq!(socket.text(), "Grüße");
}

#[test]
fn a_client_that_closes_is_answered_with_its_code() {
    let hub = hub();
    for code in [1000, 1001, 3000, 4999] {
        let mut socket = hub.websocket("/echo");
        socket.send_text("first this");
        socket.send_close(code);
        assert_eq!(socket.text(), "first this");
        assert_eq!(socket.close_code(), code);
        assert_eq!(socket.hear(), Heard::End, "the server closes first (§7.1.1)");
    }
    let mut socket = hub.websocket("/echo");
    socket.socket.send(&masked(0x88, b""));
    assert_eq!(socket.hear(), Heard::Close(None));
    assert_eq!(socket.hear(), Heard::End);
    drop(socket);
    eventually("they are counted", || hub.closed(Protocol::Endpoint, CloseReason::ClientClosed) == 5);
}

#[test]
fn nothing_that_comes_behind_a_close_frame_is_looked_at() {
    let hub = hub();
    let mut listener = hub.websocket("/topics/news");
    let mut socket = hub.websocket("/topics/news");
    socket.socket.send(&[masked(0x88, &close_payload(1000, "")), masked(0x81, b"too late")].concat());
    assert_eq!(socket.close_code(), 1000);
    assert_eq!(socket.hear(), Heard::End);
    listener.assert_nothing_came();
}

#[test]
fn a_client_that_does_not_answer_a_close_frame_is_dropped_at_the_timeout() {
    // Plain subscribers of a topic that only the API publishes to are closed when they talk.
    let hub = TestHub::start(1, "[limits]\nclose_timeout = \"400ms\"\n");
    let mut socket = hub.websocket("/topics/news");
    socket.send_text("not allowed");
    assert_eq!(socket.close_code(), 1008);
    let closed = Instant::now();
    assert_eq!(socket.hear(), Heard::End);
    assert!(closed.elapsed() >= Duration::from_millis(200), "it had {:?} to answer", closed.elapsed());
    eventually("it is gone", || hub.open(Protocol::Topic) == 0);
    assert_eq!(hub.closed(Protocol::Topic, CloseReason::PublishNotAllowed), 1);
}

#[test]
fn a_close_frame_in_the_same_segment_as_what_it_is_closed_for_is_an_answer() {
    let hub = TestHub::start(1, "[limits]\nclose_timeout = \"1h\"\n");
    let mut socket = hub.websocket("/topics/news");
    socket.socket.send(&[masked(0x81, b"not allowed"), masked(0x88, &close_payload(1000, ""))].concat());
    assert_eq!(socket.close_code(), 1008);
    assert_eq!(socket.hear(), Heard::End, "nothing is left to wait for");
}

#[test]
fn an_answered_close_frame_ends_the_connection_at_once() {
    let hub = TestHub::start(1, "[limits]\nclose_timeout = \"1h\"\n");
    let mut socket = hub.websocket("/topics/news");
    // The beginning of another frame is behind the one that it is closed for.
    let next = masked(0x81, b"never finished");
    socket.socket.send(&[&masked(0x81, b"not allowed"), &next[..5]].concat());
    assert_eq!(socket.close_code(), 1008);
    socket.socket.send(&[&next[5..], &masked(0x88, &close_payload(1008, ""))].concat());
    assert_eq!(socket.hear(), Heard::End);
    drop(socket);
    eventually("it is gone", || hub.open(Protocol::Topic) == 0);
}

#[test]
fn who_hangs_up_in_the_same_instant_as_it_speaks_is_gone_at_once() {
    let hub = hub();
    for _ in 0..50 {
        let mut socket = hub.websocket("/topics/news");
        socket.send_text("goodbye");
        drop(socket);
        let mut socket = hub.websocket("/topics/news");
        socket.send_ping(b"");
        socket.socket.shut_down_writing();
        while socket.hear() != Heard::End {}
    }
    eventually("all are gone", || hub.open(Protocol::Topic) == 0);
}

#[test]
fn bytes_after_a_violation_do_not_matter() {
    let hub = hub();
    let mut socket: WebSocket = hub.websocket("/echo");
    socket.socket.send(&[masked(0x81, b"\xff"), masked(0x81, b"fine"), vec![0xff; 1000]].concat());
    assert_eq!(socket.close_code(), 1007);
    assert_eq!(socket.hear(), Heard::End);
}

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use proptest::collection::vec;
use proptest::prelude::*;

use super::reader::{Dispatched, dechunk, read};
use super::*;
use crate::hub::{Epoch, Offset};

const POSITION: Position = Position { epoch: Epoch(7), offset: Offset(42) };

fn until_close(text: &str) -> Bytes {
    publication(Delimiting::UntilClose, POSITION, Kind::Text, text.as_bytes())
}

/// What arrives of a text: every line end as `\n`.
fn normalized(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

#[test]
fn a_publication_is_an_id_and_its_lines() {
    assert_eq!(until_close("one\ntwo"), "id: 7:42\ndata: one\ndata: two\n\n");
}

#[test]
fn every_line_end_of_the_grammar_begins_a_new_data_line() {
    assert_eq!(until_close("a\nb\r\nc\rd"), "id: 7:42\ndata: a\ndata: b\ndata: c\ndata: d\n\n");
    assert_eq!(until_close("a\n\rb"), "id: 7:42\ndata: a\ndata: \ndata: b\n\n");
    assert_eq!(until_close("\r\n\r\n"), "id: 7:42\ndata: \ndata: \ndata: \n\n");
}

#[test]
fn a_payload_cannot_forge_fields_or_end_its_event() {
    for ends in ["\n", "\r", "\r\n"] {
        let forged = format!("x{ends}id: 9:9{ends}event: missed{ends}{ends}data: y{ends}");
        let events = read(&until_close(&forged)).events;
        let whole = Dispatched { name: "message".into(), data: normalized(&forged), last_id: "7:42".into() };
        assert_eq!(events, [whole]);
    }
}

#[test]
fn an_empty_payload_is_dispatched_with_empty_data() {
    assert_eq!(until_close(""), "id: 7:42\ndata: \n\n");
    assert_eq!(read(&until_close("")).events[0].data, "");
}

#[test]
fn a_space_at_the_start_of_a_line_survives() {
    assert_eq!(read(&until_close(" a\n  b")).events[0].data, " a\n  b");
}

#[test]
fn a_binary_payload_is_a_binary_event_in_base64() {
    let frame = publication(Delimiting::UntilClose, POSITION, Kind::Binary, &[0xff, 0x00]);
    assert_eq!(frame, "id: 7:42\nevent: binary\ndata: /wA=\n\n");
}

#[test]
fn a_chunk_is_its_size_in_hex_and_the_event() {
    let frame = publication(Delimiting::Chunked, POSITION, Kind::Text, b"0123456789");
    assert_eq!(frame, "1b\r\nid: 7:42\ndata: 0123456789\n\n\r\n");
}

#[test]
fn a_comment_and_a_retry_line_dispatch_nothing() {
    let stream = [
        comment(Delimiting::UntilClose, "ping"),
        retry(Delimiting::UntilClose, Duration::from_millis(2750)),
        comment(Delimiting::UntilClose, "two\nlines"),
    ]
    .concat();
    assert_eq!(stream, b": ping\n\nretry: 2750\n\n: two\n: lines\n\n");
    let read = read(&stream);
    assert_eq!((read.events.len(), read.comments.len(), read.retry_ms), (0, 3, Some(2750)));
}

#[test]
fn an_event_without_an_id_leaves_the_last_id_as_it_was() {
    let stream = [until_close("a"), event(Delimiting::UntilClose, Some("missed"), "{}")].concat();
    let events = read(&stream).events;
    assert_eq!((events[1].name.as_str(), events[1].last_id.as_str()), ("missed", "7:42"));
}

fn any_text() -> impl Strategy<Value = String> {
    let char =
        prop_oneof![3 => any::<char>(), 2 => prop::sample::select(vec!['\n', '\r', ' ', ':', 'a', '\u{feff}', '\0'])];
    vec(char, 0..60).prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn any_texts_come_back_in_order_from_one_stream(texts in vec(any_text(), 1..6)) {
        let frames = |delimiting| -> Vec<Bytes> {
            texts.iter().zip(1..).map(|(text, offset)| {
                let position = Position { epoch: Epoch(7), offset: Offset(offset) };
                publication(delimiting, position, Kind::Text, text.as_bytes())
            }).collect()
        };
        let expected: Vec<Dispatched> = texts.iter().zip(1..).map(|(text, offset)| Dispatched {
            name: "message".into(), data: normalized(text), last_id: format!("7:{offset}"),
        }).collect();
        let plain = frames(Delimiting::UntilClose);
        prop_assert_eq!(&read(&plain.concat()).events, &expected);
        let chunks = dechunk(&frames(Delimiting::Chunked).concat());
        prop_assert_eq!(chunks, plain);
    }

    #[test]
    fn any_bytes_come_back_from_a_binary_event(payload in vec(any::<u8>(), 0..200)) {
        let events = read(&publication(Delimiting::UntilClose, POSITION, Kind::Binary, &payload)).events;
        prop_assert_eq!(events.len(), 1);
        prop_assert_eq!(&events[0].name, "binary");
        prop_assert_eq!(BASE64.decode(&events[0].data).unwrap(), payload);
    }
}

//! How replies and pushes travel.

use super::*;
use crate::protocol::sse::Delimiting;
use crate::protocol::sse::reader::{dechunk, read};

fn batch(transport: Transport) -> bytes::Bytes {
    let mut batch = Batch::new(transport, 16);
    batch.reply(1, &Reply::Publish);
    batch.ping();
    batch.push(Envelope::Wrapped, "c", &Push::Publication(Publication::new(Data::Value(b"{\n\"a\":1}"))));
    batch.finish()
}

const LINES: [&str; 3] = [r#"{"id":1,"publish":{}}"#, "{}", r#"{"push":{"channel":"c","pub":{"data":{"a":1}}}}"#];

#[test]
fn on_a_websocket_json_is_one_text_message_of_lines() {
    let frame = batch(Transport::WebSocket(Format::Json));
    let body = LINES.join("\n");
    assert_eq!((frame[0], usize::from(frame[1]), &frame[2..]), (0x81, body.len(), body.as_bytes()));
}

#[test]
fn on_a_websocket_protobuf_is_one_binary_message() {
    let frame = batch(Transport::WebSocket(Format::Protobuf));
    let body = b"\x04\x08\x01\x42\x00\x00\x11\x22\x0f\x12\x01c\x22\x0a\x22\x08{\n\"a\":1}";
    assert_eq!((frame[0], usize::from(frame[1]), &frame[2..]), (0x82, body.len(), &body[..]));
    let stream = batch(Transport::HttpStream(Format::Protobuf, Delimiting::UntilClose));
    assert_eq!(stream, body[..]);
}

#[test]
fn an_http_stream_ends_every_line() {
    let stream = batch(Transport::HttpStream(Format::Json, Delimiting::UntilClose));
    assert_eq!(stream, LINES.map(|line| format!("{line}\n")).concat());
}

#[test]
fn an_event_stream_has_an_event_each() {
    let transport = Transport::EventStream(Delimiting::UntilClose);
    let stream = [transport.opening(), &batch(transport)].concat();
    let events: Vec<String> = read(&stream).events.into_iter().map(|event| event.data).collect();
    assert_eq!(events, LINES);
}

#[test]
fn chunked_it_is_one_chunk_of_the_same() {
    let transports = [
        |delimiting| Transport::HttpStream(Format::Json, delimiting),
        |delimiting| Transport::HttpStream(Format::Protobuf, delimiting),
        |delimiting| Transport::EventStream(delimiting),
    ];
    for transport in transports {
        let chunked = batch(transport(Delimiting::Chunked));
        assert_eq!(dechunk(&chunked), [batch(transport(Delimiting::UntilClose)).to_vec()]);
    }
    let opening = [Transport::EventStream(Delimiting::Chunked), Transport::EventStream(Delimiting::UntilClose)]
        .map(Transport::opening);
    assert_eq!(dechunk(opening[0]), [opening[1].to_vec()]);
}

#[test]
fn nothing_added_is_nothing_to_send() {
    for transport in [
        Transport::WebSocket(Format::Json),
        Transport::HttpStream(Format::Json, Delimiting::Chunked),
        Transport::EventStream(Delimiting::Chunked),
    ] {
        // An empty chunk would end the body.
        assert_eq!(Batch::new(transport, 100).finish(), "");
    }
}

#[test]
fn one_publication_by_itself_is_made_in_one_allocation() {
    let tags = [("name".into(), "value".into())];
    let info = ClientInfo { user: "u", client: "c", connection_info: Some(b"{}"), channel_info: Some(b"{}") };
    let publication = Publication {
        info: Some(info),
        offset: Offset(u64::MAX),
        tags: &tags,
        time_ms: u64::MAX,
        epoch: Some(Epoch(u64::MAX)),
        topic: Some("a topic"),
        ..Publication::new(Data::Delta(b"1"))
    };
    for payload in [10, 1000, 100_000] {
        let payload = vec![b'7'; payload];
        for data in [Data::Value(&payload), Data::Full(&payload), Data::Delta(&payload)] {
            for format in [Format::Json, Format::Protobuf] {
                let push = Push::Publication(Publication { data, ..publication });
                let frame = Batch::of_push(Transport::WebSocket(format), Envelope::Wrapped, "channel", &push);
                let room = "channel".len()
                    + super::super::publication::publication_bytes(&Publication { data, ..publication });
                assert!(frame.len() <= room, "{} in {room}", frame.len());
            }
        }
    }
}

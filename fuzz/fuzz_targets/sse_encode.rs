//! Any payload as a Server-Sent Event: one event, one id, and the payload's lines, whatever the payload tries.
#![no_main]

use fanfare::hub::{Epoch, Kind, Offset, Position};
use fanfare::protocol::{Content, Encoding, encode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (u64, u64, &str, &[u8])| {
    let (epoch, offset, text, bytes) = data;
    let position = Position { epoch: Epoch(epoch), offset: Offset(offset) };
    for (kind, payload) in [(Kind::Text, text.as_bytes()), (Kind::Binary, bytes), (Kind::Text, bytes)] {
        for (plain, chunked) in [(Encoding::Sse, Encoding::SseChunked), (Encoding::SseTopic, Encoding::SseTopicChunked)]
        {
            let content = Content::plain("topic", position, kind, payload);
            let event = encode(plain, &content);
            let event_text = std::str::from_utf8(&event).expect("an event stream is UTF-8");
            let body = event_text.strip_suffix("\n\n").expect("an event ends with an empty line");
            let lines: Vec<&str> = body.split('\n').collect();
            assert!(!body.contains('\r'));
            assert!(lines.iter().all(|line| !line.is_empty()), "only its end is an empty line");
            let is_id = |line: &&&str| line.starts_with("id: ");
            assert_eq!(lines.iter().filter(is_id).count(), usize::from(plain == Encoding::Sse));
            let data: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("data: ")).collect();
            if plain == Encoding::Sse && payload == text.as_bytes() && kind == Kind::Text {
                assert_eq!(data.join("\n"), text.replace("\r\n", "\n").replace('\r', "\n"));
            }

            let chunk = encode(chunked, &content);
            let expected = [format!("{:x}\r\n", event.len()).as_bytes(), &event, b"\r\n"].concat();
            assert_eq!(chunk, expected);
        }
    }
});

//! fanfare's `/topics/{topic}`: plain payloads, or with `format=json` each in an object that tells its topic.

use std::io::Write as _;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::dialect::{Envelope, Event, NotUnderstood};
use super::scan;
use crate::wire::frame::{self, Opcode};
use crate::wire::stamp::{Format, Payloads, Stamp};

const FOLDER: &str = "/topics/";

/// The path of a connection on `topics`.
pub(super) fn path(envelope: Envelope, topics: &[String]) -> String {
    let mut path = FOLDER.to_owned();
    for (place, topic) in topics.iter().enumerate() {
        path.push_str(match place {
            0 => "",
            1 => "?also=",
            _ => "&also=",
        });
        path.push_str(topic);
    }
    match envelope {
        Envelope::Plain => {}
        Envelope::Json => path.push_str(if topics.len() > 1 { "&format=json" } else { "?format=json" }),
    }
    path
}

/// The topics and the envelope that a client asked for by `path`, backwards; any other path is a topic of its own.
pub(crate) fn asked(path: &str) -> (Vec<&str>, Envelope) {
    let (first, query) = path.split_once('?').unwrap_or((path, ""));
    let mut topics = vec![first.strip_prefix(FOLDER).unwrap_or(first)];
    let mut envelope = Envelope::Plain;
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("also", topic)) => topics.push(topic),
            Some(("format", "json")) => envelope = Envelope::Json,
            Some(_) | None => {}
        }
    }
    (topics, envelope)
}

/// What a message in a JSON envelope says.
///
/// The hub writes `data` last, and as a string: so the payload reaches to the end, and needs no search. Whatever else
/// stands in it, it is not what was published.
pub(super) fn read(message: &[u8]) -> Result<Event<'_>, NotUnderstood> {
    if let Some((topic, payload)) = publication(message) {
        return Ok(Event::Publication { topic: Some(topic), payload });
    }
    let line: Line = serde_json::from_slice(message).map_err(|_| NotUnderstood)?;
    match line {
        Line { error: Some(_), .. } => Ok(Event::Refused(message)),
        // What was missed is counted by its gaps; what stands in base64 nobody here published.
        Line { missed: Some(_), .. } | Line { recovered: Some(_), .. } | Line { base64: Some(_), .. } => {
            Ok(Event::Other)
        }
        Line { error: None, missed: None, recovered: None, base64: None } => Err(NotUnderstood),
    }
}

fn publication(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let (topic, rest) = scan::string(message.strip_prefix(br#"{"topic":"#)?)?;
    let (epoch, rest) = scan::string(rest.strip_prefix(br#","epoch":"#)?)?;
    epoch.iter().all(u8::is_ascii_digit).then_some(())?;
    let rest = scan::behind_number(rest.strip_prefix(br#","offset":"#)?)?;
    Some((topic, rest.strip_prefix(br#","data":""#)?.strip_suffix(br#""}"#)?))
}

/// What the hub says besides publications of text, told by the keys.
#[derive(Deserialize)]
struct Line {
    error: Option<IgnoredAny>,
    missed: Option<IgnoredAny>,
    recovered: Option<IgnoredAny>,
    base64: Option<IgnoredAny>,
}

/// Appends the frame of a publication of text, as the hub would: `payload` appends the payload of `payload_bytes`.
pub(crate) fn write_publication(
    out: &mut Vec<u8>,
    topic: &str,
    epoch: u64,
    offset: u64,
    payload_bytes: usize,
    payload: impl FnOnce(&mut Vec<u8>),
) {
    const KEYS: [&str; 4] = [r#"{"topic":""#, r#"","epoch":""#, r#"","offset":"#, r#","data":""#];
    const END: &str = r#""}"#;
    let keys_bytes: usize = KEYS.iter().map(|key| key.len()).sum();
    let length = keys_bytes + topic.len() + digits(epoch) + digits(offset) + payload_bytes + END.len();
    frame::write_plain(out, Opcode::Text, length, |out| {
        // Writing to a vector does not fail.
        let [topic_key, epoch_key, offset_key, data_key] = KEYS;
        let _ = write!(out, "{topic_key}{topic}{epoch_key}{epoch}{offset_key}{offset}{data_key}");
        payload(out);
        out.extend_from_slice(END.as_bytes());
    });
}

fn digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Appends the request that publishes over HTTP.
pub(super) fn post(authority: &str, topic: &str, stamp: &Stamp, payloads: &Payloads, out: &mut Vec<u8>) {
    let content_type = match payloads.format() {
        Format::Binary => "application/octet-stream",
        Format::Text => "text/plain",
    };
    let head = format!(
        "POST {FOLDER}{topic} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        payloads.size()
    );
    out.extend_from_slice(head.as_bytes());
    payloads.write(stamp, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::{Parsed, Writer};

    const MESSAGE: &[u8] = br#"{"topic":"news","epoch":"7","offset":42,"data":"abc"}"#;

    #[test]
    fn more_topics_and_the_format_stand_in_the_query() {
        let topics: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(path(Envelope::Plain, &topics[..1]), "/topics/a");
        assert_eq!(path(Envelope::Json, &topics[..1]), "/topics/a?format=json");
        assert_eq!(path(Envelope::Json, &topics), "/topics/a?also=b&also=c&format=json");
    }

    #[test]
    fn the_floor_understands_what_a_client_asks_for() {
        let topics: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        for envelope in [Envelope::Plain, Envelope::Json] {
            for count in 1..=3 {
                let path = path(envelope, &topics[..count]);
                let (asked_topics, asked_envelope) = asked(&path);
                assert_eq!(
                    (asked_envelope, asked_topics),
                    (envelope, topics[..count].iter().map(String::as_str).collect())
                );
            }
        }
        assert_eq!(asked("/any/path"), (vec!["/any/path"], Envelope::Plain));
    }

    #[test]
    fn a_publication_is_its_topic_and_its_payload() {
        assert_eq!(read(MESSAGE), Ok(Event::Publication { topic: Some(b"news"), payload: b"abc" }));
    }

    #[test]
    fn no_other_bytes_around_a_payload_pass_for_the_envelope() {
        for cut in 0..MESSAGE.len() {
            assert_eq!(read(&MESSAGE[..cut]), Err(NotUnderstood), "cut at {cut}");
        }
        // Every byte outside of topic, epoch, offset and data.
        for at in
            (0..MESSAGE.len()).filter(|at| ![10..14, 25..26, 37..39, 48..51].iter().any(|range| range.contains(at)))
        {
            let mut bytes = MESSAGE.to_vec();
            bytes[at] ^= 1;
            let payload = |event: Result<Event<'_>, _>| matches!(event, Ok(Event::Publication { payload: b"abc", .. }));
            assert!(!payload(read(&bytes)), "byte {at}: {}", String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn whatever_follows_the_payload_is_part_of_it_and_so_not_what_was_published() {
        let message = br#"{"topic":"news","epoch":"7","offset":42,"data":"abc","more":"d"}"#;
        let Ok(Event::Publication { payload, .. }) = read(message) else { panic!("no publication") };
        assert_eq!(payload, br#"abc","more":"d"#);
    }

    #[test]
    fn notices_are_no_publications_and_an_error_is_a_refusal() {
        let missed = br#"{"missed":{"topic":"news","epoch":"7","from":3,"to":9,"count":7}}"#;
        assert_eq!(read(missed), Ok(Event::Other));
        assert_eq!(read(br#"{"topic":"news","epoch":"7","offset":42,"recovered":true}"#), Ok(Event::Other));
        assert_eq!(read(br#"{"topic":"news","epoch":"7","offset":42,"base64":"/wA="}"#), Ok(Event::Other));
        let error = br#"{"error":{"code":"bad-message","message":"no"}}"#;
        assert_eq!(read(error), Ok(Event::Refused(error)));
    }

    #[test]
    fn what_the_floor_writes_is_what_is_read() {
        for (epoch, offset) in [(0, 1), (1_795_252_436_123_456, 1_000_000), (9, 10)] {
            let mut out = Vec::new();
            write_publication(&mut out, "load-7", epoch, offset, 3, |out| out.extend_from_slice(b"abc"));
            let Ok(Parsed::Frame(frame, length)) = frame::parse(&out, Writer::Server, 1000) else { panic!("no frame") };
            assert_eq!((frame.opcode, length), (Opcode::Text, out.len()));
            assert_eq!(read(frame.payload), Ok(Event::Publication { topic: Some(b"load-7"), payload: b"abc" }));
        }
    }
}

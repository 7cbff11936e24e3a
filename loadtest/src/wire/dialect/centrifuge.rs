//! The Centrifuge protocol in JSON, client side: one message carries one or more objects, each on a line of its own.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::dialect::{Event, NotUnderstood};
use super::scan;
use crate::wire::frame::{self, Opcode};
use crate::wire::stamp::{Payloads, Stamp};

/// Hides nothing, and need not: see `Fleet`.
const KEY: [u8; 4] = [1, 2, 3, 4];

/// The id of the connect command; those of the subscribe commands follow.
const CONNECT_ID: u32 = 1;

/// Ids of publish commands begin here: nothing else of this connection has one as high.
const FIRST_PUBLISH_ID: u32 = 1 << 20;

/// Publish commands whose ids differ. Those in flight are fewer.
const PUBLISH_IDS: u64 = 1 << 24;

/// Connect and all subscribe commands in one message, before any reply, as centrifuge-js does.
pub(super) fn greet(topics: &[String], out: &mut Vec<u8>) {
    let mut message = format!(r#"{{"id":{CONNECT_ID},"connect":{{"name":"fanfare-loadtest"}}}}"#);
    for (place, topic) in topics.iter().enumerate() {
        let id = CONNECT_ID as usize + 1 + place;
        message.push_str(&format!("\n{{\"id\":{id},\"subscribe\":{{\"channel\":\"{topic}\"}}}}"));
    }
    frame::write_masked(out, Opcode::Text, KEY, message.len(), |out| out.extend_from_slice(message.as_bytes()));
}

/// Appends a publish command.
pub(super) fn publish(topic: &str, stamp: &Stamp, payloads: &Payloads, key: [u8; 4], out: &mut Vec<u8>) {
    const END: &[u8] = br#""}}"#;
    let id = FIRST_PUBLISH_ID + (stamp.sequence % PUBLISH_IDS) as u32;
    let head = format!(r#"{{"id":{id},"publish":{{"channel":"{topic}","data":""#);
    frame::write_masked(out, Opcode::Text, key, head.len() + payloads.size() + END.len(), |out| {
        out.extend_from_slice(head.as_bytes());
        payloads.write(stamp, out);
        out.extend_from_slice(END);
    });
}

/// Shows `visit` what each line of `message` says.
pub(super) fn read<'a>(message: &'a [u8], mut visit: impl FnMut(Event<'a>)) -> Result<(), NotUnderstood> {
    for line in message.split(|&byte| byte == b'\n') {
        visit(match line {
            // A server that pings without wanting an answer says so when connecting; none under test does.
            b"{}" => Event::Ping("{}"),
            line => publication(line).map_or_else(|| other(line), Ok)?,
        });
    }
    Ok(())
}

/// The publication in the form that Centrifugo writes: data first, and what is not there left out.
fn publication(line: &[u8]) -> Option<Event<'_>> {
    let (topic, rest) = scan::string(line.strip_prefix(br#"{"push":{"channel":"#)?)?;
    let (payload, rest) = scan::string(rest.strip_prefix(br#","pub":{"data":"#)?)?;
    let is_alone = rest == b"}}}";
    // A position and the like may follow: the rest must be an object, but for what stood before.
    (is_alone || is_publication(line)).then_some(Event::Publication { topic: Some(topic), payload })
}

/// Whether all of `line` is JSON, and a publication.
fn is_publication(line: &[u8]) -> bool {
    matches!(serde_json::from_slice::<Reply<'_>>(line), Ok(Reply { push: Some(Push { publication: Some(_), .. }), .. }))
}

/// Everything but a publication in its usual form.
fn other(line: &[u8]) -> Result<Event<'_>, NotUnderstood> {
    let reply: Reply<'_> = serde_json::from_slice(line).map_err(|_| NotUnderstood)?;
    match reply {
        Reply { error: Some(_), .. } => Ok(Event::Refused(line)),
        Reply { push: Some(push), .. } => match push {
            Push { unsubscribe: Some(_), .. } | Push { disconnect: Some(_), .. } => Ok(Event::Refused(line)),
            Push { channel, publication: Some(Publication { data }), .. } => {
                Ok(Event::Publication { topic: channel.map(str::as_bytes), payload: inside(data.get().as_bytes()) })
            }
            // Others that join and leave, messages, refreshes.
            Push { publication: None, unsubscribe: None, disconnect: None, .. } => Ok(Event::Other),
        },
        Reply { connect: Some(_), .. } => Ok(Event::Established),
        Reply { subscribe: Some(_), .. } => Ok(Event::Joined),
        Reply { publish: Some(_), .. } => Ok(Event::Other),
        Reply { error: None, push: None, connect: None, subscribe: None, publish: None } => Err(NotUnderstood),
    }
}

/// What stands in the quotes of a string; any other value as it is.
fn inside(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

#[derive(Deserialize)]
struct Reply<'a> {
    error: Option<IgnoredAny>,
    connect: Option<IgnoredAny>,
    subscribe: Option<IgnoredAny>,
    publish: Option<IgnoredAny>,
    #[serde(borrow)]
    push: Option<Push<'a>>,
}

#[derive(Deserialize)]
struct Push<'a> {
    channel: Option<&'a str>,
    #[serde(borrow, rename = "pub")]
    publication: Option<Publication<'a>>,
    unsubscribe: Option<IgnoredAny>,
    disconnect: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Publication<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::{Parsed, Writer};
    use crate::wire::stamp::Format;

    fn events(message: &str) -> Result<Vec<Event<'_>>, NotUnderstood> {
        let mut events = Vec::new();
        read(message.as_bytes(), |event| events.push(event))?;
        Ok(events)
    }

    fn publication_of<'a>(topic: &'a str, payload: &'a str) -> Event<'a> {
        Event::Publication { topic: Some(topic.as_bytes()), payload: payload.as_bytes() }
    }

    fn unmasked(bytes: &[u8]) -> String {
        let Ok(Parsed::Frame(frame, length)) = frame::parse(bytes, Writer::Client, 1 << 20) else { panic!("no frame") };
        assert_eq!((frame.opcode, length), (Opcode::Text, bytes.len()));
        let mut payload = frame.payload.to_vec();
        frame::mask(&mut payload, frame.key);
        String::from_utf8(payload).unwrap()
    }

    #[test]
    fn connect_and_all_subscribe_commands_go_in_one_message() {
        let mut out = Vec::new();
        greet(&["x1".to_owned(), "x2".to_owned()], &mut out);
        assert_eq!(
            unmasked(&out),
            "{\"id\":1,\"connect\":{\"name\":\"fanfare-loadtest\"}}\n\
             {\"id\":2,\"subscribe\":{\"channel\":\"x1\"}}\n{\"id\":3,\"subscribe\":{\"channel\":\"x2\"}}"
        );
    }

    #[test]
    fn a_publish_command_is_json_with_the_payload_as_a_string() {
        let payloads = Payloads::new(1, Format::Text, 70).unwrap();
        let stamp = Stamp { topic: 3, publisher: 0, sequence: 9, intended_ns: 5 };
        let mut out = Vec::new();
        publish("load-3", &stamp, &payloads, [1, 2, 3, 4], &mut out);
        let command: serde_json::Value = serde_json::from_str(&unmasked(&out)).unwrap();
        assert_eq!(command["publish"]["channel"], "load-3");
        assert_eq!(payloads.check(command["publish"]["data"].as_str().unwrap().as_bytes()), Ok(stamp));
    }

    #[test]
    fn replies_to_the_first_message_may_come_together() {
        // Recorded from Centrifugo 6.9.1.
        let replies = "{\"id\":1,\"connect\":{\"client\":\"b6e98356\",\"version\":\"6.9.1 OSS\",\"ping\":2,\"pong\":true,\
                       \"time\":1795252387747}}\n{\"id\":2,\"subscribe\":{}}\n{\"id\":3,\"subscribe\":{}}";
        assert_eq!(events(replies), Ok(vec![Event::Established, Event::Joined, Event::Joined]));
        let positioned = r#"{"id":2,"subscribe":{"recoverable":true,"epoch":"DsbHCAzy","offset":3,"positioned":true}}"#;
        assert_eq!(events(positioned), Ok(vec![Event::Joined]));
    }

    #[test]
    fn publications_are_found_with_and_without_what_may_follow_the_data() {
        for line in [
            r#"{"push":{"channel":"news","pub":{"data":"abc"}}}"#,
            r#"{"push":{"channel":"news","pub":{"data":"abc","offset":10,"tags":{"t":"1"}}}}"#,
            r#"{"push":{"channel":"news","pub":{"data":"abc","info":{"user":"u1","client":"9c6f"}}}}"#,
            r#"{"push":{"pub":{"offset":10,"data":"abc"},"channel":"news"}}"#,
        ] {
            assert_eq!(events(line), Ok(vec![publication_of("news", "abc")]), "{line}");
        }
        let object = r#"{"push":{"channel":"plain","pub":{"data":{"a":1}}}}"#;
        assert_eq!(events(object), Ok(vec![publication_of("plain", r#"{"a":1}"#)]));
    }

    #[test]
    fn a_cut_publication_is_not_understood() {
        let line = r#"{"push":{"channel":"news","pub":{"data":"abc","offset":10}}}"#;
        for cut in 0..line.len() {
            assert_eq!(events(&line[..cut]), Err(NotUnderstood), "cut at {cut}");
        }
        assert_eq!(events(&format!("{line}}}")), Err(NotUnderstood));
    }

    #[test]
    fn a_ping_may_share_a_message_with_publications_and_is_answered() {
        let message = "{\"push\":{\"channel\":\"a\",\"pub\":{\"data\":\"x\"}}}\n{}\n{\"id\":1048576,\"publish\":{}}";
        assert_eq!(events(message), Ok(vec![publication_of("a", "x"), Event::Ping("{}"), Event::Other]));
    }

    #[test]
    fn refusals_are_told_and_news_of_others_are_not() {
        for line in [
            r#"{"id":2,"error":{"code":102,"message":"unknown channel"}}"#,
            r#"{"push":{"channel":"news","unsubscribe":{"code":2000,"reason":"server unsubscribe"}}}"#,
        ] {
            assert_eq!(events(line), Ok(vec![Event::Refused(line.as_bytes())]));
        }
        let leave = r#"{"push":{"channel":"pp:a","leave":{"info":{"user":"u2","client":"3186"}}}}"#;
        assert_eq!(events(leave), Ok(vec![Event::Other]));
        assert_eq!(events(r#"{"id":2}"#), Err(NotUnderstood));
    }
}

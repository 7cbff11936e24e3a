//! The Pusher Channels protocol, version 7: JSON events out, publications in over signed HTTP.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::dialect::{Event, NotUnderstood};
use super::scan;
use super::signature::signed_query;
use crate::wire::frame::{self, Opcode};
use crate::wire::stamp::{Payloads, Stamp};

/// Hides nothing, and need not: see `Fleet`.
const KEY: [u8; 4] = [1, 2, 3, 4];

/// The event name of what is published here.
const NAME: &str = "load";

/// An application of a Pusher server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct App {
    /// Its number or name in the HTTP API.
    pub(crate) id: String,
    /// What clients name it by.
    pub(crate) key: String,
    /// What requests are signed with.
    pub(crate) secret: String,
}

impl App {
    /// The path of a connection.
    pub(super) fn path(&self) -> String {
        format!("/app/{}?protocol=7&client=fanfare-loadtest&version={}", self.key, env!("CARGO_PKG_VERSION"))
    }

    /// Appends the signed request that publishes.
    pub(super) fn post(
        &self,
        authority: &str,
        topic: &str,
        stamp: &Stamp,
        payloads: &Payloads,
        unix_s: u64,
        out: &mut Vec<u8>,
    ) {
        let mut body = format!(r#"{{"name":"{NAME}","channel":"{topic}","data":""#).into_bytes();
        payloads.write(stamp, &mut body);
        body.extend_from_slice(br#""}"#);
        let path = format!("/apps/{}/events", self.id);
        let query = signed_query(&self.key, &self.secret, &path, &body, unix_s);
        let head = format!(
            "POST {path}?{query} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&body);
    }
}

/// Appends the subscriptions of an established connection.
pub(super) fn join(topics: &[String], out: &mut Vec<u8>) {
    for topic in topics {
        let message = format!(r#"{{"event":"pusher:subscribe","data":{{"channel":"{topic}"}}}}"#);
        frame::write_masked(out, Opcode::Text, KEY, message.len(), |out| out.extend_from_slice(message.as_bytes()));
    }
}

/// What `message` says.
pub(super) fn read(message: &[u8]) -> Result<Event<'_>, NotUnderstood> {
    if let Some(event) = publication(message) {
        return Ok(event);
    }
    let envelope: Envelope<'_> = serde_json::from_slice(message).map_err(|_| NotUnderstood)?;
    match &*envelope.event {
        NAME => {
            let data = envelope.data.ok_or(NotUnderstood)?.get().as_bytes();
            let payload = data.strip_prefix(b"\"").and_then(|data| data.strip_suffix(b"\"")).unwrap_or(data);
            Ok(Event::Publication { topic: envelope.channel.map(str::as_bytes), payload })
        }
        "pusher:connection_established" => Ok(Event::Established),
        "pusher_internal:subscription_succeeded" => Ok(Event::Joined),
        "pusher:ping" => Ok(Event::Ping(r#"{"event":"pusher:pong","data":{}}"#)),
        "pusher:error" | "pusher:subscription_error" => Ok(Event::Refused(message)),
        // Events of other publishers, counts of subscribers, pongs.
        _ => Ok(Event::Other),
    }
}

/// A publication of ours in an object of three strings, in whichever order a server writes them.
fn publication(message: &[u8]) -> Option<Event<'_>> {
    let (mut event, mut channel, mut data) = (None, None, None);
    let mut rest = message.strip_prefix(b"{")?;
    loop {
        let (key, value) = scan::string(rest)?;
        let (value, behind) = scan::string(value.strip_prefix(b":")?)?;
        let place = match key {
            b"event" => &mut event,
            b"channel" => &mut channel,
            b"data" => &mut data,
            _ => return None,
        };
        if place.replace(value).is_some() {
            return None;
        }
        match behind {
            b"}" => break,
            _ => rest = behind.strip_prefix(b",")?,
        }
    }
    (event? == NAME.as_bytes()).then_some(Event::Publication { topic: channel, payload: data? })
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    channel: Option<&'a str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::stamp::Format;

    fn app() -> App {
        App { id: "3".into(), key: "abc".into(), secret: "xyz".into() }
    }

    #[test]
    fn publications_are_found_in_every_order_of_the_keys() {
        let expected = Ok(Event::Publication { topic: Some(b"load-1"), payload: b"pay" });
        for message in [
            r#"{"event":"load","channel":"load-1","data":"pay"}"#,
            r#"{"channel":"load-1","event":"load","data":"pay"}"#,
            r#"{"event":"load","data":"pay","channel":"load-1"}"#,
            r#"{"event":"load","channel":"load-1","data":"pay","user_id":7}"#,
        ] {
            assert_eq!(read(message.as_bytes()), expected, "{message}");
        }
    }

    #[test]
    fn a_cut_message_is_not_understood() {
        let message = br#"{"event":"load","channel":"load-1","data":"pay"}"#;
        for cut in 0..message.len() {
            assert_eq!(read(&message[..cut]), Err(NotUnderstood), "cut at {cut}");
        }
        assert_eq!(read(br#"{"event":"load","channel":"load-1","data":"pay","data":"pay"}"#), Err(NotUnderstood));
        assert_eq!(read(br#"{"event":"load","channel":"load-1"}"#), Err(NotUnderstood));
    }

    #[test]
    fn the_words_of_the_protocol_are_understood() {
        for (message, event) in [
            (
                r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.2\",\"activity_timeout\":120}"}"#,
                Event::Established,
            ),
            (r#"{"event":"pusher_internal:subscription_succeeded","channel":"a","data":"{}"}"#, Event::Joined),
            (r#"{"event":"pusher_internal:subscription_succeeded","channel":"a","data":{}}"#, Event::Joined),
            (r#"{"event":"pusher:ping","data":{}}"#, Event::Ping(r#"{"event":"pusher:pong","data":{}}"#)),
            (r#"{"event":"news","channel":"a","data":"x"}"#, Event::Other),
        ] {
            assert_eq!(read(message.as_bytes()), Ok(event), "{message}");
        }
        let error = br#"{"event":"pusher:error","data":{"code":4001,"message":"no such app"}}"#;
        assert_eq!(read(error), Ok(Event::Refused(error)));
    }

    #[test]
    fn a_request_has_a_body_with_the_payload_and_a_signed_query() {
        let payloads = Payloads::new(1, Format::Text, 70).unwrap();
        let stamp = Stamp { topic: 3, publisher: 0, sequence: 9, intended_ns: 5 };
        let mut out = Vec::new();
        app().post("127.0.0.1:6001", "load-3", &stamp, &payloads, 1_353_088_179, &mut out);
        let request = String::from_utf8(out).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /apps/3/events?auth_key=abc&auth_timestamp=1353088179&"), "{head}");
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((body["name"].as_str(), body["channel"].as_str()), (Some(NAME), Some("load-3")));
        assert_eq!(payloads.check(body["data"].as_str().unwrap().as_bytes()), Ok(stamp));
    }
}

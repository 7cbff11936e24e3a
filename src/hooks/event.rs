//! What the backend is told of: subscriptions and connections that ended.

use bytes::Bytes;
use serde::Serialize;

use super::hook::Hook;

/// A subscription or a connection ended.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// What ended.
    pub what: Gone<'a>,
    /// The client's id.
    pub client: &'a str,
    /// Its user; empty if it had none.
    pub user: &'a str,
    /// How it was connected, as [`Caller::transport`](super::Caller::transport).
    pub transport: &'a str,
    /// How its commands were encoded, as [`Caller::protocol`](super::Caller::protocol).
    pub protocol: &'a str,
    /// When, in milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Why, as a code of the client protocol.
    pub code: u16,
    /// The same for people.
    pub reason: &'a str,
}

/// What ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone<'a> {
    /// The client's subscription to this topic.
    Subscription(&'a str),
    /// Its connection, and with it every subscription: each has an event of its own before this one.
    Connection,
}

#[derive(Serialize)]
struct Wire<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    time_ms: u64,
    client: &'a str,
    user: &'a str,
    transport: &'a str,
    protocol: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    code: u16,
    reason: &'a str,
}

impl Event<'_> {
    /// The hook that tells it.
    pub fn hook(&self) -> Hook {
        match self.what {
            Gone::Subscription(_) => Hook::Unsubscribe,
            Gone::Connection => Hook::Disconnect,
        }
    }

    /// As it stands in a batch. `run` and `number` make its id: no other event of any process has the same.
    pub(super) fn to_json(self, run: &str, number: u64) -> Bytes {
        let channel = match self.what {
            Gone::Subscription(topic) => Some(topic),
            Gone::Connection => None,
        };
        let Self { client, user, transport, protocol, time_ms, code, reason, .. } = self;
        let (id, kind) = (format!("{run}-{number}"), self.hook().label());
        let wire = Wire { id, kind, time_ms, client, user, transport, protocol, channel, code, reason };
        serde_json::to_vec(&wire).expect("invariant: texts and numbers are always JSON").into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_who_what_when_and_why() {
        let (what, user, transport, protocol) = (Gone::Subscription("chat"), "u1", "websocket", "json");
        let event = Event {
            what,
            client: "2f5a",
            user,
            transport,
            protocol,
            time_ms: 7,
            code: 2000,
            reason: "server unsubscribe",
        };
        assert_eq!(
            event.to_json("run", 3),
            r#"{"id":"run-3","type":"unsubscribe","time_ms":7,"client":"2f5a","user":"u1","transport":"websocket","protocol":"json","channel":"chat","code":2000,"reason":"server unsubscribe"}"#
        );
        let event = Event { what: Gone::Connection, code: 3001, reason: "shutdown", ..event };
        assert_eq!(
            event.to_json("run", 4),
            r#"{"id":"run-4","type":"disconnect","time_ms":7,"client":"2f5a","user":"u1","transport":"websocket","protocol":"json","code":3001,"reason":"shutdown"}"#
        );
    }
}

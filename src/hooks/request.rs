//! What the backend is asked, as it stands on the wire.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use super::answer::{
    Answer, ConnectResult, PublishResult, RefreshResult, RpcResult, SubRefreshResult, SubscribeResult,
};
use super::answer_body::{self, Garbage};
use super::hook::Hook;
use super::payload::Payload;

/// The client that a call is about.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// Its id: a fresh UUID per connection.
    pub client: &'a str,
    /// How it is connected: `websocket`, `sse`, `http_stream`, …
    pub transport: &'a str,
    /// How its commands are encoded: `json` or `protobuf`.
    pub protocol: &'a str,
}

/// A call that the backend answers with a [`Ask::Result`]. The six requests of this module, and no others.
pub trait Ask: sealed::Sealed {
    /// What the backend grants.
    type Result: Send + 'static;
    /// The occasion.
    const HOOK: Hook;
    /// The body to send.
    ///
    /// # Errors
    /// A [`Payload::Json`], or `meta`, is not JSON.
    fn body(&self) -> Result<Bytes, serde_json::Error>;
    /// The body with nothing in it that tells one client from another, if it may be shared at all: two calls with equal
    /// ones, and equal headers, get one answer. Not if it carries nothing that a backend could know the client by.
    fn shared_body(&self, carries_headers: bool) -> Option<Bytes>;
    /// Reads an answer.
    ///
    /// # Errors
    /// It is not what the documentation says an answer is.
    fn parse(body: &[u8]) -> Result<Answer<Self::Result>, Garbage>;
}

mod sealed {
    pub trait Sealed {}
}

/// A client without a token connects: who is it?
#[derive(Debug, Clone)]
pub struct ConnectRequest<'a> {
    /// Who asks.
    pub caller: Caller<'a>,
    /// What the client calls itself: the name of its SDK, usually.
    pub name: &'a str,
    /// The version of that.
    pub version: &'a str,
    /// What it sent with `connect`.
    pub data: Option<Payload>,
    /// Channels it asks to be subscribed to by the server.
    pub channels: Vec<&'a str>,
}

/// A connection is about to expire: may it go on?
#[derive(Debug, Clone)]
pub struct RefreshRequest<'a> {
    /// Who asks.
    pub caller: Caller<'a>,
    /// Its user; empty if it has none.
    pub user: &'a str,
    /// What the backend attached to the connection.
    pub meta: Option<Bytes>,
}

/// A client wants to subscribe: may it?
#[derive(Debug, Clone)]
pub struct SubscribeRequest<'a> {
    /// Who asks.
    pub caller: Caller<'a>,
    /// Its user; empty if it has none.
    pub user: &'a str,
    /// The topic.
    pub channel: &'a str,
    /// The token it sent for this, unchecked; empty if none.
    pub token: &'a str,
    /// What it sent with `subscribe`.
    pub data: Option<Payload>,
    /// What the backend attached to the connection.
    pub meta: Option<Bytes>,
}

/// A client wants to publish: may it, and what?
#[derive(Debug, Clone)]
pub struct PublishRequest<'a> {
    /// Who asks.
    pub caller: Caller<'a>,
    /// Its user; empty if it has none.
    pub user: &'a str,
    /// The topic.
    pub channel: &'a str,
    /// What it wants to publish.
    pub data: Option<Payload>,
    /// What the backend attached to the connection.
    pub meta: Option<Bytes>,
}

/// A subscription is about to expire: may it go on?
#[derive(Debug, Clone)]
pub struct SubRefreshRequest<'a> {
    /// Who asks.
    pub caller: Caller<'a>,
    /// Its user; empty if it has none.
    pub user: &'a str,
    /// The topic.
    pub channel: &'a str,
    /// What the backend attached to the connection.
    pub meta: Option<Bytes>,
}

/// A client calls a method of the application.
#[derive(Debug, Clone)]
pub struct RpcRequest<'a> {
    /// Who asks.
    pub caller: Caller<'a>,
    /// Its user; empty if it has none.
    pub user: &'a str,
    /// The method; may be empty.
    pub method: &'a str,
    /// Its argument.
    pub data: Option<Payload>,
    /// What the backend attached to the connection.
    pub meta: Option<Bytes>,
}

/// The body of every request: what one has not is left out, and so is what is empty, except `user`.
#[derive(Serialize, Default)]
struct Wire<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    client: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    transport: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    protocol: &'a str,
    encoding: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    channel: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    method: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b64data: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    #[serde(skip_serializing_if = "<[&str]>::is_empty")]
    channels: &'a [&'a str],
}

impl<'a> Wire<'a> {
    fn new(caller: Caller<'a>, data: Option<&'a Payload>, meta: Option<&'a Bytes>) -> Result<Self, serde_json::Error> {
        let Caller { client, transport, protocol } = caller;
        let encoding = data.map_or("json", Payload::encoding);
        let (data, b64data) = match data {
            None => (None, None),
            // Read once more, so that what is not JSON cannot break out of its place.
            Some(Payload::Json(json)) => (Some(serde_json::from_slice(json)?), None),
            Some(Payload::Binary(bytes)) => (None, Some(Payload::to_base64(bytes))),
        };
        let meta = meta.map(|meta| serde_json::from_slice(meta)).transpose()?;
        Ok(Self { client, transport, protocol, encoding, meta, data, b64data, ..Self::default() })
    }

    fn into_body(self) -> Result<Bytes, serde_json::Error> {
        serde_json::to_vec(&self).map(Bytes::from)
    }
}

/// A request as the one of no client in particular.
fn nobody(caller: Caller<'_>) -> Caller<'_> {
    Caller { client: "", ..caller }
}

/// Says of a request which hook it is for, and how its answer is read.
macro_rules! asks {
    ($request:ident, $hook:ident, $result:ident, $parse:path) => {
        impl sealed::Sealed for $request<'_> {}
        impl Ask for $request<'_> {
            type Result = $result;
            const HOOK: Hook = Hook::$hook;
            fn body(&self) -> Result<Bytes, serde_json::Error> {
                self.wire(self.caller)?.into_body()
            }
            fn shared_body(&self, carries_headers: bool) -> Option<Bytes> {
                let shareable = self.is_shareable(carries_headers);
                shareable.then(|| self.wire(nobody(self.caller)).and_then(Wire::into_body).ok()).flatten()
            }
            fn parse(body: &[u8]) -> Result<Answer<$result>, Garbage> {
                $parse(body)
            }
        }
    };
}

asks!(ConnectRequest, Connect, ConnectResult, answer_body::connect);
asks!(RefreshRequest, Refresh, RefreshResult, answer_body::refresh);
asks!(SubscribeRequest, Subscribe, SubscribeResult, answer_body::subscribe);
asks!(PublishRequest, Publish, PublishResult, answer_body::publish);
asks!(SubRefreshRequest, SubRefresh, SubRefreshResult, answer_body::sub_refresh);
asks!(RpcRequest, Rpc, RpcResult, answer_body::rpc);

impl<'a> ConnectRequest<'a> {
    fn wire(&'a self, caller: Caller<'a>) -> Result<Wire<'a>, serde_json::Error> {
        let (name, version, channels) = (self.name, self.version, &self.channels);
        Ok(Wire { name, version, channels, ..Wire::new(caller, self.data.as_ref(), None)? })
    }

    fn is_shareable(&self, carries_headers: bool) -> bool {
        carries_headers || self.data.is_some()
    }
}

impl<'a> RefreshRequest<'a> {
    fn wire(&'a self, caller: Caller<'a>) -> Result<Wire<'a>, serde_json::Error> {
        Ok(Wire { user: Some(self.user), ..Wire::new(caller, None, self.meta.as_ref())? })
    }

    fn is_shareable(&self, carries_headers: bool) -> bool {
        carries_headers || !self.user.is_empty()
    }
}

impl<'a> SubscribeRequest<'a> {
    fn wire(&'a self, caller: Caller<'a>) -> Result<Wire<'a>, serde_json::Error> {
        let (user, channel, token) = (Some(self.user), self.channel, self.token);
        Ok(Wire { user, channel, token, ..Wire::new(caller, self.data.as_ref(), self.meta.as_ref())? })
    }

    fn is_shareable(&self, _: bool) -> bool {
        false
    }
}

impl<'a> PublishRequest<'a> {
    fn wire(&'a self, caller: Caller<'a>) -> Result<Wire<'a>, serde_json::Error> {
        let (user, channel) = (Some(self.user), self.channel);
        Ok(Wire { user, channel, ..Wire::new(caller, self.data.as_ref(), self.meta.as_ref())? })
    }

    /// Equal messages are two messages.
    fn is_shareable(&self, _: bool) -> bool {
        false
    }
}

impl<'a> SubRefreshRequest<'a> {
    fn wire(&'a self, caller: Caller<'a>) -> Result<Wire<'a>, serde_json::Error> {
        let (user, channel) = (Some(self.user), self.channel);
        Ok(Wire { user, channel, ..Wire::new(caller, None, self.meta.as_ref())? })
    }

    fn is_shareable(&self, _: bool) -> bool {
        false
    }
}

impl<'a> RpcRequest<'a> {
    fn wire(&'a self, caller: Caller<'a>) -> Result<Wire<'a>, serde_json::Error> {
        let (user, method) = (Some(self.user), self.method);
        Ok(Wire { user, method, ..Wire::new(caller, self.data.as_ref(), self.meta.as_ref())? })
    }

    /// Equal calls are two calls.
    fn is_shareable(&self, _: bool) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: Caller<'_> = Caller { client: "2f5a", transport: "websocket", protocol: "json" };

    fn json(text: &'static str) -> Option<Payload> {
        Some(Payload::Json(Bytes::from_static(text.as_bytes())))
    }

    #[track_caller]
    fn assert_body(ask: &impl Ask, expected: &str) {
        assert_eq!(std::str::from_utf8(&ask.body().unwrap()).unwrap(), expected);
    }

    #[test]
    fn bodies_are_what_existing_backends_read() {
        let connect =
            ConnectRequest { caller: CALLER, name: "js", version: "1", data: json("{\"a\": 1}"), channels: vec!["x"] };
        assert_body(
            &connect,
            r#"{"client":"2f5a","transport":"websocket","protocol":"json","encoding":"json","data":{"a": 1},"name":"js","version":"1","channels":["x"]}"#,
        );
        // As recorded from Centrifugo.
        let subscribe = SubscribeRequest {
            caller: CALLER,
            user: "u1",
            channel: "px:a",
            token: "",
            data: json(r#"{"in":1}"#),
            meta: None,
        };
        assert_body(
            &subscribe,
            r#"{"client":"2f5a","transport":"websocket","protocol":"json","encoding":"json","user":"u1","channel":"px:a","data":{"in":1}}"#,
        );
        let meta = Some(Bytes::from_static(b"{\"m\":[1]}"));
        assert_body(
            &RefreshRequest { caller: CALLER, user: "", meta: meta.clone() },
            r#"{"client":"2f5a","transport":"websocket","protocol":"json","encoding":"json","user":"","meta":{"m":[1]}}"#,
        );
        assert_body(
            &SubRefreshRequest { caller: CALLER, user: "u", channel: "c", meta },
            r#"{"client":"2f5a","transport":"websocket","protocol":"json","encoding":"json","user":"u","channel":"c","meta":{"m":[1]}}"#,
        );
        assert_body(
            &PublishRequest { caller: CALLER, user: "u", channel: "c", data: json("null"), meta: None },
            r#"{"client":"2f5a","transport":"websocket","protocol":"json","encoding":"json","user":"u","channel":"c","data":null}"#,
        );
        assert_body(
            &RpcRequest { caller: CALLER, user: "u", method: "m", data: None, meta: None },
            r#"{"client":"2f5a","transport":"websocket","protocol":"json","encoding":"json","user":"u","method":"m"}"#,
        );
    }

    #[test]
    fn what_is_not_json_travels_in_base64() {
        let data = Some(Payload::Binary(Bytes::from_static(&[0, 255, 7])));
        let caller = Caller { protocol: "protobuf", ..CALLER };
        assert_body(
            &RpcRequest { caller, user: "u", method: "m", data, meta: None },
            r#"{"client":"2f5a","transport":"websocket","protocol":"protobuf","encoding":"binary","user":"u","method":"m","b64data":"AP8H"}"#,
        );
    }

    #[test]
    fn what_claims_to_be_json_and_is_not_cannot_forge_fields() {
        for forged in [r#"1,"user":"admin""#, "", "{", "1 2"] {
            let data = json(forged);
            let publish = PublishRequest { caller: CALLER, user: "u", channel: "c", data, meta: None };
            publish.body().unwrap_err();
        }
        let meta = Some(Bytes::from_static(br#"{},"user":"admin""#));
        RefreshRequest { caller: CALLER, user: "u", meta }.body().unwrap_err();
    }

    #[test]
    fn only_connect_and_refresh_can_be_shared_and_only_by_what_is_equal_but_for_the_client() {
        let connect = |client: &'static str, data| {
            let caller = Caller { client, ..CALLER };
            ConnectRequest { caller, name: "js", version: "1", data, channels: Vec::new() }.shared_body(false)
        };
        assert!(connect("a", json("1")).is_some());
        assert_eq!(connect("a", None), None, "it could be anybody");
        assert_eq!(connect("a", json("1")), connect("b", json("1")));
        assert_ne!(connect("a", json("1")), connect("a", json("2")));
        let refresh = |client: &'static str, user| {
            RefreshRequest { caller: Caller { client, ..CALLER }, user, meta: None }.shared_body(false)
        };
        assert!(refresh("a", "u").is_some() && refresh("a", "").is_none());
        assert_eq!(refresh("a", "u"), refresh("b", "u"));
        assert_ne!(refresh("a", "u"), refresh("a", "v"));
        let (caller, data, meta) = (CALLER, None, None);
        assert!(
            RpcRequest { caller, user: "u", method: "m", data: data.clone(), meta: meta.clone() }
                .shared_body(true)
                .is_none()
        );
        assert!(
            PublishRequest { caller, user: "u", channel: "c", data, meta: meta.clone() }.shared_body(true).is_none()
        );
        assert!(SubRefreshRequest { caller, user: "u", channel: "c", meta }.shared_body(true).is_none());
    }
}

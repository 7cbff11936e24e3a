//! How an answer is read from the wire.
//!
//! Fields that nobody knows are ignored, and null is as good as absent: backends are written against Centrifugo, which
//! does the same.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{
    Answer, ConnectResult, Ended, Override, PublishResult, RefreshResult, Refused, RpcResult, SubRefreshResult,
    SubscribeResult,
};
use super::failure::Failure;
use super::object::Object;
use super::payload::Payload;

/// What came is not an answer: why not, for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Garbage(String);

impl From<Garbage> for Failure {
    fn from(garbage: Garbage) -> Self {
        Self::Garbage(garbage.0)
    }
}

#[derive(Deserialize)]
struct Wire<R> {
    #[serde(default = "nothing")]
    result: Option<Object<R>>,
    #[serde(default)]
    error: Option<Object<WireError>>,
    #[serde(default)]
    disconnect: Option<Object<WireDisconnect>>,
}

fn nothing<R>() -> Option<R> {
    None
}

#[derive(Deserialize)]
struct WireError {
    code: Option<u32>,
    message: Option<String>,
    temporary: Option<bool>,
}

#[derive(Deserialize)]
struct WireDisconnect {
    code: Option<u32>,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct WireConnect<'a> {
    user: Option<String>,
    expire_at: Option<i64>,
    #[serde(borrow)]
    info: Option<&'a RawValue>,
    b64info: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    b64data: Option<String>,
    channels: Option<Vec<String>>,
    #[serde(borrow)]
    subs: Option<BTreeMap<String, Option<Object<WireSubscribe<'a>>>>>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
}

/// Also the result of `sub_refresh`, which is this without `meta`.
#[derive(Deserialize)]
struct WireRefresh<'a> {
    expired: Option<bool>,
    expire_at: Option<i64>,
    #[serde(borrow)]
    info: Option<&'a RawValue>,
    b64info: Option<String>,
    #[serde(borrow)]
    meta: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireSubscribe<'a> {
    expire_at: Option<i64>,
    #[serde(borrow)]
    info: Option<&'a RawValue>,
    b64info: Option<String>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    b64data: Option<String>,
    #[serde(rename = "override")]
    overridden: Option<Object<WireOverride>>,
}

#[derive(Deserialize)]
struct WireOverride {
    presence: Option<Object<WireBool>>,
    join_leave: Option<Object<WireBool>>,
    force_recovery: Option<Object<WireBool>>,
    force_positioning: Option<Object<WireBool>>,
    force_push_join_leave: Option<Object<WireBool>>,
}

#[derive(Deserialize)]
struct WireBool {
    value: Option<bool>,
}

#[derive(Deserialize)]
struct WirePublish<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    b64data: Option<String>,
    skip_history: Option<bool>,
}

#[derive(Deserialize)]
struct WireRpc<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    b64data: Option<String>,
}

/// Reads what all answers have in common; `result` makes something of the result, or of its absence.
fn read<'a, W: Deserialize<'a>, R>(
    body: &'a [u8],
    result: impl FnOnce(Option<W>) -> Result<Answer<R>, Garbage>,
) -> Result<Answer<R>, Garbage> {
    // serde_json does not look at the bytes of what it leaves out.
    let text = simdutf8::basic::from_utf8(body).map_err(|_| Garbage("it is not UTF-8".to_owned()))?;
    let Object(wire): Object<Wire<W>> = serde_json::from_str(text).map_err(|error| Garbage(error.to_string()))?;
    // In Centrifugo's order: a disconnect is the strongest thing that an answer can say.
    if let Some(Object(WireDisconnect { code, reason })) = wire.disconnect {
        let code = code.unwrap_or_default();
        let wire_code = u16::try_from(code).ok().filter(|code| (3000..=4999).contains(code));
        let code = wire_code.ok_or_else(|| Garbage(format!("`disconnect.code` is {code}, and not 3000 to 4999")))?;
        let mut reason = reason.unwrap_or_default();
        reason.truncate(reason.floor_char_boundary(Ended::REASON_BYTES));
        return Ok(Answer::Disconnect(Ended { code, reason }));
    }
    if let Some(Object(WireError { code, message, temporary })) = wire.error {
        let code = code.unwrap_or_default();
        if code == 0 {
            return Err(Garbage("`error.code` is 0, or not there".to_owned()));
        }
        let (message, temporary) = (message.unwrap_or_default(), temporary.unwrap_or_default());
        return Ok(Answer::Error(Refused { code, message, temporary }));
    }
    result(wire.result.map(|Object(result)| result))
}

/// Base64 wins where both are there.
fn either(name: &str, json: Option<&RawValue>, base64: Option<&str>) -> Result<Option<Payload>, Garbage> {
    match base64 {
        None | Some("") => Ok(json.map(verbatim).map(Payload::Json)),
        Some(text) => {
            let payload = Payload::from_base64(text);
            payload.map(Some).ok_or_else(|| Garbage(format!("`b64{name}` is not base64")))
        }
    }
}

/// Copied, so that what is kept for long does not hold the whole answer.
fn verbatim(json: &RawValue) -> Bytes {
    Bytes::copy_from_slice(json.get().as_bytes())
}

fn time(expire_at: Option<i64>) -> Result<Option<u64>, Garbage> {
    match expire_at {
        None | Some(0) => Ok(None),
        Some(at) => u64::try_from(at).map(Some).map_err(|_| Garbage(format!("`expire_at` is {at}"))),
    }
}

impl WireSubscribe<'_> {
    fn into_result(self) -> Result<SubscribeResult, Garbage> {
        Ok(SubscribeResult {
            expire_at: time(self.expire_at)?,
            info: either("info", self.info, self.b64info.as_deref())?,
            data: either("data", self.data, self.b64data.as_deref())?,
            overridden: self.overridden.map_or_else(Override::default, |Object(wire)| wire.into_override()),
        })
    }
}

impl WireOverride {
    fn into_override(self) -> Override {
        // { "value": … } that is empty says false, as in protobuf.
        let value = |wire: Option<Object<WireBool>>| wire.map(|Object(wire)| wire.value.unwrap_or_default());
        Override {
            presence: value(self.presence),
            join_leave: value(self.join_leave),
            force_recovery: value(self.force_recovery),
            force_positioning: value(self.force_positioning),
            force_push_join_leave: value(self.force_push_join_leave),
        }
    }
}

/// Reads the answer to `connect`. Without a result the client is nobody, and is turned away as one without a token.
pub(super) fn connect(body: &[u8]) -> Result<Answer<ConnectResult>, Garbage> {
    read(body, |wire: Option<WireConnect<'_>>| {
        let Some(wire) = wire else {
            return Ok(Answer::Disconnect(Ended { code: 3501, reason: "bad request".to_owned() }));
        };
        let subs = wire.subs.unwrap_or_default().into_iter().map(|(topic, sub)| {
            let sub = sub.map_or_else(|| Ok(SubscribeResult::default()), |Object(sub)| sub.into_result())?;
            Ok((topic, sub))
        });
        Ok(Answer::Result(ConnectResult {
            user: wire.user.unwrap_or_default(),
            expire_at: time(wire.expire_at)?,
            info: either("info", wire.info, wire.b64info.as_deref())?,
            data: either("data", wire.data, wire.b64data.as_deref())?,
            channels: wire.channels.unwrap_or_default(),
            subs: subs.collect::<Result<_, Garbage>>()?,
            meta: wire.meta.map(verbatim),
        }))
    })
}

/// Reads the answer to `refresh`. Without a result the connection has expired.
pub(super) fn refresh(body: &[u8]) -> Result<Answer<RefreshResult>, Garbage> {
    read(body, |wire: Option<WireRefresh<'_>>| {
        let Some(wire) = wire else {
            return Ok(Answer::Result(RefreshResult { expired: true, ..RefreshResult::default() }));
        };
        Ok(Answer::Result(RefreshResult {
            expired: wire.expired.unwrap_or_default(),
            expire_at: time(wire.expire_at)?,
            info: either("info", wire.info, wire.b64info.as_deref())?,
            meta: wire.meta.map(verbatim),
        }))
    })
}

/// Reads the answer to `subscribe`. `{}` agrees.
pub(super) fn subscribe(body: &[u8]) -> Result<Answer<SubscribeResult>, Garbage> {
    read(body, |wire: Option<WireSubscribe<'_>>| {
        let result = wire.map_or_else(|| Ok(SubscribeResult::default()), WireSubscribe::into_result)?;
        Ok(Answer::Result(result))
    })
}

/// Reads the answer to `publish`. `{}` agrees. Unlike elsewhere, JSON wins over base64, as in Centrifugo.
pub(super) fn publish(body: &[u8]) -> Result<Answer<PublishResult>, Garbage> {
    read(body, |wire: Option<WirePublish<'_>>| {
        let Some(wire) = wire else { return Ok(Answer::Result(PublishResult::default())) };
        let base64 = if wire.data.is_some() { None } else { wire.b64data.as_deref() };
        let data = either("data", wire.data, base64)?;
        Ok(Answer::Result(PublishResult { data, skip_history: wire.skip_history.unwrap_or_default() }))
    })
}

/// Reads the answer to `sub_refresh`. Without a result the subscription has expired.
pub(super) fn sub_refresh(body: &[u8]) -> Result<Answer<SubRefreshResult>, Garbage> {
    Ok(match refresh(body)? {
        Answer::Result(RefreshResult { expired, expire_at, info, meta: _ }) => {
            Answer::Result(SubRefreshResult { expired, expire_at, info })
        }
        Answer::Error(refused) => Answer::Error(refused),
        Answer::Disconnect(ended) => Answer::Disconnect(ended),
        Answer::Failed(failure) => Answer::Failed(failure),
    })
}

/// Reads the answer to `rpc`. `{}` is an answer without data.
pub(super) fn rpc(body: &[u8]) -> Result<Answer<RpcResult>, Garbage> {
    read(body, |wire: Option<WireRpc<'_>>| {
        let Some(wire) = wire else { return Ok(Answer::Result(RpcResult::default())) };
        Ok(Answer::Result(RpcResult { data: either("data", wire.data, wire.b64data.as_deref())? }))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn json(text: &'static str) -> Option<Payload> {
        Some(Payload::Json(Bytes::from_static(text.as_bytes())))
    }

    fn binary(bytes: &'static [u8]) -> Option<Payload> {
        Some(Payload::Binary(Bytes::from_static(bytes)))
    }

    #[track_caller]
    fn granted<R>(answer: Result<Answer<R>, Garbage>) -> R {
        match answer {
            Ok(Answer::Result(result)) => result,
            Ok(Answer::Error(refused)) => panic!("{refused:?}"),
            Ok(Answer::Disconnect(ended)) => panic!("{ended:?}"),
            Ok(Answer::Failed(failure)) => panic!("{failure}"),
            Err(garbage) => panic!("{garbage}"),
        }
    }

    #[test]
    fn a_client_gets_all_that_connect_grants() {
        let body = br#"{"result":{"user":"u1","expire_at":1795252436,"info":{"n":"A"},"b64data":"AP8=","channels":["a"],
            "subs":{"b":{"expire_at":7,"b64info":"AQ==","data":[1],"override":{"presence":{"value":true},
            "join_leave":{"value":false},"force_recovery":{}}},"c":{},"d":null},"meta":{"m": 1},"caps":[],"later":{}}}"#;
        let result = granted(connect(body));
        assert_eq!((result.user.as_str(), result.expire_at), ("u1", Some(1_795_252_436)));
        assert_eq!((result.info, result.data), (json(r#"{"n":"A"}"#), binary(&[0, 255])));
        assert_eq!((result.channels, result.meta), (vec!["a".to_owned()], Some(Bytes::from_static(br#"{"m": 1}"#))));
        let overridden = Override {
            presence: Some(true),
            join_leave: Some(false),
            force_recovery: Some(false),
            ..Override::default()
        };
        let b = SubscribeResult { expire_at: Some(7), info: binary(&[1]), data: json("[1]"), overridden };
        assert_eq!(result.subs["b"], b);
        assert_eq!(result.subs["c"], SubscribeResult::default());
        assert_eq!(result.subs["d"], SubscribeResult::default());
    }

    #[test]
    fn the_recorded_answer_to_subscribe_is_read() {
        let result = granted(subscribe(br#"{"result":{"expire_at":1795252436,"info":{"ci":1},"data":{"subdata":1}}}"#));
        let expected = SubscribeResult {
            expire_at: Some(1_795_252_436),
            info: json(r#"{"ci":1}"#),
            data: json(r#"{"subdata":1}"#),
            overridden: Override::default(),
        };
        assert_eq!(result, expected);
    }

    #[test]
    fn no_result_agrees_where_there_is_nothing_to_grant_and_refuses_where_there_is() {
        for body in [&b"{}"[..], br#"{"result":null}"#, br#"{"error":null,"disconnect":null}"#] {
            assert_eq!(granted(subscribe(body)), SubscribeResult::default());
            assert_eq!(granted(publish(body)), PublishResult::default());
            assert_eq!(granted(rpc(body)), RpcResult::default());
            assert!(granted(refresh(body)).expired && granted(sub_refresh(body)).expired);
            // Nobody may become an accepted nobody in particular because a backend said nothing.
            assert!(matches!(connect(body), Ok(Answer::Disconnect(Ended { code: 3501, .. }))));
        }
        assert!(!granted(refresh(br#"{"result":{}}"#)).expired);
        assert_eq!(granted(connect(br#"{"result":{}}"#)), ConnectResult::default());
    }

    #[test]
    fn errors_and_disconnects_are_passed_on_and_a_disconnect_is_the_stronger() {
        let error = Refused { code: 403, message: "no".to_owned(), temporary: true };
        let body = br#"{"result":{},"error":{"code":403,"message":"no","temporary":true}}"#;
        assert_eq!(rpc(body), Ok(Answer::Error(error)));
        let ended = Ended { code: 4501, reason: "denied by backend".to_owned() };
        let body =
            br#"{"error":{"code":403},"disconnect":{"code":4501,"reason":"denied by backend","reconnect":false}}"#;
        assert_eq!(connect(body), Ok(Answer::Disconnect(ended)));
    }

    #[test]
    fn a_reason_is_cut_to_what_fits_a_close_frame_between_characters() {
        let body = format!(r#"{{"disconnect":{{"code":4000,"reason":"{}"}}}}"#, "ä".repeat(100));
        match rpc(body.as_bytes()) {
            Ok(Answer::Disconnect(ended)) => assert_eq!(ended.reason, "ä".repeat(61)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_published_is_the_json_if_both_are_there_and_elsewhere_the_base64() {
        let body = br#"{"result":{"data":1,"b64data":"AA==","skip_history":true}}"#;
        assert_eq!(granted(publish(body)), PublishResult { data: json("1"), skip_history: true });
        assert_eq!(granted(publish(br#"{"result":{"b64data":"AA=="}}"#)).data, binary(&[0]));
        assert_eq!(granted(rpc(body)).data, binary(&[0]));
        assert_eq!(granted(rpc(br#"{"result":{"data":1,"b64data":""}}"#)).data, json("1"));
    }

    #[test]
    fn what_is_no_answer_is_told_with_its_reason() {
        for (body, said) in [
            (&b""[..], "EOF"),
            (b"<html>", "line 1 column 1"),
            (b"[]", "expected an object"),
            (br#"{"result":[]}"#, "expected an object"),
            (br#"{"error":[1]}"#, "expected an object"),
            (br#"{"disconnect":[4000]}"#, "expected an object"),
            (br#"{"result":{}} x"#, "trailing"),
            (br#"{"result":{"data":}}"#, "line 1 column"),
            (br#"{"result":{"b64data":"*"}}"#, "`b64data` is not base64"),
            (br#"{"error":{"message":"x"}}"#, "`error.code` is 0"),
            (br#"{"disconnect":{"code":1000}}"#, "`disconnect.code` is 1000, and not 3000 to 4999"),
            (br#"{"disconnect":{"code":70000}}"#, "70000"),
            (b"{\"result\":{\"data\":\"\xff\"}}", "not UTF-8"),
            (b"{\"unknown\":\"\xff\"}", "not UTF-8"),
        ] {
            let garbage = rpc(body).unwrap_err().to_string();
            assert!(garbage.contains(said), "{garbage} of {}", String::from_utf8_lossy(body));
        }
        for body in [&br#"{"result":["admin"]}"#[..], br#"{"result":{"subs":{"a":[]}}}"#] {
            assert!(connect(body).unwrap_err().to_string().contains("expected an object"));
        }
        assert_eq!(refresh(br#"{"result":{"expire_at":-1}}"#).unwrap_err().to_string(), "`expire_at` is -1");
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (connect(&body), refresh(&body), subscribe(&body), publish(&body), sub_refresh(&body), rpc(&body));
        }
    }
}

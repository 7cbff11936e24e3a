//! What a token says: of a connection, or of one subscription. The claims are those of Centrifugo.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::token::{cut, read_object};
use super::verdict::Reason;
use crate::session::Overrides;

/// The claims of a connection token.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConnectionClaims {
    /// `sub`: who the client is; empty is nobody in particular.
    pub user: String,
    /// When the connection ends unless it is refreshed, since the Unix epoch: `expire_at` if it is there (0 is never), else
    /// `exp`. With `tokens.leeway` it may lie in the past.
    pub expires_unix: Option<u64>,
    /// `iat`.
    pub issued_unix: Option<u64>,
    /// `jti`.
    pub id: Option<String>,
    /// `info`, JSON as it was written; or what `b64info` decodes to, which may be anything.
    pub info: Option<Bytes>,
    /// `meta`, JSON as it was written. Clients never see it.
    pub meta: Option<Bytes>,
    /// Topics that the client is subscribed to by the server, each once: those of `subs`, or if there are none those of
    /// `channels`. No more was checked of the names than that they are texts.
    pub subscriptions: BTreeMap<String, Granted>,
}

/// The claims of a subscription token.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SubscriptionClaims {
    /// `sub`: whose it is.
    pub user: String,
    /// `channel`: what it is for; never empty. No more was checked of it.
    pub channel: String,
    /// `client`: the id of the only connection that it is for. Tokens of today leave it out.
    pub client: Option<String>,
    /// When the subscription ends unless it is refreshed; as [`ConnectionClaims::expires_unix`].
    pub expires_unix: Option<u64>,
    /// `iat`.
    pub issued_unix: Option<u64>,
    /// `jti`.
    pub id: Option<String>,
    /// What is granted.
    pub granted: Granted,
}

/// What comes with a subscription.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Granted {
    /// `info`, or what `b64info` decodes to: shown with the client in this topic's presence.
    pub info: Option<Bytes>,
    /// `data`, or what `b64data` decodes to: sent with the answer to the subscription.
    pub data: Option<Bytes>,
    /// `override`: what is set here stands, whatever the topic's rules say.
    pub overrides: Overrides,
}

impl SubscriptionClaims {
    /// Whether it is for this user, this topic and this connection.
    pub fn is_for(&self, user: &str, channel: &str, client: &str) -> Result<(), Reason> {
        let other = |what, found: &str| Err(Reason::OfAnother { what, found: cut(found) });
        match self {
            Self { user: own, .. } if own != user => other("user", own),
            Self { channel: own, .. } if own != channel => other("channel", own),
            Self { client: Some(own), .. } if own != client => other("client", own),
            _ => Ok(()),
        }
    }
}

/// Claims of one kind of token: [`ConnectionClaims`] or [`SubscriptionClaims`].
pub trait Claims: Sized + sealed::Sealed {
    #[doc(hidden)]
    fn read(json: &[u8]) -> Result<(Self, Bounds), Reason>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::ConnectionClaims {}
    impl Sealed for super::SubscriptionClaims {}
}

/// What bounds a token of any kind.
#[doc(hidden)]
#[derive(Debug, Default, Deserialize)]
pub struct Bounds {
    exp: Option<NumericDate>,
    nbf: Option<NumericDate>,
    #[serde(default)]
    aud: Audience,
    iss: Option<String>,
}

impl Bounds {
    pub(super) fn ends_unix(&self) -> Option<u64> {
        self.exp.map(|date| date.0)
    }

    pub(super) fn begins_unix(&self) -> Option<u64> {
        self.nbf.map(|date| date.0)
    }

    pub(super) fn audience(&self) -> &[String] {
        &self.aud.0
    }

    pub(super) fn issuer(&self) -> Option<&str> {
        self.iss.as_deref()
    }
}

#[derive(Deserialize)]
struct Connection {
    #[serde(default)]
    sub: Option<String>,
    exp: Option<NumericDate>,
    expire_at: Option<NumericDate>,
    iat: Option<NumericDate>,
    jti: Option<String>,
    info: Option<Box<RawValue>>,
    b64info: Option<String>,
    #[serde(default)]
    channels: Option<Vec<String>>,
    #[serde(default)]
    subs: Option<BTreeMap<String, Options>>,
    meta: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Subscription {
    #[serde(default)]
    sub: Option<String>,
    channel: Option<String>,
    client: Option<String>,
    exp: Option<NumericDate>,
    expire_at: Option<NumericDate>,
    iat: Option<NumericDate>,
    jti: Option<String>,
    info: Option<Box<RawValue>>,
    b64info: Option<String>,
    data: Option<Box<RawValue>>,
    b64data: Option<String>,
    #[serde(rename = "override")]
    overrides: Option<WrittenOverrides>,
}

#[derive(Deserialize)]
struct Options {
    info: Option<Box<RawValue>>,
    b64info: Option<String>,
    data: Option<Box<RawValue>>,
    b64data: Option<String>,
    #[serde(rename = "override")]
    overrides: Option<WrittenOverrides>,
}

#[derive(Deserialize, Default)]
struct WrittenOverrides {
    presence: Option<Setting>,
    join_leave: Option<Setting>,
    force_recovery: Option<Setting>,
    force_positioning: Option<Setting>,
    force_push_join_leave: Option<Setting>,
}

#[derive(Deserialize)]
struct Setting {
    /// Left out, it is false: that is how the tokens of Go programs say it.
    #[serde(default)]
    value: bool,
}

impl Claims for ConnectionClaims {
    fn read(json: &[u8]) -> Result<(Self, Bounds), Reason> {
        let (bounds, read) = both::<Connection>(json)?;
        let subs = read.subs.unwrap_or_default();
        let subscriptions = if subs.is_empty() {
            read.channels.unwrap_or_default().into_iter().map(|channel| (channel, Granted::default())).collect()
        } else {
            let granted = subs.into_iter().map(|(channel, options)| Ok((channel, options.granted()?)));
            granted.collect::<Result<_, Reason>>()?
        };
        let claims = Self {
            user: read.sub.unwrap_or_default(),
            expires_unix: expiry(read.expire_at, read.exp),
            issued_unix: read.iat.map(|date| date.0),
            id: read.jti.filter(|id| !id.is_empty()),
            info: raw_or_base64(read.info, read.b64info, "b64info")?,
            meta: read.meta.map(raw),
            subscriptions,
        };
        Ok((claims, bounds))
    }
}

impl Claims for SubscriptionClaims {
    fn read(json: &[u8]) -> Result<(Self, Bounds), Reason> {
        let (bounds, read) = both::<Subscription>(json)?;
        let channel = read.channel.filter(|channel| !channel.is_empty());
        let channel = channel.ok_or(Reason::BadClaims { what: "there is no channel".to_owned() })?;
        let Subscription { info, b64info, data, b64data, overrides, .. } = read;
        let claims = Self {
            user: read.sub.unwrap_or_default(),
            channel,
            client: read.client.filter(|client| !client.is_empty()),
            expires_unix: expiry(read.expire_at, read.exp),
            issued_unix: read.iat.map(|date| date.0),
            id: read.jti.filter(|id| !id.is_empty()),
            granted: Options { info, b64info, data, b64data, overrides }.granted()?,
        };
        Ok((claims, bounds))
    }
}

impl Options {
    fn granted(self) -> Result<Granted, Reason> {
        let set = |setting: Option<Setting>| setting.map(|setting| setting.value);
        let written = self.overrides.unwrap_or_default();
        Ok(Granted {
            info: raw_or_base64(self.info, self.b64info, "b64info")?,
            data: raw_or_base64(self.data, self.b64data, "b64data")?,
            overrides: Overrides {
                presence: set(written.presence),
                join_leave: set(written.join_leave),
                force_recovery: set(written.force_recovery),
                force_positioning: set(written.force_positioning),
                force_push_join_leave: set(written.force_push_join_leave),
            },
        })
    }
}

fn both<'j, T: Deserialize<'j>>(json: &'j [u8]) -> Result<(Bounds, T), Reason> {
    let bad = |what| Reason::BadClaims { what };
    Ok((read_object(json).map_err(bad)?, read_object(json).map_err(bad)?))
}

fn expiry(expire_at: Option<NumericDate>, exp: Option<NumericDate>) -> Option<u64> {
    match (expire_at, exp) {
        (Some(NumericDate(0)), _) | (None, None) => None,
        (Some(date), _) | (None, Some(date)) => Some(date.0),
    }
}

fn raw(value: Box<RawValue>) -> Bytes {
    let text: Box<str> = value.into();
    Bytes::from(String::from(text))
}

/// The base64 if it is there, as the reference server does.
fn raw_or_base64(json: Option<Box<RawValue>>, base64: Option<String>, name: &str) -> Result<Option<Bytes>, Reason> {
    match base64.filter(|text| !text.is_empty()) {
        None => Ok(json.map(raw)),
        Some(text) => match STANDARD.decode(text) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(_) => Err(Reason::BadClaims { what: format!("{name} is not base64") }),
        },
    }
}

/// Seconds since the Unix epoch (RFC 7519 §2), whole: a fraction is cut off, and what is before the epoch is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct NumericDate(pub(crate) u64);

impl<'de> Deserialize<'de> for NumericDate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Seconds;
        impl Visitor<'_> for Seconds {
            type Value = NumericDate;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds since 1970, a number")
            }
            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<NumericDate, E> {
                Ok(NumericDate(seconds))
            }
            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<NumericDate, E> {
                Ok(NumericDate(u64::try_from(seconds).unwrap_or(0)))
            }
            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<NumericDate, E> {
                // Saturates at both ends.
                Ok(NumericDate(seconds as u64))
            }
        }
        deserializer.deserialize_any(Seconds)
    }
}

/// `aud`: a text, or a list of them (RFC 7519 §4.1.3).
#[derive(Debug, Default)]
struct Audience(Vec<String>);

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Audience;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }
            fn visit_str<E: de::Error>(self, name: &str) -> Result<Audience, E> {
                Ok(Audience(vec![name.to_owned()]))
            }
            fn visit_unit<E: de::Error>(self) -> Result<Audience, E> {
                Ok(Audience::default())
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Audience, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(Audience(names))
            }
        }
        deserializer.deserialize_any(Names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(json: &str) -> ConnectionClaims {
        ConnectionClaims::read(json.as_bytes()).unwrap().0
    }

    fn text(bytes: Option<&Bytes>) -> &str {
        std::str::from_utf8(bytes.unwrap()).unwrap()
    }

    #[test]
    fn every_claim_of_a_connection_is_read() {
        let claims = connection(
            r#"{"sub":"u1","exp":100,"iat":90,"nbf":80,"jti":"t1","aud":"a","iss":"i","info":{ "name" : "Ada" },
            "meta":[1, 2],"subs":{"news":{"info":{"a":1},"data":"x","override":{"presence":{"value":true},
            "join_leave":{"value":false},"force_recovery":{"value":true},"force_positioning":{},
            "force_push_join_leave":{"value":true}}},"chat":{"b64info":"AAE=","b64data":"/w=="}},"channels":["ignored"],
            "something":"else"}"#,
        );
        assert_eq!((claims.user.as_str(), claims.id.as_deref()), ("u1", Some("t1")));
        assert_eq!((claims.expires_unix, claims.issued_unix), (Some(100), Some(90)));
        // As it was written, spaces included.
        assert_eq!(text(claims.info.as_ref()), r#"{ "name" : "Ada" }"#);
        assert_eq!(text(claims.meta.as_ref()), "[1, 2]");
        assert_eq!(claims.subscriptions.keys().collect::<Vec<_>>(), ["chat", "news"]);
        let news = &claims.subscriptions["news"];
        assert_eq!((text(news.info.as_ref()), text(news.data.as_ref())), (r#"{"a":1}"#, "\"x\""));
        let overrides = Overrides {
            presence: Some(true),
            join_leave: Some(false),
            force_recovery: Some(true),
            force_positioning: Some(false),
            force_push_join_leave: Some(true),
        };
        assert_eq!(news.overrides, overrides);
        let chat = &claims.subscriptions["chat"];
        assert_eq!((chat.info.as_deref(), chat.data.as_deref()), (Some(&[0, 1][..]), Some(&[255][..])));
        assert_eq!(chat.overrides, Overrides::default());
    }

    #[test]
    fn a_connection_needs_no_claim_at_all() {
        for json in ["{}", r#"{"sub":null,"exp":null,"aud":null,"channels":null,"subs":null,"info":null,"jti":""}"#] {
            assert_eq!(connection(json), ConnectionClaims::default());
        }
    }

    #[test]
    fn channels_count_where_there_are_no_subs() {
        for json in [r#"{"channels":["a","b","a"]}"#, r#"{"channels":["a","b"],"subs":{}}"#] {
            let claims = connection(json);
            assert_eq!(claims.subscriptions.keys().collect::<Vec<_>>(), ["a", "b"]);
            assert!(claims.subscriptions.values().all(|granted| *granted == Granted::default()));
        }
    }

    #[test]
    fn expire_at_stands_for_the_end_of_the_connection_and_zero_for_none() {
        for (json, expires) in [
            (r#"{"exp":100}"#, Some(100)),
            (r#"{"exp":100,"expire_at":200}"#, Some(200)),
            (r#"{"exp":100,"expire_at":0}"#, None),
            (r#"{"expire_at":200}"#, Some(200)),
            (r#"{"exp":100.9}"#, Some(100)),
            (r#"{"exp":-5}"#, Some(0)),
            (r#"{"exp":1e300}"#, Some(u64::MAX)),
        ] {
            let (claims, bounds) = ConnectionClaims::read(json.as_bytes()).unwrap();
            assert_eq!(claims.expires_unix, expires, "{json}");
            assert_eq!(bounds.ends_unix().is_some(), json.contains("exp\""), "{json}");
        }
    }

    #[test]
    fn base64_wins_over_json_and_must_be_base64() {
        let claims = connection(r#"{"info":{},"b64info":"aGk="}"#);
        assert_eq!(text(claims.info.as_ref()), "hi");
        assert_eq!(text(connection(r#"{"info":{},"b64info":""}"#).info.as_ref()), "{}");
        for json in [r#"{"b64info":"?"}"#, r#"{"subs":{"a":{"b64data":"aGk"}}}"#] {
            assert!(matches!(ConnectionClaims::read(json.as_bytes()), Err(Reason::BadClaims { .. })), "{json}");
        }
    }

    #[test]
    fn claims_of_the_wrong_kind_are_refused() {
        for json in [
            "",
            "[]",
            "null",
            "7",
            r#"["u1"]"#,
            "{",
            "{} {}",
            r#"{"sub":1}"#,
            r#"{"exp":"100"}"#,
            r#"{"exp":true}"#,
            r#"{"sub":"a","sub":"b"}"#,
            r#"{"exp":1,"exp":9999999999}"#,
            r#"{"channels":"a"}"#,
            r#"{"channels":[1]}"#,
            r#"{"subs":["a"]}"#,
            r#"{"subs":{"a":{"override":{"presence":true}}}}"#,
            r#"{"aud":1}"#,
            r#"{"aud":[1]}"#,
            "{\"sub\":\"\u{0}\"}",
        ] {
            let read = ConnectionClaims::read(json.as_bytes());
            assert!(matches!(read, Err(Reason::BadClaims { .. })), "{json}: {read:?}");
        }
        for bytes in [&b"{\"sub\":\"\xff\"}"[..], b"{\"nobody reads this\":\"\xff\"}"] {
            assert!(ConnectionClaims::read(bytes).is_err());
        }
    }

    #[test]
    fn a_subscription_is_for_one_user_one_topic_and_perhaps_one_connection() {
        let read = |json: &str| SubscriptionClaims::read(json.as_bytes()).map(|(claims, _)| claims);
        let claims = read(r#"{"sub":"u1","channel":"c","data":{},"info":1,"override":{"presence":{"value":true}}}"#);
        let claims = claims.unwrap();
        assert_eq!(claims.granted.overrides.presence, Some(true));
        assert_eq!((text(claims.granted.data.as_ref()), text(claims.granted.info.as_ref())), ("{}", "1"));
        assert_eq!(claims.is_for("u1", "c", "x"), Ok(()));
        let other = |what, found: &str| Err(Reason::OfAnother { what, found: found.to_owned() });
        assert_eq!(claims.is_for("u2", "c", "x"), other("user", "u1"));
        assert_eq!(claims.is_for("u1", "C", "x"), other("channel", "c"));
        let bound = read(r#"{"sub":"","channel":"c","client":"x"}"#).unwrap();
        assert_eq!(bound.is_for("", "c", "x"), Ok(()));
        assert_eq!(bound.is_for("", "c", "y"), other("client", "x"));
        for json in ["{}", r#"{"sub":"u1"}"#, r#"{"sub":"u1","channel":""}"#] {
            assert!(read(json).is_err(), "{json}: a connection token is none of a subscription");
        }
    }
}

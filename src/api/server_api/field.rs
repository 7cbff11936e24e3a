//! Fields that several methods have: the channel, tags, payloads.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::failure::{ApiError, Failure};
use crate::api::surface::Surface;
use crate::config::TopicRules;
use crate::hub::{Epoch, Kind, Member, Offset, Position, Start, Topic, TopicName};
use crate::refusal::Refusal;
use crate::session::permission;

/// Where somebody stands in a topic.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Since {
    #[serde(default)]
    pub(super) offset: u64,
    #[serde(default)]
    pub(super) epoch: String,
}

impl Since {
    /// Whether it says nothing: libraries send what they do not use with its zero value.
    pub(super) fn is_nowhere(&self) -> bool {
        self.offset == 0 && self.epoch.is_empty()
    }

    /// The same in this process. A position without an epoch is one of the epoch that is.
    pub(super) fn position(&self, surface: &Surface, topic: &Topic) -> Result<Position, ApiError> {
        let epoch = if self.epoch.is_empty() {
            surface.hub.history(topic, Start::Now, 0, std::time::Instant::now()).top.epoch
        } else {
            Epoch(self.epoch.parse().map_err(|_| ApiError::unrecoverable_position())?)
        };
        Ok(Position { epoch, offset: Offset(self.offset) })
    }
}

/// Reads the parameters of a method.
pub(super) fn parse<'b, R: Deserialize<'b>>(params: &'b [u8]) -> Result<R, Failure> {
    let no_json = |error: &dyn std::fmt::Display| Failure::Transport(Refusal::BadBody, format!("not JSON: {error}"));
    // Derived code would take an array of the values, too.
    if params.trim_ascii_start().first() != Some(&b'{') {
        return Err(no_json(&"an object is expected"));
    }
    serde_json::from_slice(params).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => ApiError::bad_request(error).into(),
        serde_json::error::Category::Io | serde_json::error::Category::Syntax | serde_json::error::Category::Eof => {
            no_json(&error)
        }
    })
}

/// The topic that a method is about.
pub(super) fn topic_name(surface: &Surface, channel: Option<&str>) -> Result<TopicName, ApiError> {
    let channel = channel.ok_or_else(|| ApiError::bad_request("channel is missing"))?;
    let name = TopicName::new(channel).and_then(|name| name.at_most(surface.config.limits.topic_name));
    let name = name.map_err(ApiError::bad_request)?;
    let must_be_listed = surface.config.centrifuge.known_namespaces && permission::has_namespace(channel);
    if must_be_listed && !surface.hub.is_listed(&name) {
        return Err(ApiError::unknown_channel());
    }
    surface.hub.check_name(&name).map_err(ApiError::bad_request)?;
    Ok(name)
}

/// Whether a topic with these rules keeps anything.
pub(super) fn keeps_history(rules: &TopicRules) -> bool {
    rules.history.size > 0 && !rules.history.ttl.0.is_zero()
}

/// A payload in either of its two forms: JSON as it was written, or base64 of any bytes. `None` if there is neither.
pub(super) fn payload(
    name: &str,
    json: Option<&RawValue>,
    base64: Option<&str>,
) -> Result<Option<(Kind, Bytes)>, ApiError> {
    match (json, base64.filter(|text| !text.is_empty())) {
        (None, None) => Ok(None),
        (Some(json), None) => Ok(Some((Kind::Text, Bytes::copy_from_slice(json.get().as_bytes())))),
        (None, Some(text)) => {
            let bytes = BASE64.decode(text).map_err(|error| ApiError::bad_request(format!("b64{name}: {error}")))?;
            Ok(Some((Kind::Binary, bytes.into())))
        }
        (Some(_), Some(_)) => Err(ApiError::bad_request(format!("{name} and b64{name} exclude each other"))),
    }
}

/// Bytes as JSON: the JSON they are, text that is none as a string, and anything else in a field of its own.
#[derive(Debug)]
pub(super) enum Shown<'a> {
    Json(&'a RawValue),
    Text(&'a str),
    Base64(String),
}

impl<'a> Shown<'a> {
    pub(super) fn new(kind: Kind, bytes: &'a [u8]) -> Self {
        let text = match kind {
            Kind::Text => simdutf8::basic::from_utf8(bytes).ok(),
            Kind::Binary => None,
        };
        match text {
            None => Self::Base64(BASE64.encode(bytes)),
            Some(text) => serde_json::from_str(text).map_or(Self::Text(text), Self::Json),
        }
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Json(json) => json.serialize(serializer),
            Self::Text(text) => text.serialize(serializer),
            Self::Base64(text) => text.serialize(serializer),
        }
    }
}

/// A client as it is shown: by itself, and what it brought if it brought anything. Bytes that are no text are base64.
#[derive(Debug, Serialize)]
pub(super) struct ShownClient<'a> {
    user: &'a str,
    client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    conn_info: Option<Shown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chan_info: Option<Shown<'a>>,
}

impl<'a> ShownClient<'a> {
    pub(super) fn new(member: &'a Member) -> Self {
        let shown = |info: &'a Bytes| (!info.is_empty()).then(|| Shown::new(Kind::Text, info));
        Self {
            user: &member.user,
            client: member.client.to_string(),
            conn_info: shown(&member.connection_info),
            chan_info: shown(&member.topic_info),
        }
    }
}

/// Tags by name, each once: of two of the same name the later one counts.
pub(super) type Tags = BTreeMap<Box<str>, Box<str>>;

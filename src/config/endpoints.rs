//! `[[endpoints]]`: WebSocket paths with declared behaviour.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::units::Span;

/// One `[[endpoints]]` entry. All keys but `path` are optional and compose.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Endpoint {
    /// The URL path.
    pub path: String,
    /// Messages from clients are published here; publications come out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// A text sent first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub welcome: Option<String>,
    /// Send a fresh UUIDv4 first, before everything else.
    #[serde(default)]
    pub identify: bool,
    /// Then send the topic's history.
    #[serde(default)]
    pub replay: bool,
    /// Answered to the sender of each message; `{message}` stands for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// A minijinja template: JSON messages are rendered through it before they are published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<PathBuf>,
    /// Fields a JSON message must have, all strings. Default with a template: `["uid", "message"]`.
    #[serde(default)]
    pub fields: Vec<String>,
    /// As `server.origins`, for this path only. Default: `server.origins`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origins: Option<Vec<String>>,
    /// As `liveness.ping_interval`, for this path only; pings are then sent on schedule, heard from or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping_interval: Option<Span>,
    /// Log open, message, pong and close of each connection at `info`.
    #[serde(default)]
    pub log_lifecycle: bool,
    /// Published to the topic when a client comes or goes.
    #[serde(default, skip_serializing_if = "Announce::is_silent")]
    pub announce: Announce,
}

/// Texts published when a client of an endpoint comes or goes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table such as { join = \"...\", leave = \"...\" }")]
pub struct Announce {
    /// When one comes; it receives this, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join: Option<String>,
    /// When one goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leave: Option<String>,
}

impl Endpoint {
    /// The fields a JSON message must have when a template is given and `fields` is not.
    pub const DEFAULT_FIELDS: [&'static str; 2] = ["uid", "message"];
}

impl Announce {
    /// Whether nothing is announced.
    pub fn is_silent(&self) -> bool {
        self.join.is_none() && self.leave.is_none()
    }
}

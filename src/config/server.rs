//! `[server]`, `[liveness]`, `[sse]`: who listens where, and when a silent peer is given up.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::address;
use super::units::Span;

/// `[server]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct Server {
    /// Addresses to listen on. Default `["127.0.0.1:8000"]`.
    #[serde(deserialize_with = "address::list")]
    pub listen: Vec<SocketAddr>,
    /// Worker threads; 0 means one per available core. Default 0.
    pub workers: usize,
    /// How long a drain may take. Default `"10s"`.
    pub drain: Span,
    /// Origins allowed beside the page's own host: `scheme://host[:port]`, or `"*"` for any. A request without `Origin` passes. Default `[]`.
    pub origins: Vec<String>,
    /// Says in words that anyone who reaches a public address may publish. Default false.
    pub anyone_may_publish_from_public_addresses: bool,
    /// Whether `/` serves the try-it page when no page is configured there. Default true.
    pub try_it_page: bool,
}

/// `[liveness]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct Liveness {
    /// A connection not heard from for this long is pinged. Default `"25s"`.
    pub ping_interval: Span,
    /// A ping unanswered for this long ends the connection. Default `"10s"`.
    pub pong_timeout: Span,
}

/// `[sse]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct Sse {
    /// The mean of the reconnection delay told to clients; each gets 0.5 to 1.5 times it. Default `"3s"`.
    pub retry: Span,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8000))],
            workers: 0,
            drain: Span::secs(10),
            origins: Vec::new(),
            anyone_may_publish_from_public_addresses: false,
            try_it_page: true,
        }
    }
}

impl Default for Liveness {
    fn default() -> Self {
        Self { ping_interval: Span::secs(25), pong_timeout: Span::secs(10) }
    }
}

impl Default for Sse {
    fn default() -> Self {
        Self { retry: Span::secs(3) }
    }
}

//! `[centrifuge]`: clients that speak the Centrifuge protocol.

use serde::{Deserialize, Serialize};

use super::units::Span;

/// `[centrifuge]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct Centrifuge {
    /// Whether clients may connect without a token, as nobody in particular. Default false.
    pub anonymous: bool,
    /// The topic that each client with a user is subscribed to, where `{user}` stands for the user. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub personal: Option<String>,
    /// Whether a topic `news:x` is refused if no pattern of `[[topics]]` is for it. Default false.
    pub known_namespaces: bool,
    /// Publications that a client gets at once when it comes back; who missed more is not recovered. Default 300.
    pub recovery_limit: usize,
    /// How long a client may take to say who it is. Default `"10s"`.
    pub connect_timeout: Span,
    /// How long after its token has expired a client may bring a new one. Default `"25s"`.
    pub refresh_grace: Span,
}

impl Default for Centrifuge {
    fn default() -> Self {
        Self {
            anonymous: false,
            personal: None,
            known_namespaces: false,
            recovery_limit: 300,
            connect_timeout: Span::secs(10),
            refresh_grace: Span::secs(25),
        }
    }
}

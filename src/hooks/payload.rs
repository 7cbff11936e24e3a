//! Application bytes inside a call or its answer.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// Application bytes, as they travel in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// A JSON value, put into the surrounding JSON as it is.
    Json(Bytes),
    /// Any bytes, in base64.
    Binary(Bytes),
}

impl Payload {
    /// The bytes, whatever they are.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Json(bytes) | Self::Binary(bytes) => bytes,
        }
    }

    /// The same, taken out.
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Json(bytes) | Self::Binary(bytes) => bytes,
        }
    }

    /// The value of `encoding` for a call with this payload.
    pub(super) fn encoding(&self) -> &'static str {
        match self {
            Self::Json(_) => "json",
            Self::Binary(_) => "binary",
        }
    }

    pub(super) fn to_base64(bytes: &[u8]) -> String {
        STANDARD.encode(bytes)
    }

    /// `None`: not base64 (RFC 4648, section 4, padded).
    pub(super) fn from_base64(text: &str) -> Option<Self> {
        STANDARD.decode(text).ok().map(|bytes| Self::Binary(bytes.into()))
    }
}

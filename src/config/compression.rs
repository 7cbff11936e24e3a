//! `[compression]`: permessage-deflate on WebSockets.

use serde::{Deserialize, Serialize};

use super::units::ByteSize;

/// `[compression]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct Compression {
    /// Whether clients that offer it get publications compressed. Default false.
    pub enabled: bool,
    /// 1 (fast) to 9 (small). Default 3.
    pub level: u8,
    /// Publications of fewer bytes, their envelope included, stay as they are. Default `"256B"`.
    pub threshold: ByteSize,
}

impl Default for Compression {
    fn default() -> Self {
        // Off: browsers offer it always, so that switching it on changes what every client gets, and a publication then
        // costs 20 µs and more, which is cheap for a thousand subscribers and dear for one.
        Self { enabled: false, level: 3, threshold: ByteSize(256) }
    }
}

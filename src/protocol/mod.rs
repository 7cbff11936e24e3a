//! Publications to wire frames, one encoding each. Pure; knows no session, no hub state and no socket.
//!
//! Reading order: `encoding` (which there are), `plain`, `json` (positions and payloads as JSON), `sse`
//! (Server-Sent Events), `notice` (what the hub itself has to tell a subscriber), `centrifuge` (another protocol with all
//! its commands, replies and pushes). Imports `ws` for frames, and the position and kind of a publication from `hub`.

pub mod centrifuge;
mod content;
mod encoding;
mod headed;
mod json;
mod notice;
mod plain;
mod shape;
mod shaped;
pub mod sse;

pub use content::{About, Content};
pub use encoding::{Encoding, encode};
pub use notice::{Notice, error_json, missed_json, notice, recovered_json};
pub use plain::plain_frame;
pub use shape::{Deltas, Shape};

//! Publications to wire frames, one encoding each. Pure; knows no session, no hub state and no socket.

mod encoding;
mod plain;

pub use encoding::{Encoding, encode};
pub use plain::plain_frame;

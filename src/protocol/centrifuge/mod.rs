//! The Centrifuge client protocol, version 2: what official SDKs say and what they are told, as JSON and as Protobuf.
//!
//! Bytes in, values out; no session, no socket, no clock. Reading order: `command` (what a client asks), `commands` (the
//! commands of one frame) with `json_field` and `protobuf_command` over `field_reader`; `emulation` (requests beside the
//! stream); `reply`, `push` and `publication` (what a client gets) with `payload` (a payload as JSON) and `message_writer`;
//! `transport` (how replies and pushes become a frame, a line or an event); `error_code`, `unsubscribe_code` and
//! `disconnect_code` (the closed tables); `filter` with `decimal` (which publications a subscriber wants); `fossil`
//! (a payload as what changed since the last).
//!
//! Imports epochs and offsets from `hub` and frames from `ws`.

mod command;
mod commands;
mod decimal;
mod disconnect_code;
mod emulation;
mod error_code;
mod field_reader;
mod filter;
pub mod fossil;
mod json_field;
mod message_writer;
mod payload;
mod protobuf_command;
mod publication;
mod push;
mod reply;
mod transport;
mod unsubscribe_code;

pub use command::{
    ClaimedEpoch, Command, Connect, History, Method, Presence, Publish, Refresh, Rpc, Send, Since, SubRefresh,
    Subscribe, Unsubscribe,
};
pub use commands::{COMMAND_LIMIT, Commands, Malformed};
pub use disconnect_code::DisconnectCode;
pub use emulation::Emulation;
pub use error_code::ErrorCode;
pub use filter::{BadFilter, Filter};
pub use payload::json_text;
pub use publication::{ClientInfo, Data, Publication, Tags};
pub use push::{Envelope, Push, push_push};
pub use reply::{ConnectResult, HistoryResult, Reply, SubscribeResult, push_ping, push_reply};
pub use transport::{Batch, Format, Transport};
pub use unsubscribe_code::UnsubscribeCode;

#[cfg(test)]
mod tests;

//! RFC 6455 and RFC 7692 bytes, the server side: what a client sent, and frames ready for a socket. Pure.
//!
//! Reading order: `decoder` (the walk over the input), `header` (one frame header and its rules), `assembly` (a
//! message that arrives in pieces), `inflate` (compressed messages), `close` (close payloads), `violation` (how a client
//! broke the rules); `frame` (what the server writes), `deflate` (the same, compressed); `extension` (what was agreed on
//! about compression), `window`, `threshold`, `deflation` (both: how a subscriber has it). Imports `close_reason` only; knows no session, socket or clock.

mod assembly;
pub mod close;
mod decoder;
mod deflate;
mod deflation;
mod extension;
pub mod frame;
mod header;
mod inflate;
mod message;
mod threshold;
mod violation;
mod window;

pub use decoder::Decoder;
pub use deflate::{Deflater, Tally};
pub use deflation::Deflation;
pub use extension::{Agreement, Malformed, negotiate};
pub use fastwebsockets::OpCode;
pub use inflate::Inflater;
pub use message::{Message, MessageLimits, Step};
pub use threshold::{ThresholdId, Thresholds};
pub use violation::Violation;
pub use window::Window;

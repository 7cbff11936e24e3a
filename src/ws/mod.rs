//! RFC 6455 bytes, the server side: what a client sent, and frames ready for a socket. Pure.
//!
//! Reading order: `decoder` (the walk over the input), `header` (one frame header and its rules), `assembly` (a
//! message that arrives in pieces), `close` (close payloads), `violation` (how a client broke the rules), and
//! `frame` (what the server writes). Imports `close_reason` only; knows no session, socket or clock.

mod assembly;
pub mod close;
mod decoder;
pub mod frame;
mod header;
mod message;
mod violation;

pub use decoder::Decoder;
pub use fastwebsockets::OpCode;
pub use message::{Message, Step};
pub use violation::Violation;

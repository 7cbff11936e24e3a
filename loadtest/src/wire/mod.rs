//! Bytes of the harness, both directions: the handshake, frames, the languages of the hubs under test, what a payload says
//! about itself. Pure, but for `line`, which is a socket, and `outbox`, which writes to one.

pub(crate) mod dialect;
pub(crate) mod filler;
pub(crate) mod frame;
pub(crate) mod handshake;
pub(crate) mod inbox;
pub(crate) mod inflated;
pub(crate) mod line;
pub(crate) mod outbox;
pub(crate) mod stamp;

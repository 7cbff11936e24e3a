//! TLS: records in and out of a connection, and the certificates behind it.
//!
//! Reading order: [`Tls`] (what the configuration says), [`Channel`] (one connection: pure, bytes in and out), [`Identity`] (what a listener shows and asks for,
//! read from files, and again when they change), `certificates` (which certificate is for which name).
//! The protocol is rustls'; what is ours is that an idle connection keeps no buffer. Imports nobody; knows no socket.

mod certificates;
mod channel;
mod identity;
mod settings;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub(crate) use channel::{Channel, Heard, RECORD_BYTES};
pub use identity::{Identity, IdentityError, Reloaded};
pub use settings::{Certificate, Tls};

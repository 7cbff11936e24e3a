//! TLS: records in and out of a connection, and the certificates behind it.
//!
//! Reading order: [`Tls`] (what the configuration says), [`Channel`] (one connection: pure, bytes in and out), [`Identity`] (what a listener shows and asks for,
//! read from files, and again when they change), `certificates` (which certificate is for which name), [`Issuers`] (where an
//! authority issues the certificate), `issued` (that certificate, and the orders for it, which `server` polls: then rustls-acme
//! speaks to the authority), `cache_folder` (where it is kept).
//! The protocol is rustls'; what is ours is that an idle connection keeps no buffer. Imports nobody; knows no socket.

#[cfg(feature = "acme")]
mod cache_folder;
mod certificates;
mod channel;
mod identity;
#[cfg(feature = "acme")]
mod issued;
mod issuers;
mod settings;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub(crate) use channel::{Channel, Heard, RECORD_BYTES};
pub use identity::{Identity, IdentityError, Reloaded, authorities};
#[cfg(feature = "acme")]
pub use issued::{Issued, Orders};
pub use issuers::Issuers;
pub use settings::{Acme, Certificate, Tls};

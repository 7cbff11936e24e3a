//! The languages of the hubs under test: which path to ask for, how to join topics, how to publish, and what a message
//! that comes means. Pure. `dialect` is the closed list; each language has a file.
//!
//! None of them allocates for a delivery. What is not understood is never passed over: it ends the connection, and so the
//! run is not clean.

mod centrifuge;
#[expect(clippy::module_inception, reason = "the dialect is the noun of this folder")]
mod dialect;
mod joining;
mod json;
mod pusher;
mod scan;
mod signature;
mod template;

pub(crate) use dialect::{Dialect, Envelope, Event, Publishing};
pub(crate) use joining::{Joining, Standing};
pub(crate) use json::{asked, write_publication};
pub(crate) use pusher::App;
pub(crate) use template::Template;

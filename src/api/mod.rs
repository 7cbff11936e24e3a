//! Plain HTTP: publishing, history, the server API, pages, metrics and health. Everything but upgrades and streams.
//!
//! Reading order: [`route`] (pure: which path is what), [`reach`] (what of it a listener serves, and to how many), [`mod@query`] (pure), [`mod@serve`] (one request, one answer),
//! [`mod@problem`] (every refusal), [`topics`] and [`history`] (`/topics/{topic}`), [`mod@publish`] (with
//! backpressure), [`server_api`] (`/api/{method}`, by [`method`] and [`glob`]), `emulation` (what clients of streams say),
//! [`keys`], [`cors`], [`request_body`], [`answer`] and [`body_budget`]
//! (what answers may hold in memory). Imports `hub`, `config`, `pages` and `admin`; of `identity` who is shut out, and
//! of `worker` the orders that it takes; never a socket.

pub mod answer;
pub mod body_budget;
pub mod cors;
mod emulation;
pub mod glob;
pub mod history;
pub mod keys;
pub mod method;
pub mod problem;
pub mod publish;
pub mod query;
pub mod reach;
pub mod request_body;
pub mod route;
mod serve;
pub mod server_api;
mod surface;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub mod topics;

pub(crate) use emulation::format_of;
pub use method::ApiMethod;
pub use problem::problem;
pub use query::pairs as query;
pub use reach::{Reach, Wanted};
pub use route::{Route, Routes, StreamKind};
pub use serve::serve;
pub use surface::{Body, Surface, SurfaceError};
pub(crate) use topics::is_for_everyone;

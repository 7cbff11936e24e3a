//! `/api/{method}`: the server API in the shape of Centrifugo's, so that its client libraries work.
//!
//! Reading order: `serve` (one request, one answer), `call` (one method, one result) with `failure` and `field`; then what the
//! methods do: `publication`, `past` (history), `connection` (of users), `audience` (who is where, and this node), `ban` (who is
//! shut out); `batch` (several at once), `publish_stream` (as many as you like).
//!
//! A fault of the application is answered with HTTP 200 and `{"error":{"code","message"}}`, as those libraries expect;
//! a fault of the transport (key, body, load) with its HTTP status. A field that would be ignored is refused by name.

mod audience;
mod ban;
mod batch;
mod call;
mod connection;
mod failure;
mod field;
mod past;
mod publication;
mod publish_stream;
mod serve;

pub use audience::{CHANNELS_LIMIT, PRESENCE_LIMIT};
pub use batch::{ANSWER_LIMIT_BYTES, BATCH_LIMIT, commands};
pub use publication::BROADCAST_LIMIT;
pub use publish_stream::{TOLD_LIMIT, publish_stream};
pub use serve::{OPENAPI, openapi, serve};

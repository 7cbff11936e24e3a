//! Clients that do exactly what a test tells them, also what a client never should.
//!
//! Blocking sockets with deadlines. The WebSocket and HTTP here are written from the RFCs and share no code with the
//! hub: a mistake in its frames must not be undone by the same mistake in the tests. DEFLATE is miniz_oxide's, which
//! the hub does not use.

mod backend;
mod deflate;
mod events;
mod http;
mod socket;
mod stream;
mod websocket;

pub(crate) use backend::{Backend, Reply};
pub(crate) use deflate::deflated;
pub(crate) use events::{Event, Events};
pub(crate) use http::{Http, Response, response};
pub(crate) use socket::Socket;
pub(crate) use stream::{Carrier, Stream, field, framed, say};
pub(crate) use websocket::{Heard, WebSocket, close_payload, masked, upgrade_request};

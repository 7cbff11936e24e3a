//! From a listening socket to an opened connection on its worker.
//!
//! Each shard has a [`Listener`] per address (SO_REUSEPORT). [`Placement`] picks the least loaded worker before the
//! handshake, if [`addresses`] has nothing against its client. There what stands before the request is read, a
//! [`proxy_header`] and TLS; clients of all addresses take turns at it ([`fair_queue`]). Then the head of the request is read without a task or a tokio socket; `decision` says what it opens, and
//! [`handshake`] answers: the plain upgrade as `upgrade` reads it, others with hyper polled once in memory. Whatever is
//! not an acceptable upgrade or stream takes the ordinary way, `http`: a hyper connection in a task of its own, which can
//! still open one later (browsers reuse connections).
//!
//! Behind a proxy the peer is not the client: [`proxy_header`] is what a proxy says in front of the first byte, and
//! [`forwarded`] what it says in headers.

pub mod addresses;
mod decision;
pub(crate) mod fair_queue;
pub mod forwarded;
pub mod handshake;
pub(crate) mod http;
mod listener;
pub mod origin;
mod placement;
pub mod proxy_header;
mod tls_stream;
mod upgrade;

pub use listener::{Accepted, BindError, Bound, Listener, ListenerId, SocketFile};
pub use placement::{AllTaken, Placement};

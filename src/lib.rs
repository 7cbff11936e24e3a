//! fanfare: a multi-threaded broadcast hub.
//!
//! The folders are the stations that a publication passes, in reading order:
//!
//! | folder | what happens there |
//! |---|---|
//! | [`accept`] | a listener per shard, the handshake, origin and limits, placement on a worker |
//! | [`worker`] | the loop that owns connections: reads, liveness, mailbox, sweeps |
//! | [`session`] | pure: what a client may do, and what it gets |
//! | [`protocol`] | pure: publications to wire frames, per encoding |
//! | [`hub`] | topics: registry, sequencing, interest, history |
//! | [`fanout`] | pure: a worker's topic logs, cursors and outboxes |
//! | [`hooks`] | the application's backend, asked and told over HTTP |
//! | [`engine`] | where topics live beyond this process |
//! | [`store`] | history on disk |
//! | [`ws`] | pure: RFC 6455 and RFC 7692 bytes |
//! | [`identity`] | who a client is: signed tokens, and the keys that verify them |
//! | [`tls`] | TLS records (pure), and the certificates behind them, read from files |
//! | [`api`], [`pages`], [`admin`] | HTTP: publishing, history, static files, metrics, health |
//! | [`config`], [`cli`] | one struct, TOML and environment; the command line |

pub mod accept;
pub mod admin;
pub mod api;
pub mod cli;
pub mod close_reason;
pub mod config;
pub mod engine;
pub mod fanout;
pub mod hooks;
pub mod hub;
pub mod identity;
pub mod pages;
pub mod protocol;
pub mod refusal;
pub mod server;
pub mod session;
pub mod store;
pub mod tls;
pub mod worker;
pub mod ws;

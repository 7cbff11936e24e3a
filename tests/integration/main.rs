//! The hub as its clients see it: real sockets against a real hub on a free port, one property per file.
//!
//! Every file starts with what it holds the hub to; every test starts its own hub. See `docs/testing.md`.

#[cfg(test)]
mod authority;
#[cfg(test)]
#[expect(dead_code, reason = "shared with the fault tests, which need more of it")]
mod child;
#[cfg(test)]
mod client;
mod clients;
#[cfg(test)]
mod deadline;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod hub;
#[cfg(test)]
mod key_server;
#[cfg(test)]
#[cfg(feature = "acme")]
mod pebble;

#[cfg(test)]
#[cfg(feature = "acme")]
mod acme;
#[cfg(test)]
mod addresses;
#[cfg(test)]
mod compression;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod crowd;
#[cfg(test)]
mod disk_history;
#[cfg(test)]
mod disk_keys;
#[cfg(test)]
mod drain;
#[cfg(test)]
mod emulation;
#[cfg(test)]
mod endpoints;
#[cfg(test)]
mod handshake;
#[cfg(test)]
mod hooks;
#[cfg(test)]
mod lifetime;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod listeners;
#[cfg(test)]
mod liveness;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod model;
#[cfg(test)]
mod order;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod process;
#[cfg(test)]
mod publishing;
#[cfg(test)]
mod rates;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod seam;
#[cfg(test)]
mod server_api;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod several_topics;
#[cfg(test)]
mod slow_consumer;
#[cfg(test)]
mod stalled_worker;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod topic_names;
#[cfg(test)]
mod wildcards;
#[cfg(test)]
mod write_delay;

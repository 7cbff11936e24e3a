//! What goes wrong around a hub, made to go wrong: one fault per file, each beside a steady topic whose subscribers must
//! not notice.
//!
//! Each test prints what it did and the latencies it saw: `cargo test --test faults -- --nocapture`. It fails on
//! behaviour only, never on a time. See `docs/reliability.md`.

#[cfg(test)]
#[path = "../integration/child.rs"]
mod child;
#[cfg(test)]
#[path = "../integration/client/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the clients of the integration tests, of which these need a part")]
mod client;
#[cfg(test)]
#[path = "../integration/deadline.rs"]
mod deadline;
#[cfg(test)]
#[path = "../integration/hub.rs"]
#[expect(dead_code, reason = "the hub of the integration tests, of which these need a part")]
mod hub;

#[cfg(test)]
mod level;
#[cfg(test)]
mod steady;

#[cfg(test)]
mod bad_clients;
#[cfg(test)]
mod clock;
#[cfg(test)]
mod connect_storm;
#[cfg(test)]
mod descriptors;
#[cfg(test)]
mod full_disk;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod panicking_worker;
#[cfg(test)]
mod stopped_client;

//! `cargo xtask soak`: one hub under mixed load for an hour, and what it holds whenever everyone has left.
//!
//! [`command`] goes round by round: the [`load`]s of a round come from the load harness, or are event streams of this
//! program ([`streams`]); [`hub`] is the hub, and takes a [`sample`] of it at rest. Pure, and what fails a run: [`deliveries`]
//! holds what a load verified to what the hub counted meanwhile, [`sample`] a hub at rest to being empty, [`drift`] the
//! samples to each other. Imports [`machine`](crate::machine) and [`run`](crate::run).

mod client;
mod command;
mod counters;
mod deliveries;
mod drift;
mod hub;
mod interrupt;
mod load;
mod sample;
mod streams;
mod table;

pub(crate) use command::run;

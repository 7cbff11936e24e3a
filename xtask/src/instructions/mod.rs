//! `cargo xtask instructions`: how many instructions the operations of the hot path take, and how that differs from before.
//!
//! Instructions, because their number hardly depends on what else the machine does: on a shared one a time says little
//! below ten per cent, a count says something at two. They are not time: a cache miss is one instruction, and so is an
//! addition. What is counted is in `benches/instructions`, which also says how.
//!
//! Reading order: `command`, `counter` (a scenario under valgrind), `profile` (what callgrind writes), `baseline` (the
//! stored counts), `comparison` (what is printed).

mod baseline;
mod command;
mod comparison;
mod compiler;
mod counter;
mod profile;

pub(crate) use command::{Options, run};

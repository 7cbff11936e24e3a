//! The rules of the fan-out, one test each. The numbers of pitfalls are those of the design notes.

mod budget;
mod delays;
mod endings;
mod joins;
mod lag;
mod memory;
mod order;
mod stage;
mod sweeps;

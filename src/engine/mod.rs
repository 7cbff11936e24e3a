//! Where topics live beyond this process.
//!
//! An engine decides at which position a publication stands. There is one today, `memory`: the topic itself decides,
//! in its critical section, and the answer is there at once.
//!
//! `disk` keeps topics beyond this process: `sequencer` is the thread that gives their publications their places,
//! `interval_writer` the one that writes what is on disk a while later, `cleaning` says when what history has let go leaves
//! the store. `Hub::publish` hands `disk` the draft and the way of the answer, and returns. What comes back goes through the
//! topic's critical section like every other publication (`Hub::place`): local delivery has one path and one order.
//! Sessions, protocols and workers see positions and outcomes, and never which engine it is.
//!
//! A remote engine (Redis, NATS) will be another variant of [`Engine`], of the same kind as the disk: it chooses epoch and
//! offset elsewhere, and a full mailbox pauses the engine's reader as it pauses any publisher.

mod cleaning;
mod disk;
mod disk_figures;
mod interval_writer;
pub(crate) mod memory;
mod sequencer;

pub(crate) use disk::Disk;
pub use disk_figures::{COMMIT_BOUNDS_MICROS, DiskFigures};

/// Where topics live beyond this process.
///
/// An enum and no trait object: with the memory engine a publish costs one predictable branch here, no call through a
/// table, no future and no allocation.
#[derive(Debug)]
pub(crate) enum Engine {
    /// Nowhere: the topics of this process are all there is.
    Memory,
    /// Those whose rules say so on disk, all others as before.
    Disk(Box<Disk>),
}

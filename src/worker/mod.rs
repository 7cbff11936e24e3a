//! Station `worker`.

pub mod liveness;

//! Station `worker`.

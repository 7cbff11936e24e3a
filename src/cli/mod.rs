//! Station `cli`.

//! Station `ws`.

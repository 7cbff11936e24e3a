//! Station `session`.

//! Station `fanout`.

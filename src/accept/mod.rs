//! Station `accept`.

pub mod origin;

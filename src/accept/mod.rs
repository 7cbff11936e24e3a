//! Station `accept`.

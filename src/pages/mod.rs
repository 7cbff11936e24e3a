//! Station `pages`.

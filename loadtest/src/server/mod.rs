//! What is loaded: where it is, how it is started, what it costs; and the floor, the server that does nothing but send.

pub(crate) mod cpu;
pub(crate) mod floor;
pub(crate) mod launch;
pub(crate) mod process;
pub(crate) mod target;

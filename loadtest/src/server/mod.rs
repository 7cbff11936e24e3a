//! What is loaded: where it is, how it is started, what it costs; and the floor, the server that does nothing but send.

mod burst;
pub(crate) mod cpu;
pub(crate) mod endpoint;
pub(crate) mod floor;
pub(crate) mod launch;
pub(crate) mod place;
pub(crate) mod process;
pub(crate) mod site;
pub(crate) mod target;
pub(crate) mod writes;

//! What is loaded: where it is, how it is started, what it costs; and the floors, servers that do nothing but send, or
//! nothing but accept and ping.

mod burst;
pub(crate) mod certificate;
pub(crate) mod cpu;
pub(crate) mod door;
mod egress;
pub(crate) mod endpoint;
pub(crate) mod floor;
pub(crate) mod hub_settings;
pub(crate) mod idle_floor;
pub(crate) mod launch;
pub(crate) mod memory_peak;
pub(crate) mod place;
pub(crate) mod process;
mod ring;
pub(crate) mod site;
pub(crate) mod target;
pub(crate) mod way;
pub(crate) mod writes;

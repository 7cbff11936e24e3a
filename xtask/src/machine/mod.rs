//! What the machine has, and how what is missing gets onto it.
//!
//! Programs come from the system ([`Program`]): on Debian as root they are installed, elsewhere they are named with
//! the way to get them. Packages of Python, Node and Cargo, [`Pebble`] and [`CentrifugeGo`] go, in pinned versions, into the
//! cache folder of [`Place`]. A [`Nightly`] compiler is asked for, never installed. A hub to try things on is a [`RunningHub`]. Imports
//! only [`run`](crate::run).

mod apt;
mod cargo_tool;
mod centrifuge_go;
mod go;
mod nightly;
mod node_packages;
mod pebble;
mod place;
mod program;
mod python_packages;
mod running_hub;
mod stamp;

pub(crate) use apt::Archive;
pub(crate) use cargo_tool::CargoTool;
pub(crate) use centrifuge_go::CentrifugeGo;
pub(crate) use nightly::{Component, Nightly};
pub(crate) use node_packages::NodePackages;
pub(crate) use pebble::Pebble;
pub(crate) use place::Place;
pub(crate) use program::Program;
pub(crate) use python_packages::PythonPackages;
pub(crate) use running_hub::RunningHub;
pub(crate) use stamp::Stamp;

//! What the types cannot say: keys that contradict each other, files that are not there, rules that never apply.
//!
//! One file per thing that is checked. Each gets a [`report::Report`] and adds [mistakes](super::Mistake), which refuse the
//! configuration, or warnings, which do not.

mod compression;
mod endpoints;
mod exposure;
mod files;
mod hooks;
mod limits;
mod listeners;
mod log;
mod origins;
mod paths;
mod report;
mod tokens;
mod topics;

pub(super) use files::Files;
pub(super) use report::check;

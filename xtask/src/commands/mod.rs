//! The commands, one a file: which steps they run, and what makes them fail.

pub(crate) mod check;
pub(crate) mod fuzz;
pub(crate) mod loom;
pub(crate) mod miri;
pub(crate) mod sanitize;
mod smoke;
pub(crate) mod test;

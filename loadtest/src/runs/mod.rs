//! What the harness can do to a server, a file each.

pub(crate) mod compare;
pub(crate) mod fanout;
pub(crate) mod idle;

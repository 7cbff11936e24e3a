//! The load harness of fanfare.
fn main() {}

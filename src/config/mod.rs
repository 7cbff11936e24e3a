//! The configuration: one plain struct with defaults, read from TOML and the environment.

mod settings;
mod units;

pub use settings::*;
pub use units::{ByteSize, Span};

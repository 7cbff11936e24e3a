//! The configuration as the person who writes it meets it.

mod documented;
mod environment;
mod mistakes;
mod reading;
mod tutorials;

use std::path::Path;

use super::{Config, ConfigError};

/// What is said about `text`, or a panic if nothing is wrong with it.
fn complaint(text: &str) -> String {
    let error = Config::from_toml(text, Path::new("")).expect_err("this configuration should be refused");
    assert!(!error.mistakes().is_empty());
    error.to_string()
}

/// The configuration that `text` says, or a panic with its mistakes.
fn config(text: &str) -> Config {
    Config::from_toml(text, Path::new("")).unwrap_or_else(|error: ConfigError| panic!("{error}"))
}

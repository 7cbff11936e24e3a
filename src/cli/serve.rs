//! `fanfare serve`.

use std::env;
use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use super::exit::Failure;
use crate::config::{Loaded, Log, LogFormat};
use crate::server;

/// Starts logging, then the server; returns when it has drained.
pub(super) fn serve(loaded: &Loaded, collect: fn()) -> Result<(), Failure> {
    start_log(&loaded.config.log)?;
    server::run(loaded, collect).map_err(|error| Failure::Runtime(error.to_string()))
}

/// Log lines go to stderr, in the format and from the level of the configuration.
fn start_log(log: &Log) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&log.level);
    let filter = filter.map_err(|error| Failure::Configuration(format!("fanfare: log.level: {error}")))?;
    // Colours are for eyes: not for files, and not for those who said so (no-color.org).
    let colours = io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(colours);
    // A line that cannot be written (a full disk) is lost. Saying so on stderr, as is the default, would fail for the same
    // reason, and that panics: in a worker, and each time.
    let lines = lines.log_internal_errors(false);
    let started = match log.format {
        LogFormat::Text => lines.with_target(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).try_init(),
    };
    started.map_err(|error| Failure::Runtime(format!("cannot start the log: {error}")))
}

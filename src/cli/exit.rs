//! How a command ends: with which code, after saying what.

use std::process::ExitCode;

/// A command did not do what was asked. `Ok(())` is exit code 0.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It went wrong: code 1.
    #[error("{0}")]
    Runtime(String),
    /// The command line is wrong: code 64, `EX_USAGE`.
    #[error("{0}")]
    Usage(String),
    /// It was done, but for what is told: code 65, `EX_DATAERR`.
    #[error("{0}")]
    Incomplete(String),
    /// The configuration is wrong: code 78, `EX_CONFIG`.
    #[error("{0}")]
    Configuration(String),
    /// Nobody reads stdout any more (`fanfare subscribe news | head`): what was wanted was got, code 0.
    #[error("stdout is closed")]
    StdoutClosed,
}

impl Failure {
    /// The exit code that stands for a wrong command line.
    pub(super) const USAGE: u8 = 64;

    /// The exit code.
    pub(super) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::StdoutClosed => 0,
            Self::Runtime(_) => 1,
            Self::Usage(_) => Self::USAGE,
            Self::Incomplete(_) => 65,
            Self::Configuration(_) => 78,
        })
    }

    /// What is said about it on stderr, if anything.
    pub(super) fn told(&self) -> Option<String> {
        match self {
            Self::StdoutClosed => None,
            Self::Runtime(what) | Self::Usage(what) | Self::Incomplete(what) => Some(format!("fanfare: {what}")),
            // Has its own layout, with lines and carets.
            Self::Configuration(what) => Some(what.clone()),
        }
    }
}

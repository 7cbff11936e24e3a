//! From arguments to a command, and from its outcome to an exit code.

use std::env;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use super::arguments::{Arguments, Check, Command, Token};
use super::exit::Failure;
use super::{
    check, completions, create_token, explain, from_centrifugo, health, inspect_token, print_config, publish, serve,
    subscribe,
};
use crate::config::{Config, ConfigError, Loaded};

/// Runs the command that the process was started with and returns its exit code.
///
/// `collect` is handed to the server: it may give memory that was freed after a burst of connections back to the system.
pub fn main(collect: fn()) -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    match run(arguments, collect) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(told) = failure.told() {
                // If stderr cannot be written, the exit code still tells; `eprintln` would panic, and change it.
                let _ = writeln!(io::stderr(), "{}", told.trim_end());
            }
            failure.code()
        }
    }
}

/// Help and version are what was asked for; everything else is a wrong command line. Clap itself would exit with 2.
fn usage(error: &clap::Error) -> ExitCode {
    // A closed stdout or stderr leaves nobody to tell.
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
        _ => ExitCode::from(Failure::USAGE),
    }
}

fn run(arguments: Arguments, collect: fn()) -> Result<(), Failure> {
    let config = arguments.config;
    match arguments.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::serve(&load(config)?, collect),
        Command::Check(Check { from_centrifugo: Some(file) }) => from_centrifugo::from_centrifugo(&file),
        Command::Check(Check { from_centrifugo: None }) => check::check(&load(config)?),
        Command::Config => print_config::print_config(&load(config)?),
        Command::Publish(publish) => publish::publish(publish),
        Command::Subscribe(subscribe) => subscribe::subscribe(subscribe),
        Command::Token { token: Token::Create(create) } => {
            create_token::create_token(&create, &load(config)?.config.tokens)
        }
        Command::Token { token: Token::Inspect(inspect) } => {
            inspect_token::inspect_token(&inspect, &load(config)?.config.tokens)
        }
        Command::Explain { code } => explain::explain(code.as_deref()),
        Command::Health { hub } => health::health(hub),
        Command::Completions { shell } => completions::completions(shell),
    }
}

/// The configuration of the file that was given, of `$FANFARE_CONFIG`, or of the demo.
fn load(file: Option<PathBuf>) -> Result<Loaded, Failure> {
    let file = file.or_else(|| env::var_os("FANFARE_CONFIG").filter(|name| !name.is_empty()).map(PathBuf::from));
    // `env::vars` would panic at a variable of somebody else that is not UTF-8.
    let variables =
        env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Config::load(file.as_deref(), variables).map_err(|error| Failure::Configuration(told(&error)))
}

fn told(error: &ConfigError) -> String {
    match error {
        ConfigError::Wrong(mistakes) => mistakes.to_string(),
        ConfigError::Unreadable { .. } | ConfigError::TooLarge { .. } => format!("fanfare: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(arguments: &[&str]) -> String {
        let arguments = Arguments::try_parse_from([&["fanfare"], arguments].concat()).unwrap();
        let outcome = run(arguments, || {});
        format!("{:?}", outcome.map_or_else(|failure| failure.code(), |()| ExitCode::SUCCESS))
    }

    #[test]
    fn a_wrong_command_line_exits_with_64_and_help_with_0() {
        let code = |arguments: &[&str]| {
            let error = Arguments::try_parse_from([&["fanfare"], arguments].concat()).unwrap_err();
            format!("{:?}", usage(&error))
        };
        for wrong in [&["nonsense"][..], &["publish"], &["--nonsense"], &["explain", "a", "b"]] {
            assert_eq!(code(wrong), format!("{:?}", ExitCode::from(64)), "{wrong:?}");
        }
        for asked in [&["--help"][..], &["help", "publish"], &["--version"]] {
            assert_eq!(code(asked), format!("{:?}", ExitCode::SUCCESS), "{asked:?}");
        }
    }

    #[test]
    fn each_kind_of_failure_has_its_exit_code() {
        let missing = ["--config", "/nonexistent/fanfare.toml", "check"];
        assert_eq!(code(&missing), format!("{:?}", ExitCode::from(78)));
        assert_eq!(code(&["explain", "origin-refusd"]), format!("{:?}", ExitCode::from(64)));
        assert_eq!(code(&["subscribe", "a", "b", "--since", "1:2"]), format!("{:?}", ExitCode::from(64)));
        // Port 1 of this machine: nobody listens there.
        assert_eq!(code(&["health", "--url", "http://127.0.0.1:1"]), format!("{:?}", ExitCode::from(1)));
    }
}

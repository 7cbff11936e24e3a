//! The project's own commands, run as `cargo xtask COMMAND`.
//!
//! * [`commands::test`]: everything that tests the hub, from unit tests to a real browser;
//! * [`commands::check`]: everything a commit must satisfy without running it;
//! * [`commands::fuzz`]: each fuzz target for a while;
//! * [`commands::loom`], [`commands::sanitize`], [`commands::miri`]: tests once more, watched by something that sees more;
//! * [`conformance`]: the Autobahn test suite against endpoints of the hub;
//! * [`soak`]: one hub under mixed load for an hour;
//! * [`instructions`]: how many instructions the operations of the hot path take.
//!
//! [`run`] is how a command is announced, timed, bounded and summed up; [`machine`] is what the machine has, and how
//! what is missing gets onto it (into a cache folder, never into the tree).

mod commands;
mod conformance;
mod instructions;
mod machine;
mod run;
mod soak;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use commands::{check, fuzz, loom, miri, sanitize, test};
use machine::Place;

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the tests: cargo (unit, integration, documentation), acme (issued certificates, with Pebble), interop (Python clients), browser (headless Chromium),
    /// smoke (every run of the load harness for a moment), and, only when named, centrifuge (the official SDKs of that protocol).
    ///
    /// On Debian as root, what is missing is installed: programs through apt, packages into the cache folder
    /// (`$XDG_CACHE_HOME/fanfare`, else `~/.cache/fanfare`). Elsewhere, what is missing is named and the command fails.
    Test {
        /// Only these parts; all of them if none is named.
        parts: Vec<test::Part>,
        /// A Centrifugo to run `centrifuge` against instead of the hub: whether the suite tests the protocol.
        #[arg(long, value_name = "PROGRAM")]
        against: Option<PathBuf>,
    },
    /// Check the tree: format, clippy, documentation, licences and bans, unused dependencies.
    Check,
    /// Build and run every fuzz target.
    Fuzz {
        /// How long each target runs.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Only these targets; all of them if none is named.
        targets: Vec<String>,
    },
    /// Check the hub's concurrent part in every interleaving of its threads (loom), deeper than `cargo test` does.
    Loom {
        /// How often a thread may be interrupted in one run.
        #[arg(long, default_value_t = 4)]
        preemptions: u8,
    },
    /// Run the unit and integration tests with a sanitizer. Needs a nightly compiler.
    Sanitize {
        /// Only these; all of them if none is named.
        sanitizers: Vec<sanitize::Sanitizer>,
    },
    /// Interpret the tests of pure code with Miri. Needs a nightly compiler.
    Miri {
        /// Only tests with one of these in their names, instead of the usual ones.
        names: Vec<String>,
    },
    /// Run the Autobahn test suite against endpoints of the hub, and hold its results to the expected ones.
    Conformance {
        /// The cases to run, as patterns of the suite. A narrowed run does not ask for the full number of cases.
        #[arg(default_values_t = ["*".to_owned()])]
        cases: Vec<String>,
    },
    /// Load one hub with a mix of everything for a long time, and see that it holds nothing when everyone has left.
    ///
    /// Rounds of about a minute: joins and leaves, slow readers, event streams, publishing over HTTP; well below one core.
    /// Ctrl-C ends it early, with what was seen so far.
    Soak {
        /// How long, in whole rounds; memory is judged from eight rounds on.
        #[arg(long, default_value_t = 60)]
        minutes: u64,
    },
    /// Count the instructions of the hot path's operations (callgrind), and compare them with the stored counts.
    ///
    /// On Debian as root, valgrind is installed if it is missing; elsewhere it is named and the command fails.
    Instructions(instructions::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = Place::find().and_then(|place| match arguments.command {
        Command::Test { parts, against } => test::run(&place, &parts, against.as_deref()),
        Command::Check => check::run(&place),
        Command::Fuzz { seconds, targets } => fuzz::run(&place, seconds, &targets),
        Command::Loom { preemptions } => loom::run(&place, preemptions),
        Command::Sanitize { sanitizers } => sanitize::run(&place, &sanitizers),
        Command::Miri { names } => miri::run(&place, &names),
        Command::Conformance { cases } => conformance::run(&place, &cases),
        Command::Soak { minutes } => soak::run(&place, minutes),
        Command::Instructions(options) => instructions::run(&place, &options),
    });
    match outcome {
        Ok(report) => report.conclude(),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

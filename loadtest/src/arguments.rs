//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Args, Parser, Subcommand};

use crate::load::Load;
use crate::report::keep::Keep;
use crate::runs::command::RunCommand;
use crate::server::target::{FORMS, Target};
use crate::server::way::Way;

const EXAMPLES: &str = "Examples:
  A hub on port 8000, 1,000 subscribers of one topic, one publication in flight:
    fanfare-loadtest run fanout
  64 in flight, 10,000 subscribers on 100 topics, as JSON:
    fanfare-loadtest run fanout --subscribers 10000 --topics 100 --window 64 --json
  An open loop of 2,000 publications a second, published over HTTP, the generator on CPU 1:
    fanfare-loadtest run fanout --rate 2000 --publish-by http --generator-cpu 1
  A scenario of your own on the bare send loop that joins bursts:
    fanfare-loadtest run mine.toml floor-batch
  The hub against the floors in five interleaved rounds, with 1, 16 and 64 in flight:
    fanfare-loadtest compare --window 1,16,64 floors hub:target/release/fanfare
  Many topics per connection, the hub against a running Centrifugo:
    fanfare-loadtest compare --scenario mixed floor-batch hub:target/release/fanfare \\
      centrifugo=centrifuge+ws://127.0.0.1:8001/connection/websocket
  A report with plots of a comparison, and another one of its records together with older ones:
    fanfare-loadtest compare --save today.jsonl --html today.html floors hub:target/release/fanfare
    fanfare-loadtest report --output all.html before.jsonl today.jsonl
  Memory of 10,000 idle subscribed connections, of a fresh hub:
    fanfare-loadtest idle --connections 10000 -- target/release/fanfare

Only loopback addresses are loaded. The exit code is 1 if a delivery was lost, duplicated, reordered or altered.";

/// What stands below the help of the commands that take targets.
static HELP: LazyLock<String> = LazyLock::new(|| format!("Targets:\n{FORMS}\n\n{EXAMPLES}"));

/// Loads a fanfare hub on this machine, verifies every delivery, and says what each one cost.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// What to run.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The kinds of run.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a scenario on one target after another, and verify every delivery
    #[command(after_help = HELP.as_str())]
    Run {
        /// A scenario that comes with this program (fanout, topics, mixed, payloads, wake) or a file; flags win over it
        scenario: String,
        /// What to load [default: ws://127.0.0.1:8000]
        #[arg(value_name = "TARGET")]
        targets: Vec<Target>,
        #[command(flatten)]
        load: Load,
        #[command(flatten)]
        cpus: Cpus,
        /// Print one JSON object for each run, on a line of its own
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        keep: Keep,
    },
    /// Run a scenario on all targets, interleaved in rounds; prints the ratios to the first one
    #[command(after_help = HELP.as_str())]
    Compare {
        /// A scenario that comes with this program or a file; flags win over it
        #[arg(long, default_value = "fanout")]
        scenario: String,
        /// What to compare; the first one is the yardstick
        #[arg(value_name = "TARGET", required = true, num_args = 2..)]
        targets: Vec<Target>,
        #[command(flatten)]
        load: Load,
        /// Rounds of one run of each target
        #[arg(long, default_value_t = 5)]
        rounds: u32,
        #[command(flatten)]
        cpus: Cpus,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        keep: Keep,
    },
    #[command(flatten)]
    Subscribers(RunCommand),
    /// Make a page of plots and tables from stored records
    Report {
        /// Files that runs wrote with --save; several become one report
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Write the page to this file instead of to stdout
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// The bare send loop itself; started for the targets whose names begin with floor
    #[command(hide = true)]
    FloorServer {
        #[arg(long)]
        batch: bool,
        #[arg(long, value_delimiter = ',', default_value = "send")]
        ways: Vec<Way>,
    },
    /// Accepts and pings, nothing else; started by `storm` and `liveness`
    #[command(hide = true)]
    IdleFloorServer {
        /// Milliseconds between two pings of a connection
        #[arg(long)]
        ping_every: Option<u64>,
        #[arg(long)]
        compute_accept: bool,
    },
    /// Becomes another program that ends with its parent; used for hubs
    #[command(hide = true)]
    RunTied {
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

/// Which CPUs.
#[derive(Debug, Args)]
pub(crate) struct Cpus {
    /// Keep the server on this CPU (default: the first one, if there are two)
    #[arg(long, value_name = "CPU")]
    pub(crate) server_cpu: Option<usize>,
    /// Keep the generator on this CPU (default: the last one, if there are two)
    #[arg(long, alias = "pin-generator", value_name = "CPU")]
    pub(crate) generator_cpu: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn window_and_rate_exclude_each_other() {
        assert!(Arguments::try_parse_from(["x", "run", "fanout", "--window", "4", "--rate", "3"]).is_err());
        assert!(Arguments::try_parse_from(["x", "run", "fanout", "--window-in-all", "4", "--rate", "3"]).is_err());
        assert!(Arguments::try_parse_from(["x", "run", "fanout", "--rate", "3"]).is_ok());
    }

    #[test]
    fn a_comparison_takes_two_targets_or_more_and_lists_of_windows() {
        let targets_of = |arguments: &[&str]| match Arguments::try_parse_from(arguments) {
            Ok(Arguments { command: Command::Compare { targets, .. } }) => Some(targets.len()),
            _ => None,
        };
        assert_eq!(targets_of(&["x", "compare", "--windows", "1,16", "floors", "ws://127.0.0.1:8000"]), Some(2));
        assert_eq!(targets_of(&["x", "compare", "a=floor", "b=floor", "floor-batch"]), Some(3));
        assert_eq!(targets_of(&["x", "compare", "floor"]), None);
        assert_eq!(targets_of(&["x", "compare"]), None);
    }
}

//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::client::publisher::PublishBy;
use crate::report::keep::Keep;
use crate::runs::idle::Idle;
use crate::scenario::{Pace, Scenario};

const EXAMPLES: &str = "Examples:
  A hub on port 8000, 1,000 subscribers of one topic, one publication in flight:
    fanfare-loadtest fanout
  64 in flight, 10,000 subscribers on 100 topics, as JSON:
    fanfare-loadtest fanout --subscribers 10000 --topics 100 --window 64 --json
  An open loop of 2,000 publications a second, published over HTTP, the generator on CPU 1:
    fanfare-loadtest fanout --rate 2000 --publish-by http --pin-generator 1
  The same load on a bare send loop, and on one that joins bursts:
    fanfare-loadtest floor
    fanfare-loadtest floor --window 64 --batch
  The hub against the floor in five interleaved rounds of one run:
    fanfare-loadtest compare --rounds 5 -- target/release/fanfare
  Memory of 10,000 idle subscribed connections, of a fresh hub:
    fanfare-loadtest idle --connections 10000 -- target/release/fanfare

Only loopback addresses are loaded. The exit code is 1 if a delivery was lost, duplicated, reordered or altered.";

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
    /// Publish to subscribers of a running hub and verify every delivery
    #[command(after_help = EXAMPLES)]
    Fanout {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        load: Load,
        /// Keep the generator on this CPU
        #[arg(long, value_name = "CPU")]
        pin_generator: Option<usize>,
    },
    /// The same load on a bare send loop that this starts itself
    Floor {
        #[command(flatten)]
        load: Load,
        /// Join all frames read at once: one send per burst and subscriber
        #[arg(long)]
        batch: bool,
        #[command(flatten)]
        cpus: Cpus,
    },
    /// Floor, hub, batching floor and hub in interleaved rounds; prints the ratios
    Compare {
        #[command(flatten)]
        load: Load,
        /// Rounds of four runs each
        #[arg(long, default_value_t = 5)]
        rounds: u32,
        #[command(flatten)]
        cpus: Cpus,
        /// The hub's program
        #[arg(last = true, required = true, num_args = 1..=2, value_names = ["HUB", "CONFIG"])]
        hub: Vec<PathBuf>,
    },
    /// Open connections that do nothing, and look at the server's memory
    Idle {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        idle: IdleArguments,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        keep: Keep,
        /// Start this hub, fresh, instead of loading the one at --url
        #[arg(last = true, num_args = 1..=2, value_names = ["HUB", "CONFIG"], conflicts_with_all = ["url", "pid"])]
        hub: Vec<PathBuf>,
    },
    /// Make a page of plots and tables from stored records
    Report {
        /// Files that runs wrote with --save; several become one report
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Write the page to this file instead of to stdout
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// The bare send loop itself; started by `floor` and `compare`
    #[command(hide = true)]
    FloorServer {
        #[arg(long)]
        batch: bool,
    },
    /// Becomes another program that ends with its parent; used by `compare`
    #[command(hide = true)]
    RunTied {
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

/// Which server.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// The server: ws:// or http://, a loopback address
    #[arg(long, default_value = "ws://127.0.0.1:8000")]
    pub(crate) url: String,
    /// The server's process, for CPU and memory; found by its port if not given
    #[arg(long)]
    pub(crate) pid: Option<i32>,
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

/// What load.
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// Topics the subscribers are spread over
    #[arg(long, default_value_t = 1)]
    topics: u32,
    /// Subscribers in all
    #[arg(long, default_value_t = 1000)]
    subscribers: u32,
    /// Publishers of each topic; with --publish-by ws they are its first subscribers
    #[arg(long, default_value_t = 1)]
    publishers: u32,
    /// Bytes of each payload, at least 32 (64 with --text)
    #[arg(long, default_value_t = 128, value_name = "BYTES")]
    payload: usize,
    /// Text messages instead of binary ones
    #[arg(long)]
    text: bool,
    /// Publications in flight per publisher: the next one when the oldest has reached everybody
    #[arg(long, default_value_t = 1, conflicts_with = "rate", value_name = "COUNT")]
    window: usize,
    /// Publications per second over all topics, whatever the server does (open loop)
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// How publications are sent
    #[arg(long, value_enum, default_value_t = PublishBy::Ws)]
    publish_by: PublishBy,
    /// Measured seconds
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    duration: f64,
    /// Seconds of load before that
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    warmup: f64,
    /// Seconds the last deliveries are waited for
    #[arg(long, default_value_t = 5.0, value_name = "SECONDS")]
    stragglers: f64,
    /// Connect from 127.0.0.1 to 127.0.0.K
    #[arg(long, default_value_t = 8, value_name = "K", value_parser = clap::value_parser!(u8).range(1..=254))]
    source_addresses: u8,
    /// Handshakes at once
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// Topics are called PREFIX-0, PREFIX-1 and so on
    #[arg(long, default_value = "load", value_name = "PREFIX")]
    topic_prefix: String,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) keep: Keep,
}

impl Load {
    /// The scenario, checked.
    pub(crate) fn scenario(&self) -> Result<Scenario> {
        let scenario = Scenario {
            topics: self.topics,
            subscribers: self.subscribers,
            publishers: self.publishers,
            payload_bytes: self.payload,
            text: self.text,
            pace: self.rate.map_or(Pace::Window(self.window), Pace::Rate),
            publish_by: self.publish_by,
            duration_s: self.duration,
            warmup_s: self.warmup,
            stragglers_s: self.stragglers,
            source_addresses: self.source_addresses,
            concurrency: self.concurrency,
            topic_prefix: self.topic_prefix.clone(),
        };
        scenario.check()?;
        Ok(scenario)
    }
}

/// Which idle connections.
#[derive(Debug, Args)]
pub(crate) struct IdleArguments {
    /// Connections whose cost is measured
    #[arg(long, default_value_t = 10_000)]
    connections: u32,
    /// Connections opened before the first look at the memory
    #[arg(long, default_value_t = 100)]
    first_connections: u32,
    /// Topics they are spread over
    #[arg(long, default_value_t = 1)]
    topics: u32,
    /// Handshakes at once
    #[arg(long, default_value_t = 64)]
    concurrency: usize,
    /// Seconds between the last handshake and the look at the memory
    #[arg(long, default_value_t = 2.0, value_name = "SECONDS")]
    settle: f64,
    /// Connect from 127.0.0.1 to 127.0.0.K
    #[arg(long, default_value_t = 8, value_name = "K", value_parser = clap::value_parser!(u8).range(1..=254))]
    source_addresses: u8,
    /// Topics are called PREFIX-0, PREFIX-1 and so on
    #[arg(long, default_value = "idle", value_name = "PREFIX")]
    topic_prefix: String,
}

impl IdleArguments {
    /// The run they describe, on a server started for it or not.
    pub(crate) fn idle(&self, is_server_fresh: bool) -> Idle {
        Idle {
            connections: self.connections,
            is_server_fresh,
            first_connections: self.first_connections,
            topics: self.topics,
            settle_s: self.settle,
            source_addresses: self.source_addresses,
            concurrency: self.concurrency,
            topic_prefix: self.topic_prefix.clone(),
        }
    }
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
        assert!(Arguments::try_parse_from(["x", "fanout", "--window", "4", "--rate", "3"]).is_err());
        let Ok(Arguments { command: Command::Floor { load, .. } }) =
            Arguments::try_parse_from(["x", "floor", "--rate", "3"])
        else {
            panic!("not parsed")
        };
        assert_eq!(load.scenario().unwrap().pace, Pace::Rate(3.0));
    }

    #[test]
    fn a_comparison_takes_the_hub_and_perhaps_its_configuration() {
        let hub_of = |arguments: &[&str]| match Arguments::try_parse_from(arguments) {
            Ok(Arguments { command: Command::Compare { hub, .. } }) => Some(hub.len()),
            _ => None,
        };
        assert_eq!(hub_of(&["x", "compare", "--", "fanfare"]), Some(1));
        assert_eq!(hub_of(&["x", "compare", "--", "fanfare", "a.toml"]), Some(2));
        assert_eq!(hub_of(&["x", "compare"]), None);
    }
}

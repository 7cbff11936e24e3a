//! The hub that is loaded, and what it holds.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::client::Http;
use super::counters::Counters;
use super::sample::Sample;
use crate::machine::RunningHub;

/// How long those who left may take to be gone: a close handshake has five seconds.
const REST_DEADLINE: Duration = Duration::from_secs(20);

const POLL_EVERY: Duration = Duration::from_millis(100);

/// Once a second workers publish their counts, expire history and give memory back; on a busy machine a little later.
const DUTIES: Duration = Duration::from_millis(2500);

/// What tokio calls the threads of its pool. The hub's runtime has no others: it runs on the main thread.
const POOL_THREAD: &str = "tokio-rt-worker";

/// It has ten seconds to drain.
const DRAIN_DEADLINE: Duration = Duration::from_secs(15);

/// A hub with history, compression, two workers, and limits that a load can reach.
#[derive(Debug)]
pub(super) struct Hub(RunningHub);

impl Hub {
    /// Starts the program at `program`; its configuration and log go into `folder`.
    pub(super) fn start(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        RunningHub::start(program, folder, configuration_for).map(Self)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.address()
    }

    /// Waits until everyone has left and the hub has had time for its duties, and looks at it. If somebody has not left at
    /// the deadline, that shows in the sample.
    pub(super) fn at_rest(&self) -> anyhow::Result<Sample> {
        let deadline = Instant::now() + REST_DEADLINE;
        while !self.sample()?.is_at_rest() && Instant::now() < deadline {
            thread::sleep(POLL_EVERY);
        }
        thread::sleep(DUTIES);
        self.sample()
    }

    /// Ends it in good order.
    ///
    /// Errors: it does not end in time, or not with 0.
    pub(super) fn end(self) -> anyhow::Result<()> {
        let status = self.0.drain(DRAIN_DEADLINE)?;
        ensure!(status.success(), "the hub ended with {status}");
        Ok(())
    }

    fn sample(&self) -> anyhow::Result<Sample> {
        // Held until the end: the descriptors have it in them, always.
        let mut http = Http::connect(self.address())?;
        let counters = Counters::read(&http.get("/metrics")?)?;
        let process = Path::new("/proc").join(self.0.id().to_string());
        let status = fs::read_to_string(process.join("status")).context("the hub's process")?;
        let descriptors = fs::read_dir(process.join("fd")).context("the hub's descriptors")?.count() as u64;
        let (pool_threads, threads) = threads(&process)?;
        Ok(Sample { counters, resident_bytes: field(&status, "VmRSS:")? * 1024, descriptors, threads, pool_threads })
    }
}

/// How many threads of a process are of its pool for blocking calls, and how many are not.
fn threads(process: &Path) -> anyhow::Result<(u64, u64)> {
    let (mut of_pool, mut others) = (0, 0);
    for thread in fs::read_dir(process.join("task")).context("the hub's threads")? {
        // One of the pool may have ended since it was listed.
        let Ok(name) = fs::read_to_string(thread?.path().join("comm")) else { continue };
        if name.trim_end() == POOL_THREAD { of_pool += 1 } else { others += 1 }
    }
    Ok((of_pool, others))
}

/// A number of `/proc/PID/status`.
fn field(status: &str, name: &str) -> anyhow::Result<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    let Some(value) = value.and_then(|value| value.split_whitespace().next()?.parse().ok()) else {
        bail!("/proc/PID/status has no {name}");
    };
    Ok(value)
}

/// A lag of 4 MiB: who stops reading is given up after four seconds of the load, and who reads is not if the harness stands
/// still for three. It publishes then all at once what was due meanwhile: with 64 KiB, a second of that (SIGSTOP) cost every
/// subscriber its connection, and so did a busy machine now and then. The total has room for all of them: the readers must
/// not pay for those who stopped. Probes of the harness ping hundreds of times per second.
fn configuration_for(address: SocketAddr) -> String {
    format!(
        r#"[server]
listen = ["{address}"]
workers = 2

[limits]
connections = 2000
message = "16KiB"
mailbox = "1MiB"
outbound_total = "256MiB"
history_total = "4MiB"
control_rate = 0

[compression]
enabled = true

[[topics]]
pattern = "brief-*"
publish = "anyone"
history = {{ size = 50, ttl = "10s" }}

[[topics]]
pattern = "kept*"
publish = "anyone"
history = {{ size = 200, ttl = "7d" }}

[[topics]]
pattern = "*"
publish = "anyone"
slow_consumer = {{ policy = "disconnect", lag = "4MiB" }}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_process_are_found_by_their_names() {
        let status = "Name:\tfanfare\nVmRSS:\t   20480 kB\nThreads:\t5\n";
        assert_eq!((field(status, "VmRSS:").unwrap(), field(status, "Threads:").unwrap()), (20480, 5));
        assert!(field(status, "VmSwap:").is_err());
    }
}

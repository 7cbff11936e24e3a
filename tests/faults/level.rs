//! What a hub's process holds, before a fault and after it.

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::process::Pid;

use crate::child::Process;
use crate::client::Http;
use crate::deadline::eventually;

/// Resident memory that may come and go between two looks, whatever clients do: what the allocator keeps for the next
/// burst, and buffers of a worker that once were larger.
const MEMORY_SLACK_BYTES: u64 = 8 << 20;

/// What a hub's process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level {
    descriptors: usize,
    connections: u64,
    subscriptions: u64,
    resident_bytes: u64,
}

impl Level {
    pub(crate) fn of(hub: &Process) -> Self {
        let metrics = Metrics::of(hub.address);
        Self {
            descriptors: descriptors(hub.id()),
            connections: ["topic", "endpoint", "sse"].map(|one| metrics.count("fanfare_connections", one)).iter().sum(),
            subscriptions: metrics.value("fanfare_subscriptions"),
            resident_bytes: resident_bytes(hub.id()),
        }
    }

    /// Waits until the hub is back here: the same descriptors, connections and subscriptions, and about the same memory.
    #[track_caller]
    pub(crate) fn is_reached_again(&self, hub: &Process) {
        self.is_reached_again_within(hub, MEMORY_SLACK_BYTES);
    }

    /// The same where memory may come and go by `slack_bytes`.
    #[track_caller]
    pub(crate) fn is_reached_again_within(&self, hub: &Process, slack_bytes: u64) {
        let mut now = *self;
        eventually("the hub holds what it held before the fault", || {
            now = Self::of(hub);
            Self { resident_bytes: self.resident_bytes, ..now } == *self
                && now.resident_bytes <= self.resident_bytes + slack_bytes
        });
        println!(
            "    descriptors {} before and after; resident memory {:.1} MiB before, {:.1} MiB after",
            self.descriptors,
            mib(self.resident_bytes),
            mib(now.resident_bytes)
        );
    }
}

/// Mebibytes, for people.
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Open descriptors of a process.
pub(crate) fn descriptors(process: Pid) -> usize {
    targets(process).count()
}

/// The sockets behind them: of a hub, its listeners and all who are let in.
pub(crate) fn sockets(process: Pid) -> usize {
    // Several descriptors may stand for one.
    let sockets = targets(process).filter(|target| target.as_os_str().as_bytes().starts_with(b"socket:"));
    sockets.collect::<HashSet<_>>().len()
}

/// What the descriptors of a process stand for. One that is closed meanwhile may be left out.
fn targets(process: Pid) -> impl Iterator<Item = PathBuf> {
    let folder = fs::read_dir(format!("/proc/{}/fd", process.as_raw_nonzero())).unwrap();
    folder.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
}

/// Resident memory of a process.
pub(crate) fn resident_bytes(process: Pid) -> u64 {
    let pages = fs::read_to_string(format!("/proc/{}/statm", process.as_raw_nonzero())).unwrap();
    let resident: u64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    resident * rustix::param::page_size() as u64
}

/// The most memory of a process that was ever resident.
pub(crate) fn most_resident_bytes(process: Pid) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).unwrap();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    kib.unwrap().parse::<u64>().unwrap() << 10
}

/// One answer of `/metrics`.
#[derive(Debug)]
pub(crate) struct Metrics(String);

impl Metrics {
    pub(crate) fn of(address: SocketAddr) -> Self {
        let answer = Http::connect(address).get("/metrics");
        assert_eq!(answer.status, 200, "{answer:?}");
        Self(answer.text().to_owned())
    }

    /// The value of a series without labels, or with the labels that stand in `series`.
    #[track_caller]
    pub(crate) fn value(&self, series: &str) -> u64 {
        let value = self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value: f64 = value.unwrap_or_else(|| panic!("no {series}")).parse().unwrap();
        value as u64
    }

    fn count(&self, series: &str, protocol: &str) -> u64 {
        self.value(&format!("{series}{{protocol=\"{protocol}\"}}"))
    }

    /// WebSockets on topics that ended for this reason.
    #[track_caller]
    pub(crate) fn closed(&self, reason: &str) -> u64 {
        self.value(&format!("fanfare_connections_closed_total{{protocol=\"topic\",reason=\"{reason}\"}}"))
    }
}

//! The most memory a server holds per connection, at any moment of a storm.

use anyhow::Result;
use rustix::process::Pid;
use serde::Serialize;

use crate::server::process::Memory;

/// The dearest moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Peak {
    /// Growth of the resident memory since before the storm, divided by the connections that were open or in their
    /// handshake.
    pub(crate) bytes_per_connection: f64,
    /// Those connections.
    pub(crate) connections: u64,
    /// Of them, in their handshake.
    pub(crate) in_handshake: u64,
    /// Resident at that moment.
    pub(crate) resident_bytes: u64,
    /// Since the beginning of the storm.
    pub(crate) at_ms: f64,
    /// Looks taken at the memory in all.
    pub(crate) looks: u64,
}

/// Looks at a server's memory from the generator's loop.
#[derive(Debug)]
pub(crate) struct MemoryPeak {
    server: Pid,
    before_bytes: u64,
    start_ns: u64,
    next_ns: u64,
    every_ns: u64,
    peak: Peak,
}

impl MemoryPeak {
    /// Begins at `now_ns` and looks every `every_ms`. Without any connection `server` held `before`.
    pub(crate) fn new(server: Pid, before: Memory, now_ns: u64, every_ms: u64) -> Self {
        Self {
            server,
            before_bytes: before.resident_bytes,
            start_ns: now_ns,
            next_ns: now_ns,
            every_ns: every_ms.max(1) * 1_000_000,
            peak: Peak::default(),
        }
    }

    /// Looks, if it is time: `open` connections beside `in_handshake` that are being opened.
    pub(crate) fn look(&mut self, now_ns: u64, open: u64, in_handshake: u64) -> Result<()> {
        if now_ns < self.next_ns || open + in_handshake == 0 {
            return Ok(());
        }
        self.next_ns = now_ns + self.every_ns;
        let resident_bytes = Memory::of(self.server)?.resident_bytes;
        self.note(now_ns, open, in_handshake, resident_bytes);
        Ok(())
    }

    fn note(&mut self, now_ns: u64, open: u64, in_handshake: u64, resident_bytes: u64) {
        let connections = open + in_handshake;
        let growth = resident_bytes as f64 - self.before_bytes as f64;
        let bytes_per_connection = growth / connections as f64;
        let looks = self.peak.looks + 1;
        if looks == 1 || bytes_per_connection > self.peak.bytes_per_connection {
            let at_ms = (now_ns - self.start_ns) as f64 / 1e6;
            self.peak = Peak { bytes_per_connection, connections, in_handshake, resident_bytes, at_ms, looks };
        }
        self.peak.looks = looks;
    }

    /// The dearest moment so far.
    pub(crate) fn peak(&self) -> Peak {
        self.peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_the_moment_with_the_most_bytes_per_connection_not_the_most_bytes() {
        let before = Memory { resident_bytes: 1_000, anonymous_bytes: 0 };
        let mut watch = MemoryPeak::new(rustix::process::getpid(), before, 0, 1);
        watch.note(1_000_000, 0, 10, 3_000);
        watch.note(2_000_000, 5, 10, 16_000);
        watch.note(3_000_000, 100, 0, 21_000);
        let peak = watch.peak();
        assert_eq!((peak.bytes_per_connection, peak.connections, peak.in_handshake), (1_000.0, 15, 10));
        assert_eq!((peak.resident_bytes, peak.at_ms, peak.looks), (16_000, 2.0, 3));
    }

    #[test]
    fn it_looks_no_more_often_than_asked() {
        let before = Memory { resident_bytes: 0, anonymous_bytes: 0 };
        let mut watch = MemoryPeak::new(rustix::process::getpid(), before, 0, 20);
        for now_ms in [0, 5, 19, 20, 39, 41] {
            watch.look(now_ms * 1_000_000, 1, 0).unwrap();
        }
        assert_eq!(watch.peak().looks, 3);
    }
}

//! Limits of one worker's fan-out, and what is done to those who lag.

/// Coarse time: units of 100 ms since the worker's start. Passed in; this station has no clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(pub u32);

impl Tick {
    /// Ticks from `earlier` to `self`; 0 if it is not earlier.
    pub(super) const fn since(self, earlier: Self) -> u32 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Fine time: microseconds since the worker's start, for write delays. Passed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(pub u64);

/// What happens to a blocked member that lags over its log's rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Its connection is doomed: closed with a code that makes clients come back and resume.
    Disconnect,
    /// It jumps to the newest publication, and is told exactly what it missed.
    Skip,
    /// Of what it has not got, the newest publication per key is kept for it; the rest is counted.
    Latest,
}

/// When a log is written, when a member of it lags too much, and what happens then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRules {
    /// What happens.
    pub policy: Policy,
    /// Bytes of frames a blocked member may be behind; a single frame may be larger.
    pub lag_bytes: u32,
    /// Ticks the first unsent frame of a blocked member may wait.
    pub lag_ticks: u32,
    /// Microseconds a publication may wait for others before the sweep visits the members for it. 0: not at all.
    pub write_delay_us: u32,
}

impl Default for LogRules {
    fn default() -> Self {
        Self { policy: Policy::Disconnect, lag_bytes: 1024 * 1024, lag_ticks: 600, write_delay_us: 0 }
    }
}

/// The index of a [`LogRules`] in the table given to [`super::Fanout::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RulesId(pub u16);

/// Limits of one worker's fan-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Bytes one visit plans, or the first whole segment beyond. Default 64 KiB.
    pub visit_bytes: usize,
    /// Slices one visit plans. Default 250: under `IOV_MAX` (1024), and the iovec walk stays cheap.
    pub visit_slices: usize,
    /// Visits in one sweep, after which [`super::Fanout::next`] says `None` once, so that the worker polls its reads and
    /// timers. Default 64: same CPU as no limit, half the latency at high load.
    pub sweep_visits: u32,
    /// Members of one log that are visited before the next log has its turn. Default 16.
    pub turn_members: u32,
    /// Bytes of joined frames in a segment. Default 16 KiB.
    pub segment_bytes: usize,
    /// Frames of at least this many bytes are kept by reference, as segments of their own. Default 4 KiB.
    pub by_reference_bytes: usize,
    /// Ticks a blocked connection may owe the same bytes: one that owes only a cut frame or replies lags behind no log.
    /// Default 600 (60 s).
    pub stalled_ticks: u32,
    /// This worker's share of the process-wide outbound budget, in bytes: logs with their marks, conflated frames, cut
    /// frames and outboxes. Default 256 MiB. Frames shared by several owers are counted once.
    ///
    /// A publication that would go over it is refused with [`super::Appended::Full`] while the sweep still has members to
    /// reach, since that may be all it takes; when only blocked connections are left, the largest laggards are doomed
    /// until it fits. Must be well above the largest frame.
    pub outbound_limit_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            visit_bytes: 64 * 1024,
            visit_slices: 250,
            sweep_visits: 64,
            turn_members: 16,
            segment_bytes: 16 * 1024,
            by_reference_bytes: 4 * 1024,
            stalled_ticks: 600,
            outbound_limit_bytes: 256 * 1024 * 1024,
        }
    }
}

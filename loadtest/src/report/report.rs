//! What a run found, for people and for programs.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::report::timeline::Timeline;
use crate::scenario::Scenario;
use crate::server::cpu::CpuTime;
use crate::server::process::Memory;
use crate::verify::Verdict;
use crate::wire::inflated::Tally;

/// From this share of one CPU on a thread is busy all the time.
const BUSY_SHARE: f64 = 0.9;

/// Fewer seconds of server CPU than this are mostly start-up, stalls and the rounding of clock ticks.
const MEANINGFUL_CPU_S: f64 = 0.2;

/// The report of one fan-out run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    /// What was measured: the name of the target.
    pub(crate) name: String,
    /// The language it was spoken to.
    pub(crate) dialect: &'static str,
    /// What was done.
    pub(crate) scenario: Scenario,
    /// Length of the measured time.
    pub(crate) measured_s: f64,
    /// Publications in the measured time.
    pub(crate) publications: u64,
    /// Of an open loop: publications that were due by the end and never made, because too much was in flight. Their
    /// latencies are not in the percentiles; more than a few, and the rate is over what the server can do.
    pub(crate) unpublished: u64,
    /// Deliveries read in the measured time.
    pub(crate) deliveries: u64,
    /// Their rate.
    pub(crate) deliveries_per_s: f64,
    /// Deliveries over the measured time.
    pub(crate) timeline: Timeline,
    /// Writes of the server per delivery, over the whole run, if it tells how many it made.
    pub(crate) writes_per_delivery: Option<f64>,
    /// What came compressed over the whole run; `None` if compression was not offered.
    pub(crate) compressed: Option<Tally>,
    /// From the intended send time to the read; of publications due in the measured time.
    pub(crate) latency: Latency,
    /// The whole run, warm-up and stragglers included.
    pub(crate) verdict: Verdict,
    /// The first reasons for which connections ended early.
    pub(crate) endings: Vec<String>,
    /// The server, if its process is known.
    pub(crate) server: Option<ServerCost>,
    /// This process.
    pub(crate) generator: GeneratorCost,
}

/// Points of a distribution, from 60 % to 99.999 %: ten for each nine.
const DISTRIBUTION_TENTHS: std::ops::RangeInclusive<i32> = 4..=50;

/// Latencies in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
    pub(crate) count: u64,
    /// Shares of all deliveries, and the time within which they came; at most 51, for a plot.
    distribution: Vec<(f64, f64)>,
}

/// What the server used in the measured time.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct ServerCost {
    pub(crate) pid: i32,
    /// CPU time in the measured time.
    pub(crate) cpu: CpuTime,
    /// User and system time per delivery.
    pub(crate) cpu_us_per_delivery: f64,
    /// Of the measured time; 1 is one CPU.
    pub(crate) cpu_share: f64,
    /// Resident at the end.
    pub(crate) resident_bytes: u64,
    /// Growth of the resident memory by connecting, before anything was published.
    pub(crate) resident_bytes_per_connection: f64,
    /// User and system time by connecting, handshakes and all that is said until each is subscribed.
    pub(crate) cpu_us_per_connection: f64,
}

impl ServerCost {
    /// The costs of `cpu` in `measured_s` seconds with `deliveries`, and of `connections`, which took `connecting`.
    pub(crate) fn new(
        pid: i32,
        cpu: CpuTime,
        measured_s: f64,
        deliveries: u64,
        memory: &MemoryOverRun,
        (connections, connecting): (u32, CpuTime),
    ) -> Self {
        let growth = memory.connected.resident_bytes as f64 - memory.before.resident_bytes as f64;
        Self {
            pid,
            cpu,
            cpu_us_per_delivery: cpu.total_s() * 1e6 / deliveries.max(1) as f64,
            cpu_share: cpu.total_s() / measured_s,
            resident_bytes: memory.end.resident_bytes,
            resident_bytes_per_connection: growth / f64::from(connections.max(1)),
            cpu_us_per_connection: connecting.total_s() * 1e6 / f64::from(connections.max(1)),
        }
    }
}

/// The server's memory at three moments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryOverRun {
    /// Before the first connection of the run.
    pub(crate) before: Memory,
    /// With all of them, before the first publication.
    pub(crate) connected: Memory,
    /// After the last delivery.
    pub(crate) end: Memory,
}

/// What the generator used in the measured time.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct GeneratorCost {
    /// Of the measured time; the generator is one thread, so 1 is all it can have.
    pub(crate) cpu_share: f64,
    /// User and system time per delivery.
    pub(crate) cpu_us_per_delivery: f64,
    /// It was busy nearly all the time and the server was not: the rate and the latencies are its own.
    pub(crate) is_bottleneck: bool,
}

impl GeneratorCost {
    /// What `cpu` means beside a server that used `server_share` of a CPU, if that is known.
    ///
    /// A generator that keeps up with a busy server is busy too: it wakes for every few deliveries, and would take more
    /// at once if more came. So the server decides: with one thread that never rests, it sets the pace. With several
    /// threads that cannot be told from outside, and a busy generator is suspected.
    pub(crate) fn new(cpu: CpuTime, measured_s: f64, deliveries: u64, server_share: Option<f64>) -> Self {
        let cpu_share = cpu.total_s() / measured_s;
        let server_sets_pace = server_share.is_some_and(|share| (BUSY_SHARE..=1.05).contains(&share));
        Self {
            cpu_share,
            cpu_us_per_delivery: cpu.total_s() * 1e6 / deliveries.max(1) as f64,
            is_bottleneck: cpu_share >= BUSY_SHARE && !server_sets_pace,
        }
    }
}

impl Latency {
    /// The percentiles of a histogram of nanoseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let us = |ns: u64| ns as f64 / 1000.0;
        Self {
            p50_us: us(histogram.value_at_quantile(0.5)),
            p90_us: us(histogram.value_at_quantile(0.9)),
            p99_us: us(histogram.value_at_quantile(0.99)),
            p999_us: us(histogram.value_at_quantile(0.999)),
            max_us: us(histogram.max()),
            count: histogram.len(),
            distribution: distribution(histogram),
        }
    }
}

/// The quantiles at the same places for every run, so that runs can be laid over each other. Those that less than one
/// value lies above are left out: they would repeat the maximum.
fn distribution(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    let of_nines = DISTRIBUTION_TENTHS.map(|tenths| 1.0 - 10f64.powf(-f64::from(tenths) / 10.0));
    // Places and times are rounded for the sake of stored records: 51 points of 7 digits are 1 KB.
    let places = [0.0, 0.1, 0.25, 0.5].into_iter().chain(of_nines).map(|share| (share * 1e7).round() / 1e7);
    let known = places.filter(|share| (1.0 - share) * histogram.len() as f64 >= 1.0);
    known.map(|share| (share, (histogram.value_at_quantile(share) as f64 / 100.0).round() / 10.0)).collect()
}

/// A histogram from 1 µs to 100 s with three digits, in nanoseconds. 200 KB.
pub(crate) fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 100_000_000_000, 3).expect("invariant: the bounds are valid constants")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}: {}", self.name, self.scenario.name, self.scenario.describe())?;
        writeln!(
            f,
            "  deliveries  {} in {:.2} s: {:.0} /s ({:.0} publications/s)",
            self.deliveries,
            self.measured_s,
            self.deliveries_per_s,
            self.publications as f64 / self.measured_s
        )?;
        write!(f, "  verified    {}", self.verdict)?;
        for ending in &self.endings {
            writeln!(f, "              {ending}")?;
        }
        writeln!(f, "  latency     {}", self.latency)?;
        if let Some(compressed) = &self.compressed {
            writeln!(f, "  compressed  {compressed}")?;
        }
        if let Some(writes) = self.writes_per_delivery {
            writeln!(f, "  writes      {writes:.4} per delivery")?;
        }
        if self.unpublished > 0 {
            writeln!(
                f,
                "  warning     {} publications were due and not made: the server is behind this rate",
                self.unpublished
            )?;
        }
        match &self.server {
            Some(server) => {
                writeln!(
                    f,
                    "  server      {:.3} µs CPU per delivery ({:.2} s user, {:.2} s system, {:.0} % of a CPU, pid {})",
                    server.cpu_us_per_delivery,
                    server.cpu.user_s,
                    server.cpu.system_s,
                    server.cpu_share * 100.0,
                    server.pid
                )?;
                writeln!(
                    f,
                    "              {:.1} MiB resident; {:.0} B and {:.1} µs CPU per connection",
                    server.resident_bytes as f64 / 1048576.0,
                    server.resident_bytes_per_connection,
                    server.cpu_us_per_connection
                )?;
                if server.cpu.total_s() < MEANINGFUL_CPU_S {
                    writeln!(
                        f,
                        "  warning     the server hardly worked: its CPU time means little; measure longer or load it more"
                    )?;
                }
            }
            None => writeln!(f, "  server      process unknown: no CPU and memory figures (give TARGET#pid=N)")?,
        }
        write!(
            f,
            "  generator   {:.3} µs CPU per delivery ({:.0} % of a CPU)",
            self.generator.cpu_us_per_delivery,
            self.generator.cpu_share * 100.0
        )?;
        if self.generator.is_bottleneck {
            write!(
                f,
                "\n  warning     the generator was busy all the time: the rate and the latencies are what it could read.\
                 \n              The server's CPU per delivery stays valid"
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} in order, lost {}, duplicated {}, reordered {}, wrong {}, closed early {}, order disagreed {}{}",
            if self.is_clean() { "clean" } else { "NOT CLEAN" },
            self.in_order,
            self.lost,
            self.duplicated,
            self.reordered,
            self.wrong,
            self.closed,
            self.disagreeing,
            if self.foreign > 0 { format!(" ({} foreign messages ignored)", self.foreign) } else { String::new() }
        )
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p50 {}  p90 {}  p99 {}  p99.9 {}  max {}",
            Microseconds(self.p50_us),
            Microseconds(self.p90_us),
            Microseconds(self.p99_us),
            Microseconds(self.p999_us),
            Microseconds(self.max_us)
        )
    }
}

struct Microseconds(f64);

impl fmt::Display for Microseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            us if us < 1_000.0 => write!(f, "{us:.0} µs"),
            us if us < 1_000_000.0 => write!(f, "{:.2} ms", us / 1e3),
            us => write!(f, "{:.2} s", us / 1e6),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_recorded_times() {
        let mut histogram = latency_histogram();
        for ms in 1..=1000 {
            histogram.saturating_record(ms * 1_000_000);
        }
        let latency = Latency::of(&histogram);
        for (found, expected) in [
            (latency.p50_us, 500_000.0),
            (latency.p90_us, 900_000.0),
            (latency.p99_us, 990_000.0),
            (latency.p999_us, 999_000.0),
            (latency.max_us, 1_000_000.0),
        ] {
            assert!((found / expected - 1.0).abs() < 0.002, "{found} is not about {expected}");
        }
        assert_eq!(latency.count, 1000);
    }

    #[test]
    fn a_distribution_has_some_points_of_each_nine_as_far_as_there_are_values() {
        let mut histogram = latency_histogram();
        assert_eq!(distribution(&histogram), []);
        for ms in 1..=1000 {
            histogram.saturating_record(ms * 1_000_000);
        }
        let thousand = distribution(&histogram);
        assert!(thousand.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{thousand:?}");
        let at_nine = thousand.iter().find(|point| point.0 == 0.9).unwrap().1;
        assert!((at_nine / 900_000.0 - 1.0).abs() < 0.001, "{at_nine}");
        assert_eq!(thousand.last().unwrap().0, 0.999);
        histogram.record_n(1_000_000, 10_000_000).unwrap();
        assert_eq!(distribution(&histogram).len(), 51);
    }

    #[test]
    fn cpu_per_delivery_counts_user_and_system_and_memory_the_growth_by_connecting() {
        let memory = |resident_bytes| Memory { resident_bytes, anonymous_bytes: 0 };
        let over_run = MemoryOverRun { before: memory(1000), connected: memory(3000), end: memory(9000) };
        let cpu = CpuTime::in_ticks(0.5, 1.5);
        let cost = ServerCost::new(7, cpu, 4.0, 1_000_000, &over_run, (10, CpuTime::in_ticks(0.002, 0.001)));
        assert!((cost.cpu_us_per_connection - 300.0).abs() < 1e-9);
        assert!((cost.cpu_us_per_delivery - 2.0).abs() < 1e-9);
        assert!((cost.cpu_share - 0.5).abs() < 1e-9);
        assert!((cost.resident_bytes_per_connection - 200.0).abs() < 1e-9);
        assert_eq!(cost.resident_bytes, 9000);
    }

    #[test]
    fn a_busy_generator_is_the_bottleneck_unless_one_server_thread_is_as_busy() {
        let cost = |busy_s, server_share| {
            GeneratorCost::new(CpuTime::in_ticks(busy_s, 0.0), 1.0, 1, server_share).is_bottleneck
        };
        assert!(!cost(0.5, Some(0.5)));
        assert!(cost(0.95, Some(0.5)));
        assert!(!cost(0.95, Some(0.99)));
        assert!(cost(0.95, Some(1.8)));
        assert!(cost(0.95, None));
    }
}

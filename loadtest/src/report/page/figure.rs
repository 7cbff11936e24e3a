//! The catalogue of figures a page shows: where they are found, how they are written, which are compared.

use crate::report::page::comparison::Pick;
use crate::report::page::findings::{Findings, Latency, Server};
use crate::report::page::unit;

/// One row of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    /// What it is.
    pub(crate) label: &'static str,
    /// Where it is found.
    pub(crate) pick: Pick,
    /// How it is written.
    pub(crate) words: fn(f64) -> String,
    /// What its ratio to the yardstick is for.
    pub(crate) use_of_ratio: Ratio,
}

/// What the ratio of a figure is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ratio {
    /// Heads the report.
    Headline,
    /// Stands in the tables.
    Table,
    /// Says nothing.
    Meaningless,
}

/// CPU time of the server per delivery: the figure that a machine shared with others falsifies least.
pub(crate) const CPU_PER_DELIVERY: Figure =
    figure("server CPU per delivery", |f| server(f)?.cpu_us_per_delivery, unit::microseconds, Ratio::Headline);

/// All figures, in the order of the tables.
pub(crate) const FIGURES: [Figure; 19] = [
    CPU_PER_DELIVERY,
    figure("deliveries per second", |f| f.deliveries_per_s, unit::count, Ratio::Table),
    figure("latency p50", |f| latency(f)?.p50_us, unit::microseconds, Ratio::Table),
    figure("latency p90", |f| latency(f)?.p90_us, unit::microseconds, Ratio::Table),
    figure("latency p99", |f| latency(f)?.p99_us, unit::microseconds, Ratio::Table),
    figure("latency p99.9", |f| latency(f)?.p999_us, unit::microseconds, Ratio::Table),
    figure("latency max", |f| latency(f)?.max_us, unit::microseconds, Ratio::Meaningless),
    figure("server's share of a CPU", |f| server(f)?.cpu_share, unit::percent, Ratio::Meaningless),
    figure("server's memory at the end", |f| server(f)?.resident_bytes, unit::bytes, Ratio::Table),
    figure(
        "memory per connection, by connecting",
        |f| server(f)?.resident_bytes_per_connection,
        unit::bytes,
        Ratio::Meaningless,
    ),
    figure(
        "generator CPU per delivery",
        |f| f.generator.as_ref()?.cpu_us_per_delivery,
        unit::microseconds,
        Ratio::Table,
    ),
    figure("generator's share of a CPU", |f| f.generator.as_ref()?.cpu_share, unit::percent, Ratio::Meaningless),
    figure("connections", Findings::connections, unit::count, Ratio::Meaningless),
    figure("resident memory per idle connection", |f| f.resident_bytes_per_connection, unit::bytes, Ratio::Headline),
    figure("of that anonymous", |f| f.anonymous_bytes_per_connection, unit::bytes, Ratio::Table),
    figure("server CPU per handshake", |f| f.server_cpu_us_per_handshake, unit::microseconds, Ratio::Table),
    figure("handshakes per second", |f| f.handshakes_per_s, unit::count, Ratio::Table),
    figure("server CPU at rest", |f| f.server_cpu_ms_while_idle.map(|ms| ms * 1e3), unit::microseconds, Ratio::Table),
    figure("highest load of the ramp", highest_load, unit::count, Ratio::Table),
];

const fn figure(label: &'static str, pick: Pick, words: fn(f64) -> String, use_of_ratio: Ratio) -> Figure {
    Figure { label, pick, words, use_of_ratio }
}

fn server(findings: &Findings) -> Option<&Server> {
    findings.server.as_ref()
}

fn latency(findings: &Findings) -> Option<&Latency> {
    findings.latency.as_ref()
}

fn highest_load(findings: &Findings) -> Option<f64> {
    findings.curve.iter().filter_map(|step| step.deliveries_per_s).max_by(f64::total_cmp)
}

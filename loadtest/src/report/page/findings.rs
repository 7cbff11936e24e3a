//! The figures of a record's result, as far as they are there: runs of different kinds find different things.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::report::record::Record;

/// Counts of a verdict that may be more than zero.
const GOOD_COUNTS: [&str; 2] = ["in_order", "foreign"];

/// Less server CPU than this is mostly start-up and the rounding of clock ticks.
const MEANINGFUL_CPU_S: f64 = 0.2;

/// What a page shows of a run.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Findings {
    pub(crate) deliveries_per_s: Option<f64>,
    pub(crate) latency: Option<Latency>,
    pub(crate) server: Option<Server>,
    pub(crate) generator: Option<Generator>,
    /// Publications an open loop could not make.
    unpublished: u64,
    verdict: Option<Map<String, Value>>,
    endings: Vec<String>,
    is_clean: Option<bool>,
    /// Deliveries per second at the end of each piece of the measured time.
    pub(crate) timeline: Vec<(f64, f64)>,
    /// Of a ramp: what happened at each load.
    pub(crate) curve: Vec<Step>,
    /// Of an idle run.
    #[serde(rename = "run")]
    idle: Option<Idle>,
    pub(crate) resident_bytes_per_connection: Option<f64>,
    pub(crate) anonymous_bytes_per_connection: Option<f64>,
    pub(crate) handshakes_per_s: Option<f64>,
    pub(crate) server_cpu_us_per_handshake: Option<f64>,
    pub(crate) server_cpu_ms_while_idle: Option<f64>,
    closed: u64,
}

/// In microseconds.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Latency {
    pub(crate) p50_us: Option<f64>,
    pub(crate) p90_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) p999_us: Option<f64>,
    pub(crate) max_us: Option<f64>,
    /// Share of all deliveries, and the latency they did not exceed.
    pub(crate) distribution: Vec<(f64, f64)>,
}

/// Of the server's process.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Server {
    cpu: Cpu,
    pub(crate) cpu_us_per_delivery: Option<f64>,
    pub(crate) cpu_share: Option<f64>,
    pub(crate) resident_bytes: Option<f64>,
    pub(crate) resident_bytes_per_connection: Option<f64>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct Cpu {
    user_s: Option<f64>,
    system_s: Option<f64>,
}

/// Of the process that loads and reads.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Generator {
    pub(crate) cpu_share: Option<f64>,
    pub(crate) cpu_us_per_delivery: Option<f64>,
    is_bottleneck: bool,
}

/// One load of a ramp.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Step {
    /// Deliveries per second that were asked for.
    pub(crate) offered_per_s: f64,
    /// Those that came.
    pub(crate) deliveries_per_s: Option<f64>,
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    /// Share of the server's CPU.
    pub(crate) cpu_share: Option<f64>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct Idle {
    connections: Option<f64>,
}

/// Whether the server kept its promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It did; what was seen.
    Clean(String),
    /// It did not; in which way.
    NotClean(String),
    /// The record does not say.
    Unknown,
}

impl Findings {
    /// Those of `record`. Errors: a field of its result is there and is something else.
    pub(crate) fn of(record: &Record) -> Result<Self> {
        Self::deserialize(&record.result).with_context(|| {
            format!("the record of {} against {} at {}: its result", record.kind, record.target, record.at)
        })
    }

    /// What was verified.
    pub(crate) fn verdict(&self) -> Verdict {
        let mut faults = Vec::new();
        let counts = self.verdict.iter().flatten().filter_map(|(name, count)| Some((name, count.as_f64()?)));
        // A count this page does not know counts as a fault: better one alarm too many.
        for (name, count) in counts.filter(|(name, count)| *count != 0.0 && !GOOD_COUNTS.contains(&name.as_str())) {
            faults.push(format!("{} {}", name.replace('_', " "), count));
        }
        if self.closed > 0 {
            faults.push(format!("closed early {}", self.closed));
        }
        let says_unclean =
            [self.is_clean, self.verdict.as_ref().and_then(|verdict| verdict.get("is_clean")?.as_bool())];
        if faults.is_empty() && says_unclean.contains(&Some(false)) {
            faults.push("the run says so".to_owned());
        }
        if !faults.is_empty() {
            let endings = self.endings.iter().map(|ending| format!("; {ending}")).collect::<String>();
            return Verdict::NotClean(faults.join(", ") + &endings);
        }
        match &self.verdict {
            Some(verdict) => {
                let in_order = verdict.get("in_order").and_then(Value::as_u64).unwrap_or(0);
                Verdict::Clean(format!("{in_order} deliveries in order"))
            }
            None if self.idle.is_some() => Verdict::Clean("all connections stayed".to_owned()),
            None if self.is_clean == Some(true) => Verdict::Clean("clean".to_owned()),
            None => Verdict::Unknown,
        }
    }

    /// What makes the figures mean less than they say.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.generator.as_ref().is_some_and(|generator| generator.is_bottleneck) {
            warnings.push(
                "the generator was busy all the time: rate and latencies are what it could read; CPU per delivery \
                 stays valid"
                    .to_owned(),
            );
        }
        if self.unpublished > 0 {
            warnings.push("publications were due and not made: the server was behind this rate".to_owned());
        }
        let cpu = self.server.as_ref().and_then(|server| Some(server.cpu.user_s? + server.cpu.system_s?));
        if cpu.is_some_and(|seconds| seconds < MEANINGFUL_CPU_S) {
            warnings.push("the server hardly worked: its CPU time means little".to_owned());
        }
        warnings
    }

    /// Connections of an idle run.
    pub(crate) fn connections(&self) -> Option<f64> {
        self.idle.as_ref()?.connections
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::record::tests::record;
    use serde_json::json;

    fn findings(result: Value) -> Findings {
        Findings::of(&record("fanout", "hub", 1, result)).unwrap()
    }

    #[test]
    fn whatever_is_missing_is_unknown() {
        let nothing = findings(json!({}));
        assert_eq!(nothing.verdict(), Verdict::Unknown);
        assert!(nothing.warnings().is_empty() && nothing.latency.is_none() && nothing.connections().is_none());
    }

    #[test]
    fn one_fault_is_enough_also_one_that_is_not_known_here() {
        let verdict = |verdict: Value| findings(json!({ "verdict": verdict })).verdict();
        let clean = Verdict::Clean("5 deliveries in order".into());
        assert_eq!(verdict(json!({"in_order": 5, "foreign": 2, "lost": 0})), clean);
        assert_eq!(verdict(json!({"in_order": 5, "lost": 1})), Verdict::NotClean("lost 1".into()));
        assert_eq!(verdict(json!({"in_order": 5, "turned_green": 1})), Verdict::NotClean("turned green 1".into()));
        let idle = |closed| findings(json!({"run": {"connections": 9}, "closed": closed})).verdict();
        assert!(matches!((idle(0), idle(1)), (Verdict::Clean(_), Verdict::NotClean(_))));
        assert!(matches!(findings(json!({"is_clean": false})).verdict(), Verdict::NotClean(_)));
    }

    #[test]
    fn a_result_that_is_something_else_is_named() {
        let error = Findings::of(&record("fanout", "hub", 1, json!({"latency": "fast"}))).unwrap_err();
        assert!(format!("{error:#}").contains("fanout against hub"), "{error:#}");
    }
}

//! The figures of a record's result, as far as they are there: runs of different kinds find different things.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::report::record::Record;

/// Counts of a verdict that may be more than zero.
const GOOD_COUNTS: [&str; 2] = ["in_order", "foreign"];

/// Less server CPU than this is mostly start-up and the rounding of clock ticks.
const MEANINGFUL_CPU_S: f64 = 0.2;

/// A result has some hundred figures at most; a list of more is for plots.
const LEAF_LIMIT_COUNT: usize = 300;
const LIST_LIMIT_COUNT: usize = 12;

/// What a page shows of a run. A field that another kind of run uses for something else is as good as missing.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(crate) struct Findings {
    #[serde(deserialize_with = "lenient")]
    pub(crate) deliveries_per_s: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) latency: Option<Latency>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) server: Option<Server>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) generator: Option<Generator>,
    /// Publications an open loop could not make.
    #[serde(deserialize_with = "lenient")]
    unpublished: u64,
    #[serde(deserialize_with = "lenient")]
    endings: Vec<String>,
    /// Deliveries per second at the end of each piece of the measured time.
    #[serde(deserialize_with = "lenient")]
    pub(crate) timeline: Vec<(f64, f64)>,
    /// Of a ramp: what happened at each load.
    #[serde(deserialize_with = "lenient")]
    pub(crate) curve: Vec<Step>,
    /// Of a ramp: the last load that was borne, by its index.
    #[serde(deserialize_with = "lenient")]
    knee: Option<usize>,
    /// Of an idle run.
    #[serde(rename = "run", deserialize_with = "lenient")]
    idle: Option<Idle>,
    /// Of an idle run: with more and more connections.
    #[serde(rename = "steps", deserialize_with = "lenient")]
    idle_steps: Vec<IdleStep>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) resident_bytes_per_connection: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) anonymous_bytes_per_connection: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) handshakes_per_s: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) server_cpu_us_per_handshake: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) server_cpu_ms_while_idle: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    closed: Option<u64>,
    /// Latencies of parts of the run, such as "before" and "during".
    #[serde(skip)]
    pub(crate) phases: Vec<(String, Latency)>,
    #[serde(skip)]
    claims: Claims,
}

/// What a result says of itself, wherever in it.
#[derive(Debug, Default, Clone)]
struct Claims {
    verdicts: Vec<Map<String, Value>>,
    is_clean: Vec<bool>,
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
    /// Whether every delivery was right; beyond the knee it need not.
    is_clean: Option<bool>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
struct Idle {
    connections: Option<f64>,
}

#[derive(Debug, Clone, Deserialize)]
struct IdleStep {
    connections: f64,
    resident_bytes_per_connection: f64,
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
    /// Those of `record`.
    pub(crate) fn of(record: &Record) -> Self {
        let mut findings: Self = lenient(&record.result).unwrap_or_default();
        findings.claims.collect(&record.result);
        let fields = record.result.as_object().into_iter().flatten();
        let others = fields.filter(|(name, value)| *name != "latency" && value.get("distribution").is_some());
        findings.phases = others
            .filter_map(|(name, value)| Some((name.replace('_', " "), Latency::deserialize(value).ok()?)))
            .collect();
        findings
    }

    /// What was verified.
    pub(crate) fn verdict(&self) -> Verdict {
        let mut faults = Vec::new();
        let counts = self.claims.verdicts.iter().flatten().filter_map(|(name, count)| Some((name, count.as_f64()?)));
        // A count this page does not know counts as a fault: better one alarm too many.
        for (name, count) in counts.filter(|(name, count)| *count != 0.0 && !GOOD_COUNTS.contains(&name.as_str())) {
            faults.push(format!("{} {}", name.replace('_', " "), count));
        }
        if let Some(closed) = self.closed.filter(|closed| *closed > 0) {
            faults.push(format!("closed early {closed}"));
        }
        if faults.is_empty() && self.claims.is_clean.contains(&false) {
            faults.push("the run says so".to_owned());
        }
        // The loads of a ramp go on until something breaks: only those up to the knee must be clean.
        let borne = self.knee.map_or(0, |knee| knee + 1).min(self.curve.len());
        let judged = &self.curve[..borne];
        if self.curve.iter().any(|step| step.is_clean.is_some())
            && (borne == 0 || judged.iter().any(|step| step.is_clean == Some(false)))
        {
            faults.push("broken before its knee".to_owned());
        }
        if !faults.is_empty() {
            let endings = self.endings.iter().map(|ending| format!("; {ending}")).collect::<String>();
            return Verdict::NotClean(faults.join(", ") + &endings);
        }
        let in_order = |verdict: &Map<String, Value>| verdict.get("in_order").and_then(Value::as_u64).unwrap_or(0);
        if !self.claims.verdicts.is_empty() {
            let in_order: u64 = self.claims.verdicts.iter().map(in_order).sum();
            Verdict::Clean(format!("{in_order} deliveries in order"))
        } else if !judged.is_empty() && judged.iter().all(|step| step.is_clean == Some(true)) {
            Verdict::Clean(format!("{borne} loads clean, up to the knee"))
        } else if self.closed.is_some() {
            Verdict::Clean("all connections stayed".to_owned())
        } else if self.claims.is_clean.is_empty() {
            Verdict::Unknown
        } else {
            Verdict::Clean("clean".to_owned())
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
        self.resident_bytes_per_connection.and_then(|_| self.idle.as_ref()?.connections)
    }

    /// Numbers of idle connections, and the resident bytes of each.
    pub(crate) fn memory(&self) -> Vec<(f64, f64)> {
        if self.idle_steps.is_empty() {
            self.connections().zip(self.resident_bytes_per_connection).into_iter().collect()
        } else {
            self.idle_steps.iter().map(|step| (step.connections, step.resident_bytes_per_connection)).collect()
        }
    }
}

impl Claims {
    /// From all of `value` but the steps of a ramp, which may break.
    fn collect(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match (name.as_str(), value) {
                        ("curve", _) => {}
                        ("verdict", Value::Object(verdict)) => self.verdicts.push(verdict.clone()),
                        ("is_clean", Value::Bool(is_clean)) => self.is_clean.push(*is_clean),
                        (_, value) => self.collect(value),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.collect(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// Every single figure of `result` by its path, for kinds of runs this page knows little about. Long lists are left out.
pub(crate) fn leaves(result: &Value) -> Vec<(String, String)> {
    fn walk(path: &str, value: &Value, leaves: &mut Vec<(String, String)>) {
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| walk(&below(name), value, leaves)),
            Value::Array(values) if values.len() > LIST_LIMIT_COUNT => {}
            Value::Array(values) => {
                values.iter().enumerate().for_each(|(at, value)| walk(&below(&at.to_string()), value, leaves));
            }
            Value::String(text) => leaves.push((path.to_owned(), text.clone())),
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) => leaves.push((path.to_owned(), value.to_string())),
        }
    }
    let mut found = Vec::new();
    walk("", result, &mut found);
    found.truncate(LEAF_LIMIT_COUNT);
    found
}

/// The value, or the default of its type if it is something else.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::record::tests::record;
    use serde_json::json;

    fn findings(result: Value) -> Findings {
        Findings::of(&record("fanout", "hub", 1, result))
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
    fn a_ramp_must_be_clean_up_to_its_knee_only() {
        let step = |is_clean: bool| json!({"offered_per_s": 1.0, "is_clean": is_clean});
        let ramp =
            |knee: Value| findings(json!({"curve": [step(true), step(true), step(false)], "knee": knee})).verdict();
        assert_eq!(ramp(json!(1)), Verdict::Clean("2 loads clean, up to the knee".into()));
        assert!(matches!(ramp(json!(2)), Verdict::NotClean(_)));
        assert!(matches!(ramp(Value::Null), Verdict::NotClean(_)));
    }

    #[test]
    fn a_verdict_is_found_wherever_it_stands_and_phases_by_their_distribution() {
        let storm = findings(json!({
            "run": {"connections": 9},
            "beside": {"verdict": {"in_order": 7, "lost": 2}},
            "before": {"p50_us": 1.0, "distribution": [[0.5, 1.0]]},
        }));
        assert_eq!(storm.verdict(), Verdict::NotClean("lost 2".into()));
        assert_eq!((storm.phases.len(), storm.phases[0].0.as_str()), (1, "before"));
        assert_eq!(findings(json!({"run": {"connections": 9}})).verdict(), Verdict::Unknown);
    }

    #[test]
    fn a_field_of_another_meaning_is_as_good_as_missing() {
        let odd = findings(json!({"latency": "fast", "server": [1], "steps": 7, "deliveries_per_s": 5.0}));
        assert!(odd.latency.is_none() && odd.server.is_none() && odd.memory().is_empty());
        assert_eq!(odd.deliveries_per_s, Some(5.0));
    }

    #[test]
    fn every_figure_has_its_path() {
        let found = leaves(&json!({"a": {"b": [1, 2]}, "c": "x", "long": vec![0; 50], "none": null}));
        let found: Vec<String> = found.into_iter().map(|(path, value)| format!("{path}={value}")).collect();
        assert_eq!(found, ["a.b.0=1", "a.b.1=2", "c=x"]);
    }
}

//! What the suite found, case by case.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

/// How one case went: the suite's words for the exchange, and for the close handshake after it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Verdict {
    pub(super) behavior: String,
    pub(super) close: String,
}

impl Verdict {
    pub(super) fn new(behavior: &str, close: &str) -> Self {
        Self { behavior: behavior.to_owned(), close: close.to_owned() }
    }

    /// Passed as the RFC asks, without any leniency of the suite.
    pub(super) fn is_strict(&self) -> bool {
        self.behavior == "OK" && self.close == "OK"
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.behavior, self.close)
    }
}

/// The verdicts of a run, by case.
#[derive(Debug)]
pub(super) struct Verdicts(pub(super) BTreeMap<String, Verdict>);

impl Verdicts {
    /// Reads the suite's `index.json` for the servers it calls `agents`. Cases of all but the first are called
    /// `AGENT:CASE`; those may have none, if the run was narrowed.
    pub(super) fn read(index: &Path, agents: &[&str]) -> anyhow::Result<Self> {
        let text = fs::read_to_string(index).with_context(|| index.display().to_string())?;
        Self::parse(&text, agents).with_context(|| index.display().to_string())
    }

    pub(super) fn parse(text: &str, agents: &[&str]) -> anyhow::Result<Self> {
        let index: serde_json::Value = serde_json::from_str(text)?;
        let mut verdicts = BTreeMap::new();
        for (at, agent) in agents.iter().enumerate() {
            let Some(cases) = index.get(agent).and_then(|cases| cases.as_object()) else {
                if at > 0 {
                    continue;
                }
                bail!("no results for {agent}")
            };
            for (case, result) in cases {
                let word = |key| {
                    result.get(key).and_then(|word| word.as_str()).with_context(|| format!("case {case}: no {key}"))
                };
                let name = if at == 0 { case.clone() } else { format!("{agent}:{case}") };
                verdicts.insert(name, Verdict::new(word("behavior")?, word("behaviorClose")?));
            }
        }
        Ok(Self(verdicts))
    }

    /// How many cases went how.
    pub(super) fn summary(&self) -> String {
        let mut counts: BTreeMap<&Verdict, usize> = BTreeMap::new();
        for verdict in self.0.values() {
            *counts.entry(verdict).or_default() += 1;
        }
        let counts: Vec<String> = counts.iter().map(|(verdict, count)| format!("{count} × {verdict}")).collect();
        format!("{} cases (behavior, close): {}", self.0.len(), counts.join(", "))
    }
}

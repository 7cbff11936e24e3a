//! What the suite's results are held to.

use std::collections::BTreeMap;

use anyhow::{Context, bail};

use super::verdicts::{Verdict, Verdicts};

/// Every case passes strictly, but for those listed in `expected.txt`, each with its reason in `docs/conformance.md`.
#[derive(Debug)]
pub(super) struct Expected {
    /// Cases of a full run.
    case_count: usize,
    exceptions: BTreeMap<String, Verdict>,
}

/// Where a run and the list part.
#[derive(Debug, Default)]
pub(super) struct Differences {
    /// Each makes the command fail.
    pub(super) worse: Vec<String>,
    /// Each allows the list to be shortened.
    pub(super) better: Vec<String>,
}

impl Expected {
    /// The list in the tree.
    pub(super) fn committed() -> anyhow::Result<Self> {
        Self::parse(include_str!("expected.txt")).context("xtask/src/conformance/expected.txt")
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let (mut case_count, mut exceptions) = (None, BTreeMap::new());
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["cases", count] => case_count = Some(count.parse().context("the number of cases")?),
                [case, behavior, close] => {
                    exceptions.insert(case.to_owned(), Verdict::new(behavior, close));
                }
                _ => bail!("neither `cases N` nor `CASE BEHAVIOR CLOSE`: {line}"),
            }
        }
        Ok(Self { case_count: case_count.context("no line `cases N`")?, exceptions })
    }

    /// Compares a run with the list. `everything`: the run was not narrowed, so no case may be missing.
    pub(super) fn differences(&self, verdicts: &Verdicts, everything: bool) -> Differences {
        let mut differences = Differences::default();
        if verdicts.0.is_empty() {
            differences.worse.push("no case ran".to_owned());
        }
        if everything && verdicts.0.len() != self.case_count {
            let (ran, expected) = (verdicts.0.len(), self.case_count);
            differences.worse.push(format!("{ran} cases ran, where {expected} are expected"));
        }
        for (case, verdict) in &verdicts.0 {
            match self.exceptions.get(case) {
                _ if verdict.is_strict() => {
                    if self.exceptions.contains_key(case) {
                        differences.better.push(format!("{case}: {verdict}"));
                    }
                }
                Some(listed) if listed == verdict => {}
                Some(listed) => differences.worse.push(format!("{case}: {verdict}, where {listed} is expected")),
                None => differences.worse.push(format!("{case}: {verdict}, where OK OK is expected")),
            }
        }
        differences
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(cases: &[(&str, &str, &str)]) -> Verdicts {
        let verdict = |&(case, behavior, close): &(&str, &str, &str)| (case.to_owned(), Verdict::new(behavior, close));
        Verdicts(cases.iter().map(verdict).collect())
    }

    fn expected() -> Expected {
        Expected::parse("# a comment\ncases 2\n7.1.6 INFORMATIONAL INFORMATIONAL\n").unwrap()
    }

    #[test]
    fn a_case_that_is_not_listed_must_pass_strictly() {
        let run = verdicts(&[("1.1.1", "NON-STRICT", "OK"), ("7.1.6", "INFORMATIONAL", "INFORMATIONAL")]);
        assert_eq!(expected().differences(&run, true).worse, ["1.1.1: NON-STRICT OK, where OK OK is expected"]);
        let run = verdicts(&[("1.1.1", "OK", "UNCLEAN"), ("7.1.6", "INFORMATIONAL", "INFORMATIONAL")]);
        assert_eq!(expected().differences(&run, true).worse.len(), 1);
    }

    #[test]
    fn a_listed_case_may_be_as_listed_or_better_but_not_otherwise() {
        let run = verdicts(&[("1.1.1", "OK", "OK"), ("7.1.6", "OK", "OK")]);
        let differences = expected().differences(&run, true);
        assert!(differences.worse.is_empty());
        assert_eq!(differences.better, ["7.1.6: OK OK"]);
        let run = verdicts(&[("1.1.1", "OK", "OK"), ("7.1.6", "FAILED", "INFORMATIONAL")]);
        assert_eq!(expected().differences(&run, true).worse.len(), 1);
    }

    #[test]
    fn a_run_that_lost_cases_is_worse_unless_it_was_narrowed() {
        let run = verdicts(&[("1.1.1", "OK", "OK")]);
        assert_eq!(expected().differences(&run, true).worse, ["1 cases ran, where 2 are expected"]);
        assert!(expected().differences(&run, false).worse.is_empty());
        assert_eq!(expected().differences(&verdicts(&[]), false).worse, ["no case ran"]);
    }

    #[test]
    fn every_exception_of_the_committed_list_is_explained_in_the_docs_and_no_other() {
        let docs = include_str!("../../../docs/conformance.md");
        let explained: Vec<&str> =
            docs.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(case, _)| case).collect();
        let listed: Vec<String> = Expected::committed().unwrap().exceptions.into_keys().collect();
        assert_eq!(explained, listed);
    }

    #[test]
    fn the_index_of_the_suite_is_read() {
        let index = r#"{"fanfare":{"1.1.1":{"behavior":"OK","behaviorClose":"OK","duration":1},
            "6.4.1":{"behavior":"NON-STRICT","behaviorClose":"OK","duration":1}},
            "topic":{"12.1.1":{"behavior":"OK","behaviorClose":"OK"}}}"#;
        let run = Verdicts::parse(index, &["fanfare", "topic", "not-run"]).unwrap();
        assert_eq!(run.summary(), "3 cases (behavior, close): 1 × NON-STRICT OK, 2 × OK OK");
        assert!(run.0.contains_key("topic:12.1.1"));
        assert!(Verdicts::parse(index, &["another"]).is_err());
    }
}

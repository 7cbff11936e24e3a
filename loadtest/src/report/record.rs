//! What is kept of a run: one JSON object per line, from which a report can be made years later.

use std::io::{BufRead, Read as _};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::report::command;
use crate::report::date;
use crate::report::machine::Machine;

/// The version this program writes, and the only one it reads. Fields may be added to it; one that changes its meaning,
/// or goes, makes a new version.
const VERSION: u32 = 1;

/// The longest line that is read; a run of an hour has some 10 KB.
const LINE_LIMIT_BYTES: u64 = 16 << 20;

/// One run against one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The version, first in the line.
    record: u32,
    /// What kind of run: "fanout", "idle", "ramp" and so on.
    pub(crate) kind: String,
    /// What was loaded, without its round: "floor", "hub".
    pub(crate) target: String,
    /// The target that ratios in this scenario are over, if the run had one in mind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) yardstick: Option<String>,
    /// The load, in one line. Records of the same kind with the same line are compared.
    pub(crate) scenario: String,
    /// Rounds of one session count from 1. Ratios are made within a round.
    pub(crate) round: u32,
    /// When the program that made this record was started; ties the records of one comparison together.
    pub(crate) session: String,
    /// When the run had ended.
    pub(crate) at: String,
    /// The machine, before the first run of the session.
    pub(crate) machine: Machine,
    /// The command line, without paths.
    pub(crate) command: String,
    /// What the run found, as `--json` prints it.
    pub(crate) result: Value,
}

/// What all records of one start of this program share.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    began: String,
    machine: Machine,
    command: String,
}

/// Which run a record is of.
#[derive(Debug, Clone)]
pub(crate) struct Run<'a> {
    /// What kind: the name of the command or scenario.
    pub(crate) kind: &'a str,
    /// What was loaded.
    pub(crate) target: &'a str,
    /// The target that ratios are over.
    pub(crate) yardstick: Option<&'a str>,
    /// From 1.
    pub(crate) round: u32,
    /// The load, in one line.
    pub(crate) scenario: String,
}

impl Session {
    /// Begins a session: call it before anything is loaded, for the load average.
    pub(crate) fn begin() -> Self {
        let arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
        Self { began: date::now(), machine: Machine::here(), command: command::shown(arguments) }
    }

    /// The record of the only run of this kind, against `target`, which has just found `result`.
    pub(crate) fn only(
        &self,
        kind: &str,
        target: &str,
        scenario: String,
        result: &impl Serialize,
    ) -> Result<Vec<Record>> {
        Ok(vec![self.record(Run { kind, target, yardstick: None, round: 1, scenario }, result)?])
    }

    /// The record of `run`, which has just found `result`.
    pub(crate) fn record(&self, run: Run<'_>, result: &impl Serialize) -> Result<Record> {
        Ok(Record {
            record: VERSION,
            kind: run.kind.to_owned(),
            target: run.target.to_owned(),
            yardstick: run.yardstick.map(str::to_owned),
            scenario: run.scenario,
            round: run.round,
            session: self.began.clone(),
            at: date::now(),
            machine: self.machine.clone(),
            command: self.command.clone(),
            result: serde_json::to_value(result).context("writing a record")?,
        })
    }
}

/// Reads the records of `name`, which stands in errors. Empty lines are skipped.
///
/// Errors: a line that is no record, or one of another version; name and number of the line are in it.
pub(crate) fn read(name: &str, mut text: impl BufRead) -> Result<Vec<Record>> {
    #[derive(Deserialize)]
    struct Version {
        record: u32,
    }
    let mut records = Vec::new();
    for number in 1.. {
        let mut line = String::new();
        let at = || format!("{name}, line {number}");
        let length = text.by_ref().take(LINE_LIMIT_BYTES).read_line(&mut line).with_context(at)?;
        match length as u64 {
            0 => break,
            LINE_LIMIT_BYTES => bail!("{}: longer than {LINE_LIMIT_BYTES} bytes, this is no record", at()),
            _ if line.trim().is_empty() => continue,
            _ => {}
        }
        // The version alone first: a record of the future need not have the fields of today.
        let Version { record } = serde_json::from_str(&line).with_context(|| format!("{}: no record", at()))?;
        if record != VERSION {
            bail!(
                "{}: a record of version {record}, and this program reads version {VERSION}: use the one that wrote it",
                at()
            );
        }
        records.push(serde_json::from_str(&line).with_context(|| format!("{}: a broken record", at()))?);
    }
    Ok(records)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A record of `target` with `result`, in round `round` of the one session.
    pub(crate) fn record(kind: &str, target: &str, round: u32, result: Value) -> Record {
        Record {
            record: VERSION,
            kind: kind.into(),
            target: target.into(),
            yardstick: None,
            scenario: "10 subscribers".into(),
            round,
            session: "2026-11-25T19:00:00Z".into(),
            at: "2026-11-25T19:00:10Z".into(),
            machine: Machine::default(),
            command: format!("fanfare-loadtest {kind}"),
            result,
        }
    }

    fn error(text: &str) -> String {
        format!("{:#}", read("old.jsonl", text.as_bytes()).unwrap_err())
    }

    #[test]
    fn what_is_written_is_read_again() {
        let records = [record("fanout", "floor", 1, json!({"a": 1})), record("idle", "hub", 2, json!({}))];
        let lines: Vec<String> = records.iter().map(|record| serde_json::to_string(record).unwrap()).collect();
        assert!(lines[0].starts_with("{\"record\":1,\"kind\":\"fanout\","), "{}", lines[0]);
        assert_eq!(read("x", format!("{}\n\n{}", lines[0], lines[1]).as_bytes()).unwrap(), records);
    }

    #[test]
    fn a_broken_line_is_named_by_file_and_number() {
        let good = serde_json::to_string(&record("fanout", "floor", 1, json!({}))).unwrap();
        for (broken, said) in [
            ("{\"record\":", "no record"),
            ("{\"x\":1}", "no record"),
            ("7", "no record"),
            ("{\"record\":1,\"kind\":\"fanout\"}", "a broken record: missing field `target`"),
        ] {
            let error = error(&format!("{good}\n\n{broken}\n"));
            assert!(error.starts_with("old.jsonl, line 3: ") && error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_record_of_another_version_is_refused_as_such() {
        let error = error("{\"record\":2,\"everything\":\"else\"}\n");
        assert!(error.starts_with("old.jsonl, line 1: a record of version 2,"), "{error}");
    }

    #[test]
    fn a_session_is_recorded_with_its_machine_and_without_paths() {
        let run = Run { kind: "fanout", target: "hub", yardstick: None, round: 3, scenario: "x".into() };
        let record = Session::begin().record(run, &json!({"deliveries": 5})).unwrap();
        assert_eq!((record.round, &record.result["deliveries"]), (3, &json!(5)));
        assert!(record.machine.cpus > 0 && !record.command.contains("/deps/"), "{record:?}");
    }
}

//! What a run of several steps came to.

use std::process::ExitCode;
use std::time::Duration;

use super::{Finished, Step, Tally};

/// Lines of the first failure that are shown again below the table.
const SHOWN_AGAIN_LINES: usize = 120;

/// The outcomes of a run's steps, in order.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    first_failure: Option<Failure>,
}

#[derive(Debug)]
struct Row {
    name: String,
    verdict: Verdict,
    took: Duration,
    /// Only for steps that run tests.
    tally: Option<Tally>,
}

#[derive(Debug)]
enum Verdict {
    Passed,
    Failed,
    /// Could not be checked here, for the reason given; the run may still pass, but says so.
    NotChecked(String),
}

#[derive(Debug)]
struct Failure {
    name: String,
    output: String,
}

impl Report {
    /// Runs a step and records it. Returns whether it succeeded, for the steps that build on it.
    pub(crate) fn run(&mut self, step: Step) -> anyhow::Result<bool> {
        let finished = step.run()?;
        Ok(self.record(finished, None))
    }

    /// As [`Report::run`], for a test runner: its tests are counted, and running none is a failure.
    pub(crate) fn run_tests(&mut self, step: Step) -> anyhow::Result<bool> {
        let finished = step.run()?;
        Ok(self.record_tests(finished))
    }

    fn record_tests(&mut self, mut finished: Finished) -> bool {
        let tally = Tally::read(&finished.output);
        if finished.succeeded && tally.passed == 0 {
            finished.succeeded = false;
            finished.output.push_str("\nno test ran\n");
        }
        self.record(finished, Some(tally))
    }

    /// Records a step that was run elsewhere. Returns whether it succeeded.
    pub(crate) fn record(&mut self, finished: Finished, tally: Option<Tally>) -> bool {
        let Finished { name, succeeded, output, took } = finished;
        let verdict = if succeeded { Verdict::Passed } else { Verdict::Failed };
        if !succeeded && self.first_failure.is_none() {
            self.first_failure = Some(Failure { name: name.clone(), output });
        }
        self.rows.push(Row { name, verdict, took, tally });
        succeeded
    }

    /// Records a failure that is not a command's.
    pub(crate) fn fail(&mut self, name: &str, output: String) {
        println!("\n==> {name}: FAILED\n{output}");
        self.record(Finished { name: name.to_owned(), succeeded: false, output, took: Duration::ZERO }, None);
    }

    /// Records that something could not be checked here.
    pub(crate) fn not_checked(&mut self, name: &str, reason: &str) {
        let verdict = Verdict::NotChecked(reason.to_owned());
        self.rows.push(Row { name: name.to_owned(), verdict, took: Duration::ZERO, tally: None });
    }

    /// Prints the table, the first failure once more, and the count of tests; gives the process's exit code.
    pub(crate) fn conclude(self) -> ExitCode {
        print!("\n{}", self.table());
        if let Some(Failure { name, output }) = &self.first_failure {
            let lines: Vec<&str> = output.lines().collect();
            let from = lines.len().saturating_sub(SHOWN_AGAIN_LINES);
            println!(
                "\nThe first failure, {name} (its last {} lines):\n{}",
                lines.len() - from,
                lines[from..].join("\n")
            );
        }
        for Row { name, verdict, .. } in &self.rows {
            if let Verdict::NotChecked(reason) = verdict {
                println!("\nNOT CHECKED: {name}: {reason}");
            }
        }
        println!("\n{}", self.closing_line());
        if self.first_failure.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    fn table(&self) -> String {
        let width = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        let mut table = String::new();
        for Row { name, verdict, took, tally } in &self.rows {
            let verdict = match verdict {
                Verdict::Passed => "ok",
                Verdict::Failed => "FAILED",
                Verdict::NotChecked(_) => "NOT CHECKED",
            };
            let mut line = format!("{name:width$}  {verdict:11}  {:7.1} s", took.as_secs_f64());
            if let Some(Tally { passed, failed, skipped }) = tally {
                line.push_str(&format!("  {passed} passed, {failed} failed, {skipped} skipped"));
            }
            table.push_str(line.trim_end());
            table.push('\n');
        }
        table
    }

    /// Tests where tests ran, else steps: the last line, in the form test runners close with.
    fn closing_line(&self) -> String {
        let tallies: Vec<Tally> = self.rows.iter().filter_map(|row| row.tally).collect();
        if tallies.is_empty() {
            let failed = self.rows.iter().filter(|row| matches!(row.verdict, Verdict::Failed)).count();
            let unchecked = self.rows.iter().filter(|row| matches!(row.verdict, Verdict::NotChecked(_))).count();
            let passed = self.rows.len() - failed - unchecked;
            return format!("steps: {passed} passed, {failed} failed, {unchecked} skipped");
        }
        let Tally { passed, failed, skipped } = tallies.into_iter().fold(Tally::default(), Tally::plus);
        // A step may fail without a failed test (it did not build, it hung): that must not read as a clean run.
        let failed = failed.max(u64::from(self.first_failure.is_some()));
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(name: &str, succeeded: bool) -> Finished {
        Finished { name: name.to_owned(), succeeded, output: String::new(), took: Duration::from_millis(1500) }
    }

    #[test]
    fn a_step_that_fails_without_a_failed_test_is_not_a_clean_run() {
        let mut report = Report::default();
        assert!(report.record(finished("unit", true), Some(Tally { passed: 3, failed: 0, skipped: 1 })));
        assert_eq!(report.closing_line(), "3 passed, 0 failed, 1 skipped");
        assert!(!report.record(finished("interop", false), Some(Tally::default())));
        assert_eq!(report.closing_line(), "3 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn what_was_not_checked_is_neither_passed_nor_failed() {
        let mut report = Report::default();
        report.record(finished("format", true), None);
        report.not_checked("advisories", "the database cannot be reached");
        assert_eq!(report.closing_line(), "steps: 1 passed, 0 failed, 1 skipped");
        assert_eq!(report.table(), "format      ok               1.5 s\nadvisories  NOT CHECKED      0.0 s\n");
    }

    #[test]
    fn a_test_runner_that_runs_nothing_has_failed() {
        let mut report = Report::default();
        assert!(!report.record_tests(finished("empty", true)));
        assert!(report.record_tests(Finished { output: "# pass 1\n".to_owned(), ..finished("one", true) }));
    }
}

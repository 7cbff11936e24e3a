//! What is printed: a count beside the stored one.

use super::baseline::Baseline;
use super::compiler::Compiler;

/// A difference of more than so many per cent is marked.
const MARKED_PERCENT: f64 = 2.0;

/// New counts, held to the stored ones.
#[derive(Debug)]
pub(super) struct Comparison<'a> {
    before: Option<&'a Baseline>,
    compiler: &'a Compiler,
}

impl<'a> Comparison<'a> {
    pub(super) fn with(before: Option<&'a Baseline>, compiler: &'a Compiler) -> Self {
        Self { before, compiler }
    }

    /// Whether the stored counts are of the same compiler and target, so that a difference is the code's.
    pub(super) fn is_fair(&self) -> bool {
        self.before.is_some_and(|before| before.compiler == *self.compiler)
    }

    /// What the rows are: to be printed above them.
    pub(super) fn heading(&self) -> String {
        let Compiler { rustc, target } = self.compiler;
        let what = match self.before {
            None => "no baseline is stored: --save stores one".to_owned(),
            Some(_) if self.is_fair() => format!("beside the baseline; ! marks more than {MARKED_PERCENT} per cent"),
            Some(Baseline { compiler: Compiler { rustc, target }, .. }) => format!(
                "the baseline is of rustc {rustc} for {target}: its counts are shown, and no difference, since that \
                 would be the compiler's as well"
            ),
        };
        format!("Instructions per operation, rustc {rustc} for {target}\n({what})\n")
    }

    /// One scenario's count; with the stored one, and the difference if it is fair.
    pub(super) fn row(&self, scenario: &str, count: f64) -> String {
        let stored = self.before.and_then(|before| before.counts.get(scenario));
        let mut row = format!("{scenario:28} {count:12.1}");
        if let Some(stored) = stored {
            row.push_str(&format!(" {stored:12.1}"));
        } else if self.before.is_some() {
            row.push_str("          new");
        }
        if let Some(percent) = self.percent(scenario, count) {
            let mark = if percent.abs() > MARKED_PERCENT { " !" } else { "" };
            row.push_str(&format!(" {percent:+8.1} %{mark}"));
        }
        row
    }

    /// How many per cent `count` is above what is stored for the scenario, to a tenth; `None` if that cannot be said.
    pub(super) fn percent(&self, scenario: &str, count: f64) -> Option<f64> {
        let stored = self.before.filter(|_| self.is_fair())?.counts.get(scenario)?;
        (*stored > 0.0).then(|| ((count / stored - 1.0) * 1000.0).round() / 10.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiler(rustc: &str) -> Compiler {
        Compiler { rustc: rustc.to_owned(), target: "t".to_owned() }
    }

    fn stored() -> Baseline {
        let counts = vec![("publish".to_owned(), 200.0), ("sweep".to_owned(), 1000.0)];
        Baseline::joining(None, compiler("1.95.0"), counts)
    }

    #[test]
    fn a_difference_of_more_than_two_per_cent_is_marked_in_both_directions() {
        let (before, now) = (stored(), compiler("1.95.0"));
        let comparison = Comparison::with(Some(&before), &now);
        assert!(comparison.is_fair());
        for (count, ending) in
            [(204.0, " +2.0 %"), (204.2, " +2.1 % !"), (200.0, " +0.0 %"), (196.0, " -2.0 %"), (150.0, " -25.0 % !")]
        {
            let row = comparison.row("publish", count);
            assert!(row.ends_with(ending), "{row}");
        }
    }

    #[test]
    fn counts_of_another_compiler_are_shown_and_not_compared() {
        let (before, now) = (stored(), compiler("1.96.0"));
        let comparison = Comparison::with(Some(&before), &now);
        assert!(!comparison.is_fair());
        assert!(comparison.heading().contains("the baseline is of rustc 1.95.0 for t"));
        assert_eq!(comparison.percent("publish", 400.0), None);
        let row = comparison.row("publish", 400.0);
        assert!(row.contains("400.0") && row.contains("200.0") && !row.contains('%'), "{row}");
    }

    #[test]
    fn a_scenario_that_is_not_stored_is_new() {
        let (before, now) = (stored(), compiler("1.95.0"));
        let comparison = Comparison::with(Some(&before), &now);
        assert!(comparison.row("other", 5.0).ends_with("new"));
        assert_eq!(comparison.percent("other", 5.0), None);
    }

    #[test]
    fn without_a_baseline_there_are_counts_alone() {
        let now = compiler("1.95.0");
        let comparison = Comparison::with(None, &now);
        assert!(!comparison.is_fair());
        assert!(comparison.row("publish", 5.0).ends_with("5.0"));
        assert!(comparison.heading().contains("--save"));
    }
}

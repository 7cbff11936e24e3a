//! How many tests ran, read from what the runners print at their end.

/// Tests counted over one or more runner outputs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Ignored and skipped ones: shown, so that nothing is left out silently.
    pub(crate) skipped: u64,
}

impl Tally {
    /// Reads the closing lines of cargo test, pytest and node's test runner in `output`.
    pub(crate) fn read(output: &str) -> Self {
        output.lines().map(Self::of_line).fold(Self::default(), Self::plus)
    }

    /// The sum of both.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }

    fn of_line(line: &str) -> Self {
        // cargo test: "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s"
        if let Some(counts) = line.strip_prefix("test result: ") {
            let counts = counts.split_once(". ").map_or(counts, |(_, counts)| counts);
            return Self::of_counts(counts.split("; "));
        }
        // pytest: "==== 1 failed, 12 passed, 2 skipped in 3.21s ===="
        if line.starts_with("==") && line.ends_with("==") && line.contains(" in ") {
            let counts = line.trim_matches('=').trim();
            let counts = counts.split_once(" in ").map_or(counts, |(counts, _)| counts);
            return Self::of_counts(counts.split(", "));
        }
        // node, one count a line: "# pass 12" (tap) or "ℹ pass 12" (spec)
        let mut words = line.split(' ');
        let (mark, word, count, rest) = (words.next(), words.next(), words.next(), words.next());
        match (mark, word, count.and_then(|count| count.parse().ok()), rest) {
            (Some("#" | "ℹ"), Some(word), Some(count), None) => Self::default().counting(word, count),
            _ => Self::default(),
        }
    }

    fn of_counts<'a>(counts: impl Iterator<Item = &'a str>) -> Self {
        counts.fold(Self::default(), |tally, part| {
            let (count, word) = part.split_once(' ').unwrap_or((part, ""));
            count.parse().map_or(tally, |count| tally.counting(word, count))
        })
    }

    fn counting(mut self, word: &str, count: u64) -> Self {
        match word {
            "pass" | "passed" => self.passed += count,
            "fail" | "failed" | "error" | "errors" | "cancelled" => self.failed += count,
            "skipped" | "ignored" | "todo" | "xfailed" | "deselected" => self.skipped += count,
            // Warnings, totals, measured, filtered out.
            _ => {}
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_of_every_runner_are_summed() {
        let output = "\
running 2 tests
test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s
test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s
======================== 1 failed, 5 passed, 2 skipped in 3.21s ========================
# tests 7
# pass 6
# fail 1
";
        assert_eq!(Tally::read(output), Tally { passed: 27, failed: 4, skipped: 3 });
    }

    #[test]
    fn lines_that_merely_mention_counts_are_not_counted() {
        let output = "=== FAILURES ===\n# pass the salt\n# 12 passed\nall 3 passed\n";
        assert_eq!(Tally::read(output), Tally::default());
    }
}

//! The rounds for people. Pure.

use std::time::Duration;

use super::load::Load;
use super::sample::Sample;

/// One round that got to its end.
#[derive(Debug, Clone)]
pub(super) struct Round {
    /// Since the first one began.
    pub(super) ended_after: Duration,
    /// What the clients of each load verified, in the order of [`Load::ALL`].
    pub(super) verified: [u64; Load::ALL.len()],
    /// Connections given up as slow consumers.
    pub(super) given_up: u64,
    /// The hub afterwards, when everyone had left.
    pub(super) sample: Sample,
    /// What was wrong, if anything.
    pub(super) problems: Vec<String>,
}

/// The line above rounds.
pub(super) fn heading() -> String {
    let loads: Vec<String> = Load::ALL.iter().map(|load| format!("{:>11}", load.label())).collect();
    format!(
        "round     time {}  given up  resident MiB  descriptors  threads  pool  topics    kept  verdict",
        loads.join(" ")
    )
}

/// Round `number`.
pub(super) fn line(number: usize, round: &Round) -> String {
    let Round { ended_after, verified, given_up, sample, problems } = round;
    let verified: Vec<String> = verified.iter().map(|count| format!("{count:>11}")).collect();
    let Sample { counters, resident_bytes, descriptors, threads, pool_threads } = sample;
    let verdict = if problems.is_empty() { "clean".to_owned() } else { format!("FAILED: {}", problems.join("; ")) };
    format!(
        "{number:>5} {:>8} {}  {given_up:>8}  {:>12.2}  {descriptors:>11}  {threads:>7}  {pool_threads:>4}  {:>6}  {:>6}  {verdict}",
        clock(*ended_after),
        verified.join(" "),
        mib(*resident_bytes),
        counters.topics,
        counters.history_messages,
    )
}

/// Mebibytes.
pub(super) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Minutes and seconds.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_stands_below_its_headings() {
        let sample = Sample { resident_bytes: 3 << 19, descriptors: 21, threads: 5, ..Sample::default() };
        let mut round = Round {
            ended_after: Duration::from_secs(754),
            verified: [1, 22, 333, 4444],
            given_up: 10,
            sample,
            problems: Vec::new(),
        };
        let end_of = |text: &str, word: &str| text.find(word).map(|at| at + word.len());
        let heading = heading();
        let clean = line(7, &round);
        for (title, value) in [("time", "12:34"), ("streams", "333"), ("resident MiB", "1.50"), ("threads", " 5")] {
            assert_eq!(end_of(&heading, title), end_of(&clean, value), "{heading}\n{clean}");
        }
        assert!(clean.ends_with("clean"));
        round.problems = vec!["lost 1".to_owned(), "2 panics".to_owned()];
        assert!(line(7, &round).ends_with("FAILED: lost 1; 2 panics"));
    }
}

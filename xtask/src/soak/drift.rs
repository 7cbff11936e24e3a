//! What must not change from one rest to the next. Pure.

use super::sample::Sample;

/// What resident memory at rest may grow by: the allocator gives pages back when it likes, and a worker keeps its largest
/// buffers.
pub(super) const MEMORY_SLACK_BYTES: u64 = 4 << 20;

/// With fewer samples a quarter is one or none, and its median a single look.
pub(super) const SAMPLES_FOR_MEMORY: usize = 8;

/// Resident memory at rest, early and late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    /// Median of the second quarter: the first is warming up.
    pub(super) early_bytes: u64,
    /// Median of the last quarter.
    pub(super) late_bytes: u64,
}

impl Memory {
    /// `None` for fewer than [`SAMPLES_FOR_MEMORY`] samples.
    pub(super) fn of(samples: &[Sample]) -> Option<Self> {
        let count = samples.len();
        (count >= SAMPLES_FOR_MEMORY).then(|| Self {
            early_bytes: median(&samples[count / 4..count / 2]),
            late_bytes: median(&samples[count - count / 4..]),
        })
    }

    /// By how much it grew, if that is more than the slack.
    pub(super) fn growth_bytes(self) -> Option<u64> {
        self.late_bytes.checked_sub(self.early_bytes).filter(|&growth| growth > MEMORY_SLACK_BYTES)
    }
}

/// What changed, each in a few words with its numbers; for `samples` of one hub, in order.
pub(super) fn problems(samples: &[Sample]) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(memory) = Memory::of(samples)
        && let Some(growth_bytes) = memory.growth_bytes()
    {
        let Memory { early_bytes, late_bytes } = memory;
        problems.push(format!(
            "resident memory at rest grew by {growth_bytes} bytes, from {early_bytes} (median of the second quarter) to \
             {late_bytes} (of the last), which is more than {MEMORY_SLACK_BYTES}"
        ));
    }
    problems.extend(change("descriptors", samples, |sample| sample.descriptors));
    problems.extend(change("threads", samples, |sample| sample.threads));
    problems.extend(change("topics", samples, |sample| sample.counters.topics));
    problems.extend(change("publications kept", samples, |sample| sample.counters.history_messages));
    problems
}

/// The first round after which `what` was not what it was after the first, and what became of it. Once is enough: what
/// leaks is different in every round from then on.
fn change(what: &str, samples: &[Sample], of: impl Fn(&Sample) -> u64) -> Option<String> {
    let counts: Vec<u64> = samples.iter().map(of).collect();
    let (first, last) = (counts.first()?, counts.last()?);
    let (index, now) = counts.iter().enumerate().find(|(_, count)| *count != first)?;
    Some(format!("{what} at rest: {first} after round 1, {now} after round {}, {last} after the last", index + 1))
}

/// The middle one; of an even number, the smaller of the two in the middle.
fn median(samples: &[Sample]) -> u64 {
    let mut values: Vec<u64> = samples.iter().map(|sample| sample.resident_bytes).collect();
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn samples(resident_mib: impl IntoIterator<Item = u64>) -> Vec<Sample> {
        let sample = |mib| Sample { resident_bytes: mib * MIB, descriptors: 20, threads: 4, ..Sample::default() };
        resident_mib.into_iter().map(sample).collect()
    }

    #[test]
    fn memory_that_warms_up_and_then_wavers_is_flat() {
        let flat = samples([9, 14, 20, 21, 19, 22, 20, 21, 23, 20, 19, 22]);
        assert_eq!(Memory::of(&flat), Some(Memory { early_bytes: 21 * MIB, late_bytes: 20 * MIB }));
        assert_eq!(problems(&flat), [""; 0]);
    }

    #[test]
    fn one_look_that_is_high_is_no_growth() {
        assert_eq!(problems(&samples([20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 20, 80])), [""; 0]);
    }

    #[test]
    fn memory_that_grows_a_little_in_every_round_is_told_with_the_amount() {
        let leaking = problems(&samples((0..16).map(|round| 20 + round)));
        assert_eq!(leaking.len(), 1, "{leaking:?}");
        // Medians of rounds 4 to 7 and 12 to 15: 25 and 33 MiB.
        assert!(leaking[0].contains("grew by 8388608 bytes"), "{leaking:?}");
    }

    #[test]
    fn growth_up_to_the_slack_passes_and_a_byte_more_does_not() {
        let grown = |bytes| {
            let mut samples = samples([20; 8]);
            samples[6..].iter_mut().for_each(|sample| sample.resident_bytes += bytes);
            problems(&samples).len()
        };
        assert_eq!((grown(MEMORY_SLACK_BYTES), grown(MEMORY_SLACK_BYTES + 1)), (0, 1));
    }

    #[test]
    fn too_few_samples_say_nothing_about_memory() {
        assert_eq!(Memory::of(&samples([1, 2, 3, 4, 5, 6, 70])), None);
        assert_eq!(problems(&[]), [""; 0]);
    }

    #[test]
    fn a_descriptor_or_a_thread_more_than_after_the_first_round_is_told_with_its_round() {
        let mut leaking = samples([20; 3]);
        leaking[1].descriptors = 21;
        leaking[2].descriptors = 22;
        assert_eq!(problems(&leaking), ["descriptors at rest: 20 after round 1, 21 after round 2, 22 after the last"]);
        let mut fewer = samples([20; 3]);
        fewer[2].threads = 3;
        assert_eq!(problems(&fewer), ["threads at rest: 4 after round 1, 3 after round 3, 3 after the last"]);
    }

    #[test]
    fn topics_and_their_history_do_not_pile_up() {
        let mut piling = samples([20; 3]);
        piling[2].counters.topics = 4;
        piling[2].counters.history_messages = 50;
        assert_eq!(problems(&piling).len(), 2);
    }
}

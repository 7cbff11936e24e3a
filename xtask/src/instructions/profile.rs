//! What callgrind writes.

/// The instructions in a profile: its `Ir` column in the line `totals:`, or in the older `summary:`.
pub(super) fn instructions(profile: &str) -> Option<u64> {
    let of = |key: &str| profile.lines().find_map(|line| line.strip_prefix(key));
    let column = of("events:")?.split_whitespace().position(|event| event == "Ir")?;
    let sums = of("totals:").or_else(|| of("summary:"))?;
    sums.split_whitespace().nth(column)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "\
# callgrind format
version: 1
creator: callgrind-3.19.0
pid: 7
cmd:  target/release/deps/instructions-0f --run a 10
part: 1

desc: I1 cache:
desc: Trigger: Program termination

positions: line
events: Ir
summary: 1234567


ob=(1) /lib/ld.so
fl=(1) ???
fn=(1) 0x0 [/lib/ld.so]
0 2

totals: 1234568
";

    #[test]
    fn the_total_is_the_count_of_instructions() {
        assert_eq!(instructions(PROFILE), Some(1_234_568));
    }

    #[test]
    fn without_a_total_the_summary_stands_for_it() {
        assert_eq!(instructions(PROFILE.split("totals:").next().unwrap()), Some(1_234_567));
    }

    #[test]
    fn the_count_is_found_among_other_events() {
        let profile = "events: Dr Ir Dw\ntotals: 5 70 3\n";
        assert_eq!(instructions(profile), Some(70));
    }

    #[test]
    fn a_profile_that_was_cut_short_has_no_count() {
        assert_eq!(instructions("events: Ir\nfn=(1) main\n0 2\n"), None);
        assert_eq!(instructions("events: Dr\ntotals: 5\n"), None);
        assert_eq!(instructions(""), None);
    }
}

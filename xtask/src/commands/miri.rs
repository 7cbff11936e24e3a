//! `cargo xtask miri`: pure code, interpreted by a machine that knows what the language does not allow.

use std::time::Duration;

use crate::machine::{Component, Nightly, Place};
use crate::run::Report;

/// Interpreting takes some hundred times as long as running.
const DEADLINE: Duration = Duration::from_secs(3600);

/// What is interpreted: code without sockets, in which our dependencies' unsafe code does our work (small vectors, shared
/// bytes, hash tables, the queues between threads).
const TESTS: &[&str] = &["fanout::", "hub::"];

/// What is not, among those.
const SKIPPED: &[&str] = &[
    // They switch stacks in assembler.
    "hub::model::",
    // They have a file, which the store locks by a system call that is not interpreted.
    "hub::promises::restart::",
    // Many thousand steps, or many megabytes, each: minutes to hours here, and nothing in them that the others lack.
    "a_canary_passes_through_every_mailbox",
    "all_workers_see_all_publications",
    "fanout::tests::memory::",
    "in_a_crowd_that_comes_and_goes",
    "laggards_never_make_a_log_full",
    "more_than_128_workers",
    "nobody_ever_publishes_into_a_topic_that_was_freed",
    "one_tidy_does_a_bounded_part",
    "replay_and_live_meet",
    "under_threads_the_bound_is_passed",
    "whoever_joins_or_leaves_in_mid_sweep",
];

/// Interprets the tests with one of `names` in their names, or those of [`TESTS`].
pub(crate) fn run(place: &Place, names: &[String]) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let nightly = Nightly::with(&[Component::Source, Component::Miri])?;
    let names: Vec<&str> = if names.is_empty() { TESTS.to_vec() } else { names.iter().map(String::as_str).collect() };
    let test = ["miri", "test", "--locked", "--package", "fanfare", "--lib", "--no-default-features", "--"];
    let skipped = SKIPPED.iter().flat_map(|name| ["--skip", name]);
    let step = nightly.cargo(place, "miri", "miri").args(test).args(names).args(skipped);
    // The tests ask the clock where the code does not. As many cases as take minutes, and as many operations as the model
    // needs to see a bit of everything; said to Miri itself, which else goes by the environment of the last build.
    let flags = "-Zmiri-disable-isolation -Zmiri-env-set=PROPTEST_CASES=4 -Zmiri-env-set=FANFARE_MODEL_OPERATIONS=4500";
    let step = step.env("MIRIFLAGS", flags);
    report.run_tests(step.at_most(DEADLINE))?;
    Ok(report)
}

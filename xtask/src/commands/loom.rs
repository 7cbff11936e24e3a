//! `cargo xtask loom`: the hub's concurrent part in every interleaving, deeper than `cargo test` goes.

use std::time::Duration;

use crate::machine::Place;
use crate::run::Report;

/// Each preemption more multiplies the interleavings by how many steps there are.
const DEADLINE: Duration = Duration::from_secs(3600);

/// Runs the model checks of `src/hub/model.rs` with this many preemptions, or as many as each test states if that is more.
pub(crate) fn run(place: &Place, preemptions: u8) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let test = ["test", "--locked", "--package", "fanfare", "--lib", "--", "hub::model::"];
    let loom = place.cargo("loom").args(test).at_most(DEADLINE);
    report.run_tests(loom.env("FANFARE_LOOM_PREEMPTIONS", preemptions.to_string()))?;
    Ok(report)
}

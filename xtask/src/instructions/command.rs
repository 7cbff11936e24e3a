//! The command.

use std::time::Duration;

use anyhow::bail;

use super::baseline::Baseline;
use super::comparison::Comparison;
use super::compiler::Compiler;
use super::counter::Counter;
use crate::machine::{Place, Program};
use crate::run::Report;

/// What the command was asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only scenarios with one of these in their names; all of them if none is given.
    scenarios: Vec<String>,
    /// Store the counts as the new baseline, in `benches/instructions.json`.
    #[arg(long, conflicts_with = "fail_above")]
    save: bool,
    /// Fail if a scenario takes more than this many per cent above the baseline.
    #[arg(long, value_name = "PERCENT")]
    fail_above: Option<f64>,
}

/// Building with link-time optimisation, from nothing on two cores.
const BUILD_DEADLINE: Duration = Duration::from_secs(1800);

/// Counts, and prints each count beside the stored one.
pub(crate) fn run(place: &Place, options: &Options) -> anyhow::Result<Report> {
    let mut report = Report::default();
    Program::require(&[Program::Valgrind], &mut report)?;
    let compiler = Compiler::find(place)?;
    let build = ["bench", "--locked", "--package", "fanfare", "--bench", "instructions", "--no-run"];
    let build = place.cargo("build the scenarios").args(build).env("CARGO_TERM_COLOR", "never").at_most(BUILD_DEADLINE);
    let built = build.run()?;
    let Some(counter) = Counter::of_build(place, &built.output)?.filter(|_| built.succeeded) else {
        report.record(built, None);
        return Ok(report);
    };
    report.record(built, None);

    let file = place.root.join("benches/instructions.json");
    let before = Baseline::read(&file)?;
    let comparison = Comparison::with(before.as_ref(), &compiler);
    println!("\n{}", comparison.heading());
    let mut counts = Vec::new();
    let mut too_many = Vec::new();
    for scenario in counter.scenarios()? {
        if !options.scenarios.is_empty() && !options.scenarios.iter().any(|wanted| scenario.name.contains(wanted)) {
            continue;
        }
        let count = counter.count(&scenario)?;
        println!("{}", comparison.row(&scenario.name, count));
        if let (Some(limit), Some(percent)) = (options.fail_above, comparison.percent(&scenario.name, count))
            && percent > limit
        {
            too_many.push(format!("{}: {percent:+.1} %", scenario.name));
        }
        counts.push((scenario.name, count));
    }
    if counts.is_empty() {
        bail!("no scenario has {} in its name", options.scenarios.join(" or "));
    }
    println!("\nWhere they go: callgrind_annotate {}/SCENARIO.out", counter.folder().display());
    if options.fail_above.is_some() && !comparison.is_fair() {
        report
            .not_checked("instructions", "the baseline is of another compiler or machine type: store one with --save");
    } else if !too_many.is_empty() {
        report.fail("instructions", format!("more than allowed:\n  {}\n", too_many.join("\n  ")));
    }
    if options.save {
        Baseline::joining(before, compiler, counts).write(&file)?;
        println!("stored in {}", file.display());
    }
    Ok(report)
}

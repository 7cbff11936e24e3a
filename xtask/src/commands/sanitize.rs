//! `cargo xtask sanitize`: the tests in a program that watches its own memory.

use std::time::Duration;

use clap::ValueEnum;

use crate::machine::{Component, Nightly, Place};
use crate::run::Report;

/// What to watch for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sanitizer {
    /// Uses after free, out of bounds, leaks.
    Address,
    /// Data races.
    Thread,
}

/// The standard library and every dependency are built anew, and what is built is several times slower.
const DEADLINE: Duration = Duration::from_secs(3600);

/// What runs, each a name and the arguments of `cargo test`.
const TESTS: [(&str, &[&str]); 2] = [
    // The model checks schedule their threads themselves, on stacks that a sanitizer does not know.
    ("unit tests", &["--lib", "--", "--skip", "hub::model::"]),
    ("integration tests", &["--test", "integration"]),
];

impl Sanitizer {
    fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Thread => "thread",
        }
    }
}

/// Runs the unit and integration tests under each of `sanitizers`, or under all if there are none.
pub(crate) fn run(place: &Place, sanitizers: &[Sanitizer]) -> anyhow::Result<Report> {
    let mut report = Report::default();
    // The standard library, too: one without the sanitizer hides what goes through it, and to the thread sanitizer its
    // locks look like none.
    let nightly = Nightly::with(&[Component::Source])?;
    let wanted = if sanitizers.is_empty() { Sanitizer::value_variants() } else { sanitizers };
    for sanitizer in wanted {
        let name = sanitizer.name();
        for (what, arguments) in TESTS {
            // Without mimalloc: it is C that is built without the sanitizer, and allocates behind its back.
            let test = ["test", "--locked", "--package", "fanfare", "--no-default-features", "-Zbuild-std", "--target"];
            let step = nightly
                .cargo(place, &format!("{name} sanitizer: {what}"), &format!("sanitize-{name}"))
                .args(test)
                .args([&nightly.host])
                .args(arguments)
                // Random cases of pure code are for the fast builds; here they only show that they run.
                .env("PROPTEST_CASES", "8")
                .env("FANFARE_MODEL_OPERATIONS", "20000")
                .env("RUSTFLAGS", format!("-Zsanitizer={name} -Cforce-frame-pointers=yes"))
                .at_most(DEADLINE);
            report.run_tests(step)?;
        }
    }
    Ok(report)
}

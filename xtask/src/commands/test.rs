//! `cargo xtask test`: everything that tests the hub.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;

use crate::commands::smoke;
use crate::machine::{CentrifugeGo, NodePackages, Pebble, Place, Program, PythonPackages};
use crate::run::{Report, Step};

/// A part of the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Unit, integration and documentation tests: `cargo test --workspace`.
    Cargo,
    /// Issued certificates: what `cargo test` leaves out, with Pebble as the authority.
    Acme,
    /// Python clients against the tutorials and the HTTP surfaces.
    Interop,
    /// The pages, in headless Chromium.
    Browser,
    /// Every run of the load harness for a moment: delivery, not speed.
    Smoke,
    /// The official SDKs of the Centrifuge protocol, by every transport. The same suite runs against a Centrifugo, with `--against`.
    Centrifuge,
}

/// For building and running: five times what it takes from nothing on two cores that do nothing else.
const CARGO_DEADLINE: Duration = Duration::from_secs(2400);

/// Where the Centrifuge suite is.
const CENTRIFUGE: &str = "tests/interop/centrifuge";

/// Several times what it takes on two cores that do nothing else.
const CENTRIFUGE_DEADLINE: Duration = Duration::from_secs(1200);

/// What the feature `acme` changes.
const ACME_TESTS: [&str; 4] = ["acme::", "config::", "orders::", "tls::"];

/// Runs `parts`, or all of them if there are none. `against` is a Centrifugo to run the Centrifuge
/// suite against, instead of the hub.
///
/// What is missing is installed or named before the first test runs, so that nobody waits ten minutes for that.
pub(crate) fn run(place: &Place, parts: &[Part], against: Option<&Path>) -> anyhow::Result<Report> {
    let wanted = |part| parts.is_empty() || parts.contains(&part);
    if against.is_some() && !parts.contains(&Part::Centrifuge) {
        bail!("--against is for `cargo xtask test centrifuge`");
    }
    let mut report = Report::default();

    let mut programs = Vec::new();
    if wanted(Part::Interop) {
        programs.push(Program::Python);
    }
    if wanted(Part::Browser) {
        programs.extend([Program::Node, Program::Npm, Program::Chromium]);
    }
    if wanted(Part::Centrifuge) {
        programs.extend([Program::Python, Program::Node, Program::Npm, Program::Go]);
    }
    Program::require(&programs, &mut report)?;
    let mut suites_on_the_hub = Vec::new();
    if wanted(Part::Interop) {
        suites_on_the_hub.push(interop(place, &mut report)?);
    }
    if wanted(Part::Browser) {
        suites_on_the_hub.push(browser(place, &mut report)?);
    }
    let mut suite_on_centrifugo = None;
    if wanted(Part::Centrifuge) {
        match against {
            Some(program) => suite_on_centrifugo = Some(centrifuge(place, Some(program), &mut report)?),
            None => suites_on_the_hub.push(centrifuge(place, None, &mut report)?),
        }
    }
    let acme = if wanted(Part::Acme) { Some(acme(place, &mut report)?) } else { None };

    if wanted(Part::Cargo) {
        let cargo = place.cargo("cargo test").args(["test", "--workspace", "--locked", "--no-fail-fast"]);
        report.run_tests(cargo.at_most(CARGO_DEADLINE))?;
    }
    if let Some(acme) = acme {
        report.run_tests(acme)?;
    }
    if let Some(suite) = suite_on_centrifugo {
        report.run_tests(suite)?;
    }
    if (!suites_on_the_hub.is_empty() || wanted(Part::Smoke))
        && let Some(hub) = place.hub(&mut report)?
    {
        for suite in suites_on_the_hub {
            report.run_tests(suite.env("FANFARE_BIN", &hub))?;
        }
        if wanted(Part::Smoke) {
            smoke::run(place, &hub, &mut report)?;
        }
    }
    Ok(report)
}

fn acme(place: &Place, report: &mut Report) -> anyhow::Result<Step> {
    let pebble = Pebble::install(place, report)?;
    let tests = ["test", "--package", "fanfare", "--features", "acme", "--lib", "--test", "integration", "--locked"];
    let cargo = place.cargo("acme").args(tests).args(["--no-fail-fast", "--"]).args(ACME_TESTS);
    Ok(cargo.env("FANFARE_PEBBLE", pebble.program).at_most(CARGO_DEADLINE))
}

fn interop(place: &Place, report: &mut Report) -> anyhow::Result<Step> {
    let packages = PythonPackages::install(place, "tests/interop", "python", &Program::Python.path()?, report)?;
    // Nothing may appear in the tree: no bytecode, no pytest cache.
    let pytest = ["-B", "-m", "pytest", "-p", "no:cacheprovider", "--strict-markers", "-ra", "tests/interop"];
    Ok(Step::new("interop", packages.python).args(pytest).in_folder(&place.root).at_most(Duration::from_secs(300)))
}

/// The Centrifuge suite against the Centrifugo at `program`, else against the hub.
fn centrifuge(place: &Place, program: Option<&Path>, report: &mut Report) -> anyhow::Result<Step> {
    let target = match program {
        Some(program) => {
            let program = program.canonicalize().with_context(|| format!("--against {}", program.display()))?;
            format!("centrifugo={}", program.display())
        }
        None => "fanfare".to_owned(),
    };
    let python = PythonPackages::install(place, CENTRIFUGE, "python-centrifuge", &Program::Python.path()?, report)?;
    let folder = format!("{CENTRIFUGE}/drivers/js");
    let node = NodePackages::install(place, &folder, "node-centrifuge", &Program::Npm.path()?, report)?;
    let go = CentrifugeGo::build(place, &Program::Go.path()?, report)?;
    let pytest = ["-B", "-m", "pytest", "-p", "no:cacheprovider", "--strict-markers", "-ra", CENTRIFUGE, "--target"];
    Ok(Step::new("centrifuge", python.python)
        .args(pytest)
        .args([target])
        .env("FANFARE_NODE", Program::Node.path()?)
        .env("FANFARE_NODE_MODULES", node.folder)
        .env("FANFARE_GO_DRIVER", go.program)
        .in_folder(&place.root)
        .at_most(CENTRIFUGE_DEADLINE))
}

fn browser(place: &Place, report: &mut Report) -> anyhow::Result<Step> {
    let packages = NodePackages::install(place, "tests/browser", "node", &Program::Npm.path()?, report)?;
    // No option that Node.js 18 does not know: it is what Debian 12 has. Tests bound themselves.
    let node = ["--test", "--test-reporter=spec"];
    let step = Step::new("browser", Program::Node.path()?).args(node).args(test_files(place)?);
    Ok(step
        .env("FANFARE_NODE_MODULES", packages.folder)
        .env("FANFARE_CHROMIUM", Program::Chromium.path()?)
        .in_folder(&place.root)
        .at_most(Duration::from_secs(300)))
}

/// Named one by one: older Node.js takes no pattern, and looks for tests where there are none.
fn test_files(place: &Place) -> anyhow::Result<Vec<PathBuf>> {
    let folder = place.root.join("tests/browser");
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        if path.to_string_lossy().ends_with(".test.mjs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

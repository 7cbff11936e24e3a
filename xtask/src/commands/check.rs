//! `cargo xtask check`: what a commit must satisfy without being run.

use std::time::Duration;

use crate::machine::{CargoTool, Place};
use crate::run::Report;

/// From nothing, on two cores, clippy and the documentation build every dependency.
const BUILD_DEADLINE: Duration = Duration::from_secs(900);

/// Runs every check, also after one has failed.
pub(crate) fn run(place: &Place) -> anyhow::Result<Report> {
    let mut report = Report::default();
    report.run(place.cargo("format").args(["fmt", "--all", "--check"]))?;
    // The fuzz targets are a workspace of their own: they need a nightly compiler's flags, to be run.
    let fuzz = [place.root.join("fuzz/Cargo.toml")];
    report.run(place.cargo("format of the fuzz targets").args(["fmt", "--check", "--manifest-path"]).args(&fuzz))?;
    let clippy_of_fuzz = place.cargo("clippy of the fuzz targets").args(["clippy", "--manifest-path"]).args(&fuzz);
    report.run(
        clippy_of_fuzz
            .args(["--locked", "--keep-going", "--", "-D", "warnings"])
            .env("RUSTFLAGS", "--cfg fuzzing")
            .at_most(BUILD_DEADLINE),
    )?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    report.run(place.cargo("clippy").args(clippy).at_most(BUILD_DEADLINE))?;
    let clippy =
        ["clippy", "--package", "fanfare", "--all-targets", "--features", "acme", "--locked", "--", "-D", "warnings"];
    report.run(place.cargo("clippy with every feature").args(clippy).at_most(BUILD_DEADLINE))?;
    // With private items: the documentation is for those who work on the code, and links among them break, too.
    let documentation = ["doc", "--workspace", "--no-deps", "--locked", "--document-private-items", "--keep-going"];
    let documentation = place.cargo("documentation").args(documentation);
    report.run(documentation.env("RUSTDOCFLAGS", "-D warnings").at_most(BUILD_DEADLINE))?;
    unused_dependencies(place, &mut report)?;
    licences_and_bans(place, &mut report)?;
    Ok(report)
}

fn unused_dependencies(place: &Place, report: &mut Report) -> anyhow::Result<()> {
    if let Some(path) = CargoTool::Machete.install(place, report)? {
        report.run(place.cargo("unused dependencies").args(["machete"]).env("PATH", path))?;
    }
    Ok(())
}

fn licences_and_bans(place: &Place, report: &mut Report) -> anyhow::Result<()> {
    let Some(path) = CargoTool::Deny.install(place, report)? else { return Ok(()) };
    let deny = |name: &str| place.cargo(name).args(["deny", "--locked"]).env("PATH", &path);
    report.run(deny("licences, bans, sources").args([
        "check",
        "--hide-inclusion-graph",
        "licenses",
        "bans",
        "sources",
    ]))?;
    // The advisories are a git repository of their own, which not every machine can reach. A check that cannot be
    // made is no failure of this commit, but it must never look like one that was made.
    let fetched = deny("fetch the advisories").args(["fetch", "db"]).at_most(Duration::from_secs(120)).run()?;
    if fetched.succeeded {
        report.run(deny("advisories").args(["check", "--disable-fetch", "advisories"]))?;
    } else {
        report.not_checked(
            "advisories",
            "the advisory database cannot be fetched from here, so known vulnerabilities in dependencies would go \
             unseen; run `cargo xtask check` on a machine that reaches it before a release",
        );
    }
    Ok(())
}

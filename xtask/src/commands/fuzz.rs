//! `cargo xtask fuzz`: every fuzz target for a while.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::machine::{CargoTool, Nightly, Place};
use crate::run::{Report, Step};

/// Building a target with coverage and the address sanitizer, from nothing on two cores.
const BUILD_DEADLINE: Duration = Duration::from_secs(1800);

/// Builds and runs each target for `seconds`; a crash fails the run and names the input that reproduces it.
pub(crate) fn run(place: &Place, seconds: u64, only: &[String]) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let Some(path) = CargoTool::Fuzz.install(place, &mut report)? else { return Ok(report) };
    let fuzz = Fuzz { place, path, nightly: Nightly::exists() };
    let listed = fuzz.step("list the fuzz targets").args(["list"]).run()?;
    if !listed.succeeded {
        report.record(listed, None);
        return Ok(report);
    }
    let targets: Vec<&str> = listed.output.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if let Some(unknown) = only.iter().find(|wanted| !targets.contains(&wanted.as_str())) {
        bail!("no fuzz target {unknown}; there are: {}", targets.join(", "));
    }
    if targets.is_empty() {
        report.fail("fuzz", "there is no fuzz target".to_owned());
    }
    for target in targets.into_iter().filter(|target| only.is_empty() || only.iter().any(|wanted| wanted == target)) {
        let build = fuzz.step(&format!("build {target}")).args(["build", target]).at_most(BUILD_DEADLINE);
        if report.run(build)? {
            fuzz.fuzz(target, seconds, &mut report)?;
        }
    }
    Ok(report)
}

struct Fuzz<'a> {
    place: &'a Place,
    path: OsString,
    nightly: bool,
}

impl Fuzz<'_> {
    fn step(&self, name: &str) -> Step {
        let step = self.place.cargo(name).args(["fuzz"]).env("PATH", &self.path).env("CARGO_TERM_COLOR", "never");
        // The sanitizer's flags are unstable: a nightly has them, and a stable compiler told that it may.
        if self.nightly { step.env("RUSTUP_TOOLCHAIN", "nightly") } else { step.env("RUSTC_BOOTSTRAP", "1") }
    }

    fn fuzz(&self, target: &str, seconds: u64, report: &mut Report) -> anyhow::Result<()> {
        // A single input may take ten seconds at most, and two gigabytes: decoders are to be bounded in both.
        let limits = ["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"];
        let inputs = self.inputs(target)?;
        let run = self
            .step(&format!("fuzz {target}"))
            .args(["run", target])
            .args(inputs)
            .args(["--", &format!("-max_total_time={seconds}")])
            .args(limits)
            .at_most(Duration::from_secs(seconds + 120));
        let mut finished = run.run()?;
        if !finished.succeeded {
            let artifact = artifact_in(&finished.output).map(|path| self.place.root.join(path));
            let advice = match artifact {
                Some(path) => reproduction(target, &path),
                None => format!("{target} failed without leaving an input; its output is above"),
            };
            println!("{advice}");
            finished.output.push_str(&advice);
        }
        report.record(finished, None);
        Ok(())
    }

    /// Where inputs come from: what earlier runs on this machine found, to which this one adds, and what is kept in the tree,
    /// which it leaves alone.
    fn inputs(&self, target: &str) -> anyhow::Result<[PathBuf; 2]> {
        let fuzz = self.place.root.join("fuzz");
        let [found, seeds] = ["corpus", "seeds"].map(|folder| fuzz.join(folder).join(target));
        fs::create_dir_all(&found).with_context(|| found.display().to_string())?;
        if !seeds.is_dir() {
            bail!("{target} has nothing to begin with: put a few small inputs into fuzz/seeds/{target}");
        }
        Ok([found, seeds])
    }
}

fn reproduction(target: &str, input: &Path) -> String {
    let input = input.display();
    format!("\nThe input that makes {target} fail: {input}\nAgain: cargo fuzz run {target} {input}\n")
}

/// The file named in libFuzzer's "Test unit written to PATH", if there is one.
fn artifact_in(output: &str) -> Option<PathBuf> {
    let line = output.lines().rfind(|line| line.contains("Test unit written to "))?;
    line.split("written to ").last().map(|path| PathBuf::from(path.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reproducer_is_the_last_unit_written() {
        let output = "artifact_prefix='./'; Test unit written to ./fuzz/artifacts/decode/crash-1\nBase64: AA==\n";
        assert_eq!(artifact_in(output), Some(PathBuf::from("./fuzz/artifacts/decode/crash-1")));
        assert_eq!(artifact_in("Done 1000 runs in 60 second(s)\n"), None);
    }

    #[test]
    fn every_target_has_something_to_begin_with() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fuzz");
        let targets = fs::read_dir(fuzz.join("fuzz_targets")).unwrap();
        for target in targets.map(|entry| entry.unwrap().path()) {
            let seeds = fuzz.join("seeds").join(target.file_stem().unwrap());
            assert!(fs::read_dir(&seeds).is_ok_and(|mut seeds| seeds.next().is_some()), "{}", seeds.display());
        }
    }
}

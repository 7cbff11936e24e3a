//! One scenario under valgrind.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use super::profile;
use crate::machine::{Place, Program};
use crate::run::Step;

/// A scenario of the program that is counted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scenario {
    pub(super) name: String,
    /// Operations of the shorter of its two runs.
    operations: u64,
}

/// The program with the scenarios, and valgrind.
#[derive(Debug)]
pub(super) struct Counter {
    program: PathBuf,
    valgrind: PathBuf,
    folder: PathBuf,
}

impl Counter {
    /// The program that cargo said it built; `None` if it named none.
    pub(super) fn of_build(place: &Place, output: &str) -> anyhow::Result<Option<Self>> {
        let Some(program) = executable_in(output) else { return Ok(None) };
        let folder = place.leavings("instructions");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Some(Self { program: place.root.join(program), valgrind: Program::Valgrind.path()?, folder }))
    }

    /// Where the profiles are left.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn scenarios(&self) -> anyhow::Result<Vec<Scenario>> {
        let output = Command::new(&self.program).arg("--list").output().context("list the scenarios")?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().map(|line| scenario(line).with_context(|| format!("no scenario: {line:?}"))).collect()
    }

    /// Instructions per operation.
    ///
    /// The difference of two runs, of which the second does twice as many operations: what the process does besides is in
    /// both. Rounding is to a tenth, since what happens once in many operations counts with its share.
    pub(super) fn count(&self, scenario: &Scenario) -> anyhow::Result<f64> {
        let Scenario { name, operations } = scenario;
        let once = self.instructions(name, *operations)?;
        let twice = self.instructions(name, operations * 2)?;
        let Some(difference) = twice.checked_sub(once).filter(|&difference| difference > 0) else {
            bail!("{name}: {operations} operations took {once} instructions, twice as many {twice}");
        };
        Ok((difference as f64 / *operations as f64 * 10.0).round() / 10.0)
    }

    fn instructions(&self, scenario: &str, operations: u64) -> anyhow::Result<u64> {
        let out = self.folder.join(format!("{}.out", scenario.replace('/', "-")));
        let valgrind = Step::new(scenario, &self.valgrind)
            .args(["--quiet", "--tool=callgrind"])
            .args([format!("--callgrind-out-file={}", out.display())])
            .args([&self.program])
            .args(["--run", scenario, &operations.to_string()])
            // Else mimalloc gives memory back when some milliseconds have passed, which is never the same moment twice.
            .env("MIMALLOC_PURGE_DELAY", "-1")
            .at_most(Duration::from_secs(300));
        let finished = valgrind.quietly()?;
        if !finished.succeeded {
            bail!("{scenario} fails under valgrind:\n{}", finished.output);
        }
        let profile = fs::read_to_string(&out).with_context(|| out.display().to_string())?;
        profile::instructions(&profile).with_context(|| format!("{}: no count of instructions in it", out.display()))
    }
}

/// The scenario in a line `NAME OPERATIONS`.
fn scenario(line: &str) -> Option<Scenario> {
    let (name, operations) = line.split_once(' ')?;
    let operations = operations.parse().ok().filter(|&operations| operations > 0)?;
    Some(Scenario { name: name.to_owned(), operations })
}

/// The program in cargo's line `Executable benches/… (PATH)`.
fn executable_in(output: &str) -> Option<PathBuf> {
    let line = output.lines().map(str::trim).find(|line| line.starts_with("Executable "))?;
    let (_, path) = line.strip_suffix(')')?.rsplit_once('(')?;
    Some(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_the_one_that_cargo_names() {
        let output = "    Finished `bench` profile\n  Executable benches/a/main.rs (target/release/deps/a-0f)\n";
        assert_eq!(executable_in(output), Some(PathBuf::from("target/release/deps/a-0f")));
        assert_eq!(executable_in("error: could not compile `fanfare`\n"), None);
    }

    #[test]
    fn a_scenario_has_a_name_and_at_least_one_operation() {
        assert_eq!(scenario("a/b 20"), Some(Scenario { name: "a/b".to_owned(), operations: 20 }));
        for line in ["", "a/b", "a/b 0", "a/b x"] {
            assert_eq!(scenario(line), None, "{line:?}");
        }
    }
}

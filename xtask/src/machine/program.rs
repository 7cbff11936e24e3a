//! Programs the commands need from the system.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use super::{apt, go};
use crate::run::Report;

/// A program the commands need from the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// Python 3.9 or newer, able to make virtual environments.
    Python,
    /// Node.js 18 or newer.
    Node,
    /// npm, to install Node packages.
    Npm,
    /// Chromium, or Chrome.
    Chromium,
    /// Valgrind, with its tool callgrind.
    Valgrind,
    /// Go 1.25 or newer: what centrifuge-go asks for.
    Go,
}

impl Program {
    /// Sees to it that all of `needed` are there. On Debian as root, missing ones are installed; elsewhere all of the
    /// missing ones are named in the error, with the way to get them.
    pub(crate) fn require(needed: &[Self], report: &mut Report) -> anyhow::Result<()> {
        let missing = |programs: &[Self]| -> Vec<Self> {
            // Several parts may need the same one; it is looked for, and complained of, once.
            let first = |(at, program): (usize, &Self)| (!programs[..at].contains(program)).then_some(*program);
            programs.iter().enumerate().filter_map(first).filter(|program| program.find().is_none()).collect()
        };
        let wanted = missing(needed);
        if wanted.is_empty() {
            return Ok(());
        }
        if let Err(why_not) = apt::may_install() {
            bail!("{}", Self::complaint(&wanted, why_not));
        }
        let packages: Vec<&str> = wanted.iter().flat_map(|program| program.debian_packages()).copied().collect();
        apt::install(&packages, report)?;
        let still_missing = missing(&wanted);
        if !still_missing.is_empty() {
            bail!("{}", Self::complaint(&still_missing, "the packages installed above did not bring it"));
        }
        Ok(())
    }

    /// Where the program is; an error if [`Program::require`] has not seen to it.
    pub(crate) fn path(self) -> anyhow::Result<PathBuf> {
        self.find().with_context(|| format!("{} is missing", self.name()))
    }

    fn find(self) -> Option<PathBuf> {
        match self {
            Self::Python => first_in_path(&["python3"]).filter(|python| works(python, &["-c", PYTHON_PROBE])),
            Self::Node => first_in_path(&["node"]).filter(|node| works(node, &["-e", NODE_PROBE])),
            Self::Npm => first_in_path(&["npm"]).filter(|npm| works(npm, &["--version"])),
            Self::Chromium => env::var_os("FANFARE_CHROMIUM")
                .map(PathBuf::from)
                .or_else(|| first_in_path(&["chromium", "chromium-browser", "google-chrome"]))
                .filter(|chromium| works(chromium, &["--version"])),
            // Runs a program that does nothing: there are machines that valgrind is installed on and does not know.
            Self::Valgrind => first_in_path(&["valgrind"])
                .filter(|valgrind| works(valgrind, &["--tool=callgrind", "--callgrind-out-file=/dev/null", "true"])),
            Self::Go => go::own(OLDEST_GO),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Python => "python3, 3.9 or newer, with venv and ensurepip",
            Self::Node => "node, 18 or newer",
            Self::Npm => "npm",
            Self::Chromium => "chromium",
            Self::Valgrind => "valgrind, with callgrind",
            Self::Go => "go, 1.25 or newer",
        }
    }

    fn debian_packages(self) -> &'static [&'static str] {
        match self {
            Self::Python => &["python3", "python3-venv"],
            Self::Node => &["nodejs"],
            Self::Npm => &["npm"],
            Self::Chromium => &["chromium"],
            Self::Valgrind => &["valgrind"],
            Self::Go => &["golang-go"],
        }
    }

    fn how_to_get(self) -> String {
        let packages = format!("Debian, Ubuntu: apt-get install {}", self.debian_packages().join(" "));
        match self {
            Self::Python => format!("{packages}; macOS: brew install python"),
            Self::Node | Self::Npm => format!("{packages}; macOS: brew install node"),
            Self::Valgrind => format!("{packages}; it knows Linux best, and no macOS on Apple's own processors"),
            Self::Go => format!("https://go.dev/dl; {packages}, if theirs is new enough"),
            Self::Chromium => {
                format!("{packages}; elsewhere install Chromium or Chrome and set FANFARE_CHROMIUM to its path")
            }
        }
    }

    fn complaint(missing: &[Self], why_not: &str) -> String {
        let mut text = format!("missing on this machine, and not installed here ({why_not}):");
        for program in missing {
            text.push_str(&format!("\n  {}\n    {}", program.name(), program.how_to_get()));
        }
        text
    }
}

/// As in "go1.25".
const OLDEST_GO: u32 = 25;

const PYTHON_PROBE: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))";
const NODE_PROBE: &str = "process.exit(Number(process.versions.node.split('.')[0]) < 18 ? 1 : 0)";

fn first_in_path(names: &[&str]) -> Option<PathBuf> {
    let folders = env::var_os("PATH")?;
    names.iter().find_map(|name| env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file()))
}

/// Some systems put a stub in the path that only says how to install the real thing.
fn works(program: &Path, arguments: &[&str]) -> bool {
    let quiet =
        Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    quiet.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_program_is_named_with_the_way_to_get_it() {
        let complaint = Program::complaint(&[Program::Chromium, Program::Npm], "not root");
        for part in ["not root", "chromium", "FANFARE_CHROMIUM", "apt-get install npm", "brew install node"] {
            assert!(complaint.contains(part), "{part} is not in: {complaint}");
        }
    }

    #[test]
    fn a_program_is_found_in_the_path_and_must_work() {
        let shell = first_in_path(&["no-such-program-at-all", "sh"]).unwrap();
        assert!(works(&shell, &["-c", "exit 0"]));
        assert!(!works(&shell, &["-c", "exit 1"]));
        assert!(!works(Path::new("/no/such/program"), &[]));
    }
}

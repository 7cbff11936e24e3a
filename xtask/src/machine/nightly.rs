//! The nightly compiler, for what no stable one does.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use super::Place;
use crate::run::Step;

/// The name that rustup knows it by.
const CHANNEL: &str = "nightly";

/// A nightly toolchain that has what was asked for.
#[derive(Debug)]
pub(crate) struct Nightly {
    /// The target triple of this machine.
    pub(crate) host: String,
}

/// A part of the toolchain that rustup does not install by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Component {
    /// The standard library's source, to build it with a sanitizer or for Miri.
    Source,
    /// The interpreter.
    Miri,
}

impl Nightly {
    /// Whether there is one.
    pub(crate) fn exists() -> bool {
        let version =
            Command::new("cargo").arg("--version").env("RUSTUP_TOOLCHAIN", CHANNEL).stderr(Stdio::null()).output();
        version.is_ok_and(|output| output.status.success())
    }

    /// The one that has `needed`. What is missing is named in the error, with the way to get it: which toolchains a
    /// machine has is not ours to change.
    pub(crate) fn with(needed: &[Component]) -> anyhow::Result<Self> {
        let get = |components: &[Component]| {
            let named: String =
                components.iter().map(|component| format!(" --component {}", component.name())).collect();
            format!("rustup toolchain install {CHANNEL} --profile minimal{named}")
        };
        let Some(version) = rustc(&["-vV"]).filter(|version| version.contains("-nightly")) else {
            bail!("this needs a nightly compiler, and rustup has none here: {}", get(needed));
        };
        let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV says no host")?;
        let missing: Vec<Component> = needed.iter().copied().filter(|component| !component.is_there()).collect();
        if !missing.is_empty() {
            bail!("the nightly compiler lacks a part that this needs: {}", get(&missing));
        }
        Ok(Self { host: host.to_owned() })
    }

    /// Its cargo, in the checkout. What it builds goes into `folder` beside what the stable one builds: other flags, other
    /// artifacts.
    pub(crate) fn cargo(&self, place: &Place, name: &str, folder: &str) -> Step {
        place
            .cargo(name)
            .env("RUSTUP_TOOLCHAIN", CHANNEL)
            .env("CARGO_TARGET_DIR", place.root.join("target").join(folder))
    }
}

impl Component {
    fn name(self) -> &'static str {
        match self {
            Self::Source => "rust-src",
            Self::Miri => "miri",
        }
    }

    fn is_there(self) -> bool {
        let Some(folder) = rustc(&["--print", "sysroot"]) else { return false };
        let folder = Path::new(folder.trim());
        match self {
            Self::Source => folder.join("lib/rustlib/src/rust/library/Cargo.toml").is_file(),
            Self::Miri => folder.join("bin/miri").is_file(),
        }
    }
}

/// What the nightly compiler says, if there is one.
fn rustc(arguments: &[&str]) -> Option<String> {
    let output = Command::new("rustc").args(arguments).env("RUSTUP_TOOLCHAIN", CHANNEL).stderr(Stdio::null()).output();
    let output = output.ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

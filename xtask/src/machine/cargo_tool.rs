//! Tools that are cargo subcommands.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use super::Place;
use crate::run::Report;

/// A cargo subcommand in a pinned version, built from source into the cache.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CargoTool {
    /// Licences, bans, sources, advisories.
    Deny,
    /// Unused dependencies. Reads text, so it is fast and knows nothing of renamed crates; nothing here is renamed.
    Machete,
    /// Fuzz targets.
    Fuzz,
}

impl CargoTool {
    fn name(self) -> &'static str {
        match self {
            Self::Deny => "cargo-deny",
            Self::Machete => "cargo-machete",
            Self::Fuzz => "cargo-fuzz",
        }
    }

    fn version(self) -> &'static str {
        match self {
            Self::Deny => "0.20.2",
            Self::Machete => "0.9.2",
            Self::Fuzz => "0.13.2",
        }
    }

    /// Installs the tool unless the cache has it, and gives a `PATH` that has it. `None`, and recorded, if that fails.
    pub(crate) fn install(self, place: &Place, report: &mut Report) -> anyhow::Result<Option<OsString>> {
        // A folder per version: two checkouts that pin different ones share the cache in peace.
        let folder = place.cache.join("cargo").join(format!("{}-{}", self.name(), self.version()));
        if !works(&folder.join("bin").join(self.name())) {
            // Without optimisation: it builds in half the time, and what it does takes seconds either way.
            let install = place
                .cargo(&format!("install {}", self.name()))
                .args(["install", "--locked", "--debug", "--force", "--version", self.version(), "--root"])
                .args([&folder])
                .args([self.name()])
                .at_most(Duration::from_secs(900));
            if !report.run(install)? {
                return Ok(None);
            }
        }
        let bin = folder.join("bin");
        if !works(&bin.join(self.name())) {
            bail!("{} was installed into {} but does not run", self.name(), bin.display());
        }
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(bin).chain(env::split_paths(&path));
        Ok(Some(env::join_paths(folders).context("PATH")?))
    }
}

fn works(program: &PathBuf) -> bool {
    let quiet = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success())
}

//! The Python packages of a suite of tests.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::{Place, Stamp};
use crate::run::{Report, Step};

/// A virtual environment with the packages that a suite has pinned in its `requirements.txt`.
#[derive(Debug)]
pub(crate) struct PythonPackages {
    /// The Python of the environment.
    pub(crate) python: PathBuf,
}

impl PythonPackages {
    /// Makes the environment for `folder` of the tree in `cached` of the cache with the Python at `system`, unless it is there
    /// and current.
    pub(crate) fn install(
        place: &Place,
        folder: &str,
        cached: &str,
        system: &Path,
        report: &mut Report,
    ) -> anyhow::Result<Self> {
        let requirements = place.root.join(folder).join("requirements.txt");
        let pinned = fs::read_to_string(&requirements).with_context(|| requirements.display().to_string())?;
        // The environment refers to the Python it was made with.
        let stamp = Stamp::new(place.cache.join(cached), format!("{}\n{pinned}", system.display()));
        let python = stamp.folder().join("bin/python");
        if stamp.is_current() && python.exists() {
            return Ok(Self { python });
        }
        stamp.clear()?;
        let environment = Step::new("make a Python environment", system).args(["-m", "venv"]).args([stamp.folder()]);
        let packages = Step::new("install Python packages", &python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"])
            .args([&requirements]);
        if !(report.run(environment)? && report.run(packages)?) {
            bail!("the Python packages of {} cannot be installed: see above", requirements.display());
        }
        stamp.set()?;
        Ok(Self { python })
    }
}

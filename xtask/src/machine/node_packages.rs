//! The Node packages of a suite of tests.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::{Place, Stamp};
use crate::run::{Report, Step};

/// The packages that a suite has locked in its `package-lock.json`.
#[derive(Debug)]
pub(crate) struct NodePackages {
    /// The `node_modules` folder.
    pub(crate) folder: PathBuf,
}

impl NodePackages {
    /// Installs the packages locked in `folder` of the tree into `cached` of the cache with the npm at `npm`, unless they are
    /// there and current.
    pub(crate) fn install(
        place: &Place,
        folder: &str,
        cached: &str,
        npm: &Path,
        report: &mut Report,
    ) -> anyhow::Result<Self> {
        let tests = place.root.join(folder);
        let lock = tests.join("package-lock.json");
        let pinned = fs::read_to_string(&lock).with_context(|| lock.display().to_string())?;
        let stamp = Stamp::new(place.cache.join(cached), pinned);
        let folder = stamp.folder().join("node_modules");
        if stamp.is_current() && folder.exists() {
            return Ok(Self { folder });
        }
        stamp.clear()?;
        for file in ["package.json", "package-lock.json"] {
            fs::copy(tests.join(file), stamp.folder().join(file)).with_context(|| file.to_owned())?;
        }
        // No package may run a script of its own, nor fetch a browser of its own.
        let packages =
            Step::new("install Node packages", npm).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        if !report.run(packages.in_folder(stamp.folder()))? {
            bail!("the Node packages of {} cannot be installed: see above", lock.display());
        }
        stamp.set()?;
        Ok(Self { folder })
    }
}

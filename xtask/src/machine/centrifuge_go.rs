//! The program that drives centrifuge-go for the interop tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::{Place, Stamp};
use crate::run::{Report, Step};

/// Where its source is.
const SOURCE: &str = "tests/interop/centrifuge/drivers/go";

/// The driver of centrifuge-go, in the cache.
#[derive(Debug)]
pub(crate) struct CentrifugeGo {
    /// The program.
    pub(crate) program: PathBuf,
}

impl CentrifugeGo {
    /// Builds it with the Go at `go`, unless the cache has one made from the same source.
    pub(crate) fn build(place: &Place, go: &Path, report: &mut Report) -> anyhow::Result<Self> {
        let source = place.root.join(SOURCE);
        let mut text = String::new();
        for name in ["go.mod", "go.sum", "main.go"] {
            let file = source.join(name);
            text.push_str(&fs::read_to_string(&file).with_context(|| file.display().to_string())?);
        }
        let stamp = Stamp::new(place.cache.join("centrifuge-go"), text);
        let folder = stamp.folder().to_owned();
        let driver = Self { program: folder.join("driver") };
        if stamp.is_current() && driver.program.exists() {
            return Ok(driver);
        }
        stamp.clear()?;
        let build = Step::new("build the driver of centrifuge-go", go)
            // Nothing in the module cache is write-protected, so that the folder can be emptied.
            .args(["build", "-mod=readonly", "-modcacherw", "-buildvcs=false", "-trimpath", "-o"])
            .args([&driver.program])
            .args(["."])
            .env("GOMODCACHE", folder.join("modules"))
            .env("GOCACHE", folder.join("built"))
            .env("CGO_ENABLED", "0")
            // Not another Go than the one that was found.
            .env("GOTOOLCHAIN", "local")
            .in_folder(&source)
            .at_most(Duration::from_secs(480));
        if !report.run(build)? {
            bail!("{SOURCE} cannot be built: see above");
        }
        for left in ["modules", "built"].map(|name| folder.join(name)).iter().filter(|left| left.exists()) {
            fs::remove_dir_all(left).with_context(|| left.display().to_string())?;
        }
        stamp.set()?;
        Ok(driver)
    }
}

//! Where things are.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::run::{Report, Step};

/// Building with link-time optimisation, from nothing on two cores.
const RELEASE_BUILD_DEADLINE: Duration = Duration::from_secs(1800);

/// Where things are on this machine.
#[derive(Debug)]
pub(crate) struct Place {
    /// The top of the checkout.
    pub(crate) root: PathBuf,
    /// What is installed for the tests, kept between runs and outside the tree.
    pub(crate) cache: PathBuf,
    /// Where cargo puts what it builds in the profile this program was built in.
    built: PathBuf,
}

impl Place {
    pub(crate) fn find() -> anyhow::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent folder")?.to_owned();
        if !root.join("Cargo.toml").is_file() {
            bail!("{}: the checkout this program was built in is gone; run it through cargo", root.display());
        }
        let cache = match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
            (Some(cache), _) if Path::new(&cache).is_absolute() => PathBuf::from(cache),
            (_, Some(home)) => PathBuf::from(home).join(".cache"),
            (_, None) => bail!("neither XDG_CACHE_HOME nor HOME is set: no place for what the tests install"),
        };
        // Read now: later cargo may replace this very program, and the answer would change.
        let program = env::current_exe().context("where this program is")?;
        let built = program.parent().context("this program has no folder")?.to_owned();
        Ok(Self { root, cache: cache.join("fanfare"), built })
    }

    /// Cargo, in the checkout.
    pub(crate) fn cargo(&self, name: &str) -> Step {
        let color = if std::io::IsTerminal::is_terminal(&std::io::stdout()) { "always" } else { "never" };
        let mut step = Step::new(name, "cargo").in_folder(&self.root).env("CARGO_TERM_COLOR", color);
        // This program runs under cargo, which told it about itself; tools take that for their own (cargo-machete then
        // takes the name it was called by for a folder).
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                step = step.without_env(&name);
            }
        }
        step
    }

    /// The hub to test against: `$FANFARE_BIN`, else one built now. `None`, and recorded, if it does not build.
    ///
    /// In the development profile: `cargo test` builds that one anyway, the release build with its link-time
    /// optimisation takes minutes on two cores, and overflow checks and debug assertions belong in a test.
    pub(crate) fn hub(&self, report: &mut Report) -> anyhow::Result<Option<PathBuf>> {
        if let Some(given) = given_hub()? {
            return Ok(Some(given));
        }
        let build = self.cargo("build the hub").args(["build", "--locked", "--package", "fanfare", "--bin", "fanfare"]);
        Ok(report.run(build)?.then(|| self.built.join("fanfare")))
    }

    /// The load harness, built now in the profile of [`Place::hub`]. `None`, and recorded, if it does not build.
    pub(crate) fn harness(&self, report: &mut Report) -> anyhow::Result<Option<PathBuf>> {
        let build = self.cargo("build the harness").args(["build", "--locked", "--package", "fanfare-loadtest"]);
        Ok(report.run(build)?.then(|| self.built.join("fanfare-loadtest")))
    }

    /// The hub (or `$FANFARE_BIN`) and the load harness, built now as they are released. `None`, and recorded, if one does
    /// not build.
    pub(crate) fn released(&self, report: &mut Report) -> anyhow::Result<Option<(PathBuf, PathBuf)>> {
        let given = given_hub()?;
        let mut packages = vec!["--package", "fanfare-loadtest"];
        if given.is_none() {
            packages.extend(["--package", "fanfare"]);
        }
        let build = self.cargo("build for release").args(["build", "--release", "--locked"]).args(packages);
        if !report.run(build.at_most(RELEASE_BUILD_DEADLINE))? {
            return Ok(None);
        }
        let released = self.built.parent().context("what cargo builds has no folder")?.join("release");
        Ok(Some((given.unwrap_or_else(|| released.join("fanfare")), released.join("fanfare-loadtest"))))
    }

    /// A folder for what a command leaves to look at, beside what cargo builds.
    pub(crate) fn leavings(&self, name: &str) -> PathBuf {
        self.built.join("reports").join(name)
    }
}

/// The hub that `$FANFARE_BIN` names, if it is set.
fn given_hub() -> anyhow::Result<Option<PathBuf>> {
    let Some(given) = env::var_os("FANFARE_BIN").map(PathBuf::from) else { return Ok(None) };
    if !given.is_file() {
        bail!("FANFARE_BIN: {} is not a file", given.display());
    }
    given.canonicalize().map(Some).context("FANFARE_BIN")
}

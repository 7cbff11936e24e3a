//! Pebble, the authority that the tests of issued certificates ask.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::{Archive, Place, Stamp, go};
use crate::run::{Report, Step};

/// Needs no newer Go than [`OLDEST_GO`], and is not so old that a new one refuses it.
const VERSION: &str = "v2.6.0";

/// As in "go1.21".
const OLDEST_GO: u32 = 21;

/// Where Debian has a Go that is new enough, and its packages there.
const RELEASE: &str = "trixie";
const DEBIAN_PACKAGES: [&str; 2] = ["golang-1.24-go", "golang-1.24-src"];

/// Pebble, the authority that Let's Encrypt tests clients with, in the cache.
#[derive(Debug)]
pub(crate) struct Pebble {
    /// The program.
    pub(crate) program: PathBuf,
}

impl Pebble {
    /// Builds it with the machine's Go, unless the cache has it. On Debian a Go that is missing or too old is unpacked into
    /// the cache, which takes no root.
    pub(crate) fn install(place: &Place, report: &mut Report) -> anyhow::Result<Self> {
        let stamp = Stamp::new(place.cache.join("pebble"), VERSION.to_owned());
        let folder = stamp.folder().to_owned();
        let pebble = Self { program: folder.join("bin/pebble") };
        if stamp.is_current() && pebble.program.exists() {
            return Ok(pebble);
        }
        stamp.clear()?;
        let (go, root) = match go::own(OLDEST_GO) {
            Some(go) => (go, None),
            None => {
                let root = unpacked_go(&folder.join("go"))?;
                (root.join("bin/go"), Some(root))
            }
        };
        let mut install = Step::new("build Pebble", go)
            // Nothing in the module cache is write-protected, so that the folder can be emptied.
            .args(["install", "-modcacherw"])
            .args([format!("github.com/letsencrypt/pebble/v2/cmd/pebble@{VERSION}")])
            .env("GOBIN", folder.join("bin"))
            .env("GOMODCACHE", folder.join("modules"))
            .env("GOCACHE", folder.join("built"))
            .env("CGO_ENABLED", "0")
            .in_folder(&folder)
            .at_most(Duration::from_secs(480));
        if let Some(root) = root {
            install = install.env("GOROOT", root);
        }
        if !report.run(install)? {
            bail!("Pebble {VERSION} cannot be built: see above");
        }
        // Half a gigabyte that only the building needed.
        for left in ["modules", "built", "go"].map(|name| folder.join(name)).iter().filter(|left| left.exists()) {
            fs::remove_dir_all(left).with_context(|| left.display().to_string())?;
        }
        stamp.set()?;
        Ok(pebble)
    }
}

/// The root of a Go below `folder`.
fn unpacked_go(folder: &Path) -> anyhow::Result<PathBuf> {
    let unpack = || Archive::open(RELEASE, &folder.join("apt"))?.unpack(&DEBIAN_PACKAGES, &folder.join("system"));
    unpack().with_context(|| format!("go, 1.{OLDEST_GO} or newer, is missing on this machine (https://go.dev/dl)"))?;
    Ok(folder.join("system/usr/lib/go-1.24"))
}

//! Debian's packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::geteuid;

use crate::run::{Report, Step};

/// Whether packages can be installed here; if not, why.
pub(super) fn may_install() -> Result<(), &'static str> {
    if !Path::new("/etc/debian_version").exists() {
        return Err("this is not Debian");
    }
    if !geteuid().is_root() {
        return Err("not root");
    }
    Ok(())
}

/// Installs `packages`, or fails.
pub(super) fn install(packages: &[&str], report: &mut Report) -> anyhow::Result<()> {
    let apt = |name: &str, arguments: &[&str]| {
        Step::new(name, "apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .at_most(Duration::from_secs(480))
    };
    // A failed update may still leave lists good enough; the installation decides.
    apt("refresh the package lists", &["update", "-q"]).run()?;
    let mut arguments = vec!["install", "-q", "-y", "--no-install-recommends"];
    arguments.extend_from_slice(packages);
    if !report.run(apt("install system packages", &arguments))? {
        bail!("apt-get could not install {}: see above", packages.join(" "));
    }
    Ok(())
}

/// Another release of Debian than the machine's own, from the same mirror: packages from it are unpacked into a folder
/// and never installed.
#[derive(Debug)]
pub(crate) struct Archive {
    options: Vec<String>,
}

impl Archive {
    /// Fetches the package list of `release` into `folder`. The machine's own lists and sources stay as they are.
    pub(crate) fn open(release: &str, folder: &Path) -> anyhow::Result<Self> {
        if !Path::new("/etc/debian_version").exists() {
            bail!("packages of Debian {release} are needed, and this is not Debian");
        }
        let (lists, archives) = (folder.join("lists/partial"), folder.join("cache/archives/partial"));
        fs::create_dir_all(&lists)
            .and_then(|()| fs::create_dir_all(&archives))
            .context("the folder for package lists")?;
        let sources = folder.join("sources.list");
        let line = format!("deb [signed-by={KEYRING}] {} {release} main\n", mirror(&own_sources()?)?);
        fs::write(&sources, line).context("the package source")?;
        let set = |key: &str, value: &Path| format!("{key}={}", value.display());
        let options = vec![
            "-q".to_owned(),
            set("-oDir::Etc::sourcelist", &sources),
            set("-oDir::Etc::sourceparts", Path::new("/dev/null")),
            set("-oDir::State::lists", &folder.join("lists")),
            set("-oDir::State::status", Path::new("/dev/null")),
            set("-oDir::Cache", &folder.join("cache")),
            // The download user of apt cannot enter a home folder.
            "-oAPT::Sandbox::User=".to_owned(),
            "-oAcquire::Languages=none".to_owned(),
        ];
        let update =
            Step::new(format!("fetch the package list of Debian {release}"), "apt-get").args(&options).args(["update"]);
        if !update.run()?.succeeded {
            bail!("the package list of Debian {release} cannot be fetched: see above");
        }
        Ok(Self { options })
    }

    /// Downloads `packages` and unpacks them below `folder`.
    pub(crate) fn unpack(&self, packages: &[&str], folder: &Path) -> anyhow::Result<()> {
        let downloads = folder.join("packages");
        fs::create_dir_all(&downloads).context("the folder for packages")?;
        let download = Step::new("download packages", "apt-get").args(&self.options).args(["download"]).args(packages);
        if !download.in_folder(&downloads).run()?.succeeded {
            bail!("{} cannot be downloaded: see above", packages.join(" "));
        }
        for entry in fs::read_dir(&downloads).context("the downloaded packages")? {
            let package = entry.context("the downloaded packages")?.path();
            if !Step::new("unpack", "dpkg-deb").args([Path::new("-x"), &package, folder]).run()?.succeeded {
                bail!("{} cannot be unpacked", package.display());
            }
        }
        Ok(())
    }
}

/// Debian's signing keys, from its package debian-archive-keyring.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The text of the machine's own package sources, Debian's first.
fn own_sources() -> anyhow::Result<String> {
    let mut files =
        vec![PathBuf::from("/etc/apt/sources.list.d/debian.sources"), PathBuf::from("/etc/apt/sources.list")];
    let others = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path());
    files.extend(others);
    let texts: Vec<String> = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
    if texts.is_empty() { bail!("no package sources below /etc/apt") } else { Ok(texts.join("\n")) }
}

/// The mirror the machine takes Debian from: the first address in `sources` that ends in `/debian`.
fn mirror(sources: &str) -> anyhow::Result<&str> {
    sources
        .lines()
        .filter(|line| line.starts_with("URIs:") || line.starts_with("deb "))
        .flat_map(str::split_whitespace)
        .map(|word| word.trim_end_matches('/'))
        .find(|word| word.contains("://") && word.ends_with("/debian"))
        .context("no Debian mirror in the package sources below /etc/apt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_is_read_from_both_forms_of_sources() {
        let deb822 = "Types: deb\n# http://old.example/debian\nURIs: http://mirror.example/debian-security http://mirror.example/debian/\n";
        assert_eq!(mirror(deb822).unwrap(), "http://mirror.example/debian");
        let lines = "# deb http://no.example/debian x\ndeb [arch=amd64] https://two.example/debian bookworm main\n";
        assert_eq!(mirror(lines).unwrap(), "https://two.example/debian");
        assert!(mirror("deb https://packages.example/node nodistro main\n").is_err());
    }
}

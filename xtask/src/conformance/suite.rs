//! Putting the Autobahn test suite into the cache.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::bail;

use crate::machine::{Archive, Place, Program, Stamp};
use crate::run::{Report, Step};

/// The suite is a Python 2 program, and Debian's last release with Python 2 is this one.
const RELEASE: &str = "bullseye";

/// Python 2 with what it needs to build and run the suite, but for what every Debian has.
const DEBIAN_PACKAGES: [&str; 9] = [
    "python2.7",
    "python2.7-minimal",
    "python2.7-dev",
    "libpython2.7",
    "libpython2.7-minimal",
    "libpython2.7-stdlib",
    "libpython2.7-dev",
    "libffi7",
    "libssl1.1",
];

/// The last versions that run on Python 2.
const INSTALLERS: [&str; 3] = ["pip==20.3.4", "setuptools==44.1.1", "wheel==0.37.1"];

const SUITE: &str = "autobahntestsuite==25.10.1";

/// The suite in the cache.
#[derive(Debug)]
pub(super) struct Suite {
    folder: PathBuf,
}

impl Suite {
    /// Installs the suite, unless the cache has it. Needs Debian's packages, Python's, a C compiler and Python 3; no
    /// root.
    pub(super) fn install(place: &Place) -> anyhow::Result<Self> {
        let recipe = format!("{RELEASE} {} {} {SUITE}\n{PINNED}", DEBIAN_PACKAGES.join(" "), INSTALLERS.join(" "));
        let stamp = Stamp::new(place.cache.join("autobahn"), recipe);
        let suite = Self { folder: stamp.folder().to_owned() };
        if stamp.is_current() {
            return Ok(suite);
        }
        let mut programs = Report::default();
        Program::require(&[Program::Python], &mut programs)?;
        let python3 = Program::Python.path()?;
        stamp.clear()?;
        Archive::open(RELEASE, &suite.folder.join("apt"))?.unpack(&DEBIAN_PACKAGES, &suite.folder.join("system"))?;

        // Only to fetch the installers: the old pip cannot fetch itself. Debian's own Python 3 has pip only in
        // environments.
        let environment = suite.folder.join("fetcher");
        must(Step::new("make a Python environment to fetch with", python3).args(["-m", "venv"]).args([&environment]))?;
        let installers = suite.folder.join("installers");
        let fetch = Step::new("fetch Python 2's installers", environment.join("bin/python"))
            .args(["-m", "pip", "download", "--quiet", "--no-deps", "--dest"])
            .args([&installers])
            .args(INSTALLERS);
        must(fetch)?;
        // A wheel is a zip archive, and Python runs a package out of one.
        let pip = installers.join("pip-20.3.4-py2.py3-none-any.whl").join("pip");
        let install = suite.python("install Python 2's installers").args([&pip]);
        let install = install.args(["install", "--quiet", "--user", "--no-warn-script-location", "--no-index"]);
        must(install.args(["--find-links"]).args([&installers]).args(INSTALLERS))?;

        let pinned = suite.folder.join("pinned.txt");
        fs::write(&pinned, PINNED)?;
        let install = suite
            .python("install the Autobahn test suite")
            .args(["-m", "pip", "install", "--quiet", "--user", "--no-warn-script-location"])
            // Isolated builds would fetch today's setuptools, which Python 2 cannot read.
            .args(["--no-build-isolation", "--constraint"])
            .args([&pinned])
            .args([SUITE])
            .env("CFLAGS", suite.header_flags());
        must(install)?;
        stamp.set()?;
        Ok(suite)
    }

    /// The suite as the client that tries a server, told what to do by the file at `specification`.
    pub(super) fn fuzzing_client(&self, specification: &Path) -> Step {
        let step = self.python("Autobahn fuzzing client").args([self.folder.join("packages/bin/wstest")]);
        step.args(["-m", "fuzzingclient", "-s"]).args([specification])
    }

    /// Python 2 with its libraries and packages, all in the cache.
    fn python(&self, name: &str) -> Step {
        let (usr, lib) = (self.folder.join("system/usr"), self.folder.join("system/lib"));
        let libraries = [usr.join("lib"), lib].map(|lib| lib.join(format!("{}-linux-gnu", std::env::consts::ARCH)));
        let libraries = libraries.map(|lib| lib.display().to_string()).join(":");
        Step::new(name, usr.join("bin/python2.7"))
            .env("LD_LIBRARY_PATH", libraries)
            .env("PYTHONUSERBASE", self.folder.join("packages"))
            .without_env("PYTHONPATH")
            .without_env("PYTHONHOME")
            .in_folder(&self.folder)
    }

    fn header_flags(&self) -> String {
        let include = self.folder.join("system/usr/include");
        format!("-I{} -I{}", include.join("python2.7").display(), include.display())
    }
}

fn must(step: Step) -> anyhow::Result<()> {
    let finished = step.run()?;
    if !finished.succeeded {
        bail!("{}: failed, see above", finished.name);
    }
    Ok(())
}

/// What the suite needs, in the versions it was tried with.
const PINNED: &str = include_str!("pinned.txt");

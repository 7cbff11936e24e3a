//! From a file and the environment to a configuration, or to everything that is wrong with it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::check::{self, Files};
use super::document::Document;
use super::environment;
use super::mistake::{ConfigError, Mistake, Mistakes};
use super::place::{Origin, Texts};
use super::settings::Config;

/// What stands in for a file when none is given.
const DEMO: &str = include_str!("../../config/demo.toml");

/// Where a configuration came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The built-in one: loopback only, open to anyone there.
    Demo,
    /// This file.
    File(PathBuf),
}

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration. Paths in it are resolved, keys of files are read.
    pub config: Config,
    /// Where it came from.
    pub source: Source,
    /// What is allowed but probably not meant, one line each.
    pub warnings: Vec<String>,
}

impl Config {
    /// Loads the file at `path`, or the built-in demo configuration, with the `FANFARE_…` variables of `env` over it.
    ///
    /// Blocks on the file system. Binds nothing. The error tells every mistake it can find at once.
    pub fn load(path: Option<&Path>, env: impl Iterator<Item = (String, String)>) -> Result<Loaded, ConfigError> {
        let (origin, source, text, directory) = match path {
            Some(path) => {
                let directory = path.parent().unwrap_or(Path::new(""));
                (Origin::File(path.to_owned()), Source::File(path.to_owned()), read(path)?, directory)
            }
            None => (Origin::Demo, Source::Demo, DEMO.to_owned(), Path::new("")),
        };
        let (config, warnings) = assemble(origin, &text, directory, env)?;
        Ok(Loaded { config, source, warnings })
    }

    /// The configuration that `text` says, relative paths starting at `directory`, without an environment.
    ///
    /// Never panics, whatever the text.
    pub fn from_toml(text: &str, directory: &Path) -> Result<Self, ConfigError> {
        assemble(Origin::Text, text, directory, std::iter::empty()).map(|(config, _)| config)
    }
}

fn assemble(
    origin: Origin,
    text: &str,
    directory: &Path,
    env: impl Iterator<Item = (String, String)>,
) -> Result<(Config, Vec<String>), ConfigError> {
    let variables = environment::ours(env);
    let mut document = Document::parse(origin, text).map_err(wrong)?;
    let mut mistakes = environment::overlay(&mut document, &variables);
    let mut config = match document.read() {
        Ok(config) => config,
        Err(found) => {
            mistakes.extend(found);
            return Err(wrong(mistakes));
        }
    };
    let report = check::check(&mut config, &document, &Files { directory });
    mistakes.extend(report.mistakes);
    if mistakes.is_empty() { Ok((config, report.warnings)) } else { Err(wrong(mistakes)) }
}

fn wrong(mistakes: Vec<Mistake>) -> ConfigError {
    ConfigError::Wrong(Mistakes::from(mistakes))
}

/// The text of the file; not more of it than a configuration can have.
fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    // One byte more than allowed tells that there is more, also where the size is not known (a pipe).
    file.take(ConfigError::LARGEST_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > ConfigError::LARGEST_FILE_BYTES {
        return Err(ConfigError::TooLarge { path: path.to_owned() });
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let mut texts = Texts::default();
        texts.add(Origin::File(path.to_owned()), String::from_utf8_lossy(error.as_bytes()).into_owned());
        wrong(vec![Mistake::new("the file is not UTF-8").at(texts.place(&(valid..valid + 1))).remark("from here on")])
    })
}

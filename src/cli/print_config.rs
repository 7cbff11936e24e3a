//! `fanfare config`.

use super::exit::Failure;
use super::output;
use crate::config::{Loaded, Source};

/// Prints the configuration in force as TOML, without secrets.
pub(super) fn print_config(loaded: &Loaded) -> Result<(), Failure> {
    let source = match &loaded.source {
        Source::Demo => "the built-in demo".to_owned(),
        Source::File(path) => path.display().to_string(),
    };
    let text = format!("# In force: {source}, the environment, and defaults.\n\n{}", loaded.config.to_toml());
    output::print(text.as_bytes())
}

//! `fanfare check`.

use super::exit::Failure;
use super::output;
use super::overview::Overview;
use crate::config::Loaded;

/// Prints what `loaded` would do, and its warnings. Mistakes were told by whoever loaded it.
pub(super) fn check(loaded: &Loaded) -> Result<(), Failure> {
    output::print(Overview::new(loaded).to_string().as_bytes())?;
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    eprintln!(
        "the configuration is fine{}",
        match loaded.warnings.len() {
            0 => String::new(),
            1 => ", with 1 warning".to_owned(),
            count => format!(", with {count} warnings"),
        }
    );
    Ok(())
}

//! Which compiler made the code that is counted.

use std::process::Command;

use anyhow::{Context, bail};

use crate::machine::Place;

/// A compiler and what it compiles for: counts of two different ones cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compiler {
    /// As `rustc --version` says it, without the program's name.
    pub(super) rustc: String,
    /// The target triple.
    pub(super) target: String,
}

impl Compiler {
    /// The one that cargo uses in this checkout.
    pub(super) fn find(place: &Place) -> anyhow::Result<Self> {
        let output = Command::new("rustc").arg("-vV").current_dir(&place.root).output().context("rustc -vV")?;
        if !output.status.success() {
            bail!("rustc -vV: {}", String::from_utf8_lossy(&output.stderr));
        }
        Self::read(&String::from_utf8_lossy(&output.stdout)).context("rustc -vV says neither its version nor its host")
    }

    /// Reads what `rustc -vV` prints.
    fn read(text: &str) -> Option<Self> {
        let rustc = text.lines().find_map(|line| line.strip_prefix("rustc "))?;
        let target = text.lines().find_map(|line| line.strip_prefix("host: "))?;
        Some(Self { rustc: rustc.trim().to_owned(), target: target.trim().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_target_are_read_from_what_rustc_says() {
        let text =
            "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nrelease: 1.95.0\n";
        let compiler = Compiler::read(text).unwrap();
        assert_eq!(compiler.rustc, "1.95.0 (59807616e 2026-04-14)");
        assert_eq!(compiler.target, "x86_64-unknown-linux-gnu");
        assert_eq!(Compiler::read("binary: rustc\n"), None);
    }
}

//! The stored counts.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use super::compiler::Compiler;

/// Counts as they were stored, and of whose code.
#[derive(Debug, PartialEq)]
pub(super) struct Baseline {
    pub(super) compiler: Compiler,
    /// Instructions per operation, by scenario.
    pub(super) counts: BTreeMap<String, f64>,
}

impl Baseline {
    /// What is stored in `file`; `None` if there is no such file.
    pub(super) fn read(file: &Path) -> anyhow::Result<Option<Self>> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context(file.display().to_string()),
        };
        Self::parse(&text).map(Some).with_context(|| format!("{}: no baseline", file.display()))
    }

    /// `counts` over those of `before`; the others stay, unless they are another compiler's.
    pub(super) fn joining(before: Option<Self>, compiler: Compiler, counts: Vec<(String, f64)>) -> Self {
        let mut all = before.filter(|before| before.compiler == compiler).map_or_else(BTreeMap::new, |b| b.counts);
        all.extend(counts);
        Self { compiler, counts: all }
    }

    pub(super) fn write(&self, file: &Path) -> anyhow::Result<()> {
        fs::write(file, self.text()).with_context(|| format!("cannot write {}", file.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let value: Value = serde_json::from_str(text)?;
        let word = |key: &str| value[key].as_str().map(str::to_owned).with_context(|| format!("no {key}"));
        let compiler = Compiler { rustc: word("rustc")?, target: word("target")? };
        let counts = value["instructions_per_operation"].as_object().context("no instructions_per_operation")?;
        let counts = counts.iter().map(|(name, count)| {
            let count = count.as_f64().with_context(|| format!("{name}: not a number"))?;
            Ok((name.clone(), count))
        });
        Ok(Self { compiler, counts: counts.collect::<anyhow::Result<_>>()? })
    }

    fn text(&self) -> String {
        let Compiler { rustc, target } = &self.compiler;
        let value = json!({ "rustc": rustc, "target": target, "instructions_per_operation": self.counts });
        format!("{value:#}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiler(rustc: &str) -> Compiler {
        Compiler { rustc: rustc.to_owned(), target: "x86_64-unknown-linux-gnu".to_owned() }
    }

    fn counts(counts: &[(&str, f64)]) -> Vec<(String, f64)> {
        counts.iter().map(|&(name, count)| (name.to_owned(), count)).collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let baseline = Baseline::joining(None, compiler("1.95.0"), counts(&[("a/b", 12.5), ("c", 4000.0)]));
        assert_eq!(Baseline::parse(&baseline.text()).unwrap(), baseline);
    }

    #[test]
    fn counts_that_were_not_made_again_stay_if_the_compiler_is_the_same() {
        let before = || Some(Baseline::joining(None, compiler("1.95.0"), counts(&[("a", 1.0), ("b", 2.0)])));
        let same = Baseline::joining(before(), compiler("1.95.0"), counts(&[("b", 3.0)]));
        assert_eq!(same.counts, BTreeMap::from_iter(counts(&[("a", 1.0), ("b", 3.0)])));
        let other = Baseline::joining(before(), compiler("1.96.0"), counts(&[("b", 3.0)]));
        assert_eq!(other.counts, BTreeMap::from_iter(counts(&[("b", 3.0)])));
    }

    #[test]
    fn a_file_that_is_no_baseline_is_an_error_that_says_what_it_lacks() {
        for (text, lack) in [("{}", "no rustc"), (r#"{"rustc":"1","target":"t"}"#, "no instructions_per_operation")] {
            assert_eq!(Baseline::parse(text).unwrap_err().to_string(), lack);
        }
        let text = r#"{"rustc":"1","target":"t","instructions_per_operation":{"a":"12"}}"#;
        assert_eq!(Baseline::parse(text).unwrap_err().to_string(), "a: not a number");
    }

    #[test]
    fn no_file_is_no_baseline_and_no_error() {
        assert_eq!(Baseline::read(Path::new("/no/such/folder/instructions.json")).unwrap(), None);
    }
}

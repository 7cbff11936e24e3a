//! Keeps what a run found: as records to compare with later, as a page to look at now.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;

use crate::report::page;
use crate::report::record::{self, Record};

/// Where to keep it.
#[derive(Debug, Default, Clone, Args)]
pub(crate) struct Keep {
    /// Append a record of each run to this file, one JSON object a line, for `report`
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    /// Write a report with plots to this file, one HTML page that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// Appends `records` to `keep.save` and renders them to `keep.html`, as far as given.
pub(crate) fn keep(records: &[Record], keep: &Keep) -> Result<()> {
    if let Some(path) = &keep.save {
        append(records, path).with_context(|| format!("--save {}", path.display()))?;
    }
    if let Some(path) = &keep.html {
        let page = page::render(records)?;
        fs::write(path, page).with_context(|| format!("--html {}", path.display()))?;
        eprintln!("report: {}", path.display());
    }
    Ok(())
}

/// The records of all `files`, in this order.
pub(crate) fn load(files: &[PathBuf]) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    for path in files {
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| name.clone())?;
        records.extend(record::read(&name, BufReader::new(file))?);
    }
    Ok(records)
}

/// One write for all of them: another process that appends to the same file does not come between.
fn append(records: &[Record], path: &Path) -> Result<()> {
    let mut lines = Vec::new();
    for record in records {
        serde_json::to_writer(&mut lines, record)?;
        lines.push(b'\n');
    }
    Ok(OpenOptions::new().create(true).append(true).open(path)?.write_all(&lines)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::record::tests::record;
    use serde_json::json;

    #[test]
    fn records_are_appended_and_several_files_are_one_report() {
        let path = |name: &str| std::env::temp_dir().join(format!("fanfare-keep-{}-{name}", std::process::id()));
        let (a, b) = (path("a.jsonl"), path("b.jsonl"));
        let one = |round| [record("fanout", "floor", round, json!({}))];
        let to = |save: &Path| Keep { save: Some(save.to_owned()), html: None };
        for (round, file) in [(1, &a), (2, &a), (3, &b)] {
            keep(&one(round), &to(file)).unwrap();
        }
        let rounds: Vec<u32> = load(&[b.clone(), a.clone()]).unwrap().iter().map(|record| record.round).collect();
        assert_eq!(rounds, [3, 1, 2]);
        fs::remove_file(a).unwrap();
        fs::remove_file(b).unwrap();
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = load(&["/nowhere/old.jsonl".into()]).unwrap_err();
        assert!(format!("{error:#}").starts_with("/nowhere/old.jsonl: "), "{error:#}");
    }
}

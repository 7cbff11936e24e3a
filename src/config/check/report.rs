//! What a check found.

use super::super::document::Document;
use super::super::key_path::KeyPath;
use super::super::mistake::Mistake;
use super::super::settings::Config;
use super::files::Files;
use super::{compression, endpoints, exposure, hooks, limits, listeners, log, origins, paths, tokens, topics};

/// Mistakes and warnings, with the document that gives them their place.
#[derive(Debug)]
pub(in super::super) struct Report<'a> {
    document: &'a Document<'a>,
    pub(in super::super) mistakes: Vec<Mistake>,
    pub(in super::super) warnings: Vec<String>,
}

/// Checks all of `config`, completes what depends on files and on other keys, and tells what is wrong.
pub(in super::super) fn check<'a>(config: &mut Config, document: &'a Document<'a>, files: &Files<'_>) -> Report<'a> {
    let mut report = Report { document, mistakes: Vec::new(), warnings: Vec::new() };
    if limits::too_many_entries(config, &mut report) {
        return report;
    }
    listeners::check(config, document, &mut report);
    limits::check(config, &mut report);
    compression::check(config, &mut report);
    log::check(config, &mut report);
    origins::check(config, &mut report);
    tokens::check(config, &mut report);
    hooks::check(config, &mut report);
    topics::check(config, &mut report);
    endpoints::check(config, &mut report);
    paths::check(config, &mut report);
    exposure::check(config, &mut report);
    files.check(config, &mut report);
    report
}

impl Report<'_> {
    /// Adds `mistake` with the place of `path`, or of the nearest thing around it that was written.
    pub(super) fn mistake(&mut self, path: &KeyPath, mistake: Mistake) {
        let place = self.document.place(path);
        self.mistakes.push(mistake.at(place));
    }

    /// Adds `mistake` with the place of the first of `paths` that was written (the others are defaults).
    pub(super) fn mistake_at_written(&mut self, paths: &[KeyPath], mistake: Mistake) {
        let written = paths.iter().find(|path| self.document.has(path)).or(paths.first());
        let place = written.and_then(|path| self.document.place(path));
        self.mistakes.push(mistake.at(place));
    }

    /// Adds a warning about `path`.
    pub(super) fn warn(&mut self, path: &KeyPath, what: &str) {
        let place = self.document.place(path).map(|place| format!("{place}: ")).unwrap_or_default();
        self.warnings.push(format!("{place}{what}"));
    }
}

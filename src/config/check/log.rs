//! The filter of the log: a misspelt level would be taken for the name of a module, and nothing would be logged.

use super::super::key_path::KeyPath;
use super::super::mistake::Mistake;
use super::super::settings::Config;
use super::super::suggestion::nearest;
use super::report::Report;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    let path = KeyPath::of("log").key("level");
    for directive in config.log.level.split(',').map(str::trim) {
        // Without a target, the directive is the level of everything else.
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
        if LEVELS.contains(&level) {
            continue;
        }
        let mistake = Mistake::new(format!("`{path}`: \"{level}\" is not a level"));
        let mistake = match nearest(level, LEVELS) {
            Some(near) => mistake.remark(format!("did you mean \"{near}\"?")),
            None => mistake.fix("a level, or levels per module such as \"info,fanfare::accept=debug\""),
        };
        report.mistake(&path, mistake.accepted(LEVELS.map(|level| format!("\"{level}\"")).to_vec()));
    }
}

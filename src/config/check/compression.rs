//! What the compressor cannot do.

use super::super::key_path::KeyPath;
use super::super::listeners::Listen;
use super::super::mistake::Mistake;
use super::super::settings::Config;
use super::report::Report;
use crate::ws::Thresholds;

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    let level = config.compression.level;
    if !(1..=9).contains(&level) {
        let key = KeyPath::of("compression").key("level");
        let mistake = Mistake::new(format!("`{key}` is {level}"));
        report.mistake(&key, mistake.remark("1 (fast) to 9 (small); without compression, leave `enabled` out"));
    }
    thresholds(config, report);
}

/// Each that differs from the others makes logs of its own, which tell it in one byte.
fn thresholds(config: &Config, report: &mut Report<'_>) {
    let mut known = Thresholds::default();
    let has_no_place = |listen: &Listen| {
        let size = listen.compresses_from(&config.compression);
        size.is_some_and(|size| known.enter(size.bytes()).is_none())
    };
    let everywhere = config.everywhere();
    // Those of `server.listen` come first; they share the threshold for all.
    let first = everywhere.iter().position(has_no_place);
    if let Some(index) = first.and_then(|place| place.checked_sub(config.server.listen.len())) {
        let key = KeyPath::of("listeners").index(index).key("compression_threshold");
        let mistake = Mistake::new(format!("`{key}` differs from {} others", Thresholds::LIMIT));
        report.mistake(&key, mistake.remark(format!("at most {} of them may differ", Thresholds::LIMIT)));
    }
}

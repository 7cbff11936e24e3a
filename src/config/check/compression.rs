//! What the compressor cannot do.

use super::super::key_path::KeyPath;
use super::super::mistake::Mistake;
use super::super::settings::Config;
use super::report::Report;

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    let level = config.compression.level;
    if !(1..=9).contains(&level) {
        let key = KeyPath::of("compression").key("level");
        let mistake = Mistake::new(format!("`{key}` is {level}"));
        report.mistake(&key, mistake.remark("1 (fast) to 9 (small); without compression, leave `enabled` out"));
    }
}

//! What is said: while a run goes on, and of what it found.

pub(crate) mod progress;
#[expect(clippy::module_inception, reason = "the report is the noun of this folder")]
pub(crate) mod report;

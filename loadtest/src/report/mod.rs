//! What is said: while a run goes on, and of what it found.
//!
//! `progress` is for the eye meanwhile, `report` for the terminal afterwards. A run that is kept becomes a `record` with its
//! `machine` and `command`; `keep` saves records and reads them again; `page` renders them as HTML with the SVG of `plot`.
//! Nothing in here loads or measures anything.

pub(crate) mod command;
pub(crate) mod date;
pub(crate) mod keep;
pub(crate) mod machine;
pub(crate) mod page;
pub(crate) mod plot;
pub(crate) mod progress;
pub(crate) mod record;
#[expect(clippy::module_inception, reason = "the report is the noun of this folder")]
pub(crate) mod report;
pub(crate) mod spread;
pub(crate) mod timeline;

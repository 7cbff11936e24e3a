//! Records as one HTML page that needs nothing else.
//!
//! `findings` are the figures of a record's result, `comparison` puts the records together that may be compared, `figure` is
//! the catalogue of what is compared, `unit` writes numbers, `picture` makes the plots, `table` the tables, `page` fills the template. Pure.

mod comparison;
mod figure;
mod findings;
#[expect(clippy::module_inception, reason = "the page is the noun of this folder")]
mod page;
mod picture;
mod table;
mod unit;

pub(crate) use page::render;

//! Texts, files and directories of `[[pages]]`, and the embedded try-it page.
//!
//! Reading order: [`pages`] (what is configured, and its answers), [`path`] (pure: which file a path may mean),
//! [`mod@file`] (reading it, bounded), [`etag`], [`try_it`].

mod etag;
mod file;
#[expect(clippy::module_inception, reason = "the pages are the noun of this station")]
mod pages;
mod path;
mod try_it;

pub use pages::{Pages, PagesError};

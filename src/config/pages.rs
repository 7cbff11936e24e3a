//! `[[pages]]`: texts, files and directories served over HTTP.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One `[[pages]]` entry: exactly one of `text`, `file` and `directory`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Page {
    /// The URL path; for a directory, the prefix.
    pub path: String,
    /// This text, as `text/plain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// This file, relative to the configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The files below this directory, relative to the configuration file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
}

//! The configuration: one plain struct with defaults, read from TOML and the environment.
//!
//! Reading order: [`Config`] and its sections (`server`, `limits`, `topics`, `endpoints`, …), `units`, `network`;
//! then how a file becomes one: `loader`, `document` (TOML with the place of every key), `environment`,
//! `check` (what the types cannot say), `mistake` and `place` (what is told to the person who wrote it).
//! Reads files; binds, starts and logs nothing. Imports `hub::TopicName`, `ws::Thresholds`, `tls` and `identity`, and nobody else.

mod address;
mod api;
mod centrifuge;
mod check;
mod compression;
mod document;
mod endpoints;
mod environment;
mod exemplar;
mod history;
mod hook_url;
mod hooks;
mod key_path;
mod limits;
mod listeners;
mod loader;
mod log;
mod memory;
mod mistake;
mod name_regex;
mod network;
mod pages;
mod pattern;
mod place;
mod serde_message;
mod server;
mod settings;
mod suggestion;
#[cfg(test)]
mod tests;
mod tokens;
mod topics;
mod units;

pub use api::Api;
pub use centrifuge::Centrifuge;
pub use compression::Compression;
pub use endpoints::{Announce, Endpoint};
pub use history::{HistoryFile, Sync};
pub use hook_url::{HookUrl, ParseHookUrlError};
pub use hooks::Hooks;
pub use limits::{Limits, OverRate};
pub use listeners::{Listen, ListenAddress, SurfaceName};
pub use loader::{Loaded, Source};
pub use log::{Log, LogFormat};
pub use memory::{MemoryBound, MemoryItem};
pub use mistake::{ConfigError, Mistake, Mistakes};
pub use name_regex::{NameRegex, ParseNameRegexError};
pub use network::{Network, Networks, ParseNetworkError};
pub use pages::Page;
pub use server::{Liveness, Server, Sse};
pub use settings::Config;
pub use suggestion::nearest;
pub use tokens::{TokenKey, Tokens};
pub use topics::{
    History, HistoryStore, JoinLeave, PublishRule, ReadRule, RecoveryRule, SlowConsumer, SlowPolicy, SubscribeRule,
    TopicHook, TopicRules,
};
pub use units::{ByteSize, ParseUnitError, Span};

pub use crate::tls::{Acme, Certificate, Tls};

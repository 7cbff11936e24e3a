//! The whole configuration, as one plain struct.

use serde::{Deserialize, Serialize};

use super::{
    Api, Centrifuge, Compression, Endpoint, HistoryFile, HistoryStore, Hooks, Limits, Listen, ListenAddress, Liveness,
    Log, Page, Server, Sse, Tokens, TopicRules,
};

/// The whole configuration.
///
/// [`Config::default`] is what an empty file means. Paths in a loaded one are resolved against its directory.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Listeners, threads, drain, origins.
    pub server: Server,
    /// Ping rules.
    pub liveness: Liveness,
    /// Every limit.
    pub limits: Limits,
    /// The server API under `/api`.
    pub api: Api,
    /// Clients that speak the Centrifuge protocol.
    pub centrifuge: Centrifuge,
    /// The file of the topics that are kept on disk.
    pub history: HistoryFile,
    /// Tokens that say who a client is.
    pub tokens: Tokens,
    /// The application's backend, asked and told over HTTP.
    pub hooks: Hooks,
    /// Server-Sent Events.
    pub sse: Sse,
    /// Compression of WebSocket messages.
    pub compression: Compression,
    /// Logging.
    pub log: Log,
    /// Addresses that differ from those of [`Server::listen`] in who reaches them, or how.
    pub listeners: Vec<Listen>,
    /// Rules per topic pattern; the first match wins, then the built-in rules ([`TopicRules::default`]).
    pub topics: Vec<TopicRules>,
    /// WebSocket paths with declared behaviour.
    pub endpoints: Vec<Endpoint>,
    /// Texts, files and directories served over HTTP.
    pub pages: Vec<Page>,
}

impl Config {
    /// The rules of the topic `name`: those of the first pattern that matches, else `None` (the built-in rules).
    pub fn rules_for(&self, name: &str) -> Option<&TopicRules> {
        self.topics.iter().find(|rules| rules.covers(name))
    }

    /// Whether the history of any topic is kept on disk.
    pub fn keeps_on_disk(&self) -> bool {
        self.topics.iter().any(|rules| rules.history.size > 0 && rules.history.store == HistoryStore::Disk)
    }

    /// Everywhere it listens: the addresses of `server.listen`, then `[[listeners]]`.
    pub fn everywhere(&self) -> Vec<Listen> {
        let short = self.server.listen.iter().map(|&address| Listen::at(ListenAddress::Tcp(address)));
        short.chain(self.listeners.iter().cloned()).collect()
    }

    /// This configuration as TOML that reads back as the same, except that secrets are replaced by
    /// [`Api::REDACTED`].
    pub fn to_toml(&self) -> String {
        let mut shown = self.clone();
        shown.api.keys.fill(Api::REDACTED.to_owned());
        for secret in shown.tokens.keys.iter_mut().filter_map(|key| key.secret.as_mut()) {
            Tokens::REDACTED.clone_into(secret);
        }
        if shown.hooks.secret_file.is_some() {
            // It came from there, and will again.
            shown.hooks.secret = None;
        }
        if let Some(secret) = &mut shown.hooks.secret {
            *secret = Api::REDACTED.to_owned();
        }
        toml::to_string(&shown).expect("invariant: tables with text keys, numbers, texts and lists are always TOML")
    }
}

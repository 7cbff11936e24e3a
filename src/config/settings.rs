//! Every key of the configuration, with its default.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::units::{ByteSize, Span};

/// The whole configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Listeners, threads, drain, origins.
    pub server: Server,
    /// Ping rules.
    pub liveness: Liveness,
    /// Every limit.
    pub limits: Limits,
    /// The server API under `/api`.
    pub api: Api,
    /// Server-Sent Events.
    pub sse: Sse,
    /// Logging.
    pub log: Log,
    /// Rules per topic pattern; the first match wins, then the built-in rules ([`TopicRules::default`]).
    pub topics: Vec<TopicRules>,
    /// WebSocket paths with declared behaviour.
    pub endpoints: Vec<Endpoint>,
    /// Texts, files and directories served over HTTP.
    pub pages: Vec<Page>,
}

/// `[server]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Addresses to listen on. Default `["127.0.0.1:8000"]`.
    pub listen: Vec<SocketAddr>,
    /// Worker threads; 0 means one per available core. Default 0.
    pub workers: usize,
    /// How long a drain may take. Default `"10s"`.
    pub drain: Span,
    /// Origins allowed beside the page's own host: `scheme://host[:port]`, or `"*"` for any. A request without `Origin` passes. Default `[]`.
    pub origins: Vec<String>,
    /// Says in words that anyone who reaches a public address may publish. Default false.
    pub anyone_may_publish_from_public_addresses: bool,
    /// Whether `/` serves the try-it page when no page is configured there. Default true.
    pub try_it_page: bool,
}

/// `[liveness]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Liveness {
    /// A connection not heard from for this long is pinged. Default `"25s"`.
    pub ping_interval: Span,
    /// A ping unanswered for this long ends the connection. Default `"10s"`.
    pub pong_timeout: Span,
}

/// `[limits]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Open connections of all kinds. Default 100000.
    pub connections: usize,
    /// Topics in memory. Default 1000000.
    pub topics: usize,
    /// Topics of one connection. Default 128.
    pub subscriptions: usize,
    /// Bytes of one message from a client or one published body. Default `"64KiB"`.
    pub message: ByteSize,
    /// Bytes of an HTTP request head. Default `"16KiB"`.
    pub header: ByteSize,
    /// Time for a whole request head to arrive. Default `"10s"`.
    pub header_timeout: Span,
    /// Time an HTTP connection may stay open between requests. Default `"75s"`.
    pub keep_alive: Span,
    /// Bytes that wait in one worker's mailbox. Default `"16MiB"`.
    pub mailbox: ByteSize,
    /// How long a publisher over HTTP waits for room before 503. Default `"5s"`.
    pub publish_wait: Span,
    /// Outbound bytes waiting in the whole process. Default `"1GiB"`.
    pub outbound_total: ByteSize,
    /// History bytes in the whole process. Default `"256MiB"`.
    pub history_total: ByteSize,
    /// Time for the close handshake. Default `"5s"`.
    pub close_timeout: Span,
}

/// `[api]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Api {
    /// Keys accepted in `X-API-Key`; none means the API answers 401 to everyone.
    pub keys: Vec<String>,
    /// A file with one key per line, added to `keys`.
    pub keys_file: Option<PathBuf>,
}

/// `[sse]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Sse {
    /// The mean of the reconnection delay told to clients; each gets 0.5 to 1.5 times it. Default `"3s"`.
    pub retry: Span,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter expression. Default `"info"`.
    pub level: String,
    /// `text` or `json`. Default `text`.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// One `[[topics]]` entry: the rules of the topics that match its pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicRules {
    /// A topic name, where `*` stands for any run of characters. Default `"*"`.
    pub pattern: String,
    /// What is kept for those who join or come back. Default: nothing.
    pub history: History,
    /// Who may publish. Default `api`.
    pub publish: PublishRule,
    /// What happens to a subscriber that lags. Default: disconnect at 1 MiB or 60 s.
    pub slow_consumer: SlowConsumer,
}

/// How much of a topic is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// Publications kept; 0 keeps none. Default 0.
    pub size: usize,
    /// How long each is kept. Default `"1h"`.
    pub ttl: Span,
}

/// Who may publish to a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishRule {
    /// Anyone: over HTTP without a key, and any subscribed client.
    Anyone,
    /// Subscribed clients, and the API with a key.
    Subscribers,
    /// Only the API with a key.
    Api,
}

/// What happens to a subscriber that lags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowConsumer {
    /// Default `disconnect`.
    pub policy: SlowPolicy,
    /// Bytes a blocked subscriber may lag behind. Default `"1MiB"`.
    pub lag: ByteSize,
    /// How long the oldest unsent byte may wait. Default `"60s"`.
    pub age: Span,
}

/// The slow-consumer policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowPolicy {
    /// Close with a code that makes clients come back and resume.
    Disconnect,
    /// Jump to the newest publication, with a notice of what was missed.
    Skip,
    /// Keep only the newest publication.
    Latest,
}

/// One `[[endpoints]]` entry. All keys but `path` are optional and compose.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Endpoint {
    /// The URL path.
    pub path: String,
    /// Messages from clients are published here; publications come out.
    pub topic: Option<String>,
    /// A text sent first.
    pub welcome: Option<String>,
    /// Send a fresh UUIDv4 first, before everything else.
    pub identify: bool,
    /// Then send the topic's history.
    pub replay: bool,
    /// Answered to the sender of each message; `{message}` stands for it.
    pub reply: Option<String>,
    /// Published to the topic when a client comes or goes.
    pub announce: Announce,
    /// A minijinja template: JSON messages are rendered through it before they are published.
    pub template: Option<PathBuf>,
    /// Fields a JSON message must have, all strings. Default with a template: `["uid", "message"]`.
    pub fields: Vec<String>,
    /// As `server.origins`, for this path only. Default: `server.origins`.
    pub origins: Option<Vec<String>>,
    /// As `liveness.ping_interval`, for this path only; pings are then sent on schedule, heard from or not.
    pub ping_interval: Option<Span>,
    /// Log open, message, pong and close of each connection at `info`.
    pub log_lifecycle: bool,
}

/// Texts published when a client of an endpoint comes or goes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Announce {
    /// When one comes; it receives this, too.
    pub join: Option<String>,
    /// When one goes.
    pub leave: Option<String>,
}

/// One `[[pages]]` entry: exactly one of `text`, `file` and `directory`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// The URL path; for a directory, the prefix.
    pub path: String,
    /// This text, as `text/plain`.
    pub text: Option<String>,
    /// This file, relative to the configuration file.
    pub file: Option<PathBuf>,
    /// The files below this directory, relative to the configuration file.
    pub directory: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: Server::default(),
            liveness: Liveness::default(),
            limits: Limits::default(),
            api: Api::default(),
            sse: Sse::default(),
            log: Log::default(),
            topics: Vec::new(),
            endpoints: Vec::new(),
            pages: Vec::new(),
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 8000))],
            workers: 0,
            drain: Span::secs(10),
            origins: Vec::new(),
            anyone_may_publish_from_public_addresses: false,
            try_it_page: true,
        }
    }
}

impl Default for Liveness {
    fn default() -> Self {
        Self { ping_interval: Span::secs(25), pong_timeout: Span::secs(10) }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 100_000,
            topics: 1_000_000,
            subscriptions: 128,
            message: ByteSize::kib(64),
            header: ByteSize::kib(16),
            header_timeout: Span::secs(10),
            keep_alive: Span::secs(75),
            mailbox: ByteSize::mib(16),
            publish_wait: Span::secs(5),
            outbound_total: ByteSize::mib(1024),
            history_total: ByteSize::mib(256),
            close_timeout: Span::secs(5),
        }
    }
}

impl Default for Sse {
    fn default() -> Self {
        Self { retry: Span::secs(3) }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Text }
    }
}

impl Default for TopicRules {
    fn default() -> Self {
        Self {
            pattern: "*".to_owned(),
            history: History::default(),
            publish: PublishRule::Api,
            slow_consumer: SlowConsumer::default(),
        }
    }
}

impl Default for History {
    fn default() -> Self {
        Self { size: 0, ttl: Span::secs(3600) }
    }
}

impl Default for SlowConsumer {
    fn default() -> Self {
        Self { policy: SlowPolicy::Disconnect, lag: ByteSize::mib(1), age: Span::secs(60) }
    }
}

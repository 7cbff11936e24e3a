//! A hub of a test's own, on a free port.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use fanfare::admin::counters::{Counter, Counters, Protocol};
use fanfare::close_reason::CloseReason;
use fanfare::config::{Config, Loaded, Source, Span};
use fanfare::server::{RunError, Server};

use crate::client::{Events, Http, WebSocket};

/// A hub of a test's own. Drains when dropped.
#[derive(Debug)]
pub(crate) struct TestHub {
    server: Server,
}

impl TestHub {
    /// A hub with `workers` workers. `config` is TOML that goes on inside `[server]`, so its first lines may be keys of
    /// that table.
    #[track_caller]
    pub(crate) fn start(workers: usize, config: &str) -> Self {
        Self::start_with(workers, config, || {})
    }

    /// The same with a function that a worker calls a second after 64 handshakes.
    #[track_caller]
    pub(crate) fn start_with(workers: usize, config: &str, collect: fn()) -> Self {
        let mut text = format!("[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = {workers}\n{config}\n");
        if !config.contains("[liveness]") {
            // Pings come when they come: only tests about them have any.
            text.push_str("[liveness]\nping_interval = \"300d\"\n");
        }
        let config = match Config::from_toml(&text, &root()) {
            Ok(config) => config,
            Err(error) => panic!("{error}"),
        };
        Self::serve(config, collect)
    }

    /// A hub with a configuration file of this project, but on a free port and with two workers.
    #[track_caller]
    pub(crate) fn from_file(file: &str) -> Self {
        let path = root().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let mut config = Config::from_toml(&text, path.parent().unwrap()).unwrap();
        config.server.listen = vec!["127.0.0.1:0".parse().unwrap()];
        config.server.workers = 2;
        config.liveness.ping_interval = Span::secs(300 * 24 * 3600);
        Self::serve(config, || {})
    }

    #[track_caller]
    fn serve(config: Config, collect: fn()) -> Self {
        // As from a file: the details of refusals are not shown, as in production.
        let loaded = Loaded { config, source: Source::File(PathBuf::from("test.toml")), warnings: Vec::new() };
        Self { server: Server::start(&loaded, collect).unwrap() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.addresses()[0]
    }

    pub(crate) fn websocket(&self, target: &str) -> WebSocket {
        WebSocket::open(self.address(), target)
    }

    /// A client of the Centrifuge protocol (in JSON) that is let in.
    #[track_caller]
    pub(crate) fn client(&self) -> WebSocket {
        let mut client = self.websocket("/connection/websocket");
        let reply = client.ask(&serde_json::json!({"id": 1, "connect": {}}));
        assert!(reply["connect"]["client"].is_string(), "{reply}");
        client
    }

    pub(crate) fn http(&self) -> Http {
        Http::connect(self.address())
    }

    pub(crate) fn events(&self, target: &str) -> Events {
        Events::open(self.address(), target, &[])
    }

    /// Publishes over HTTP and asserts that it was acknowledged; returns the position.
    #[track_caller]
    pub(crate) fn publish(&self, topic: &str, body: impl AsRef<[u8]>) -> String {
        self.http().publish(topic, body)
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.server.surface().counters
    }

    /// The sum of a counter over all workers.
    pub(crate) fn sum(&self, of: impl Fn(&fanfare::admin::counters::ShardCounters) -> &Counter) -> u64 {
        self.counters().shards.iter().map(|shard| of(shard).get()).sum()
    }

    /// Connections of a protocol that ended for a reason.
    pub(crate) fn closed(&self, protocol: Protocol, reason: CloseReason) -> u64 {
        self.sum(|shard| shard.closed[protocol.index()].of(reason))
    }

    /// Connections that are open now.
    pub(crate) fn open(&self, protocol: Protocol) -> i64 {
        self.counters().shards.iter().map(|shard| shard.connections[protocol.index()].get()).sum()
    }

    /// Bytes that wait for sockets; brought up to date once a second.
    pub(crate) fn outbound_pending_bytes(&self) -> i64 {
        self.counters().shards.iter().map(|shard| shard.outbound_pending_bytes.get()).sum()
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Drains, and waits for the hub's threads at most `within`. Returns how long it took.
    #[track_caller]
    pub(crate) fn drain_and_join(self, within: Duration) -> (Duration, Result<(), RunError>) {
        let began = Instant::now();
        self.server.drain();
        let (done, ended) = mpsc::channel();
        let server = self.server;
        std::thread::spawn(move || done.send(server.join()));
        match ended.recv_timeout(within) {
            Ok(result) => (began.elapsed(), result),
            Err(_) => panic!("the hub did not end within {within:?}"),
        }
    }
}

/// The root of the project.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

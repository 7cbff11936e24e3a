//! The configuration of a hub that is started for a run. Pure.

use std::fmt::Write as _;
use std::path::Path;

/// What a run needs of the hub it starts; `None` is the hub's default.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HubSettings {
    /// Worker threads.
    pub(crate) workers: u32,
    /// Connections at once that the run needs.
    pub(crate) connections: u32,
    /// Topics of the run.
    pub(crate) topics: Option<u32>,
    /// Topics of one connection.
    pub(crate) subscriptions: Option<u32>,
    /// Bytes of a request head.
    pub(crate) header_bytes: Option<u32>,
    /// Bytes of a message.
    pub(crate) message_bytes: Option<u32>,
    /// The silence after which a peer is pinged, and the time it has to answer: a hub looks at a peer it has pinged when
    /// that time is over, so a longer one would make pings rarer than the interval.
    pub(crate) ping_interval_ms: Option<u64>,
    /// How long a drain may take.
    pub(crate) drain_ms: Option<u64>,
    /// Bytes that may wait for a subscriber before it is disconnected.
    pub(crate) lag_bytes: Option<u64>,
    /// Whether clients that offer compression get it.
    pub(crate) compression: bool,
    /// Whether subscribers connect over TLS, at a listener of its own.
    pub(crate) tls: bool,
}

/// A second listener, where subscribers connect over TLS.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SecureListener<'a> {
    /// Its port of 127.0.0.1.
    pub(crate) port: u16,
    /// What it shows, in PEM.
    pub(crate) certificate: &'a Path,
    /// The key to that, in PEM.
    pub(crate) key: &'a Path,
}

impl HubSettings {
    /// One worker, room for `connections`, and topics that anyone may publish to, without history.
    pub(crate) fn for_connections(connections: u32) -> Self {
        Self {
            workers: 1,
            connections,
            topics: None,
            subscriptions: None,
            header_bytes: None,
            message_bytes: None,
            ping_interval_ms: None,
            drain_ms: None,
            lag_bytes: None,
            compression: false,
            tls: false,
        }
    }

    /// The same, with room for messages of `payload_bytes` where the hub's defaults have none, and for 16 of them to wait.
    pub(crate) fn for_load(connections: u32, payload_bytes: usize) -> Self {
        const DEFAULT_MESSAGE_BYTES: u32 = 64 * 1024;
        const WAITING: u64 = 16;
        let message_bytes = u32::try_from(payload_bytes).ok().filter(|&bytes| bytes > DEFAULT_MESSAGE_BYTES);
        let lag_bytes = message_bytes.map(|bytes| u64::from(bytes) * WAITING);
        Self { message_bytes, lag_bytes, ..Self::for_connections(connections) }
    }

    /// The configuration file of a hub on `port` of 127.0.0.1, and on that of `secure` if there is one.
    pub(crate) fn to_toml(&self, port: u16, secure: Option<SecureListener<'_>>) -> String {
        // Twice what is asked for: those of the run before may not be gone when the next ones come.
        let connections = self.connections.saturating_mul(2).saturating_add(1_000);
        let mut text = format!("[server]\nlisten = [\"127.0.0.1:{port}\"]\nworkers = {}\n", self.workers);
        let mut line = |key: &str, value: Option<String>| {
            if let Some(value) = value {
                // Writing to a String does not fail.
                let _ = writeln!(text, "{key} = {value}");
            }
        };
        let ms = |value: u64| format!("\"{value}ms\"");
        line("drain", self.drain_ms.map(ms));
        line("\n[limits]\nconnections", Some(connections.to_string()));
        line("topics", self.topics.map(|topics| topics.to_string()));
        line("subscriptions", self.subscriptions.map(|count| count.to_string()));
        line("header", self.header_bytes.map(|bytes| bytes.to_string()));
        line("message", self.message_bytes.map(|bytes| bytes.to_string()));
        // Probes measure with pings, hundreds per second.
        line("control_rate", Some("0".to_owned()));
        line("\n[liveness]\nping_interval", self.ping_interval_ms.map(ms));
        line("pong_timeout", self.ping_interval_ms.map(ms));
        line("\n[compression]\nenabled", self.compression.then(|| "true".to_owned()));
        line("\n[[topics]]\npattern", Some("\"*\"".to_owned()));
        line("publish", Some("\"anyone\"".to_owned()));
        line("history", Some("{ size = 0 }".to_owned()));
        let lag = |bytes| format!("{{ policy = \"disconnect\", lag = {bytes} }}");
        line("slow_consumer", self.lag_bytes.map(lag));
        let quoted = |path: &Path| toml::Value::from(path.display().to_string()).to_string();
        let files = |at: SecureListener<'_>| {
            format!("{{ certificates = [{{ certificate = {}, key = {} }}] }}", quoted(at.certificate), quoted(at.key))
        };
        line("\n[[listeners]]\naddress", secure.map(|at| format!("\"127.0.0.1:{}\"", at.port)));
        line("surfaces", secure.map(|_| "[\"sockets\"]".to_owned()));
        line("tls", secure.map(files));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_needs_nothing_special_gets_one_worker_and_room_for_all() {
        assert_eq!(
            HubSettings::for_connections(30_000).to_toml(4711, None),
            "[server]\nlisten = [\"127.0.0.1:4711\"]\nworkers = 1\n\n[limits]\nconnections = 61000\ncontrol_rate = 0\n\n\
             [[topics]]\npattern = \"*\"\npublish = \"anyone\"\nhistory = { size = 0 }\n"
        );
    }

    #[test]
    fn only_payloads_over_the_default_raise_it() {
        assert_eq!(HubSettings::for_load(1, 65_536), HubSettings::for_connections(1));
        let text = HubSettings::for_load(1, 1_048_576).to_toml(1, None);
        assert!(text.contains("\nmessage = 1048576\n") && text.contains("lag = 16777216 }"), "{text}");
    }

    #[test]
    fn a_secure_listener_is_for_sockets_alone() {
        let (certificate, key) = (Path::new("/a \"b\"/c.pem"), Path::new("/k.pem"));
        let secure = SecureListener { port: 4712, certificate, key };
        let text = HubSettings::for_connections(1).to_toml(4711, Some(secure));
        let parsed: toml::Table = text.parse().unwrap();
        let listener = &parsed["listeners"][0];
        assert_eq!(listener["address"].as_str(), Some("127.0.0.1:4712"));
        assert_eq!(listener["surfaces"][0].as_str(), Some("sockets"));
        assert_eq!(listener["tls"]["certificates"][0]["certificate"].as_str(), certificate.to_str());
        assert_eq!(parsed["server"]["listen"][0].as_str(), Some("127.0.0.1:4711"));
    }

    #[test]
    fn what_a_run_asks_for_stands_in_its_section() {
        let settings = HubSettings {
            topics: Some(5),
            ping_interval_ms: Some(1_000),
            drain_ms: Some(500),
            lag_bytes: Some(65_536),
            compression: true,
            ..HubSettings::for_connections(1)
        };
        let text = settings.to_toml(1, None);
        let order = [
            "drain = \"500ms\"",
            "[limits]",
            "topics = 5",
            "[liveness]",
            "ping_interval = \"1000ms\"",
            "pong_timeout = \"1000ms\"",
            "[compression]",
            "enabled = true",
            "lag = 65536",
        ];
        let places: Vec<Option<usize>> = order.iter().map(|line| text.find(line)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{text}");
    }
}

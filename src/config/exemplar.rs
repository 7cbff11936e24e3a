//! A configuration in which every key has a value: the one place that knows all keys by name.
//!
//! Written without `..Default::default()`, so that a new key breaks the build until it is here, and with it in the
//! environment, in the suggestions and in the test of `config/fanfare.toml`.

use std::sync::LazyLock;

use super::{
    Acme, Announce, Api, Centrifuge, Certificate, Compression, Config, Endpoint, History, HistoryFile, Hooks, Limits,
    Listen, ListenAddress, Liveness, Log, Page, Server, SlowConsumer, Span, Sse, SurfaceName, Tls, TokenKey, Tokens,
    TopicHook, TopicRules,
};
use crate::identity::Algorithm;

/// Every key with a value of its kind, as TOML.
pub(super) fn table() -> &'static toml::Table {
    static TABLE: LazyLock<toml::Table> = LazyLock::new(|| {
        toml::Table::try_from(exemplar()).expect("invariant: tables with text keys, numbers, texts and lists are TOML")
    });
    &TABLE
}

/// The path of every key that has a value of its own: `limits.message`, `topics.history.size`.
pub(super) fn keys() -> Vec<String> {
    let mut keys = Vec::new();
    collect(table(), "", &mut keys);
    keys
}

fn collect(table: &toml::Table, prefix: &str, keys: &mut Vec<String>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => collect(inner, &path, keys),
            toml::Value::Array(entries) => match entries.first() {
                Some(toml::Value::Table(inner)) => collect(inner, &path, keys),
                _ => keys.push(path),
            },
            _ => keys.push(path),
        }
    }
}

fn exemplar() -> Config {
    let some = |text: &str| Some(text.to_owned());
    let hook = || Some("https://app.example.com/hooks".parse().expect("invariant: it is a URL"));
    let Config {
        server,
        liveness,
        limits,
        api: _,
        centrifuge,
        history,
        tokens,
        hooks,
        sse,
        compression,
        log,
        listeners: _,
        topics: _,
        endpoints: _,
        pages: _,
    } = Config::default();
    let Server { listen, workers, drain, origins: _, anyone_may_publish_from_public_addresses, try_it_page } = server;
    let Liveness { ping_interval, pong_timeout } = liveness;
    let Limits { .. } = limits;
    let HistoryFile { path, sync } = history;
    let Tokens { keys: _, jwks_url: _, jwks_refresh, audience: _, issuer: _, leeway } = tokens;
    let Hooks { timeout, concurrency, queue, answer, coalesce, .. } = hooks;
    let Sse { retry } = sse;
    let Compression { enabled, level: effort, threshold } = compression;
    let Log { level, format } = log;
    let rules = TopicRules::default();
    Config {
        server: Server {
            listen,
            workers,
            drain,
            origins: vec!["https://example.com".to_owned()],
            anyone_may_publish_from_public_addresses,
            try_it_page,
        },
        liveness: Liveness { ping_interval, pong_timeout },
        limits,
        api: Api { keys: vec!["key".to_owned()], keys_file: Some("keys.txt".into()) },
        centrifuge: Centrifuge {
            anonymous: centrifuge.anonymous,
            personal: some("user:#{user}"),
            known_namespaces: centrifuge.known_namespaces,
            recovery_limit: centrifuge.recovery_limit,
            connect_timeout: centrifuge.connect_timeout,
            refresh_grace: centrifuge.refresh_grace,
        },
        history: HistoryFile { path, sync },
        tokens: Tokens {
            keys: vec![TokenKey {
                algorithm: Algorithm::Hs256,
                secret: some("secret"),
                secret_file: Some("secret.txt".into()),
                public_key: some("-----BEGIN PUBLIC KEY-----"),
                public_key_file: Some("key.pem".into()),
                id: some("2027"),
            }],
            jwks_url: some("https://auth.example.com/.well-known/jwks.json"),
            jwks_refresh,
            audience: some("push"),
            issuer: some("https://auth.example.com"),
            leeway,
        },
        hooks: Hooks {
            connect: hook(),
            refresh: hook(),
            subscribe: hook(),
            publish: hook(),
            sub_refresh: hook(),
            rpc: hook(),
            unsubscribe: hook(),
            disconnect: hook(),
            timeout,
            concurrency,
            queue,
            answer,
            headers: vec!["cookie".to_owned()],
            emulated_headers: vec!["authorization".to_owned()],
            secret: some("secret"),
            secret_file: Some("secret.txt".into()),
            ca_file: Some("authorities.pem".into()),
            coalesce,
        },
        sse: Sse { retry },
        compression: Compression { enabled, level: effort, threshold },
        log: Log { level, format },
        listeners: vec![Listen {
            address: ListenAddress::Systemd("public".to_owned()),
            surfaces: SurfaceName::ALL.to_vec(),
            origins: Some(vec!["https://example.com".to_owned()]),
            connections: Some(1),
            compression: Some(true),
            compression_threshold: Some(threshold),
            base_path: "/push".to_owned(),
            trusted_proxies: ["10.0.0.0/8".parse().expect("invariant: it is a network")].into_iter().collect(),
            proxy_protocol: false,
            mode: some("660"),
            tls: Some(Tls {
                certificates: vec![Certificate { certificate: "cert.pem".into(), key: "key.pem".into() }],
                acme: Some(Acme {
                    domains: vec!["push.example.com".to_owned()],
                    contact: vec!["mailto:ops@example.com".to_owned()],
                    cache: "acme".into(),
                    directory: "https://acme-v02.api.letsencrypt.org/directory".to_owned(),
                    directory_ca: Some("authorities.pem".into()),
                }),
                client_ca: Some("clients.pem".into()),
            }),
        }],
        topics: vec![TopicRules {
            pattern: rules.pattern,
            name_regex: rules.name_regex,
            publish: rules.publish,
            history: History { size: rules.history.size, ttl: rules.history.ttl, store: rules.history.store },
            slow_consumer: SlowConsumer {
                policy: rules.slow_consumer.policy,
                lag: rules.slow_consumer.lag,
                age: rules.slow_consumer.age,
            },
            write_delay: rules.write_delay,
            compress: rules.compress,
            subscribe: rules.subscribe,
            read_history: rules.read_history,
            read_presence: rules.read_presence,
            presence: rules.presence,
            join_leave: rules.join_leave,
            join_leave_rate: rules.join_leave_rate,
            recovery: rules.recovery,
            delta: rules.delta,
            filter: rules.filter,
            user_limited: rules.user_limited,
            wildcards: rules.wildcards,
            hooks: vec![TopicHook::Subscribe],
        }],
        endpoints: vec![Endpoint {
            path: "/chat".to_owned(),
            topic: some("chat"),
            welcome: some("hello"),
            identify: true,
            replay: true,
            reply: some("{message}"),
            template: Some("message.html".into()),
            fields: vec!["message".to_owned()],
            origins: Some(vec!["*".to_owned()]),
            ping_interval: Some(Span::secs(1)),
            log_lifecycle: true,
            announce: Announce { join: some("joined"), leave: some("left") },
        }],
        pages: vec![Page {
            path: "/".to_owned(),
            text: some("text"),
            file: Some("index.html".into()),
            directory: Some("static".into()),
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_at_most_a_hundred_and_fifty_keys() {
        // Seventy were meant; listeners, TLS and the limits on abuse, tokens, hooks and the rules of topics came to the rest.
        let keys = keys();
        assert!(keys.len() <= 150, "{}: {keys:#?}", keys.len());
        assert!(keys.contains(&"topics.history.size".to_owned()) && keys.contains(&"pages.directory".to_owned()));
    }

    #[test]
    fn no_key_has_an_empty_value_because_its_kind_could_not_be_told() {
        fn full(value: &toml::Value) -> bool {
            match value {
                toml::Value::Array(entries) => !entries.is_empty() && entries.iter().all(full),
                toml::Value::Table(table) => !table.is_empty() && table.values().all(full),
                _ => true,
            }
        }
        assert!(table().values().all(full));
    }
}

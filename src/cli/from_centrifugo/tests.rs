use std::path::Path;

use serde_json::json;

use super::*;
use crate::config::{Config, JoinLeave, PublishRule, ReadRule, RecoveryRule, SubscribeRule, TopicHook, TopicRules};

fn load(json: &Value) -> (Config, Vec<Note>) {
    let converted = convert(json);
    let config =
        Config::from_toml(&converted.toml, Path::new("")).unwrap_or_else(|error| panic!("{error}\n{}", converted.toml));
    (config, converted.notes)
}

#[test]
fn the_configuration_of_the_interop_tests_becomes_the_one_that_was_written_by_hand() {
    let theirs = serde_json::from_str(include_str!("../../../tests/interop/centrifuge/centrifugo.json")).unwrap();
    let (config, notes) = load(&theirs);
    let by_hand = include_str!("../../../tests/interop/centrifuge/fanfare.toml");
    let mut by_hand = Config::from_toml(by_hand, Path::new("")).unwrap();
    // Those are ours alone.
    by_hand.topics.retain(|rules| !rules.wildcards);
    assert_eq!(config.server.listen, by_hand.server.listen);
    assert_eq!(config.centrifuge, by_hand.centrifuge);
    assert_eq!(config.api, by_hand.api);
    assert_eq!(config.log.level, by_hand.log.level);
    assert!(config.tokens.keys.contains(&by_hand.tokens.keys[0]));
    assert_eq!((&config.hooks.rpc, &config.hooks.subscribe), (&by_hand.hooks.rpc, &by_hand.hooks.subscribe));
    assert_eq!(
        (&config.hooks.publish, &config.hooks.sub_refresh),
        (&by_hand.hooks.publish, &by_hand.hooks.sub_refresh)
    );
    assert_eq!(config.hooks.timeout, by_hand.hooks.timeout);
    let patterns = |config: &Config| config.topics.iter().map(|rules| rules.pattern.clone()).collect::<Vec<_>>();
    assert_eq!(patterns(&config), patterns(&by_hand));
    for (made, written) in config.topics.iter().zip(&by_hand.topics) {
        // What nobody set there has another default here, and the one by hand leaves it so: reading, and recovery of nothing.
        let mut expected = TopicRules {
            slow_consumer: made.slow_consumer,
            read_history: made.read_history,
            read_presence: made.read_presence,
            ..written.clone()
        };
        if !made.keeps_history() {
            expected.recovery = made.recovery;
        }
        assert_eq!(*made, expected, "{}", made.pattern);
    }
    let topic = |pattern: &str| config.topics.iter().find(|rules| rules.pattern == pattern).unwrap();
    assert_eq!(topic("hh:*").read_history, ReadRule::Anyone);
    assert_eq!(topic("short:*").read_history, ReadRule::Subscribers);
    assert_eq!(topic("pp:*").read_presence, ReadRule::Subscribers);
    assert_eq!(topic("hidden:*").read_presence, ReadRule::Api);
    let missing: Vec<&Note> = notes.iter().filter(|note| note.kind == NoteKind::Missing).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The rules of a namespace, and the notes about it, where clients may connect without a token.
fn rules(namespace: &str) -> (TopicRules, Vec<Note>) {
    let mut namespace: Value = serde_json::from_str(namespace).unwrap();
    namespace["name"] = json!("news");
    let json = json!({
        "client": {"allow_anonymous_connect_without_token": true}, "channel": {"namespaces": [namespace]},
        "http_server": {"address": "127.0.0.1"},
    });
    let (config, mut notes) = load(&json);
    notes.retain(|note| note.key.starts_with("channel.namespaces["));
    (config.topics[0].clone(), notes)
}

#[test]
fn each_option_of_a_namespace_has_its_rule() {
    let check = |namespace: &str, is: fn(&TopicRules) -> bool| {
        let (rules, notes) = rules(namespace);
        assert!(is(&rules), "{namespace}: {rules:?}");
        assert!(notes.iter().all(|note| note.kind != NoteKind::Missing), "{namespace}: {notes:?}");
    };
    check("{}", |is| {
        (is.subscribe, is.publish, is.read_history) == (SubscribeRule::Token, PublishRule::Api, ReadRule::Api)
    });
    check(r#"{"allow_subscribe_for_client":true}"#, |is| is.subscribe == SubscribeRule::Authenticated);
    check(r#"{"allow_subscribe_for_client":true,"allow_subscribe_for_anonymous":true}"#, |is| {
        is.subscribe == SubscribeRule::Anyone
    });
    check(r#"{"allow_subscribe_for_anonymous":true}"#, |is| is.subscribe == SubscribeRule::Token);
    check(r#"{"allow_publish_for_client":true}"#, |is| is.publish == PublishRule::Authenticated);
    check(r#"{"allow_publish_for_client":true,"allow_publish_for_anonymous":true}"#, |is| {
        is.publish == PublishRule::Anyone
    });
    check(r#"{"allow_publish_for_subscriber":true}"#, |is| is.publish == PublishRule::Subscribers);
    check(r#"{"allow_publish_for_subscriber":true,"allow_subscribe_for_client":true}"#, |is| {
        is.publish == PublishRule::Authenticated
    });
    check(r#"{"allow_history_for_client":true}"#, |is| is.read_history == ReadRule::Authenticated);
    check(r#"{"allow_presence_for_client":true,"allow_presence_for_anonymous":true}"#, |is| {
        is.read_presence == ReadRule::Anyone
    });
    check(r#"{"presence":true,"join_leave":true}"#, |is| is.presence && is.join_leave == JoinLeave::Asked);
    check(r#"{"join_leave":true,"force_push_join_leave":true}"#, |is| is.join_leave == JoinLeave::Always);
    check(r#"{"history_size":5,"history_ttl":"1m30s"}"#, |is| {
        is.history.size == 5 && is.history.ttl.to_string() == "90s" && is.recovery == RecoveryRule::Off
    });
    check(r#"{"history_size":5,"history_ttl":"1m","allow_recovery":true}"#, |is| is.recovery == RecoveryRule::Asked);
    check(r#"{"history_size":5,"history_ttl":"1m","force_recovery":true}"#, |is| is.recovery == RecoveryRule::Always);
    check(r#"{"history_size":5,"history_ttl":"1m","force_recovery":true,"force_recovery_mode":"cache"}"#, |is| {
        is.recovery == RecoveryRule::Cache
    });
    check(r#"{"channel_regex":"^\\d+$"}"#, |is| is.allow("news:17") && !is.allow("news:x") && !is.allow("news:"));
    check(r#"{"channel_regex":"a"}"#, |is| is.allow("news:bab") && !is.allow("news:b"));
    check(r#"{"channel_regex":""}"#, |is| is.name_regex.is_any());
    check(r#"{"history_size":5}"#, |is| !is.keeps_history());
    check(r#"{"history_size":5,"history_ttl":"1m","allowed_delta_types":["fossil"]}"#, |is| is.delta);
    check(r#"{"allow_tags_filter":true,"allow_user_limited_channels":true}"#, |is| is.filter && is.user_limited);
}

#[test]
fn what_a_backend_decides_is_closed_if_it_cannot_be_asked() {
    let namespace = json!({
        "allow_subscribe_for_client": true, "allow_publish_for_client": true,
        "subscribe_proxy_enabled": true, "publish_proxy_enabled": true, "sub_refresh_proxy_enabled": true,
    });
    let proxies = |endpoint: &str| {
        let proxy = json!({"endpoint": endpoint});
        let channel = json!({
            "without_namespace": namespace, "proxy": {"subscribe": proxy, "publish": proxy, "sub_refresh": proxy},
        });
        load(&json!({"channel": channel, "http_server": {"address": "127.0.0.1"}}))
    };
    let (config, notes) = proxies("http://127.0.0.1:3000/");
    assert_eq!(config.topics[0].hooks, [TopicHook::Subscribe, TopicHook::Publish, TopicHook::SubRefresh]);
    assert!(notes.iter().all(|note| note.kind != NoteKind::Missing), "{notes:?}");

    let (config, notes) = proxies("grpc://127.0.0.1:3000");
    let rules = &config.topics[0];
    assert_eq!((rules.subscribe, rules.publish), (SubscribeRule::Token, PublishRule::Api));
    assert!(rules.hooks.is_empty());
    for hook in ["subscribe", "publish", "sub_refresh"] {
        let key = format!("channel.without_namespace.{hook}_proxy_enabled");
        assert!(notes.iter().any(|note| note.kind == NoteKind::Missing && note.key == key), "{key}: {notes:?}");
    }
}

#[test]
fn an_option_without_a_counterpart_is_missing_by_its_name() {
    for (namespace, key) in [
        (r#"{"channel_regex":"[+--]"}"#, "channel_regex"),
        (r#"{"channel_regex":7}"#, "channel_regex"),
        (r#"{"history_meta_ttl":"1h"}"#, "history_meta_ttl"),
        (r#"{"publish_proxy_name":"mine"}"#, "publish_proxy_name"),
        (r#"{"allowed_delta_types":["fossil"]}"#, "allowed_delta_types"),
        (r#"{"presence":"yes"}"#, "presence"),
        (r#"{"history_size":-1}"#, "history_size"),
        (r#"{"nobody_knows":{"this":1}}"#, "nobody_knows.this"),
    ] {
        let (_, notes) = rules(namespace);
        let key = format!("channel.namespaces[0].{key}");
        assert!(notes.iter().any(|note| note.kind == NoteKind::Missing && note.key == key), "{namespace}: {notes:?}");
    }
}

#[test]
fn nobody_is_let_in_who_needs_a_token_there() {
    let open = json!({"allow_subscribe_for_client": true, "allow_subscribe_for_anonymous": true,
        "allow_publish_for_client": true, "allow_publish_for_anonymous": true});
    let (config, _) = load(&json!({"channel": {"without_namespace": open}}));
    assert_eq!(config.topics[0].subscribe, SubscribeRule::Authenticated);
    assert_eq!(config.topics[0].publish, PublishRule::Authenticated);
}

#[test]
fn publishing_that_is_open_to_anyone_stays_on_this_machine_until_somebody_says_so() {
    let open = json!({"allow_publish_for_client": true, "allow_publish_for_anonymous": true});
    let client = json!({"allow_anonymous_connect_without_token": true});
    let (config, notes) = load(&json!({"client": client, "channel": {"without_namespace": open}}));
    assert_eq!(config.server.listen, ["127.0.0.1:8000".parse().unwrap()]);
    assert!(notes.iter().any(|note| note.kind == NoteKind::Missing && note.key == "http_server.address"), "{notes:?}");
    let (config, _) = load(&json!({}));
    assert_eq!(config.server.listen, ["0.0.0.0:8000".parse().unwrap()]);
}

#[test]
fn an_internal_port_is_a_listener_for_the_api_alone() {
    let (config, _) =
        load(&json!({"http_server": {"port": 8001, "internal_address": "127.0.0.1", "internal_port": "9000"}}));
    let listeners: Vec<_> = config.listeners.iter().map(|one| (one.address.to_string(), one.surfaces.len())).collect();
    assert_eq!(listeners, [("0.0.0.0:8001".to_owned(), 1), ("127.0.0.1:9000".to_owned(), 3)]);
}

#[test]
fn settings_of_the_client_have_their_keys() {
    let (config, notes) = load(&json!({
        "client": {
            "allowed_origins": ["https://a.example", "not an origin"], "ping_interval": "30s", "pong_timeout": "9s",
            "stale_close_delay": "7s", "expired_close_delay": "1m", "expired_sub_close_delay": "1m", "channel_limit": 5,
            "connection_limit": 0, "user_connection_limit": 3, "connection_rate_limit": 100, "queue_max_size": 1,
            "token": {"jwks_public_endpoint": "https://a.example/jwks", "audience": "me", "issuer": "you", "issuer_regex": "x"},
            "subscription_token": {"enabled": true, "hmac_secret_key": "s3cret"},
        },
        "websocket": {"message_size_limit": 2_000_000, "compression": true, "compression_level": 1},
    }));
    assert_eq!(config.server.origins, ["https://a.example"]);
    assert_eq!(
        (config.liveness.ping_interval.to_string(), config.liveness.pong_timeout.to_string()),
        ("30s".into(), "9s".into())
    );
    assert_eq!(config.centrifuge.connect_timeout.to_string(), "7s");
    assert_eq!(config.centrifuge.refresh_grace.to_string(), "1m");
    assert_eq!(
        (config.limits.subscriptions, config.limits.connections_per_user, config.limits.handshakes),
        (5, 3, 100)
    );
    assert_eq!((config.limits.message.0, config.topics[0].slow_consumer.lag.0), (2_000_000, 2_000_000));
    assert_eq!(config.tokens.jwks_url.as_deref(), Some("https://a.example/jwks"));
    assert!(config.compression.enabled && config.compression.level == 1);
    let missing: Vec<&str> =
        notes.iter().filter(|note| note.kind == NoteKind::Missing).map(|note| note.key.as_str()).collect();
    let expected = [
        "client.subscription_token.enabled",
        "client.allowed_origins",
        "client.subscription_token.hmac_secret_key",
        "client.token.issuer_regex",
    ];
    assert_eq!(missing, expected);
    assert!(notes.iter().all(|note| !note.why.contains("s3cret")), "{notes:?}");
}

mod properties;

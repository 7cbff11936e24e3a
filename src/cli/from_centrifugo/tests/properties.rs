//! Whatever the configuration: it converts to something that loads, and no key is dropped silently.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::convert;
use super::super::leaves::Leaves;
use crate::config::Config;

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0u32..2000).prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
        prop::sample::select(vec![
            "10s",
            "1h30m",
            "-1",
            "cache",
            "fossil",
            "http://a/b",
            "127.0.0.1",
            "*",
            "debug",
            "a"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(
                prop_oneof!["[a-z.\\[\\]\"]{0,4}", prop::sample::select(KEYS.to_vec()).prop_map(str::to_owned)],
                inner,
                0..4
            )
            .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Paths that something is made of, and some that are told.
const PATHS: [&str; 44] = [
    "/http_server/address",
    "/http_server/port",
    "/http_server/internal_port",
    "/http_server/tls/enabled",
    "/log/level",
    "/client/allowed_origins",
    "/client/token/hmac_secret_key",
    "/client/token/rsa_public_key",
    "/client/token/audience",
    "/client/token/jwks_public_endpoint",
    "/client/subscription_token/enabled",
    "/client/queue_max_size",
    "/client/allow_anonymous_connect_without_token",
    "/client/ping_interval",
    "/client/channel_limit",
    "/client/concurrency",
    "/client/subscribe_to_user_personal_channel/enabled",
    "/client/proxy/connect/enabled",
    "/client/proxy/connect/endpoint",
    "/client/proxy/connect/http_headers",
    "/client/expired_sub_close_delay",
    "/client/history_max_publication_limit",
    "/channel/proxy/publish/endpoint",
    "/channel/proxy/publish/timeout",
    "/channel/proxy/publish/http_headers",
    "/channel/proxy/subscribe/endpoint",
    "/channel/proxy/subscribe/timeout",
    "/channel/without_namespace/presence",
    "/channel/without_namespace/history_size",
    "/channel/without_namespace/history_ttl",
    "/channel/namespaces",
    "/channel/without_namespace/allow_publish_for_client",
    "/channel/without_namespace/allow_publish_for_anonymous",
    "/channel/without_namespace/allowed_delta_types",
    "/channel/without_namespace/force_recovery",
    "/channel/max_length",
    "/channel/private_prefix",
    "/rpc/proxy/endpoint",
    "/rpc/namespaces",
    "/http_api/key",
    "/sse/enabled",
    "/admin/enabled",
    "/engine/type",
    "/websocket/message_size_limit",
];

const KEYS: [&str; 8] =
    ["name", "enabled", "endpoint", "history_size", "presence", "client", "channel", "allow_subscribe_for_client"];

fn put(json: &mut Value, path: &str, value: Value) {
    let mut at = json;
    for step in path.split('/').skip(1) {
        at = &mut at[step];
    }
    *at = value;
}

fn configuration() -> impl Strategy<Value = Value> {
    let some = prop::collection::btree_map(prop::sample::select(PATHS.to_vec()), sensible(), 0..10);
    let namespace = prop::collection::btree_map(prop::sample::select(KEYS.to_vec()), sensible(), 0..4);
    (some, prop::collection::vec(namespace, 0..3)).prop_map(|(values, namespaces)| {
        let mut json = json!({});
        put(&mut json, "/channel/namespaces", json!(namespaces));
        for (path, value) in values {
            put(&mut json, path, value);
        }
        json
    })
}

/// Mostly of the kind that a key has.
fn sensible() -> impl Strategy<Value = Value> {
    let usual = prop::sample::select(vec![
        json!(true),
        json!(false),
        json!(7),
        json!(70_000),
        json!("7s"),
        json!("9m"),
        json!("ab"),
        json!("http://a.example/x"),
        json!(["cookie"]),
        json!(["x-a", "x-b"]),
        json!(["fossil"]),
        json!(["https://a.example"]),
        json!("127.0.0.1"),
    ]);
    prop_oneof![4 => usual, 1 => anything()]
}

/// Every leaf, and the document without it.
fn without_each(json: &Value) -> Vec<(String, Value, Value)> {
    fn visit(whole: &Value, here: &Value, pointer: &str, found: &mut Vec<(Value, Value)>) {
        if let Value::Object(map) = here {
            for (key, inner) in map {
                let step = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                let is_leaf = Leaves::of(&json!({"x": inner})).paths() == ["x"];
                if is_leaf {
                    let mut without = whole.clone();
                    without.pointer_mut(pointer).and_then(Value::as_object_mut).unwrap().remove(key);
                    found.push((without, inner.clone()));
                } else {
                    visit(whole, inner, &step, found);
                }
            }
        } else if let Value::Array(list) = here {
            for (index, inner) in list.iter().enumerate() {
                visit(whole, inner, &format!("{pointer}/{index}"), found);
            }
        }
    }
    let mut found = Vec::new();
    visit(json, json, "", &mut found);
    let all = Leaves::of(json).paths();
    let path_of = |without: &Value| {
        let left = Leaves::of(without).paths();
        all.iter().find(|path| !left.contains(path)).cloned().unwrap_or_default()
    };
    found.into_iter().map(|(without, value)| (path_of(&without), without, value)).collect()
}

/// What Centrifugo takes for "not set".
fn is_nothing(value: &Value) -> bool {
    [json!(null), json!(false), json!(0), json!(""), json!([]), json!({})].contains(value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn no_json_makes_it_panic_and_what_comes_out_loads(json in prop_oneof![anything(), configuration()]) {
        let converted = convert(&json);
        prop_assert!(Config::from_toml(&converted.toml, Path::new("")).is_ok(), "{}", converted.toml);
    }

    #[test]
    fn unknown_keys_are_all_told(json in anything()) {
        let json = json!({"not_centrifugo": json});
        let told: Vec<String> = convert(&json).notes.into_iter().map(|note| note.key).collect();
        for path in Leaves::of(&json).paths() {
            prop_assert!(told.contains(&path), "{}: {:?}", path, told);
        }
    }

    #[test]
    fn each_key_changes_the_toml_or_is_told(json in configuration()) {
        let with = convert(&json);
        for (path, without, value) in without_each(&json) {
            let told = with.notes.iter().any(|note| note.key == path || note.key.starts_with(&format!("{path}[")));
            let changes = convert(&without).toml != with.toml;
            prop_assert!(told || changes || is_nothing(&value), "{} = {} was dropped\n{}", path, value, with.toml);
        }
    }
}

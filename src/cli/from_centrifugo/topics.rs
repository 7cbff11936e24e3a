//! Centrifugo's namespaces: `[[topics]]`.

use toml::Value;

use super::conversion::Conversion;
use super::draft::{MOST_TOPICS, inline};
use super::go_regex;
use super::note::NoteKind::{Differs, Missing, Settled};

/// What is the same for all topics.
#[derive(Debug, Clone, Copy)]
pub(super) struct Everywhere {
    /// Whether clients may connect without a token.
    pub(super) anonymous: bool,
    /// `client.queue_max_size`, if it is given.
    pub(super) lag: Option<i64>,
}

/// The namespaces in their order, then the topics without one.
pub(super) fn convert(of: &mut Conversion, namespaces: usize, everywhere: Everywhere) {
    for index in 0..namespaces {
        let path = format!("channel.namespaces[{index}]");
        let key = format!("{path}.name");
        let Some(name) = of.text(&key) else {
            of.note_all(Missing, &path, "the namespace has no name");
            continue;
        };
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !is_name || index + 1 >= MOST_TOPICS {
            of.note(Missing, &key, "it is no name of a namespace, or one namespace too many");
            of.note_all(Missing, &path, "the namespace was not converted");
            continue;
        }
        namespace(of, &path, format!("{name}:*"), everywhere);
    }
    namespace(of, "channel.without_namespace", "*".to_owned(), everywhere);
}

fn namespace(of: &mut Conversion, path: &str, pattern: String, everywhere: Everywhere) {
    let all = of.leaves.under(path);
    let mut keys: Vec<(&'static str, Value)> = vec![("pattern", pattern.into())];
    let at = |key: &str| format!("{path}.{key}");
    if let Some(regex) = of.text(&at("channel_regex")) {
        match go_regex::convert(&regex) {
            Ok(regex) => {
                keys.push(("name_regex", regex.to_string().into()));
                of.note(Differs, &at("channel_regex"), "names that the server API is given are held to it, too");
            }
            Err(why) => of.note(Missing, &at("channel_regex"), format!("any name is allowed: {why}")),
        }
    }
    let has_history = history(of, path, &mut keys);
    keys.push(("subscribe", subscribe(of, path, everywhere).into()));
    let subscribe = keys.last().and_then(|(_, value)| value.as_str()).unwrap_or_default().to_owned();
    for (what, key) in [("publish", "publish"), ("history", "read_history"), ("presence", "read_presence")] {
        let word = access(of, path, what, &subscribe, everywhere);
        keys.push((key, word.into()));
    }
    if of.boolean(&at("presence")) {
        keys.push(("presence", true.into()));
    }
    let (join_leave, forced) = (of.boolean(&at("join_leave")), of.boolean(&at("force_push_join_leave")));
    match (join_leave, forced) {
        (true, true) => keys.push(("join_leave", "always".into())),
        (true, false) => keys.push(("join_leave", "asked".into())),
        (false, true) => of.note(Settled, &at("force_push_join_leave"), "without join_leave there is nothing to push"),
        (false, false) => {}
    }
    delta(of, path, has_history, &mut keys);
    if of.boolean(&at("allow_tags_filter")) {
        keys.push(("filter", true.into()));
    }
    if of.boolean(&at("allow_user_limited_channels")) {
        keys.push(("user_limited", true.into()));
    }
    hooks(of, path, &mut keys);
    if let Some(lag) = everywhere.lag {
        keys.push(("slow_consumer", inline([("policy", "disconnect".into()), ("lag", lag.into())])));
    }
    if let Err(why) = of.draft.topic(keys) {
        let name = format!("{path}.name");
        for leaf in all.iter().chain([&name]) {
            of.note(Missing, leaf, format!("the whole entry was left out: {why}"));
        }
    }
    of.note_all(Missing, path, "topics have no such key");
}

fn history(of: &mut Conversion, path: &str, keys: &mut Vec<(&'static str, Value)>) -> bool {
    let at = |key: &str| format!("{path}.{key}");
    let size = of.number(&at("history_size"));
    let ttl = of.span(&at("history_ttl"));
    let history = match (size, ttl) {
        (Some(size @ 1..), Some(ttl)) if !ttl.0.is_zero() => Some((size, ttl)),
        (Some(1..), _) => {
            of.note(Settled, &at("history_size"), "without history_ttl nothing is kept");
            None
        }
        (_, Some(ttl)) if !ttl.0.is_zero() => {
            of.note(Settled, &at("history_ttl"), "without history_size nothing is kept");
            None
        }
        (_, _) => None,
    };
    if let Some((size, ttl)) = history {
        keys.push(("history", inline([("size", size.into()), ("ttl", ttl.to_string().into())])));
    }
    recovery(of, path, history.is_some(), keys);
    history.is_some()
}

fn recovery(of: &mut Conversion, path: &str, has_history: bool, keys: &mut Vec<(&'static str, Value)>) {
    let at = |key: &str| format!("{path}.{key}");
    let (force, allow) = (of.boolean(&at("force_recovery")), of.boolean(&at("allow_recovery")));
    let mode = of.text(&at("force_recovery_mode"));
    let is_cache = match mode.as_deref() {
        None => false,
        Some("stream") => {
            of.note(Settled, &at("force_recovery_mode"), "a stream is what recovery gives");
            false
        }
        Some("cache") => true,
        Some(_) => {
            of.note(Missing, &at("force_recovery_mode"), "there is \"stream\" and \"cache\"");
            false
        }
    };
    for (key, given) in [("force_recovery", force), ("allow_recovery", allow)] {
        if given && !has_history {
            of.note(Settled, &at(key), "without history there is nothing to recover");
        }
    }
    if is_cache && !(has_history && (force || allow)) {
        of.note(Settled, &at("force_recovery_mode"), "there is no recovery that it could be the mode of");
    }
    if has_history {
        let word = match (force, allow, is_cache) {
            (true, _, true) => "cache",
            (true, _, false) => "always",
            (false, true, true) => {
                of.note(
                    Differs,
                    &at("force_recovery_mode"),
                    "\"cache\" is for all subscribers, not for those that ask",
                );
                "cache"
            }
            (false, true, false) => "asked",
            (false, false, _) => "off",
        };
        if force && allow {
            of.note(Settled, &at("allow_recovery"), "force_recovery is more");
        }
        keys.push(("recovery", word.into()));
    }
    for key in ["force_positioning", "allow_positioning"] {
        if of.boolean(&at(key)) {
            let (kind, why) = match has_history {
                true => (Settled, "one process delivers what it kept in order; positions come with recovery"),
                false => (Differs, "topics without history have no positions"),
            };
            of.note(kind, &at(key), why);
        }
    }
}

fn delta(of: &mut Conversion, path: &str, has_history: bool, keys: &mut Vec<(&'static str, Value)>) {
    let (types, publish) = (format!("{path}.allowed_delta_types"), format!("{path}.delta_publish"));
    let allowed = of.texts(&types);
    let always = of.boolean(&publish);
    if allowed.iter().any(|kind| kind != "fossil") {
        of.note(Missing, &types, "\"fossil\" is the only kind of delta");
    }
    match (allowed.iter().any(|kind| kind == "fossil"), has_history) {
        (true, true) => {
            keys.push(("delta", true.into()));
            if always {
                of.note(Settled, &publish, "every publication may be sent as a delta");
            } else {
                of.note(Differs, &types, "every publication may be sent as a delta, not only those that say so");
            }
        }
        (true, false) => of.note(Missing, &types, "deltas need history"),
        (false, _) => {}
    }
    if always && (!has_history || allowed.is_empty()) {
        of.note(Settled, &publish, "no subscriber may ask for deltas");
    }
}

fn subscribe(of: &mut Conversion, path: &str, everywhere: Everywhere) -> &'static str {
    let (client, nobody) =
        (format!("{path}.allow_subscribe_for_client"), format!("{path}.allow_subscribe_for_anonymous"));
    match (of.boolean(&client), of.boolean(&nobody)) {
        (true, true) if everywhere.anonymous => "anyone",
        (true, true) => {
            of.note(Differs, &nobody, NO_STRANGERS);
            "authenticated"
        }
        (true, false) => "authenticated",
        (false, true) => {
            of.note(Settled, &nobody, "without allow_subscribe_for_client it lets nobody in");
            "token"
        }
        (false, false) => "token",
    }
}

/// Why `anyone` is not written: it would open topics to WebSockets without the protocol, which bring no token.
const NO_STRANGERS: &str = "clients without a user are kept out, because none may connect without a token: \"anyone\" would \
     let in everybody who opens /topics/";

/// Who may publish, read the history or the presence. Never more than Centrifugo allows, but for what is told.
fn access(of: &mut Conversion, path: &str, what: &str, subscribe: &str, everywhere: Everywhere) -> &'static str {
    let key = |who: &str| format!("{path}.allow_{what}_for_{who}");
    let (for_client, for_subscriber, for_nobody) = (key("client"), key("subscriber"), key("anonymous"));
    let (client, subscriber) = (of.boolean(&for_client), of.boolean(&for_subscriber));
    let nobody = of.boolean(&for_nobody);
    if client && subscriber {
        of.note(Settled, &for_subscriber, format!("allow_{what}_for_client is more"));
    }
    match (client, subscriber, nobody) {
        (true, _, true) if everywhere.anonymous => {
            if what == "publish" {
                of.note(
                    Differs,
                    &for_nobody,
                    "POST /topics/ needs no key then, either: keep it from strangers by `surfaces`",
                );
            }
            "anyone"
        }
        (true, _, true) => {
            of.note(Differs, &for_nobody, NO_STRANGERS);
            "authenticated"
        }
        (true, _, false) => "authenticated",
        (false, true, true) => "subscribers",
        // Whoever has a user may subscribe, and so do it: the same people.
        (false, true, false) if subscribe != "token" => "authenticated",
        (false, true, false) => {
            of.note(
                Differs,
                &for_subscriber,
                "subscribers without a user may, too, if a token or the backend let them in",
            );
            "subscribers"
        }
        (false, false, true) => {
            of.note(Settled, &for_nobody, "alone it lets nobody in");
            "api"
        }
        (false, false, false) => "api",
    }
}

fn hooks(of: &mut Conversion, path: &str, keys: &mut Vec<(&'static str, Value)>) {
    let mut asked: Vec<Value> = Vec::new();
    for hook in ["subscribe", "publish", "sub_refresh"] {
        let switch = format!("{path}.{hook}_proxy_enabled");
        if of.boolean(&switch) {
            if of.draft.has("hooks", hook) {
                asked.push(hook.into());
            } else {
                of.note(Missing, &switch, format!("hooks.{hook} has no URL to ask: {}", without(hook, keys)));
            }
        }
        let name = format!("{path}.{hook}_proxy_name");
        match of.text(&name).as_deref() {
            None => {}
            Some("default") => of.note(Settled, &name, "there is one URL per hook"),
            Some(_) => of.note(Missing, &name, "there is one URL per hook, not one per namespace"),
        }
    }
    if !asked.is_empty() {
        keys.push(("hooks", Value::Array(asked)));
    }
}

/// Closes what the backend was to decide about, since nobody can ask it. What that means, in words.
fn without(hook: &str, keys: &mut [(&'static str, Value)]) -> &'static str {
    let mut close = |rule: &str, word: &str| {
        keys.iter_mut().filter(|(key, _)| *key == rule).for_each(|(_, value)| *value = word.into());
    };
    match hook {
        "subscribe" => {
            close("subscribe", "token");
            "nobody subscribes without a token"
        }
        "publish" => {
            close("publish", "api");
            "clients may not publish"
        }
        _ => "subscriptions end when their time is over",
    }
}

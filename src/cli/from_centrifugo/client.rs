//! Centrifugo's `client` section: who connects, and what one connection may do.

use toml::Value;

use super::conversion::Conversion;
use super::draft::inline;
use super::note::NoteKind::{Differs, Missing, Settled};

/// Converts it, and says whether clients may connect without a token.
pub(super) fn convert(of: &mut Conversion) -> bool {
    tokens(of);
    origins(of);
    personal(of);
    of.put_span("client.ping_interval", "liveness", "ping_interval");
    of.put_span("client.pong_timeout", "liveness", "pong_timeout");
    of.put_span("client.stale_close_delay", "centrifuge", "connect_timeout");
    grace(of);
    of.put_limit("client.channel_limit", "limits", "subscriptions");
    of.put_limit("client.connection_limit", "limits", "connections");
    of.put_number("client.user_connection_limit", "limits", "connections_per_user");
    of.put_number("client.connection_rate_limit", "limits", "handshakes");
    of.put_number("client.recovery_max_publication_limit", "centrifuge", "recovery_limit");
    match of.number("client.history_max_publication_limit") {
        None => {}
        Some(300) => of.note(Settled, "client.history_max_publication_limit", "it is 300 here, too"),
        Some(_) => {
            of.note(Missing, "client.history_max_publication_limit", "an answer has at most 300 publications, always")
        }
    }
    for key in ["presence_update_interval", "channel_position_check_delay", "channel_position_max_time_lag"] {
        let why = "one process knows who is there and what was sent, and need not look again";
        of.note_all(Settled, &format!("client.{key}"), why);
    }
    let anonymous = of.boolean("client.allow_anonymous_connect_without_token");
    if anonymous {
        of.put("client.allow_anonymous_connect_without_token", "centrifuge", "anonymous", true);
    }
    anonymous
}

fn grace(of: &mut Conversion) {
    let (connection, subscription) = ("client.expired_close_delay", "client.expired_sub_close_delay");
    let (first, second) = (of.span(connection), of.span(subscription));
    if let Some(span) = first {
        of.put(connection, "centrifuge", "refresh_grace", span.to_string());
    }
    if let Some(span) = second {
        let both = first.unwrap_or(crate::config::Span::secs(25));
        let (kind, why) = match span == both {
            true => (Settled, "centrifuge.refresh_grace is for subscriptions, too"),
            false => {
                (Missing, "centrifuge.refresh_grace is for connections and subscriptions; expired_close_delay counts")
            }
        };
        of.note(kind, subscription, why);
    }
}

fn tokens(of: &mut Conversion) {
    let mut keys: Vec<Value> = Vec::new();
    for (key, source, algorithms) in [
        ("hmac_secret_key", "secret", &["HS256", "HS384", "HS512"][..]),
        ("rsa_public_key", "public_key", &["RS256", "RS384", "RS512"]),
        ("ecdsa_public_key", "public_key", &["ES256", "ES384"]),
    ] {
        let path = format!("client.token.{key}");
        let Some(text) = of.text(&path) else { continue };
        let before = keys.len();
        let mut complaint = String::new();
        for algorithm in algorithms {
            // A key of an elliptic curve is for one of the two algorithms only.
            let entry = inline([("algorithm", (*algorithm).into()), (source, text.clone().into())]);
            match of.draft.put("tokens", "keys", vec![entry.clone()]) {
                Ok(()) => keys.push(entry),
                Err(why) => complaint = why,
            }
        }
        if keys.len() == before {
            of.note(Missing, &path, complaint);
        } else if key == "hmac_secret_key" && text.len() < 32 {
            of.note(
                Differs,
                &path,
                "`fanfare check` warns of a secret below 32 bytes, which can be guessed from one token",
            );
        }
    }
    of.draft.remove("tokens", "keys");
    if !keys.is_empty() {
        of.put("client.token", "tokens", "keys", keys);
    }
    let jwks = "client.token.jwks_public_endpoint";
    if let Some(url) = of.text(jwks) {
        if url.contains("{{") {
            of.note(Missing, jwks, "the URL of a key set cannot have parts that come from the token");
        } else {
            of.put(jwks, "tokens", "jwks_url", url);
        }
    }
    of.put_text("client.token.audience", "tokens", "audience");
    of.put_text("client.token.issuer", "tokens", "issuer");
    if !of.boolean("client.subscription_token.enabled") {
        of.note_all(Settled, "client.subscription_token", "it is not enabled");
    } else {
        of.note(Missing, "client.subscription_token.enabled", "[tokens] is for connections and subscriptions alike");
    }
}

fn origins(of: &mut Conversion) {
    let path = "client.allowed_origins";
    let mut good: Vec<String> = Vec::new();
    for origin in of.texts(path) {
        match of.draft.put("server", "origins", vec![origin.clone()]) {
            Ok(()) if good.contains(&origin) => {}
            Ok(()) => good.push(origin),
            Err(why) => of.note(Missing, path, why),
        }
    }
    of.draft.remove("server", "origins");
    if !good.is_empty() {
        of.put(path, "server", "origins", good);
    }
}

fn personal(of: &mut Conversion) {
    let section = "client.subscribe_to_user_personal_channel";
    let (switch, namespace) = (format!("{section}.enabled"), format!("{section}.personal_channel_namespace"));
    if !of.boolean(&switch) {
        of.note_all(Settled, section, "it is not enabled");
        return;
    }
    let topic = match of.text(&namespace) {
        Some(name) => format!("{name}:#{{user}}"),
        None => "#{user}".to_owned(),
    };
    of.put(&switch, "centrifuge", "personal", topic);
    let single = format!("{section}.single_connection");
    if of.boolean(&single) {
        of.note(
            Missing,
            &single,
            "limits.connections_per_user refuses the new connection instead of closing the old one",
        );
    }
}

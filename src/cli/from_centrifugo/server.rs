//! Where Centrifugo listens, and what all of it shares: `http_server`, `http_api`, `websocket`, `log`, `shutdown`.

use std::net::IpAddr;

use toml::Value;

use super::conversion::Conversion;
use super::note::NoteKind::{Differs, Missing, Settled};

const DEFAULT_PORT: i64 = 8000;

pub(super) fn shared(of: &mut Conversion) {
    if let Some(key) = of.text("http_api.key") {
        of.put("http_api.key", "api", "keys", vec![key]);
    }
    of.put_span("shutdown.timeout", "server", "drain");
    match of.text("log.level").as_deref() {
        None => {}
        Some(level @ ("fatal" | "none")) => {
            of.note(Differs, "log.level", format!("there is no level {level:?}: \"error\" is the least"));
            of.put("log.level", "log", "level", "error");
        }
        Some(level @ ("trace" | "debug" | "info" | "warn" | "error")) => of.put("log.level", "log", "level", level),
        Some(_) => of.note(Missing, "log.level", "there is no such level"),
    }
    if of.boolean("websocket.compression") {
        of.put("websocket.compression", "compression", "enabled", true);
    }
    of.put_number("websocket.compression_level", "compression", "level");
    of.put_number("websocket.compression_min_size", "compression", "threshold");
    of.put_number("channel.max_length", "limits", "topic_name");
}

/// Writes `websocket.message_size_limit`; the bytes that a message may then have.
pub(super) fn message(of: &mut Conversion) -> i64 {
    const DEFAULT: i64 = 64 * 1024;
    let path = "websocket.message_size_limit";
    let Some(bytes) = of.number(path) else { return DEFAULT };
    match of.draft.put("limits", "message", bytes) {
        Ok(()) => bytes,
        Err(why) => {
            of.note(Missing, path, why);
            DEFAULT
        }
    }
}

/// The listeners. Last, because who may be reached depends on who may publish.
pub(super) fn listen(of: &mut Conversion) {
    let external = address(of, "http_server.address", "http_server.port");
    let has_internal = of.leaves.has("http_server.internal_port") || of.leaves.has("http_server.internal_address");
    let internal = if has_internal {
        address(of, "http_server.internal_address", "http_server.internal_port")
    } else {
        external.clone()
    };
    if has_internal && external == internal {
        for key in ["http_server.internal_address", "http_server.internal_port"] {
            of.note(Settled, key, "it is where everything else is served, too");
        }
    }
    if write(of, &external, &internal).is_ok() {
        return;
    }
    // Most likely because anyone may publish; if not, the default address is left.
    let here =
        |address: &str| address.rsplit_once(':').map_or_else(String::new, |(_, port)| format!("127.0.0.1:{port}"));
    clear(of);
    let why = match write(of, &here(&external), &here(&internal)) {
        Ok(()) => {
            "the hub listens on 127.0.0.1 instead, because anyone may publish to a topic: behind a proxy that is right; \
             a public address needs server.anyone_may_publish_from_public_addresses = true"
        }
        Err(_) => {
            clear(of);
            "the addresses are of no use here; the hub listens on 127.0.0.1:8000"
        }
    };
    for key in ["address", "port", "internal_address", "internal_port"] {
        of.note(Missing, &format!("http_server.{key}"), why);
    }
}

fn clear(of: &mut Conversion) {
    of.draft.clear_listeners();
    of.draft.remove("server", "listen");
}

fn write(of: &mut Conversion, external: &str, internal: &str) -> Result<(), String> {
    if external == internal {
        of.draft.put("server", "listen", vec![external.to_owned()])?;
    } else {
        for (address, surfaces) in [(external, &["sockets"][..]), (internal, &["api", "metrics", "health"])] {
            let surfaces: Vec<Value> = surfaces.iter().map(|&name| name.into()).collect();
            of.draft.listener(vec![("address", address.into()), ("surfaces", Value::Array(surfaces))]);
        }
    }
    of.draft.check()
}

fn address(of: &mut Conversion, host_path: &str, port_path: &str) -> String {
    let port = of.number(port_path).unwrap_or(DEFAULT_PORT);
    let port = u16::try_from(port).unwrap_or_else(|_| {
        of.note(Missing, port_path, "there is no such port; 8000 was taken");
        8000
    });
    let Some(host) = of.text(host_path) else {
        of.note(Differs, host_path, "without it Centrifugo listens on all addresses; here these are those of IPv4");
        return format!("0.0.0.0:{port}");
    };
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
        Ok(IpAddr::V4(ip)) => format!("{ip}:{port}"),
        Err(_) if host == "localhost" => format!("127.0.0.1:{port}"),
        Err(_) => {
            of.note(Missing, host_path, "it is no IP address; 127.0.0.1 was taken");
            format!("127.0.0.1:{port}")
        }
    }
}

/// What Centrifugo has to be told to serve, and the hub always does; and paths that cannot be moved.
pub(super) fn always_served(of: &mut Conversion) {
    for (section, path) in [
        ("websocket", "/connection/websocket"),
        ("sse", "/connection/sse"),
        ("http_stream", "/connection/http_stream"),
        ("uni_sse", "/connection/uni_sse"),
        ("uni_http_stream", "/connection/uni_http_stream"),
        ("uni_websocket", "/connection/uni_websocket"),
        ("emulation", "/emulation"),
        ("http_api", "/api"),
        ("health", "/health"),
        ("prometheus", "/metrics"),
    ] {
        let (switch, prefix) = (format!("{section}.enabled"), format!("{section}.handler_prefix"));
        if of.leaves.has(&switch) {
            match of.boolean(&switch) {
                true => of.note(Settled, &switch, "it is always served"),
                false => of.note(
                    Differs,
                    &switch,
                    format!("{path} is always served, unless a listener leaves its surface out"),
                ),
            }
        }
        let disabled = format!("{section}.disabled");
        if of.boolean(&disabled) {
            of.note(Missing, &disabled, format!("{path} is always served, unless a listener leaves its surface out"));
        }
        match of.text(&prefix) {
            None => {}
            Some(given) if given == path => of.note(Settled, &prefix, "it is the same here"),
            Some(_) => of.note(Missing, &prefix, format!("it is always {path}; a proxy in front can rewrite it")),
        }
    }
}

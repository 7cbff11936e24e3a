//! Why there is no counterpart, for what nobody converted.

use super::conversion::Conversion;
use super::note::NoteKind;

/// Sections that are off unless their `enabled` is true.
const SWITCHED: [&str; 9] = [
    "admin",
    "swagger",
    "debug",
    "grpc_api",
    "uni_grpc",
    "webtransport",
    "graphite",
    "http_server.http3",
    "opentelemetry",
];

/// The reasons by the beginning of the path; the first that fits.
const REASONS: [(&str, &str); 41] = [
    ("admin", "there is no web interface; `fanfare check`, /metrics and the server API show what goes on"),
    ("swagger", "GET /api/openapi.json describes the server API"),
    ("debug", "there is no profiler to serve"),
    ("grpc_api", "the server API is served over HTTP only"),
    ("uni_grpc", "there is no gRPC transport"),
    ("webtransport", "there is no WebTransport"),
    ("http_server.http3", "there is no HTTP/3"),
    (
        "http_server.tls",
        "certificates are files of a [[listeners]] entry: write its `tls` by hand, see docs/hardening.md",
    ),
    (
        "http_server.tls_autocert",
        "certificates are ordered by a [[listeners]] entry with `tls.acme`, see docs/hardening.md",
    ),
    ("http_server", "a [[listeners]] entry has no such key"),
    ("graphite", "metrics are served to Prometheus only"),
    ("opentelemetry", "there are no traces"),
    ("engine", "fanfare is one process that holds everything itself, without Redis"),
    ("broker", "fanfare is one process that delivers everything itself, without Redis or NATS"),
    ("presence_manager", "fanfare is one process that knows itself who is there"),
    ("redis", "fanfare is one process, without Redis"),
    ("nats", "fanfare is one process, without NATS"),
    ("consumers", "nothing is consumed from Kafka, PostgreSQL or queues: publish over the server API"),
    ("proxies", "there is one URL per hook, and no named proxies"),
    ("node", "fanfare is one process without a name"),
    ("pid_file", "no such file is written; the service manager knows the process"),
    ("log.file", "the log goes to stderr"),
    ("client.token.audience_regex", "tokens.audience is compared, not matched"),
    ("client.token.issuer_regex", "tokens.issuer is compared, not matched"),
    ("client.token.user_id_claim", "the user is always in `sub`"),
    ("client.subscription_token", "[tokens] is for connections and subscriptions alike"),
    ("client.disallow_anonymous_connection_tokens", "a token with an empty `sub` is taken if it is signed"),
    ("client.concurrency", "commands of one connection are answered in their order"),
    ("client.connect_include_server_time", "replies to connect have no time"),
    ("client.insecure", "there is no insecure mode: give topics the rules that are meant"),
    ("client.insecure_skip_token_signature_verify", "tokens are always verified"),
    ("client.user_id_http_header", "a header says nothing of who a client is: use a token or hooks.connect"),
    ("client.allowed_delta_types", "deltas are allowed per topic"),
    ("channel.history_meta_ttl", "an epoch lasts as long as its topic is in memory, or on disk"),
    ("channel.proxy.subscribe_stream", "subscriptions are not streams of the backend"),
    ("channel.proxy.cache_empty", "an empty cache is not asked about"),
    ("rpc", "hooks.rpc answers all methods, and there is one URL for it"),
    ("http_api.insecure", "the server API always needs a key"),
    ("http_api.error_mode", "X-Centrifugo-Error-Mode asks for it per request"),
    ("http_api.external", "a [[listeners]] entry with the surface \"api\" says where it is reached"),
    ("websocket.write_timeout", "slow_consumer.age of a topic says how long a write may wait"),
];

/// Whether `path` is `key`, or below it.
fn is_of(path: &str, key: &str) -> bool {
    path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn reason(path: &str) -> &'static str {
    REASONS.iter().find(|(key, _)| is_of(path, key)).map_or("fanfare has no such key", |(_, reason)| reason)
}

/// Tells what is harmless to lose first, then everything that is left.
pub(super) fn convert(of: &mut Conversion) {
    of.note_all(NoteKind::Settled, "usage_stats", "no usage statistics are sent anywhere");
    for section in SWITCHED {
        let switch = format!("{section}.enabled");
        if of.leaves.has(&switch) {
            if of.boolean(&switch) {
                of.note(NoteKind::Missing, &switch, reason(&switch));
            } else {
                of.note(NoteKind::Settled, &switch, "it is off");
                of.note_all(NoteKind::Settled, section, "it is off");
            }
        }
    }
    // A text that is not "memory" is told below, as what is left.
    if of.leaves.is("engine.type", "memory") {
        of.note_all(NoteKind::Settled, "engine.type", "everything is in memory");
    }
    for key in ["read_buffer_size", "write_buffer_size", "use_write_buffer_pool"] {
        for section in ["websocket", "uni_websocket"] {
            of.note_all(NoteKind::Settled, &format!("{section}.{key}"), "buffers grow and shrink with what they hold");
        }
    }
    for path in of.leaves.paths() {
        of.leaves.take(&path);
        of.note(NoteKind::Missing, &path, reason(&path));
    }
}

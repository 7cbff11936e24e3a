//! `serve` against a real hub, whose workers are played by the test.

mod backpressure;
mod batch;
mod bodies;
mod connections;
mod cross_origin;
mod keys_on_disk;
mod openapi;
mod paths;
mod publish_stream;
mod server_api;
mod topics;

/// Anyone may publish on `open*`, whoever has the key `k` elsewhere; `kept*` and `open-kept` keep ten.
const RULES: &str = r#"
[api]
keys = ["k"]
[[topics]]
pattern = "open-kept"
publish = "anyone"
history = { size = 10, ttl = "1h" }
[[topics]]
pattern = "open*"
publish = "anyone"
[[topics]]
pattern = "kept*"
history = { size = 10, ttl = "1h" }
"#;

//! Any request head, served in place: it opens something or takes the ordinary way; never a panic.
#![no_main]

use std::sync::{Arc, LazyLock};
use std::time::Instant;

use fanfare::accept::ListenerId;
use fanfare::accept::handshake::{self, Caller};
use fanfare::admin::counters::Counters;
use fanfare::api::Surface;
use fanfare::config::Config;
use fanfare::hub::Hub;
use libfuzzer_sys::fuzz_target;

static SURFACE: LazyLock<Surface> = LazyLock::new(|| {
    let mut config = Config::default();
    config.compression.enabled = true;
    let config = Arc::new(config);
    let hub = Hub::new(&config, Vec::new());
    Surface::new(hub, config, Arc::new(Counters::new(1)), Instant::now(), false).expect("a surface")
});

const CALLER: Caller = Caller { listener: ListenerId(0), peer: None };

fuzz_target!(|head: &[u8]| {
    if let Some(opened) = handshake::in_place(&SURFACE, CALLER, head) {
        assert!(opened.response.starts_with(b"HTTP/1.1 ") || opened.response.starts_with(b"HTTP/1.0 "));
        assert!(opened.response.ends_with(b"\r\n\r\n"));
        assert!(opened.rest.len() < head.len());
    }
});

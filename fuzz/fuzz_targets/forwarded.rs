//! Any X-Forwarded-For and Forwarded: nothing in front of what a trusted proxy appended changes who the client is.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use fanfare::accept::forwarded::client;
use fanfare::config::Networks;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));

static TRUSTED: LazyLock<Networks> =
    LazyLock::new(|| ["10.0.0.0/8", "fd00::/8"].iter().map(|text| text.parse().expect("a network")).collect());

fn headers<'a>(lines: impl IntoIterator<Item = (&'static str, &'a [u8])>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, line) in lines {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    headers
}

/// Header lines, each of `X-Forwarded-For` or of `Forwarded`.
type Lines<'a> = Vec<(bool, &'a [u8])>;

fuzz_target!(|data: (Lines<'_>, &[u8], &str)| {
    let (lines, written, host) = data;
    let named = lines.iter().map(|&(is_x, line)| (if is_x { "x-forwarded-for" } else { "forwarded" }, line));
    let any = headers(named);
    let _ = client(PROXY, &any, &TRUSTED);
    assert_eq!(client(CLIENT, &any, &TRUSTED), CLIENT);
    assert_eq!(client(PROXY, &any, &Networks::default()), PROXY);

    if HeaderValue::from_bytes(written).is_err() {
        return;
    }
    let quoted: String = host
        .chars()
        .filter(|c| (' '..='~').contains(c))
        .flat_map(|c| {
            let is_special = matches!(c, '"' | '\\');
            is_special.then_some('\\').into_iter().chain([c])
        })
        .collect();
    let appended = format!("for=203.0.113.9;host=\"{quoted}\"");
    for (name, appended) in [("x-forwarded-for", "203.0.113.9"), ("forwarded", appended.as_str())] {
        let joined = [written, b", ", appended.as_bytes()].concat();
        assert_eq!(client(PROXY, &headers([(name, &joined[..])]), &TRUSTED), CLIENT);
        assert_eq!(client(PROXY, &headers([(name, written), (name, appended.as_bytes())]), &TRUSTED), CLIENT);
    }
});

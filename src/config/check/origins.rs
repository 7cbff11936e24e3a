//! Origins are written as browsers send them, or they never match.

use super::super::key_path::KeyPath;
use super::super::mistake::Mistake;
use super::super::settings::Config;
use super::report::Report;

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    list(&config.server.origins, &KeyPath::of("server").key("origins"), report);
    for (index, listen) in config.listeners.iter().enumerate() {
        let path = KeyPath::of("listeners").index(index).key("origins");
        list(listen.origins.as_deref().unwrap_or_default(), &path, report);
    }
    for (index, endpoint) in config.endpoints.iter().enumerate() {
        let path = KeyPath::of("endpoints").index(index).key("origins");
        list(endpoint.origins.as_deref().unwrap_or_default(), &path, report);
    }
}

fn list(origins: &[String], path: &KeyPath, report: &mut Report<'_>) {
    for (index, origin) in origins.iter().enumerate() {
        if let Some(remark) = complaint(origin) {
            let path = path.index(index);
            let mistake = Mistake::new(format!("`{path}`: \"{origin}\" is not an origin")).remark(remark);
            let mistake =
                mistake.fix("an origin is scheme://host or scheme://host:port, as browsers send it; \"*\" is any");
            report.mistake(&path, mistake);
        }
    }
}

/// What is wrong with `origin`, if anything.
fn complaint(origin: &str) -> Option<String> {
    // "null" is what browsers send from files and sandboxed frames.
    if origin == "*" || origin == "null" {
        return None;
    }
    let Some((scheme, rest)) = origin.split_once("://") else {
        return Some(if origin.is_empty() {
            "empty".to_owned()
        } else {
            format!("did you mean \"https://{origin}\"?")
        });
    };
    let begins = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    if !begins || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
        return Some("the scheme is not one".to_owned());
    }
    if let Some((host, _)) = rest.split_once(['/', '?', '#']) {
        return Some(format!("without the path: \"{scheme}://{host}\""));
    }
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !rest.ends_with(']') => (host, Some(port)),
        Some(_) | None => (rest, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
        return Some("the port is not a number from 1 to 65535".to_owned());
    }
    if host.contains('*') {
        return Some("a `*` is only possible as the whole origin; list the hosts".to_owned());
    }
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let fine = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
    };
    (!fine).then(|| "the host is not one (names beyond ASCII are sent as xn--…)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_as_browsers_send_them_pass() {
        for origin in
            ["*", "null", "http://localhost", "https://A.example:8443", "http://[::1]:8000", "chrome-extension://abc"]
        {
            assert_eq!(complaint(origin), None, "{origin}");
        }
    }

    #[test]
    fn what_could_never_match_is_told_with_what_would() {
        for (origin, said) in [
            ("", "empty"),
            ("example.com", "https://example.com"),
            ("https://example.com/", "\"https://example.com\""),
            ("https://*.example.com", "`*`"),
            ("https://example.com:99999", "port"),
            ("https://", "host"),
            ("https://[::1", "host"),
            ("https://bücher.example", "xn--"),
            ("://x", "scheme"),
        ] {
            let complaint = complaint(origin).unwrap_or_default();
            assert!(complaint.contains(said), "{origin}: {complaint}");
        }
    }
}

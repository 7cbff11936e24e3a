//! Where the load goes: a server on this machine, never another one. Pure, but for the name `localhost`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, Result, bail};

/// A server on a loopback address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Where to connect.
    pub(crate) address: SocketAddr,
    /// What goes into `Host`.
    pub(crate) authority: String,
}

impl Target {
    /// Reads `ws://HOST:PORT` or `http://HOST:PORT`.
    ///
    /// Errors: any host that is not a loopback address or `localhost`; TLS; a path.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let rest = ["ws://", "http://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        let rest = rest.with_context(|| format!("{url}: the URL must start with ws:// or http:// (no TLS)"))?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains('/') {
            bail!("{url}: give scheme, host and port only; the topics' paths are added");
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().with_context(|| format!("{url}: {port} is not a port"))?)
            }
            _ => (authority, 80),
        };
        let ip = match host {
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            "[::1]" => IpAddr::V6(Ipv6Addr::LOCALHOST),
            host => host.parse().ok().filter(IpAddr::is_loopback).with_context(|| {
                format!("{url}: {host} is not a loopback address; this harness only loads the machine it runs on")
            })?,
        };
        Ok(Self { address: SocketAddr::new(ip, port), authority: authority.to_owned() })
    }

    /// The server on `port` of 127.0.0.1.
    pub(crate) fn local(port: u16) -> Self {
        let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        Self { address, authority: address.to_string() }
    }
}

/// The path of topic number `topic`.
pub(crate) fn topic_path(prefix: &str, topic: u32) -> String {
    format!("/topics/{prefix}-{topic}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses_are_accepted() {
        for (url, address) in [
            ("ws://127.0.0.1:8000", "127.0.0.1:8000"),
            ("http://localhost:9/", "127.0.0.1:9"),
            ("ws://127.3.2.1", "127.3.2.1:80"),
            ("ws://[::1]:8000", "[::1]:8000"),
            ("ws://[::1]", "[::1]:80"),
        ] {
            assert_eq!(Target::parse(url).unwrap().address, address.parse().unwrap(), "{url}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for url in [
            "ws://10.0.0.1:8000",
            "ws://example.org:8000",
            "ws://0.0.0.0:8000",
            "ws://127.0.0.1.example.org:80",
            "wss://127.0.0.1:8000",
            "127.0.0.1:8000",
            "ws://127.0.0.1:8000/topics/a",
            "ws://127.0.0.1:99999",
        ] {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }
}

//! Where the load goes: an address of this machine, never of another one. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, Result, bail};

/// A server on a loopback address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where to connect.
    pub(crate) address: SocketAddr,
    /// What goes into `Host`.
    pub(crate) authority: String,
}

impl Place {
    /// Reads `ws://HOST:PORT` or `http://HOST:PORT`.
    ///
    /// Errors: TLS; as [`Place::of_authority`]; a path.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let rest = ["ws://", "http://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        let rest = rest.with_context(|| format!("{url}: the URL must start with ws:// or http:// (no TLS)"))?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains('/') {
            bail!("{url}: give scheme, host and port only; the topics' paths are added");
        }
        Self::of_authority(authority, url)
    }

    /// Reads `HOST:PORT`, part of `url`, which errors name.
    ///
    /// Errors: any host that is not a loopback address or `localhost`.
    pub(crate) fn of_authority(authority: &str, url: &str) -> Result<Self> {
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
            assert_eq!(Place::parse(url).unwrap().address, address.parse().unwrap(), "{url}");
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
            assert!(Place::parse(url).is_err(), "{url}");
        }
    }
}

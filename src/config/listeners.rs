//! `[[listeners]]`: addresses that differ from the others in who reaches them, or how.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::address;
use super::compression::Compression;
use super::network::Networks;
use super::units::ByteSize;
use crate::tls::Tls;

/// One `[[listeners]]` entry. All keys but `address` are optional.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct Listen {
    /// Where it listens.
    pub address: ListenAddress,
    /// What is served there. Default: everything.
    #[serde(default = "SurfaceName::all")]
    pub surfaces: Vec<SurfaceName>,
    /// As `server.origins`, for this listener only. Default: `server.origins`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origins: Option<Vec<String>>,
    /// Open connections of this listener. Default: `limits.connections`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<usize>,
    /// Whether clients are offered compression. Default: `compression.enabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<bool>,
    /// As `compression.threshold`, for this listener only. Default: `compression.threshold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression_threshold: Option<ByteSize>,
    /// What a proxy in front puts before every path, such as `"/push"`. Default: nothing.
    #[serde(default)]
    pub base_path: String,
    /// Proxies that are believed when they say who a client is.
    #[serde(default)]
    pub trusted_proxies: Networks,
    /// Whether connections of `trusted_proxies` begin with a PROXY protocol header, version 1 or 2. Others are refused.
    #[serde(default)]
    pub proxy_protocol: bool,
    /// The permissions of a Unix socket, in octal. Default `"660"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Certificates, if it speaks TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// Where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A Unix socket: `unix:/run/fanfare.sock`.
    Unix(PathBuf),
    /// A socket that systemd passed, by its name (`FileDescriptorName=`): `systemd:public`.
    Systemd(String),
}

/// A part of what a hub serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SurfaceName {
    /// WebSockets and event streams: `/topics/…` and the paths of `[[endpoints]]`.
    Sockets,
    /// Publishing and history over HTTP: `POST` and `GET /topics/…`.
    Topics,
    /// `/api/…`.
    Api,
    /// The paths of `[[pages]]`, and the try-it page.
    Pages,
    /// `/metrics`.
    Metrics,
    /// `/health/…`.
    Health,
}

impl Listen {
    /// A listener with every default, as the addresses of `server.listen` are.
    pub fn at(address: ListenAddress) -> Self {
        Self {
            address,
            surfaces: SurfaceName::all(),
            origins: None,
            connections: None,
            compression: None,
            compression_threshold: None,
            base_path: String::new(),
            trusted_proxies: Networks::default(),
            proxy_protocol: false,
            mode: None,
            tls: None,
        }
    }

    /// From which size on publications are compressed for clients that offer it, where `common` is what is said for all;
    /// `None` if they are not.
    pub fn compresses_from(&self, common: &Compression) -> Option<ByteSize> {
        let enabled = self.compression.unwrap_or(common.enabled);
        enabled.then(|| self.compression_threshold.unwrap_or(common.threshold))
    }

    /// The permissions of a Unix socket; `None` if `mode` is not octal.
    pub fn mode_bits(&self) -> Option<u32> {
        let mode = self.mode.as_deref().unwrap_or("660");
        u32::from_str_radix(mode, 8).ok().filter(|&bits| bits <= 0o777)
    }
}

impl SurfaceName {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 6] = [Self::Sockets, Self::Topics, Self::Api, Self::Pages, Self::Metrics, Self::Health];

    fn all() -> Vec<Self> {
        Self::ALL.to_vec()
    }

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sockets => "sockets",
            Self::Topics => "topics",
            Self::Api => "api",
            Self::Pages => "pages",
            Self::Metrics => "metrics",
            Self::Health => "health",
        }
    }
}

impl ListenAddress {
    /// Whether only programs on this machine can reach it. What systemd passes may be anything.
    pub fn is_private_to_this_machine(&self) -> bool {
        match self {
            Self::Tcp(address) => address::is_private_to_this_machine(address),
            Self::Unix(_) => true,
            Self::Systemd(_) => false,
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Systemd(name) => write!(f, "systemd:{name}"),
        }
    }
}

impl Serialize for ListenAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ListenAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AddressVisitor;
        impl Visitor<'_> for AddressVisitor {
            type Value = ListenAddress;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address such as \"0.0.0.0:443\", \"unix:/run/fanfare.sock\" or \"systemd:public\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<ListenAddress, E> {
                match text.split_once(':') {
                    Some(("unix", path)) if !path.is_empty() => Ok(ListenAddress::Unix(path.into())),
                    Some(("systemd", name)) if !name.is_empty() => Ok(ListenAddress::Systemd(name.to_owned())),
                    Some(("unix" | "systemd", _)) => {
                        Err(E::custom(format!("`{text}` names no socket behind the colon")))
                    }
                    _ => address::parse(text).map(ListenAddress::Tcp).map_err(E::custom),
                }
            }
        }
        deserializer.deserialize_any(AddressVisitor)
    }
}

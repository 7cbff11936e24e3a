//! Listen addresses: an IP address and a port, and what is said to those who write something else.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

/// Reads a list of addresses, with the place of the one that is wrong.
pub(super) fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SocketAddr>, D::Error> {
    let addresses = Vec::<Address>::deserialize(deserializer)?;
    Ok(addresses.into_iter().map(|address| address.0).collect())
}

/// Whether only programs on this machine can reach `address`.
pub(super) fn is_private_to_this_machine(address: &SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        // ::ffff:127.0.0.1 is IPv4 in IPv6 clothes.
        IpAddr::V6(ip) => ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback()),
    }
}

/// Reads one address, or says what is wrong with `text`, and how it should look.
pub(super) fn parse(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| complaint(text))
}

struct Address(SocketAddr);

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AddressVisitor;
        impl Visitor<'_> for AddressVisitor {
            type Value = Address;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an address and a port such as \"127.0.0.1:8000\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Address, E> {
                parse(text).map(Address).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(AddressVisitor)
    }
}

/// What is wrong with `text`, and how it should look.
fn complaint(text: &str) -> String {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => return format!("`{text}` has no port: write \"{ip}:8000\""),
        Ok(IpAddr::V6(ip)) => return format!("`{text}` has no port: write \"[{ip}]:8000\""),
        Err(_) => {}
    }
    if let Some(port) = text.strip_prefix(':') {
        return format!("`{text}` has no address: \"127.0.0.1:{port}\" is this machine only, \"[::]:{port}\" everyone");
    }
    if let Some(port) = text.strip_prefix("localhost:") {
        return format!("`{text}` is a name: write an address, such as \"127.0.0.1:{port}\"");
    }
    format!("`{text}` is not an address and a port, such as \"127.0.0.1:8000\" or \"[::]:8000\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_ways_to_get_an_address_wrong_are_answered_with_the_right_one() {
        assert!(complaint(":8000").contains("\"127.0.0.1:8000\""));
        assert!(complaint("localhost:9000").contains("\"127.0.0.1:9000\""));
        assert!(complaint("10.0.0.1").contains("\"10.0.0.1:8000\""));
        assert!(complaint("::1").contains("\"[::1]:8000\""));
        assert!(complaint("8000").contains("[::]:8000"));
    }

    #[test]
    fn loopback_is_private_in_every_notation_and_everything_else_is_not() {
        for (address, private) in [
            ("127.0.0.1:1", true),
            ("127.9.9.9:1", true),
            ("[::1]:1", true),
            ("[::ffff:127.0.0.1]:1", true),
            ("0.0.0.0:1", false),
            ("[::]:1", false),
            ("192.168.0.1:1", false),
        ] {
            assert_eq!(is_private_to_this_machine(&address.parse().unwrap()), private, "{address}");
        }
    }
}

//! Networks: an address and how many of its bits count, and what is said to those who write something else.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A network, written `"10.0.0.0/8"`, `"fd00::/8"`, or `"::1"` for a single address.
///
/// An IPv4-mapped address (`::ffff:10.0.0.1`) is the IPv4 address, here and in [`Network::contains`]: which of the two a
/// socket says depends on how it was bound. So `"::/0"` is every IPv6 address and no IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    /// Bits behind the prefix are zero; never IPv4-mapped.
    first: IpAddr,
    prefix_bits: u8,
}

/// A list of networks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Networks(Vec<Network>);

/// A text is not a [`Network`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseNetworkError {
    /// Not an address, or not a number of bits behind it.
    #[error(
        "`{0}` is not a network: write an address and how many of its bits count, such as \"10.0.0.0/8\" or \"fd00::/8\", or one address"
    )]
    NotOne(String),
    /// An address and a port.
    #[error("`{text}` has a port, and a network has none: write \"{address}\"")]
    Port {
        /// As it was written.
        text: String,
        /// Without the port.
        address: IpAddr,
    },
    /// A netmask where the number of bits belongs.
    #[error("`{text}` has a netmask: write how many bits it has, \"{address}/{prefix_bits}\"")]
    Netmask {
        /// As it was written.
        text: String,
        /// In front of the netmask.
        address: IpAddr,
        /// The ones in the netmask.
        prefix_bits: u32,
    },
    /// More bits than an address has.
    #[error("`{text}` is too long: this address has {bits} bits")]
    TooManyBits {
        /// As it was written.
        text: String,
        /// 32 or 128.
        bits: u8,
    },
    /// The address has bits set behind the prefix, so one of the two is not what was meant.
    #[error("`{text}` has bits set behind the first {}: write \"{network}\", or \"{address}\" for that address alone", .network.prefix_bits)]
    HostBits {
        /// As it was written.
        text: String,
        /// The network with these first bits.
        network: Network,
        /// In front of the prefix.
        address: IpAddr,
    },
}

impl Network {
    /// Whether `address` is in it. Two machine operations.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && cut(address, self.prefix_bits) == self.first
    }

    fn is_one_address(&self) -> bool {
        self.prefix_bits == bits(self.first)
    }
}

impl Networks {
    /// Whether `address` is in one of them. O(networks).
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        Self(networks.into_iter().collect())
    }
}

fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// `address` with zeros behind its first `prefix_bits`.
fn cut(address: IpAddr, prefix_bits: u8) -> IpAddr {
    let behind = u32::from(bits(address) - prefix_bits);
    match address {
        // Shifting all bits out is no shift to the processor, hence `checked`.
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & u32::MAX.checked_shl(behind).unwrap_or(0)).into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & u128::MAX.checked_shl(behind).unwrap_or(0)).into(),
    }
}

/// A number as it is written by those who mean well: digits, no sign, no leading zero.
fn number(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    is_plain.then(|| text.parse().ok()).flatten()
}

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let Ok(written) = address.parse::<IpAddr>() else { return Err(complaint(text, address)) };
        let prefix_bits = match prefix {
            None => u32::from(bits(written)),
            Some(prefix) => number(prefix).ok_or_else(|| netmask(text, written, prefix))?,
        };
        let too_many = || ParseNetworkError::TooManyBits { text: text.to_owned(), bits: bits(written) };
        let prefix_bits =
            u8::try_from(prefix_bits).ok().filter(|&prefix| prefix <= bits(written)).ok_or_else(too_many)?;
        // The 96 bits that make an IPv4-mapped address one are all in front of the IPv4 address; a shorter prefix has
        // some of them behind it, and is refused below.
        let mapped = written.to_canonical();
        let extra_bits = bits(written) - bits(mapped);
        let network = if prefix_bits >= extra_bits {
            Self { first: cut(mapped, prefix_bits - extra_bits), prefix_bits: prefix_bits - extra_bits }
        } else {
            Self { first: cut(written, prefix_bits), prefix_bits }
        };
        if network.first == mapped {
            Ok(network)
        } else {
            Err(ParseNetworkError::HostBits { text: text.to_owned(), network, address: mapped })
        }
    }
}

/// What is wrong with `text`, whose part before the slash is no address.
fn complaint(text: &str, address: &str) -> ParseNetworkError {
    match address.parse::<std::net::SocketAddr>() {
        Ok(address) => ParseNetworkError::Port { text: text.to_owned(), address: address.ip() },
        Err(_) => ParseNetworkError::NotOne(text.to_owned()),
    }
}

/// What is wrong with `text`, whose part behind the slash is no number.
fn netmask(text: &str, address: IpAddr, prefix: &str) -> ParseNetworkError {
    match (address, prefix.parse::<Ipv4Addr>().map(Ipv4Addr::to_bits)) {
        (IpAddr::V4(_), Ok(mask)) if mask.leading_ones() == mask.count_ones() => {
            ParseNetworkError::Netmask { text: text.to_owned(), address, prefix_bits: mask.count_ones() }
        }
        (_, _) => ParseNetworkError::NotOne(text.to_owned()),
    }
}

impl fmt::Display for Network {
    /// As it is written; a single address without its prefix. Reads back as the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_one_address() { self.first.fmt(f) } else { write!(f, "{}/{}", self.first, self.prefix_bits) }
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NetworkVisitor;
        impl Visitor<'_> for NetworkVisitor {
            type Value = Network;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a network such as \"10.0.0.0/8\" or \"::1\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Network, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(NetworkVisitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_is_in_a_network_if_its_first_bits_are_those() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["11.0.0.0", "9.255.255.255"]),
            ("192.0.2.128/25", ["192.0.2.128", "192.0.2.255"], ["192.0.2.127", "192.0.3.128"]),
            ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255"], ["::", "::1"]),
            ("fd00::/8", ["fd00::", "fdff::1"], ["fe00::1", "fc00::1"]),
            ("2001:db8::/33", ["2001:db8::1", "2001:db8:7fff::1"], ["2001:db8:8000::1", "2001:db9::"]),
            ("::/0", ["::1", "ffff::"], ["127.0.0.1", "::ffff:127.0.0.1"]),
        ] {
            assert_eq!(inside.map(|inside| network(text).contains(ip(inside))), [true; 2], "{text}");
            assert_eq!(outside.map(|outside| network(text).contains(ip(outside))), [false; 2], "{text}");
        }
    }

    #[test]
    fn a_single_address_contains_itself_alone() {
        for (text, other) in
            [("127.0.0.1", "127.0.0.2"), ("::1", "::2"), ("::", "0.0.0.0"), ("10.0.0.1/32", "10.0.0.0")]
        {
            assert!(network(text).contains(ip(text.trim_end_matches("/32"))), "{text}");
            assert!(!network(text).contains(ip(other)), "{text} {other}");
        }
    }

    #[test]
    fn an_ipv4_mapped_address_is_the_ipv4_address_on_both_sides() {
        assert!(network("10.0.0.0/8").contains(ip("::ffff:10.1.2.3")));
        assert_eq!(network("::ffff:10.0.0.0/104"), network("10.0.0.0/8"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
        assert_eq!(network("::ffff:0:0/96"), network("0.0.0.0/0"));
        assert_eq!(network("::ffff:10.0.0.0/104").to_string(), "10.0.0.0/8");
    }

    #[test]
    fn bits_behind_the_prefix_are_refused_with_the_two_right_forms() {
        for (text, forms) in [
            ("10.1.2.3/8", ["\"10.0.0.0/8\"", "\"10.1.2.3\""]),
            ("10.0.0.1/0", ["\"0.0.0.0/0\"", "\"10.0.0.1\""]),
            ("fd00::1/8", ["\"fd00::/8\"", "\"fd00::1\""]),
            ("::ffff:10.0.0.1/104", ["\"10.0.0.0/8\"", "\"10.0.0.1\""]),
            ("::ffff:0:0/90", ["\"::ffc0:0:0/90\"", "\"0.0.0.0\""]),
        ] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(forms.iter().all(|form| error.contains(form)), "{error}");
        }
    }

    #[test]
    fn usual_ways_to_get_a_network_wrong_are_answered_with_the_right_one() {
        for (text, advice) in [
            ("10.0.0.0/255.0.0.0", "\"10.0.0.0/8\""),
            ("10.0.0.1:8000", "\"10.0.0.1\""),
            ("[::1]:8000", "\"::1\""),
            ("10.0.0.0/33", "32 bits"),
            ("::/129", "128 bits"),
            ("::/4096", "128 bits"),
        ] {
            let error = text.parse::<Network>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains(advice), "{error}");
        }
        for text in [
            "",
            "/",
            "/8",
            "10.0.0.0/",
            "10/8",
            "10.*",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0.0/8/8",
            " 10.0.0.0/8",
            "010.0.0.0/8",
            "localhost",
            "private",
            "[::1]",
            "fe80::1%eth0",
            "10.0.0.0/255.0.255.0",
            "::/255.0.0.0",
            "10.0.0.0/99999999999",
        ] {
            assert_eq!(text.parse::<Network>(), Err(ParseNetworkError::NotOne(text.to_owned())));
        }
    }

    #[test]
    fn a_list_contains_what_one_of_its_networks_contains() {
        let private: Networks = ["10.0.0.0/8", "fd00::/8"].map(network).into_iter().collect();
        assert!(private.contains(ip("10.0.0.1")) && private.contains(ip("fd00::1")));
        assert!(!private.contains(ip("192.0.2.1")) && !private.contains(ip("2001:db8::1")));
        assert!(!private.is_empty());
        assert!(Networks::default().is_empty() && !Networks::default().contains(ip("10.0.0.1")));
    }

    #[test]
    fn a_list_is_read_and_shown_as_texts() {
        let private: Networks = serde_json::from_str(r#"["10.0.0.0/8", "::1"]"#).unwrap();
        assert_eq!(serde_json::to_string(&private).unwrap(), r#"["10.0.0.0/8","::1"]"#);
        let error = serde_json::from_str::<Networks>(r#"["10.0.0.1/8"]"#).unwrap_err().to_string();
        assert!(error.contains("write \"10.0.0.0/8\""), "{error}");
        let error = serde_json::from_str::<Networks>("[8]").unwrap_err().to_string();
        assert!(error.contains("a network such as"), "{error}");
    }

    fn any_address() -> impl Strategy<Value = IpAddr> {
        let mapped = any::<Ipv4Addr>().prop_map(|ip| ip.to_ipv6_mapped().into());
        prop_oneof![any::<Ipv4Addr>().prop_map(IpAddr::V4), any::<Ipv6Addr>().prop_map(IpAddr::V6), mapped]
    }

    /// The bits of an address, in the slow and obvious way.
    fn spelled(address: IpAddr) -> String {
        match address.to_canonical() {
            IpAddr::V4(ip) => format!("4:{:032b}", ip.to_bits()),
            IpAddr::V6(ip) => format!("6:{:0128b}", ip.to_bits()),
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_as_the_same_and_contains_what_begins_so(
            address in any_address(), other in any_address(), prefix_bits in 0..=128_u8
        ) {
            let address = address.to_canonical();
            let prefix_bits = prefix_bits.min(bits(address));
            let network = network(&format!("{}/{prefix_bits}", cut(address, prefix_bits)));
            prop_assert_eq!(network.to_string().parse(), Ok(network));
            prop_assert!(network.contains(address));
            let begins_so = spelled(other).starts_with(&spelled(address)[..2 + usize::from(prefix_bits)]);
            prop_assert_eq!(network.contains(other), begins_so);
        }

        #[test]
        fn the_right_form_that_an_error_names_is_right(address in any_address(), prefix_bits in 0..=128_u8) {
            let text = format!("{address}/{}", prefix_bits.min(bits(address)));
            if let Err(ParseNetworkError::HostBits { network, address: alone, .. }) = text.parse::<Network>() {
                prop_assert_eq!(network.to_string().parse(), Ok(network));
                prop_assert_eq!(alone.to_string().parse::<Network>().unwrap().first, address.to_canonical());
            }
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "[0-9a-f.:/\\[\\]%]{0,24}", other in ".*") {
            let _ = text.parse::<Network>();
            let _ = other.parse::<Network>();
        }
    }
}

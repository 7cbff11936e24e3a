//! The PROXY protocol, versions 1 and 2: what a proxy says of its client in front of the client's first byte.
//!
//! Pure. Written from the specification that HAProxy publishes (`doc/proxy-protocol.txt`, of which the sections are
//! named here). It is for listeners that only a proxy can reach: whoever may send this header says who he is.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest header of version 1, with its end (§2.1).
const V1_LIMIT_BYTES: usize = 107;
const V1_START: &[u8] = b"PROXY ";
const V1_END: &[u8] = b"\r\n";

/// What no version 1 header, no HTTP and no TLS begins with (§2.2).
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, version and command, family and transport, and the length of what follows.
const V2_FIXED_BYTES: usize = 16;

/// The longest header there is: nothing needs to be kept for one beyond this.
pub const LIMIT_BYTES: usize = V2_FIXED_BYTES + V2_LIMIT_BYTES;
/// What may follow the fixed part of version 2. Addresses take 216 bytes at most; what proxies add behind them (names,
/// ids, how TLS was agreed on) some hundred. The field would allow 64 KiB for a connection of which nothing is known yet.
const V2_LIMIT_BYTES: usize = 4096;

/// What the bytes so far of a connection say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Parsed {
    /// Nothing yet: call again, with these and more.
    NeedsMore,
    /// A whole header.
    Header {
        /// How many bytes it is; the client's own begin behind it.
        length: usize,
        /// The client. `None`: the proxy's own connection (its health check), or a client without an IP address; then
        /// the peer's address is all that is known. An IPv4-mapped address is told as the IPv4 address.
        source: Option<SocketAddr>,
    },
    /// No header, and none with any bytes more: close.
    Bad(BadProxyHeader),
}

/// Why bytes are not a PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadProxyHeader {
    /// It begins like neither version: the client speaks to us directly, or its proxy does not send the header.
    #[error("no PROXY header: byte {at} is {byte:#04x}")]
    Start {
        /// Its place, from 0.
        at: usize,
        /// The first byte that neither version has there.
        byte: u8,
    },
    /// Version 1: no CRLF where the longest header would end.
    #[error("the PROXY header does not end within {V1_LIMIT_BYTES} bytes")]
    Unended,
    /// Version 1: an unknown word behind `PROXY`.
    #[error("the protocol of the PROXY header is none of TCP4, TCP6 and UNKNOWN")]
    Protocol,
    /// Version 1: not two addresses and two ports, each behind one blank.
    #[error("the PROXY header has {count} fields behind the protocol instead of 4")]
    FieldCount {
        /// How many there are.
        count: usize,
    },
    /// Version 1: a field that is not what belongs there.
    #[error("the {0} of the PROXY header is none")]
    Field(Field),
    /// Version 2: another version behind the signature, or a command that is neither LOCAL nor PROXY.
    #[error("byte 12 of the PROXY header is {0:#04x}, neither 0x20 (LOCAL) nor 0x21 (PROXY)")]
    Command(u8),
    /// Version 2: a family or transport that does not exist.
    #[error("byte 13 of the PROXY header is {0:#04x}, no known family and transport")]
    Family(u8),
    /// Version 2: more bytes than anyone needs.
    #[error("the PROXY header announces {length} bytes, more than {V2_LIMIT_BYTES}")]
    TooLong {
        /// What it announces.
        length: usize,
    },
    /// Version 2: fewer bytes than the addresses of its family take.
    #[error("the PROXY header announces {length} bytes, and its addresses are {needed}")]
    TooShort {
        /// What it announces.
        length: usize,
        /// What the addresses take.
        needed: usize,
    },
}

/// A field of version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The client's address.
    SourceAddress,
    /// The address it connected to.
    DestinationAddress,
    /// The client's port.
    SourcePort,
    /// The port it connected to.
    DestinationPort,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SourceAddress => "source address",
            Self::DestinationAddress => "destination address",
            Self::SourcePort => "source port",
            Self::DestinationPort => "destination port",
        })
    }
}

/// Reads the header at the start of `bytes`, which are all of a connection so far.
///
/// Resumable without a state: a longer read of the same connection never takes back an answer other than
/// [`Parsed::NeedsMore`], and more than [`LIMIT_BYTES`] are never needed. Does not allocate; O(header).
///
/// What version 2 has behind the addresses (TLVs) is skipped as it is, its CRC32C too: a checksum that is optional and
/// is in the hands of whoever wrote the addresses adds nothing to what TCP checks.
pub fn parse(bytes: &[u8]) -> Parsed {
    let attempt = match bytes.first() {
        None => return Parsed::NeedsMore,
        Some(b'\r') => starts_with(bytes, V2_SIGNATURE).and_then(|whole| if whole { v2(bytes) } else { Ok(None) }),
        Some(_) => starts_with(bytes, V1_START).and_then(|whole| if whole { v1(bytes) } else { Ok(None) }),
    };
    match attempt {
        Ok(None) => Parsed::NeedsMore,
        Ok(Some((length, source))) => {
            Parsed::Header { length, source: source.map(|at| SocketAddr::new(at.ip().to_canonical(), at.port())) }
        }
        Err(bad) => Parsed::Bad(bad),
    }
}

/// A header's length and source; `None` is more bytes needed.
type Attempt = Result<Option<(usize, Option<SocketAddr>)>, BadProxyHeader>;

/// Whether `start` is there as a whole; an error if not all of `bytes` belongs to it.
fn starts_with(bytes: &[u8], start: &[u8]) -> Result<bool, BadProxyHeader> {
    match bytes.iter().zip(start).position(|(byte, expected)| byte != expected) {
        Some(at) => Err(BadProxyHeader::Start { at, byte: bytes[at] }),
        None => Ok(bytes.len() >= start.len()),
    }
}

/// §2.1: `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443` and CRLF.
fn v1(bytes: &[u8]) -> Attempt {
    let within = &bytes[..bytes.len().min(V1_LIMIT_BYTES)];
    let Some(end) = within.windows(V1_END.len()).position(|two| two == V1_END) else {
        return if within.len() == V1_LIMIT_BYTES { Err(BadProxyHeader::Unended) } else { Ok(None) };
    };
    let mut words = bytes[V1_START.len()..end].split(|&byte| byte == b' ');
    let address: fn(&[u8]) -> Option<IpAddr> = match words.next() {
        Some(b"TCP4") => |text| Some(IpAddr::V4(std::str::from_utf8(text).ok()?.parse().ok()?)),
        Some(b"TCP6") => |text| Some(IpAddr::V6(std::str::from_utf8(text).ok()?.parse().ok()?)),
        // Whatever follows is to be ignored.
        Some(b"UNKNOWN") => return Ok(Some((end + V1_END.len(), None))),
        _ => return Err(BadProxyHeader::Protocol),
    };
    let mut fields: [&[u8]; 4] = [&[]; 4];
    let mut count = 0;
    for word in words {
        if let Some(field) = fields.get_mut(count) {
            *field = word;
        }
        count += 1;
    }
    if count != fields.len() {
        return Err(BadProxyHeader::FieldCount { count });
    }
    let [source, destination, source_port, destination_port] = fields;
    let bad = |field| move || BadProxyHeader::Field(field);
    let source = address(source).ok_or_else(bad(Field::SourceAddress))?;
    address(destination).ok_or_else(bad(Field::DestinationAddress))?;
    let source_port = port(source_port).ok_or_else(bad(Field::SourcePort))?;
    port(destination_port).ok_or_else(bad(Field::DestinationPort))?;
    Ok(Some((end + V1_END.len(), Some(SocketAddr::new(source, source_port)))))
}

/// Digits without a sign and, as the specification wants it, without a leading zero.
fn port(text: &[u8]) -> Option<u16> {
    let is_plain = text.iter().all(u8::is_ascii_digit) && (text == b"0" || !text.starts_with(b"0"));
    is_plain.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// §2.2: the signature, two bytes, a length, addresses in binary, TLVs.
fn v2(bytes: &[u8]) -> Attempt {
    let Some(&command) = bytes.get(12) else { return Ok(None) };
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        other => return Err(BadProxyHeader::Command(other)),
    };
    let Some(&family) = bytes.get(13) else { return Ok(None) };
    let addresses = if is_local { Addresses::None } else { Addresses::of(family)? };
    let Some(&[high, low]) = bytes.get(14..V2_FIXED_BYTES) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > V2_LIMIT_BYTES {
        return Err(BadProxyHeader::TooLong { length });
    }
    if length < addresses.bytes() {
        return Err(BadProxyHeader::TooShort { length, needed: addresses.bytes() });
    }
    let Some(block) = bytes.get(V2_FIXED_BYTES..V2_FIXED_BYTES + length) else { return Ok(None) };
    Ok(Some((V2_FIXED_BYTES + length, addresses.source(block))))
}

/// What lies behind the fixed part of version 2.
#[derive(Debug, Clone, Copy)]
enum Addresses {
    None,
    V4,
    V6,
    Unix,
}

impl Addresses {
    /// By byte 13: the family in its upper half, the transport in its lower.
    fn of(family: u8) -> Result<Self, BadProxyHeader> {
        match (family >> 4, family & 0x0f) {
            // An unspecified transport makes the addresses nothing to go by, whatever their family.
            (0, 0..=2) | (1..=3, 0) => Ok(Self::None),
            // A datagram transport, too: a proxy that speaks HTTP/3 to its clients speaks TCP to us.
            (1, 1 | 2) => Ok(Self::V4),
            (2, 1 | 2) => Ok(Self::V6),
            (3, 1 | 2) => Ok(Self::Unix),
            (_, _) => Err(BadProxyHeader::Family(family)),
        }
    }

    /// Both addresses, then both ports; of Unix sockets, two paths.
    const fn bytes(self) -> usize {
        match self {
            Self::None => 0,
            Self::V4 => 2 * 4 + 2 * 2,
            Self::V6 => 2 * 16 + 2 * 2,
            Self::Unix => 2 * 108,
        }
    }

    /// The source in `block`, which is at least as long as the addresses.
    fn source(self, block: &[u8]) -> Option<SocketAddr> {
        match self {
            Self::None | Self::Unix => None,
            Self::V4 => source::<4, Ipv4Addr>(block),
            Self::V6 => source::<16, Ipv6Addr>(block),
        }
    }
}

/// The first address and the first port of `block`, of addresses of `N` bytes.
fn source<const N: usize, A: From<[u8; N]> + Into<IpAddr>>(block: &[u8]) -> Option<SocketAddr> {
    let (address, behind) = block.split_first_chunk::<N>()?;
    let port = behind.get(N..)?.first_chunk()?;
    Some(SocketAddr::new(A::from(*address).into(), u16::from_be_bytes(*port)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(length: usize, source: &str) -> Parsed {
        Parsed::Header { length, source: Some(source.parse().unwrap()) }
    }

    fn v2_header(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [&V2_SIGNATURE[..], &[command, family], &length, block].concat()
    }

    /// 192.0.2.1:56324 to 198.51.100.1:443.
    const V4_BLOCK: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb];

    fn v6_block(source: Ipv6Addr, port: u16) -> Vec<u8> {
        [&source.octets()[..], &Ipv6Addr::LOCALHOST.octets(), &port.to_be_bytes(), &443_u16.to_be_bytes()].concat()
    }

    #[test]
    fn version_1_tells_the_client_of_a_line() {
        for (line, source) in [
            ("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1:56324"),
            ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535"),
            ("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", "0.0.0.0:0"),
            ("PROXY TCP6 2001:db8::1 ::1 4711 443\r\n", "[2001:db8::1]:4711"),
            ("PROXY TCP6 2001:DB8:0:0:0:0:0:1 ::1 1 2\r\n", "[2001:db8::1]:1"),
            ("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.1 1 2\r\n", "192.0.2.1:1"),
        ] {
            assert_eq!(parse(line.as_bytes()), header(line.len(), source), "{line}");
            let request = format!("{line}GET / HTTP/1.1\r\n\r\n");
            assert_eq!(parse(request.as_bytes()), header(line.len(), source), "{line}");
        }
    }

    #[test]
    fn the_longest_line_fits_and_a_longer_one_does_not() {
        let all = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        let longest = format!("PROXY UNKNOWN {all} {all} 65535 65535\r\n");
        assert_eq!(longest.len(), V1_LIMIT_BYTES);
        assert_eq!(parse(longest.as_bytes()), Parsed::Header { length: V1_LIMIT_BYTES, source: None });
        let longer = longest.replace("\r\n", " \r\n");
        assert_eq!(parse(longer.as_bytes()), Parsed::Bad(BadProxyHeader::Unended));
        assert_eq!(parse(&longer.as_bytes()[..V1_LIMIT_BYTES]), Parsed::Bad(BadProxyHeader::Unended));
        assert_eq!(parse(&longer.as_bytes()[..V1_LIMIT_BYTES - 1]), Parsed::NeedsMore);
    }

    #[test]
    fn an_unknown_client_has_no_address_whatever_the_line_says() {
        for line in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN \r\n", "PROXY UNKNOWN 192.0.2.1 \n\r \0 x\r\n"] {
            assert_eq!(parse(line.as_bytes()), Parsed::Header { length: line.len(), source: None }, "{line:?}");
        }
    }

    #[test]
    fn version_1_is_refused_by_the_part_that_is_wrong() {
        use BadProxyHeader::{FieldCount, Protocol};
        let field = BadProxyHeader::Field;
        for (rest, bad) in [
            ("", Protocol),
            ("TCP", Protocol),
            ("tcp4 192.0.2.1 198.51.100.1 1 2", Protocol),
            (" TCP4 192.0.2.1 198.51.100.1 1 2", Protocol),
            ("UNKNOWNX", Protocol),
            ("TCP4", FieldCount { count: 0 }),
            ("TCP4 192.0.2.1 198.51.100.1 1", FieldCount { count: 3 }),
            ("TCP4 192.0.2.1 198.51.100.1 1 2 ", FieldCount { count: 5 }),
            ("TCP4  192.0.2.1 198.51.100.1 1 2", FieldCount { count: 5 }),
            ("TCP4 192.0.2.256 198.51.100.1 1 2", field(Field::SourceAddress)),
            ("TCP4 192.0.2.01 198.51.100.1 1 2", field(Field::SourceAddress)),
            ("TCP4 ::1 198.51.100.1 1 2", field(Field::SourceAddress)),
            ("TCP6 192.0.2.1 ::1 1 2", field(Field::SourceAddress)),
            ("TCP6 [::1] ::1 1 2", field(Field::SourceAddress)),
            ("TCP6 fe80::1%eth0 ::1 1 2", field(Field::SourceAddress)),
            ("TCP4 192.0.2.1 localhost 1 2", field(Field::DestinationAddress)),
            ("TCP4 192.0.2.1 198.51.100.1 65536 2", field(Field::SourcePort)),
            ("TCP4 192.0.2.1 198.51.100.1 +1 2", field(Field::SourcePort)),
            ("TCP4 192.0.2.1 198.51.100.1 01 2", field(Field::SourcePort)),
            ("TCP4 192.0.2.1 198.51.100.1 00 2", field(Field::SourcePort)),
            ("TCP4 192.0.2.1 198.51.100.1 1 ", field(Field::DestinationPort)),
            ("TCP4 192.0.2.1 198.51.100.1 1 2\n", field(Field::DestinationPort)),
        ] {
            assert_eq!(parse(format!("PROXY {rest}\r\n").as_bytes()), Parsed::Bad(bad), "{rest}");
        }
    }

    #[test]
    fn a_client_that_sends_no_header_is_known_by_its_first_wrong_byte() {
        for (bytes, at) in [
            (&b"GET / HTTP/1.1\r\n"[..], 0),
            (b"POST / HTTP/1.1\r\n", 1),
            (b"PROXY\tTCP4", 5),
            (b"\x16\x03\x01", 0),
            (b"\r\n\r\nGET", 4),
            (b"\r\n\r\n\0\r\nQUIT\r", 11),
        ] {
            assert_eq!(parse(bytes), Parsed::Bad(BadProxyHeader::Start { at, byte: bytes[at] }), "{bytes:?}");
            assert_eq!(parse(&bytes[..at]), Parsed::NeedsMore);
        }
    }

    #[test]
    fn version_2_tells_the_client_of_either_family_and_transport() {
        let v6 = v6_block("2001:db8::1".parse().unwrap(), 4711);
        let mapped = v6_block("::ffff:192.0.2.1".parse().unwrap(), 4711);
        assert_eq!(parse(&v2_header(0x21, 0x11, &V4_BLOCK)), header(28, "192.0.2.1:56324"));
        assert_eq!(parse(&v2_header(0x21, 0x12, &V4_BLOCK)), header(28, "192.0.2.1:56324"));
        assert_eq!(parse(&v2_header(0x21, 0x21, &v6)), header(52, "[2001:db8::1]:4711"));
        assert_eq!(parse(&v2_header(0x21, 0x22, &v6)), header(52, "[2001:db8::1]:4711"));
        assert_eq!(parse(&v2_header(0x21, 0x21, &mapped)), header(52, "192.0.2.1:4711"));
    }

    #[test]
    fn what_follows_the_addresses_is_skipped_and_what_follows_the_header_is_left() {
        // PP2_TYPE_AUTHORITY "example.com", and a PP2_TYPE_CRC32C that is wrong.
        let tlvs = b"\x02\x00\x0bexample.com\x03\x00\x04\xff\xff\xff\xff";
        let mut bytes = v2_header(0x21, 0x11, &[&V4_BLOCK[..], tlvs].concat());
        let length = bytes.len();
        bytes.extend_from_slice(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(parse(&bytes), header(length, "192.0.2.1:56324"));
    }

    #[test]
    fn the_proxys_own_connection_has_no_client_whatever_follows() {
        for family in [0x00, 0x11, 0x21, 0xff] {
            for block in [&[][..], &V4_BLOCK, &[0; 3]] {
                let bytes = v2_header(0x20, family, block);
                assert_eq!(parse(&bytes), Parsed::Header { length: bytes.len(), source: None });
            }
        }
    }

    #[test]
    fn a_client_without_an_ip_address_has_none_here() {
        for (family, block) in [
            (0x00, &[][..]),
            (0x00, &V4_BLOCK),
            (0x01, &[]),
            (0x10, &V4_BLOCK),
            (0x31, &[b'/'; 216]),
            (0x32, &[0; 216]),
        ] {
            let bytes = v2_header(0x21, family, block);
            assert_eq!(parse(&bytes), Parsed::Header { length: bytes.len(), source: None }, "{family:#x}");
        }
    }

    #[test]
    fn version_2_is_refused_at_the_first_byte_that_is_wrong() {
        for command in [0x00, 0x11, 0x22, 0x2f, 0x31, 0xff] {
            let bytes = v2_header(command, 0x11, &V4_BLOCK);
            assert_eq!(parse(&bytes[..13]), Parsed::Bad(BadProxyHeader::Command(command)));
        }
        for family in [0x03, 0x13, 0x2f, 0x33, 0x41, 0xff] {
            let bytes = v2_header(0x21, family, &V4_BLOCK);
            assert_eq!(parse(&bytes[..14]), Parsed::Bad(BadProxyHeader::Family(family)));
        }
        for (family, length, needed) in [(0x11, 11, 12), (0x21, 35, 36), (0x31, 215, 216)] {
            let bytes = v2_header(0x21, family, &vec![0; length]);
            assert_eq!(parse(&bytes[..16]), Parsed::Bad(BadProxyHeader::TooShort { length, needed }));
        }
    }

    #[test]
    fn a_header_at_the_limit_is_read_and_one_beyond_it_is_refused_by_its_length() {
        let mut block = V4_BLOCK.to_vec();
        block.resize(V2_LIMIT_BYTES, 0);
        assert_eq!(parse(&v2_header(0x21, 0x11, &block)), header(LIMIT_BYTES, "192.0.2.1:56324"));
        block.push(0);
        let bytes = v2_header(0x21, 0x11, &block);
        assert_eq!(parse(&bytes[..16]), Parsed::Bad(BadProxyHeader::TooLong { length: V2_LIMIT_BYTES + 1 }));
    }

    fn valid() -> impl Strategy<Value = Vec<u8>> {
        let line = |protocol: &'static str, from: String, to: String, ports: (u16, u16)| {
            format!("PROXY {protocol} {from} {to} {} {}\r\n", ports.0, ports.1).into_bytes()
        };
        let v4 = any::<(Ipv4Addr, Ipv4Addr, (u16, u16))>()
            .prop_map(move |(from, to, ports)| line("TCP4", from.to_string(), to.to_string(), ports));
        let v6 = any::<(Ipv6Addr, Ipv6Addr, (u16, u16))>()
            .prop_map(move |(from, to, ports)| line("TCP6", from.to_string(), to.to_string(), ports));
        let unknown = "[ -~]{0,80}".prop_map(|rest| format!("PROXY UNKNOWN {rest}\r\n").into_bytes());
        let family = prop_oneof![Just(0x00_u8), Just(0x11), Just(0x12), Just(0x21), Just(0x22), Just(0x31)];
        let binary = (0x20..=0x21_u8, family, prop::collection::vec(any::<u8>(), 216..300))
            .prop_map(|(command, family, block)| v2_header(command, family, &block));
        prop_oneof![v4, v6, unknown, binary]
    }

    proptest! {
        #[test]
        fn every_beginning_of_a_header_needs_more_and_nothing_behind_it_matters(
            bytes in valid(), behind in prop::collection::vec(any::<u8>(), 0..40)
        ) {
            for split in 0..bytes.len() {
                prop_assert_eq!(parse(&bytes[..split]), Parsed::NeedsMore, "{}", split);
            }
            let whole = parse(&bytes);
            let is_all = matches!(whole, Parsed::Header { length, .. } if length == bytes.len());
            prop_assert!(is_all);
            prop_assert_eq!(parse(&[bytes, behind].concat()), whole);
        }

        #[test]
        fn the_client_is_the_one_that_was_written(
            from in any::<Ipv6Addr>(), from_v4 in any::<Ipv4Addr>(), port in any::<u16>()
        ) {
            let lines = [
                (format!("PROXY TCP4 {from_v4} 127.0.0.1 {port} 80\r\n").into_bytes(), IpAddr::V4(from_v4)),
                (format!("PROXY TCP6 {from} ::1 {port} 80\r\n").into_bytes(), IpAddr::V6(from).to_canonical()),
                (v2_header(0x21, 0x21, &v6_block(from, port)), IpAddr::V6(from).to_canonical()),
            ];
            for (bytes, ip) in lines {
                let source = Some(SocketAddr::new(ip, port));
                prop_assert_eq!(parse(&bytes), Parsed::Header { length: bytes.len(), source });
            }
        }

        #[test]
        fn an_answer_is_never_taken_back(
            start in prop::sample::select(vec![&b"PROXY TCP4 "[..], b"PROXY TCP6 ", V2_SIGNATURE, b""]),
            rest in prop::collection::vec(prop_oneof![any::<u8>(), Just(b' '), Just(b'\r'), Just(b'\n')], 0..130)
        ) {
            let bytes = [start, &rest].concat();
            let whole = parse(&bytes);
            for split in 0..bytes.len() {
                let part = parse(&bytes[..split]);
                prop_assert!(part == Parsed::NeedsMore || part == whole, "{} {:?} {:?}", split, part, whole);
            }
        }
    }
}

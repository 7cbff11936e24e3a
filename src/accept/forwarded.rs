//! Whose request it is, behind proxies that say so in `X-Forwarded-For` or in `Forwarded` (RFC 7239).
//!
//! Pure. Each proxy appends the address it was spoken to from, so a list is to be believed from its right end, and only as
//! long as those who wrote it are trusted: everything to the left of the first address that is not is the client's own
//! invention. What a client sends can make us stop at a proxy, and never pass for somebody else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::header::{FORWARDED, HeaderMap, HeaderName};

use crate::config::Networks;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client of a request with these headers from `peer`; `peer` itself if it is not in `trusted`.
///
/// Walks from the right over addresses in `trusted`; the first that is not is the client. What is no address (`unknown`, an
/// obfuscated identifier, an empty entry, junk) ends the walk at the last one before it. Several lines are one list. An
/// IPv4-mapped address is the IPv4 address. Does not allocate; O(headers).
///
/// With both headers, both have to say the same; else it is `peer`. A proxy writes one of them and usually passes the
/// other on as it came, and which one is the client's cannot be seen here: to prefer either would let clients of a proxy
/// that writes the other be whoever they like.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> IpAddr {
    let peer = peer.to_canonical();
    if !trusted.contains(peer) {
        return peer;
    }
    let told = |name: HeaderName, has_strings, address: fn(&[u8]) -> Option<IpAddr>| {
        let lines = headers.get_all(&name).iter().rev();
        let elements = lines.flat_map(|line| Elements { rest: Some(line.as_bytes()), has_strings });
        headers.contains_key(&name).then(|| walk(peer, elements.map(address), trusted))
    };
    let x_forwarded_for = told(X_FORWARDED_FOR, false, node);
    let forwarded = told(FORWARDED, true, forwarded_for);
    match (x_forwarded_for, forwarded) {
        (None, None) => peer,
        (Some(client), None) | (None, Some(client)) => client,
        (Some(one), Some(other)) => {
            if one == other {
                one
            } else {
                peer
            }
        }
    }
}

/// The first of `addresses` that is not trusted, else the last before what is none.
fn walk(peer: IpAddr, addresses: impl Iterator<Item = Option<IpAddr>>, trusted: &Networks) -> IpAddr {
    let mut client = peer;
    for address in addresses {
        let Some(address) = address else { break };
        client = address;
        if !trusted.contains(client) {
            break;
        }
    }
    client
}

/// The elements of a comma-separated line, from the right.
///
/// From the right also where strings are quoted: what a trusted proxy appended is whole, so its quotes pair up from
/// its end whatever stands in front of it. From the left, a client's quote without an end would swallow it.
struct Elements<'a> {
    rest: Option<&'a [u8]>,
    /// Whether a comma may be part of a quoted string.
    has_strings: bool,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest?;
        let mut in_string = false;
        let comma = rest.iter().enumerate().rposition(|(at, &byte)| {
            if byte == b'"' && self.has_strings && !(in_string && is_escaped(rest, at)) {
                in_string = !in_string;
            }
            byte == b',' && !in_string
        });
        self.rest = comma.map(|at| &rest[..at]);
        Some(rest[comma.map_or(0, |at| at + 1)..].trim_ascii())
    }
}

/// Whether the byte at `at` of a string is behind a backslash that is not itself behind one.
fn is_escaped(text: &[u8], at: usize) -> bool {
    text[..at].iter().rev().take_while(|&&byte| byte == b'\\').count() % 2 == 1
}

/// The address of `for` in an element of `Forwarded` (RFC 7239 §4): `for=192.0.2.1;proto=https`.
///
/// Lenient where it is harmless, because it is common: blanks around `;`, and a colon or brackets without quotes.
/// A second `for` makes the element junk.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let mut found = None;
    let mut rest = element;
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix(b";") {
            rest = behind.trim_ascii_start();
            continue;
        }
        let (name, value, behind) = pair(rest)?;
        if name.eq_ignore_ascii_case(b"for") && found.replace(value).is_some() {
            return None;
        }
        rest = behind.trim_ascii_start();
        if !rest.is_empty() && !rest.starts_with(b";") {
            return None;
        }
    }
    found.and_then(node)
}

/// The name and the value that `text` begins with, and what follows. The value without its quotes, but with its
/// backslashes: no address needs one, so one that has some is none.
fn pair(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, rest) = text.split_at(text.iter().position(|&byte| byte == b'=')?);
    let rest = &rest[1..];
    if name.is_empty() || !name.iter().all(|&byte| is_token_byte(byte)) {
        return None;
    }
    if let Some(string) = rest.strip_prefix(b"\"") {
        let end = (0..string.len()).find(|&at| string[at] == b'"' && !is_escaped(string, at))?;
        return Some((name, &string[..end], &string[end + 1..]));
    }
    let end = rest.iter().position(|&byte| matches!(byte, b';' | b'"' | b' ' | b'\t')).unwrap_or(rest.len());
    Some((name, &rest[..end], &rest[end..]))
}

/// RFC 9110 §5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// An address with or without a port: IPv4, IPv6, or IPv6 in brackets. `None` for whatever else identifies a node.
fn node(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let (address, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, behind) = rest.split_once(']')?;
            let port = if behind.is_empty() { None } else { Some(behind.strip_prefix(':')?) };
            (IpAddr::V6(address.parse::<Ipv6Addr>().ok()?), port)
        }
        None => match text.split_once(':') {
            // A second colon makes it an IPv6 address, which has no port outside of brackets.
            Some((address, port)) if !port.contains(':') => (address.parse::<Ipv4Addr>().ok()?.into(), Some(port)),
            Some(_) | None => (text.parse().ok()?, None),
        },
    };
    port.is_none_or(is_port).then(|| address.to_canonical())
}

/// Digits, or an obfuscated port (RFC 7239 §6).
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        }
        None => text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn trusted() -> Networks {
        ["10.0.0.0/8", "fd00::/8"].iter().map(|text| text.parse().unwrap()).collect()
    }

    fn headers(lines: &[(HeaderName, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    /// Who the client is to a hub behind [`PROXY`].
    fn told(lines: &[(HeaderName, &str)]) -> String {
        let lines: Vec<_> = lines.iter().map(|(name, value)| (name.clone(), value.as_bytes())).collect();
        client(ip(PROXY), &headers(&lines), &trusted()).to_string()
    }

    #[test]
    fn a_peer_that_is_not_trusted_is_the_client_whatever_it_says() {
        let lines = headers(&[(X_FORWARDED_FOR, b"192.0.2.1"), (FORWARDED, b"for=192.0.2.1")]);
        assert_eq!(client(ip("203.0.113.9"), &lines, &trusted()), ip("203.0.113.9"));
        assert_eq!(client(ip(PROXY), &lines, &Networks::default()), ip(PROXY));
        assert_eq!(client(ip("::ffff:203.0.113.9"), &lines, &trusted()), ip("203.0.113.9"));
    }

    #[test]
    fn a_trusted_peer_that_says_nothing_is_the_client() {
        assert_eq!(told(&[]), PROXY);
        assert_eq!(client(ip("::ffff:10.0.0.1"), &HeaderMap::new(), &trusted()), ip(PROXY));
    }

    #[test]
    fn the_first_address_from_the_right_that_is_not_trusted_is_the_client() {
        for (list, client) in [
            ("192.0.2.1", "192.0.2.1"),
            ("198.51.100.7, 192.0.2.1", "192.0.2.1"),
            ("198.51.100.7, 192.0.2.1, 10.0.0.2,10.0.0.3", "192.0.2.1"),
            ("junk, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("2001:db8::1, fd00::2", "2001:db8::1"),
            ("::ffff:192.0.2.1, ::ffff:10.0.0.2", "192.0.2.1"),
        ] {
            assert_eq!(told(&[(X_FORWARDED_FOR, list)]), client, "{list}");
        }
        for (list, client) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("for=198.51.100.7, for=192.0.2.1;proto=https;by=10.0.0.2, For=10.0.0.2", "192.0.2.1"),
            ("by=_x;FOR=\"[2001:db8::1]:4711\";host=\"a,b;for=192.0.2.7\"", "2001:db8::1"),
            ("for=10.0.0.3,for=10.0.0.2", "10.0.0.3"),
        ] {
            assert_eq!(told(&[(FORWARDED, list)]), client, "{list}");
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        let x = X_FORWARDED_FOR;
        assert_eq!(told(&[(x.clone(), "192.0.2.1"), (x.clone(), "10.0.0.2"), (x, "10.0.0.3")]), "192.0.2.1");
        assert_eq!(told(&[(FORWARDED, "for=198.51.100.7"), (FORWARDED, "for=192.0.2.1, for=10.0.0.3")]), "192.0.2.1");
    }

    #[test]
    fn what_is_no_address_ends_the_walk_at_the_last_one_before_it() {
        for junk in
            ["", "unknown", "_hidden", "192.0.2", "192.0.2.01", "[::1", "::1]", "fe80::1%eth0", "\"192.0.2.1\"", "é"]
        {
            assert_eq!(told(&[(X_FORWARDED_FOR, &format!("192.0.2.1, {junk}, 10.0.0.2"))]), "10.0.0.2", "{junk}");
            assert_eq!(told(&[(X_FORWARDED_FOR, &format!("192.0.2.1, {junk}"))]), PROXY, "{junk}");
        }
        for junk in [
            "",
            ";",
            "for",
            "for=",
            "for=unknown",
            "for=_hidden",
            "for=\"_hidden:80\"",
            "proto=https",
            "for=192.0.2.1;for=192.0.2.1",
            "for=192.0.2.1 proto=https",
            "for=192.0.2.1\"",
            "for=\"192.0.2.1\"x",
            "for =192.0.2.1",
            "for= 192.0.2.1",
            "for=\"192\\.0.2.1\"",
            "x for=192.0.2.1",
        ] {
            assert_eq!(told(&[(FORWARDED, &format!("for=192.0.2.1, {junk}, for=10.0.0.2"))]), "10.0.0.2", "{junk}");
            assert_eq!(told(&[(FORWARDED, &format!("for=192.0.2.1, {junk}"))]), PROXY, "{junk}");
        }
    }

    #[test]
    fn ports_and_brackets_are_not_part_of_the_address() {
        for (text, address) in [
            ("192.0.2.1:80", Some("192.0.2.1")),
            ("192.0.2.1:_http", Some("192.0.2.1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:65535", Some("2001:db8::1")),
            ("[::ffff:192.0.2.1]:1", Some("192.0.2.1")),
            ("2001:db8::1:80", Some("2001:db8::1:80")),
            ("192.0.2.1:", None),
            ("192.0.2.1:_", None),
            ("192.0.2.1:+80", None),
            ("192.0.2.1:65536", None),
            ("[192.0.2.1]", None),
            ("[::1]80", None),
            ("[::1]:", None),
        ] {
            assert_eq!(node(text.as_bytes()), address.map(ip), "{text}");
        }
    }

    #[test]
    fn a_quoted_string_without_an_end_swallows_nothing_that_a_proxy_appended() {
        for start in ["for=\"", "for=\"a\\", "\"", "host=\"\\\"", "\\\"", "for=192.0.2.7;x=\"\\\\"] {
            assert_eq!(told(&[(FORWARDED, &format!("{start}, for=192.0.2.1"))]), "192.0.2.1", "{start}");
            let end = "for=192.0.2.1;host=\"a\\\", for=192.0.2.7;x=\\\"\\\\\"";
            assert_eq!(told(&[(FORWARDED, &format!("{start},{end}"))]), "192.0.2.1", "{start}");
        }
    }

    #[test]
    fn two_headers_count_if_they_agree() {
        let both = |x: &str, forwarded: &str| told(&[(X_FORWARDED_FOR, x), (FORWARDED, forwarded)]);
        assert_eq!(both("192.0.2.1", "for=192.0.2.1"), "192.0.2.1");
        assert_eq!(both("192.0.2.1, 10.0.0.2", "for=\"192.0.2.1:80\""), "192.0.2.1");
        assert_eq!(both("192.0.2.1", "for=192.0.2.2"), PROXY);
        assert_eq!(both("192.0.2.1", ""), PROXY);
        assert_eq!(both("", "for=192.0.2.1"), PROXY);
    }

    fn any_address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![any::<Ipv4Addr>().prop_map(IpAddr::V4), any::<Ipv6Addr>().prop_map(IpAddr::V6)]
            .prop_map(|address| address.to_canonical())
    }

    fn bracketed(address: IpAddr) -> String {
        if address.is_ipv6() { format!("\"[{address}]:7\"") } else { address.to_string() }
    }

    proptest! {
        #[test]
        fn nothing_a_client_writes_changes_what_its_proxy_appends(
            written in "[ -~]{0,40}", likely in "([,;=\"\\\\ ]|for|192\\.0\\.2\\.7|\\[::1\\]|unknown){0,12}",
            address in any_address(), host in "[ -~]{0,12}"
        ) {
            prop_assume!(!trusted().contains(address));
            let quoted = host.replace('\\', "\\\\").replace('"', "\\\"");
            let appended = format!("for={};host=\"{quoted}\"", bracketed(address));
            for written in [&written, &likely] {
                prop_assert_eq!(told(&[(X_FORWARDED_FOR, &format!("{written}, {address}"))]), address.to_string());
                prop_assert_eq!(told(&[(FORWARDED, &format!("{written}, {appended}"))]), address.to_string());
                let lines = [(FORWARDED, written.as_str()), (FORWARDED, appended.as_str())];
                prop_assert_eq!(told(&lines), address.to_string());
            }
        }

        #[test]
        fn the_walk_is_the_longest_trusted_end_and_one_more(
            list in prop::collection::vec(prop_oneof![
                Just(None), any_address().prop_map(Some), any::<[u8; 3]>().prop_map(|[a, b, c]| Some(Ipv4Addr::new(10, a, b, c).into()))
            ], 0..8)
        ) {
            let texts: Vec<_> = list.iter().map(|one| one.map_or("unknown".to_owned(), |ip| ip.to_string())).collect();
            let elements: Vec<_> = list.iter().map(|one| format!("for={}", one.map_or("unknown".to_owned(), bracketed))).collect();
            // In the slow and obvious way: everyone who is vouched for by somebody trusted.
            let mut vouched = vec![ip(PROXY)];
            for one in list.iter().rev() {
                let trusts = vouched.iter().all(|&writer| trusted().contains(writer));
                match one {
                    Some(address) if trusts => vouched.push(*address),
                    _ => break,
                }
            }
            let expected = vouched.last().unwrap().to_string();
            prop_assert_eq!(told(&[(X_FORWARDED_FOR, &texts.join(", "))]), expected.clone());
            prop_assert_eq!(told(&[(FORWARDED, &elements.join(","))]), expected.clone());
            let lines: Vec<_> = elements.iter().map(|element| (FORWARDED, element.as_str())).collect();
            prop_assert_eq!(told(&lines), expected);
        }

        #[test]
        fn any_bytes_lead_to_the_peer_or_to_an_address_that_stands_there(
            lines in prop::collection::vec((any::<bool>(), "[ -~]{0,30}"), 0..4)
        ) {
            let lines: Vec<_> = lines.iter().map(|(x, line)| (if *x { X_FORWARDED_FOR } else { FORWARDED }, line.as_str())).collect();
            let address = told(&lines);
            prop_assert!(address == PROXY || lines.iter().any(|(_, line)| line.contains(['.', ':'])));
        }
    }
}

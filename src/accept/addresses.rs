//! How many connections and handshakes each client address has.

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::time::Instant;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::config::Limits;
use crate::refusal::Refusal;

/// Handshakes that an address may have at once, in seconds of its rate: what a page with several tabs needs when its
/// network comes back.
const BURST_SECONDS: u64 = 5;

/// A client address as it is counted: all of IPv4, the first 64 bits of IPv6, which is what one customer has at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressKey(NonZeroU64);

impl AddressKey {
    /// The key of an address.
    pub fn of(address: IpAddr) -> Self {
        // IPv4 is put where no prefix of IPv6 in use is: the IETF has ::/8 reserved (RFC 4291 §2.4).
        const IPV4: u64 = 1 << 32;
        let key = match address.to_canonical() {
            IpAddr::V4(address) => IPV4 | u64::from(address.to_bits()),
            // The loopback address and what else begins with 64 zeros share one.
            IpAddr::V6(address) => ((address.to_bits() >> 64) as u64).max(1),
        };
        Self(NonZeroU64::new(key).expect("invariant: both have a bit set"))
    }
}

/// Why an address gets no further connection now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowded {
    /// `limits.connections_per_address` are open.
    Connections,
    /// `limits.handshakes_per_address` is used up.
    Handshakes,
}

impl Crowded {
    /// What its client is told.
    pub const fn refusal(self) -> Refusal {
        match self {
            Self::Connections => Refusal::TooManyFromAddress,
            Self::Handshakes => Refusal::TooManyHandshakes,
        }
    }
}

/// What every client address has open, and how often it came lately. Shared by all shards.
///
/// Nothing is kept for an address that has nothing open and has not come for [`BURST_SECONDS`]; so it is as large as
/// what is open, and what came in these seconds.
#[derive(Debug)]
pub struct Addresses {
    connections: u32,
    handshakes_per_second: u64,
    started: Instant,
    /// With the hasher of the standard library: clients choose their addresses, more or less.
    known: DashMap<AddressKey, Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    open: u32,
    /// Until when its rate is used up, in milliseconds since the start: what a leaky bucket holds, as a time (GCRA).
    busy_until_ms: u64,
}

impl Addresses {
    /// Nobody is here. A limit of 0 is none.
    pub fn new(limits: &Limits, started: Instant) -> Self {
        Self {
            connections: u32::try_from(limits.connections_per_address).unwrap_or(u32::MAX),
            handshakes_per_second: limits.handshakes_per_address,
            started,
            known: DashMap::new(),
        }
    }

    /// Whether nothing is limited: then nobody need be counted.
    pub fn are_unlimited(&self) -> bool {
        self.connections == 0 && self.handshakes_per_second == 0
    }

    /// Counts a connection of `key` that begins now.
    ///
    /// # Errors
    /// It must not: nothing was counted.
    pub fn enter(&self, key: AddressKey, now: Instant) -> Result<(), Crowded> {
        let now_ms = self.millis(now);
        let mut known = self.known.entry(key).or_insert(Known { open: 0, busy_until_ms: 0 });
        if self.connections != 0 && known.open >= self.connections {
            return Err(Crowded::Connections);
        }
        if self.handshakes_per_second != 0 {
            let busy_until_ms = known.busy_until_ms.max(now_ms) + 1000 / self.handshakes_per_second.min(1000);
            if busy_until_ms > now_ms + BURST_SECONDS * 1000 {
                return Err(Crowded::Handshakes);
            }
            known.busy_until_ms = busy_until_ms;
        }
        known.open += 1;
        Ok(())
    }

    /// A connection that [`Addresses::enter`] counted is gone.
    pub fn leave(&self, key: AddressKey, now: Instant) {
        let now_ms = self.millis(now);
        if let Entry::Occupied(mut entry) = self.known.entry(key) {
            let known = entry.get_mut();
            known.open = known.open.saturating_sub(1);
            if known.open == 0 && known.busy_until_ms <= now_ms {
                entry.remove();
            }
        }
    }

    /// Forgets those that have nothing open and may come as often as ever. Call it now and then. O(known).
    pub fn tidy(&self, now: Instant) {
        let now_ms = self.millis(now);
        self.known.retain(|_, known| known.open > 0 || known.busy_until_ms > now_ms);
    }

    /// Addresses that something is known of.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nothing is known of anyone.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn key(text: &str) -> AddressKey {
        AddressKey::of(text.parse().unwrap())
    }

    fn addresses(connections: usize, handshakes: u64) -> (Addresses, Instant) {
        let limits =
            Limits { connections_per_address: connections, handshakes_per_address: handshakes, ..Limits::default() };
        let start = Instant::now();
        (Addresses::new(&limits, start), start)
    }

    #[test]
    fn an_address_is_all_of_ipv4_and_a_64_of_ipv6() {
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("::1"), key("0.0.0.1"));
        assert_ne!(key("0.0.0.0"), key("::"));
    }

    #[test]
    fn the_last_connection_of_the_limit_is_let_in_and_the_next_when_one_has_gone() {
        let (addresses, now) = addresses(2, 0);
        let (one, other) = (key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!([addresses.enter(one, now), addresses.enter(one, now)], [Ok(()), Ok(())]);
        assert_eq!(addresses.enter(one, now), Err(Crowded::Connections));
        assert_eq!(addresses.enter(other, now), Ok(()));
        addresses.leave(one, now);
        assert_eq!(addresses.enter(one, now), Ok(()));
        for gone in [one, one, other] {
            addresses.leave(gone, now);
        }
        assert!(addresses.is_empty(), "nothing is kept of those who are gone");
    }

    #[test]
    fn a_burst_is_let_in_and_then_the_rate() {
        let (addresses, now) = addresses(0, 2);
        let one = key("2001:db8::1");
        let burst = (0..100).filter(|_| addresses.enter(one, now).is_ok()).count();
        assert_eq!(burst, 10);
        let later = now + Duration::from_millis(500);
        assert_eq!(addresses.enter(one, later), Ok(()));
        assert_eq!(addresses.enter(one, later), Err(Crowded::Handshakes));
        assert_eq!(addresses.enter(key("2001:db8:1::1"), later), Ok(()), "others do not notice");
        for _ in 0..11 {
            addresses.leave(one, later);
        }
        assert_eq!(addresses.len(), 2, "it may not come anew by going");
        addresses.tidy(later + Duration::from_secs(BURST_SECONDS));
        assert_eq!(addresses.len(), 1);
    }

    #[test]
    fn without_limits_nobody_is_turned_away() {
        let (addresses, now) = addresses(0, 0);
        assert!(addresses.are_unlimited());
        assert!((0..1000).all(|_| addresses.enter(key("192.0.2.1"), now).is_ok()));
    }

    proptest! {
        /// However an address comes and goes, it gets no more than the burst and its rate.
        #[test]
        fn the_rate_is_never_passed(rate in 1u64..50, gaps in proptest::collection::vec(0u64..2000, 1..200)) {
            let (addresses, start) = addresses(0, rate);
            let one = key("192.0.2.1");
            let (mut at_ms, mut let_in) = (0, 0);
            for gap in gaps {
                at_ms += gap;
                let now = start + Duration::from_millis(at_ms);
                let_in += u64::from(addresses.enter(one, now).is_ok());
                // Handshakes cost whole milliseconds, so the rate may be met a little above.
                let allowed = (BURST_SECONDS * 1000 + at_ms) / (1000 / rate) + 1;
                prop_assert!(let_in <= allowed, "{let_in} of {allowed} after {at_ms} ms");
            }
        }
    }
}

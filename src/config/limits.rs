//! `[limits]`: a bound for everything that clients could make grow.

use serde::{Deserialize, Serialize};

use super::units::{ByteSize, Span};

/// `[limits]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct Limits {
    /// Open connections of all kinds. Default 100000.
    pub connections: usize,
    /// Open connections of one client address (an IPv4 address, or the first 64 bits of one of IPv6); 0: any number. Default 0.
    pub connections_per_address: usize,
    /// Connections per second that one client address may begin, with a burst of five seconds' worth; 0: any number. Default 0.
    pub handshakes_per_address: u64,
    /// Topics in memory. Default 1000000.
    pub topics: usize,
    /// Topics of one connection. Default 128.
    pub subscriptions: usize,
    /// Bytes of one message from a client or one published body. Default `"64KiB"`.
    pub message: ByteSize,
    /// Bytes of an HTTP request head. Default `"16KiB"`.
    pub header: ByteSize,
    /// Time for a whole request head to arrive. Default `"10s"`.
    pub header_timeout: Span,
    /// Time an HTTP connection may stay open between requests. Default `"75s"`.
    pub keep_alive: Span,
    /// Bytes that wait in one worker's mailbox. Default `"16MiB"`.
    pub mailbox: ByteSize,
    /// How long a publisher over HTTP waits for room before 503. Default `"5s"`.
    pub publish_wait: Span,
    /// Outbound bytes waiting in the whole process. Default `"1GiB"`.
    pub outbound_total: ByteSize,
    /// History bytes in the whole process. Default `"256MiB"`.
    pub history_total: ByteSize,
    /// Time for the close handshake. Default `"5s"`.
    pub close_timeout: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 100_000,
            // Off: behind a proxy that is not in `trusted_proxies`, all clients have one address.
            connections_per_address: 0,
            handshakes_per_address: 0,
            topics: 1_000_000,
            subscriptions: 128,
            message: ByteSize::kib(64),
            header: ByteSize::kib(16),
            header_timeout: Span::secs(10),
            keep_alive: Span::secs(75),
            mailbox: ByteSize::mib(16),
            publish_wait: Span::secs(5),
            outbound_total: ByteSize::mib(1024),
            history_total: ByteSize::mib(256),
            close_timeout: Span::secs(5),
        }
    }
}

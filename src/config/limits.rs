//! `[limits]`: a bound for everything that clients could make grow.

use serde::{Deserialize, Serialize};

use super::units::{ByteSize, Span};
use crate::hub::TopicName;

/// `[limits]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub struct Limits {
    /// Open connections of all kinds. Default 100000.
    pub connections: usize,
    /// Open connections of one client address (an IPv4 address, or the first 64 bits of one of IPv6); 0: any number. Default 0.
    pub connections_per_address: usize,
    /// Open connections of one user; 0: any number. Default 0.
    pub connections_per_user: usize,
    /// Connections per second that may begin, in all; the others wait in the kernel. 0: any number. Default 0.
    pub handshakes: u64,
    /// Connections per second that one client address may begin, with a burst of five seconds' worth; 0: any number. Default 0.
    pub handshakes_per_address: u64,
    /// Topics in memory. Default 1000000.
    pub topics: usize,
    /// Topics of one connection. Default 128.
    pub subscriptions: usize,
    /// Bytes of the name of a topic, at most 255. Default 255.
    pub topic_name: usize,
    /// Bytes of one message from a client or one published body. Default `"64KiB"`.
    pub message: ByteSize,
    /// Frames of one message from a client. Default 4096.
    pub fragments: u32,
    /// Messages per second from one connection; 0 is no limit, which is the default.
    pub message_rate: u32,
    /// Bytes per second from one WebSocket; 0 is no limit, which is the default.
    pub byte_rate: ByteSize,
    /// What happens to a connection over one of these two. Default `pause`.
    pub over_rate: OverRate,
    /// Pings and pongs per second from one connection; 0 is no limit. Default 50.
    pub control_rate: u32,
    /// Time for one message from a client, from its first byte to its last; zero is no limit. Default `"1m"`.
    pub message_timeout: Span,
    /// How long a WebSocket client may send no message; zero is for ever, which is the default.
    pub idle_timeout: Span,
    /// How long a WebSocket or an event stream may be open, give or take a tenth; zero is for ever, which is the default.
    pub connection_age: Span,
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

/// What happens to a connection that sends faster than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverRate {
    /// It is not read until it may send again.
    Pause,
    /// It is closed.
    Close,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 100_000,
            // Off: behind a proxy that is not in `trusted_proxies`, all clients have one address.
            connections_per_address: 0,
            connections_per_user: 0,
            handshakes: 0,
            handshakes_per_address: 0,
            topics: 1_000_000,
            subscriptions: 128,
            topic_name: TopicName::LIMIT_BYTES,
            message: ByteSize::kib(64),
            fragments: 4096,
            message_rate: 0,
            byte_rate: ByteSize(0),
            over_rate: OverRate::Pause,
            control_rate: 50,
            message_timeout: Span::secs(60),
            idle_timeout: Span::secs(0),
            connection_age: Span::secs(0),
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

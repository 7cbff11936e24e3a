//! How much memory the limits allow, added up before anything is started.

use super::settings::Config;
use super::topics::TopicRules;
use super::units::ByteSize;
use crate::hub::Idempotency;

/// The sum of what the limits allow clients to make this process hold. What is held per connection and per topic to
/// manage it comes on top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryBound {
    /// What it is made of, in the order of the configuration.
    pub items: Vec<MemoryItem>,
}

/// One term of the sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryItem {
    /// What the memory is for.
    pub purpose: &'static str,
    /// The keys it comes from, as a product.
    pub keys: &'static str,
    /// At most this much.
    pub bytes: ByteSize,
}

/// Bodies of answers (64 MiB) and of files (64 MiB), and four files of at most 16 MiB that are being read; see `api` and
/// `pages`.
const ANSWERS: ByteSize = ByteSize::mib(64 + 64 + 4 * 16);

/// Idempotency keys; see `hub`.
const IDEMPOTENCY: ByteSize = ByteSize(Idempotency::LIMIT_BYTES as u64);

/// What was read of a connection and waits until it reads its answers, or may send again: one read at most, or what came with
/// its head; see `worker`.
const WAITING: ByteSize = ByteSize::kib(64);

/// What clients of streams say beside them, and workers have not done; see `api`.
const COMMANDS: ByteSize = ByteSize::mib(64);

/// What a TLS connection keeps: an unfinished record or handshake message (32 KiB at most; see `tls`), keys and what was
/// agreed on. What is sealed and not sent counts in `limits.outbound_total`.
const TLS: ByteSize = ByteSize::kib(40);

/// Publications that wait for the disk: those that wait for their place, those that are being written, and those that a
/// failing disk makes wait; see `engine/disk`. And what redb keeps.
const TO_DISK: ByteSize = ByteSize::mib(3 * 16 + 16);

impl MemoryBound {
    /// The sum, saturating.
    pub fn total(&self) -> ByteSize {
        ByteSize(self.items.iter().fold(0, |sum, item| sum.saturating_add(item.bytes.0)))
    }
}

impl Config {
    /// What the limits allow with `workers` workers (pass the real number, not the 0 of `server.workers`).
    pub fn memory_bound(&self, workers: usize) -> MemoryBound {
        let limits = &self.limits;
        // A connection is either sending a head or a message, never both.
        let compressed = self.everywhere().iter().any(|listen| listen.compresses_from(&self.compression).is_some());
        let message = if compressed { largest_compressed(limits.message) } else { limits.message };
        let inbound = message.max(limits.header);
        let item = |purpose, keys, bytes| MemoryItem { purpose, keys, bytes };
        MemoryBound {
            items: vec![
                item(
                    "messages and heads being received",
                    "limits.connections × limits.message",
                    times(inbound, limits.connections),
                ),
                item(
                    "messages of connections that do not read answers, or send too fast",
                    "limits.connections × 64KiB",
                    times(WAITING.max(limits.header), limits.connections),
                ),
                item(
                    "TLS, with records being received",
                    "limits.connections × 40KiB",
                    if self.listeners.iter().any(|listen| listen.tls.is_some()) {
                        times(TLS, limits.connections)
                    } else {
                        ByteSize(0)
                    },
                ),
                item(
                    "publications on their way to workers",
                    "workers × limits.mailbox",
                    times(limits.mailbox, workers),
                ),
                item(
                    "messages being inflated",
                    "workers × limits.message",
                    if compressed { times(limits.message, workers) } else { ByteSize(0) },
                ),
                item("commands of clients without a WebSocket", "fixed", COMMANDS),
                item("frames waiting for subscribers", "limits.outbound_total", limits.outbound_total),
                item("history", "limits.history_total", self.history_bound()),
                item(
                    "publications on their way to disk",
                    "fixed",
                    if self.keeps_on_disk() { TO_DISK } else { ByteSize(0) },
                ),
                item(
                    "calls of hooks, their answers, and what waits for them",
                    "hooks.concurrency × (hooks.answer + 2 × limits.message + limits.header) + 2 × hooks.queue",
                    self.hooks_bound(),
                ),
                item("answers and files being sent over HTTP", "fixed", ANSWERS),
                item("keys of publications that may come twice", "fixed", IDEMPOTENCY),
            ],
        }
    }

    /// Nothing, if no hook has a URL. Messages travel in base64, which is a third longer.
    fn hooks_bound(&self) -> ByteSize {
        if !self.hooks.any() {
            return ByteSize(0);
        }
        let limits = &self.limits;
        let sent = limits.message.0.saturating_mul(2).saturating_add(limits.header.0);
        let call = ByteSize(self.hooks.answer.0.saturating_add(sent));
        let waiting = self.hooks.queue.0.saturating_mul(2);
        ByteSize(times(call, self.hooks.concurrency).0.saturating_add(waiting))
    }

    /// Nothing, if no topic keeps anything.
    fn history_bound(&self) -> ByteSize {
        let keeps = |rules: &TopicRules| rules.history.size > 0;
        if self.topics.iter().any(keeps) { self.limits.history_total } else { ByteSize(0) }
    }
}

/// A message may be an eighth longer compressed than inflated; see `ws`.
fn largest_compressed(message: ByteSize) -> ByteSize {
    ByteSize(message.0.saturating_add(message.0 / 8).saturating_add(64))
}

fn times(size: ByteSize, count: usize) -> ByteSize {
    ByteSize(size.0.saturating_mul(u64::try_from(count).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{History, Listen, ListenAddress};

    #[test]
    fn the_bound_is_the_sum_of_its_items_and_follows_the_limits() {
        let mut config = Config::default();
        config.limits.connections = 16;
        config.limits.message = ByteSize::mib(1);
        config.limits.mailbox = ByteSize::mib(2);
        config.limits.outbound_total = ByteSize::mib(100);
        config.limits.history_total = ByteSize::mib(50);
        assert_eq!(config.memory_bound(4).total(), ByteSize::mib(16 + 1 + 8 + 64 + 100 + 192 + 64));
        config.topics.push(TopicRules { history: History { size: 1, ..History::default() }, ..TopicRules::default() });
        assert_eq!(config.memory_bound(4).total(), ByteSize::mib(16 + 1 + 8 + 64 + 100 + 50 + 192 + 64));
        config.hooks.rpc = Some("http://127.0.0.1:1/".parse().unwrap());
        config.hooks.concurrency = 2;
        config.hooks.answer = ByteSize::mib(1);
        config.hooks.queue = ByteSize::mib(3);
        config.limits.header = ByteSize::mib(1);
        assert_eq!(config.memory_bound(4).total(), ByteSize::mib(16 + 16 + 8 + 64 + 100 + 50 + 192 + 64 + 2 * 4 + 6));
        config.hooks.rpc = None;
        config.limits.header = ByteSize::kib(16);
        config
            .listeners
            .push(Listen { compression: Some(true), ..Listen::at(ListenAddress::Unix("/run/hub.sock".into())) });
        let longer = 16 * (128 * 1024 + 64);
        assert_eq!(
            config.memory_bound(4).total(),
            ByteSize(ByteSize::mib(16 + 1 + 8 + 4 + 64 + 100 + 50 + 192 + 64).0 + longer)
        );
    }

    #[test]
    fn absurd_limits_saturate() {
        let mut config = Config::default();
        config.limits.connections = usize::MAX;
        assert_eq!(config.memory_bound(usize::MAX).total(), ByteSize(u64::MAX));
    }
}

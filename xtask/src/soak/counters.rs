//! What `/metrics` said at one moment, as far as it is judged. Pure.

use anyhow::{Context, ensure};

/// The values of the label `protocol`.
pub(super) const PROTOCOLS: [&str; 4] = ["topic", "endpoint", "sse", "http"];

/// The one that the sampling itself goes over.
pub(super) const HTTP: usize = 3;

/// The connections of one protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Connections {
    pub(super) opened: u64,
    pub(super) closed: u64,
    pub(super) open: u64,
}

/// Counters and gauges of a hub; sums over the labels that have no field of their own.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Counters {
    /// By protocol, as in [`PROTOCOLS`].
    pub(super) connections: [Connections; 4],
    pub(super) published: u64,
    pub(super) delivered: u64,
    pub(super) deliveries_lost: u64,
    /// Connections that were given up as slow consumers.
    pub(super) given_up: u64,
    pub(super) subscriptions: u64,
    pub(super) outbound_pending_bytes: u64,
    pub(super) slow_consumers: u64,
    pub(super) mailbox_depth: u64,
    pub(super) topics: u64,
    pub(super) history_messages: u64,
    pub(super) worker_restarts: u64,
    pub(super) session_panics: u64,
    pub(super) accept_errors: u64,
    pub(super) cpu_seconds: f64,
}

impl Counters {
    /// Reads an answer of `/metrics`.
    ///
    /// Errors: a family that is not there: a misspelt name must not pass for 0.
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let page = Page(text);
        let mut connections = [Connections::default(); 4];
        for (connections, protocol) in connections.iter_mut().zip(PROTOCOLS) {
            let label = format!("protocol=\"{protocol}\"");
            *connections = Connections {
                opened: page.count("fanfare_connections_opened_total", &label)?,
                closed: page.count("fanfare_connections_closed_total", &label)?,
                open: page.count("fanfare_connections", &label)?,
            };
        }
        Ok(Self {
            connections,
            published: page.count("fanfare_messages_published_total", "")?,
            delivered: page.count("fanfare_deliveries_total", "")?,
            deliveries_lost: page.count("fanfare_deliveries_lost_total", "")?,
            given_up: page.count("fanfare_connections_closed_total", "reason=\"slow_consumer\"")?,
            subscriptions: page.count("fanfare_subscriptions", "")?,
            outbound_pending_bytes: page.count("fanfare_outbound_pending_bytes", "")?,
            slow_consumers: page.count("fanfare_slow_consumers", "")?,
            mailbox_depth: page.count("fanfare_worker_mailbox_depth", "")?,
            topics: page.count("fanfare_topics", "")?,
            history_messages: page.count("fanfare_history_messages", "")?,
            worker_restarts: page.count("fanfare_worker_restarts_total", "")?,
            session_panics: page.count("fanfare_session_panics_total", "")?,
            accept_errors: page.count("fanfare_accept_errors_total", "")?,
            cpu_seconds: page.sum("process_cpu_seconds_total", "")?,
        })
    }
}

/// An answer in OpenMetrics text.
struct Page<'a>(&'a str);

impl Page<'_> {
    fn count(&self, family: &str, label: &str) -> anyhow::Result<u64> {
        let sum = self.sum(family, label)?;
        ensure!(sum >= 0.0, "/metrics: {family} is {sum}");
        Ok(sum as u64)
    }

    /// The sum of the series of `family` that have `label`; of all of them if it is empty.
    fn sum(&self, family: &str, label: &str) -> anyhow::Result<f64> {
        let mut found = None;
        for line in self.0.lines() {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            if name == family && labels.contains(label) {
                let value: f64 = value.parse().with_context(|| format!("/metrics: {line}"))?;
                *found.get_or_insert(0.0) += value;
            }
        }
        found.with_context(|| format!("/metrics has no {family} with {label:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: Page<'_> = Page(
        "# TYPE fanfare_connections gauge\nfanfare_connections{protocol=\"topic\"} 3\n\
         fanfare_connections_closed_total{protocol=\"topic\",reason=\"gone\"} 4\n\
         fanfare_connections_closed_total{protocol=\"topic\",reason=\"slow_consumer\"} 2\n\
         fanfare_connections_closed_total{protocol=\"sse\",reason=\"slow_consumer\"} 1\n\
         fanfare_subscriptions 7\nfanfare_outbound_pending_bytes -5\n# EOF\n",
    );

    #[test]
    fn series_are_summed_over_the_labels_that_are_not_asked_for() {
        assert_eq!(PAGE.count("fanfare_connections", "protocol=\"topic\"").unwrap(), 3);
        assert_eq!(PAGE.count("fanfare_connections_closed_total", "protocol=\"topic\"").unwrap(), 6);
        assert_eq!(PAGE.count("fanfare_connections_closed_total", "reason=\"slow_consumer\"").unwrap(), 3);
        assert_eq!(PAGE.count("fanfare_subscriptions", "").unwrap(), 7);
    }

    #[test]
    fn what_is_not_there_is_not_zero_and_no_count_is_negative() {
        assert!(PAGE.count("fanfare_subscription", "").is_err());
        assert!(PAGE.count("fanfare_connections", "protocol=\"sse\"").is_err());
        let error = PAGE.count("fanfare_outbound_pending_bytes", "").unwrap_err().to_string();
        assert!(error.contains("-5"), "{error}");
    }
}

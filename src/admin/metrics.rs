//! `GET /metrics`: all counters in OpenMetrics text, which Prometheus reads. The names are listed in `docs/metrics.md`.

use std::fmt;
use std::sync::Arc;

use hyper::{Response, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::counters::{Counter, Counters, Gauge, Protocol, ShardCounters};
use super::health::Readiness;
use super::process::Process;
use crate::api::{Body, Reach, Surface, answer};
use crate::close_reason::CloseReason;
use crate::engine::{COMMIT_BOUNDS_MICROS, DiskFigures};
use crate::hooks::{Failure, Hook, HookCensus, HookCounters};
use crate::hub::{Census, Hub, WorkerId};
use crate::refusal::Refusal;

/// The media type of the answer.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Values of the label `policy`, in the order of [`ShardCounters::lost`].
const LOST_POLICIES: [&str; 3] = ["disconnect", "skip", "latest"];

/// Values of the label `result`, in the order of [`Counters::recoveries`].
const RECOVERY_RESULTS: [&str; 3] = ["complete", "gap", "none"];

/// Answers with every metric. Includes a readiness check, so it takes up to its deadline when a worker is stuck.
pub async fn serve(surface: &Surface) -> Response<Body> {
    let readiness = surface.health.check(&surface.hub, surface.counters.shards.len()).await;
    // Listing the open descriptors takes the kernel a while when there are 100,000.
    let process = tokio::task::spawn_blocking(Process::read).await.ok().flatten();
    let reading = Reading {
        census: surface.hub.census(),
        members: surface.hub.presence().len(),
        mailbox_depths: depths(&surface.hub, surface.counters.shards.len()),
        ready: readiness == Readiness::Ready,
        draining: surface.hub.is_draining(),
        process,
        started_unix_seconds: surface.started_unix().as_secs_f64(),
        certificates: surface.reaches().iter().filter_map(expiry).collect(),
        client_addresses: i64::try_from(surface.addresses.len()).unwrap_or(i64::MAX),
        disk: surface.hub.disk_figures().map(DiskReading::of).unwrap_or_default(),
        counters: Arc::clone(&surface.counters),
        hooks: Arc::clone(surface.hooks.counters()),
        hook_census: surface.hooks.census(),
    };
    answer::bytes(StatusCode::OK, OPEN_METRICS, reading.into_text())
}

fn expiry(reach: &Reach) -> Option<(String, u64)> {
    reach.identity.as_ref().map(|identity| (reach.address.to_string(), identity.expires_unix()))
}

fn depths(hub: &Hub, workers: usize) -> Vec<i64> {
    let ids = (0..workers).filter_map(|index| u16::try_from(index).ok()).map(WorkerId);
    ids.map(|worker| i64::try_from(hub.mailbox(worker).depth()).unwrap_or(i64::MAX)).collect()
}

/// Everything that one answer says.
#[derive(Debug)]
struct Reading {
    counters: Arc<Counters>,
    census: Census,
    members: usize,
    mailbox_depths: Vec<i64>,
    ready: bool,
    draining: bool,
    process: Option<Process>,
    started_unix_seconds: f64,
    /// When the certificates of each listener that has some end.
    certificates: Vec<(String, u64)>,
    client_addresses: i64,
    disk: DiskReading,
    hooks: Arc<HookCounters>,
    hook_census: HookCensus,
}

/// What [`DiskFigures`] say; zeros if no topic is on disk.
#[derive(Debug, Default)]
struct DiskReading {
    commits: [u64; COMMIT_BOUNDS_MICROS.len() + 1],
    commit_micros: u64,
    failures: u64,
    file_bytes: i64,
    used_bytes: i64,
}

impl DiskReading {
    fn of(figures: &DiskFigures) -> Self {
        let (commits, commit_micros) = figures.commits();
        Self {
            commits,
            commit_micros,
            failures: figures.failures(),
            file_bytes: figures.file_bytes(),
            used_bytes: figures.used_bytes(),
        }
    }

    fn encode(&self, out: &mut Families<'_>) -> fmt::Result {
        out.gauge("fanfare_history_disk_bytes", "Bytes of the file of history.path", self.file_bytes)?;
        out.gauge("fanfare_history_disk_used_bytes", "Bytes in it that entries take", self.used_bytes)?;
        out.counter("fanfare_history_disk_failures", "Times that the disk failed or still failed", self.failures)?;
        let bounds = COMMIT_BOUNDS_MICROS.iter().map(|&micros| micros as f64 / 1e6).chain([f64::MAX]);
        let buckets: Vec<(f64, u64)> = bounds.zip(self.commits).collect();
        out.histogram(
            "fanfare_history_commit_duration_seconds",
            "Time of a commit of history to disk, of as many publications as waited",
            self.commit_micros as f64 / 1e6,
            &buckets,
        )
    }
}

impl Reading {
    fn into_text(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut page = String::new();
        text::encode(&mut page, &registry).expect("invariant: writing to a String does not fail");
        page
    }

    fn sum(&self, of: impl Fn(&ShardCounters) -> &Counter) -> u64 {
        self.counters.shards.iter().map(|shard| of(shard).get()).sum()
    }

    fn total(&self, of: impl Fn(&ShardCounters) -> &Gauge) -> i64 {
        self.counters.shards.iter().map(|shard| of(shard).get()).sum()
    }

    fn encode_connections(&self, out: &mut Families<'_>) -> fmt::Result {
        out.gauges(
            "fanfare_connections",
            "Open connections",
            Protocol::ALL.map(|one| ([("protocol", one.label())], self.total(|shard| &shard.connections[one.index()]))),
        )?;
        out.counters(
            "fanfare_connections_opened",
            "Connections ever opened",
            Protocol::ALL.map(|one| ([("protocol", one.label())], self.sum(|shard| &shard.opened[one.index()]))),
        )?;
        let ends = Protocol::ALL.into_iter().flat_map(|one| CloseReason::ALL.map(|reason| (one, reason)));
        out.counters(
            "fanfare_connections_closed",
            "Connections ever closed, by the reason of their end",
            ends.map(|(one, reason)| {
                let count = self.sum(|shard| shard.closed[one.index()].of(reason));
                ([("protocol", one.label()), ("reason", reason.label())], count)
            }),
        )?;
        out.counters(
            "fanfare_handshakes_refused",
            "WebSocket handshakes and other HTTP requests refused",
            Refusal::ALL.iter().map(|one| ([("code", one.code())], self.counters.refused[one.index()].get())),
        )?;
        out.counters(
            "fanfare_auth_failures",
            "Clients refused for their token or user, and fetches of keys that failed",
            Refusal::OF_IDENTITY
                .iter()
                .map(|one| ([("code", one.code())], self.counters.auth_failures[one.index()].get())),
        )?;
        out.counter(
            "fanfare_accept_pauses",
            "Times that accepting was paused for limits.handshakes",
            self.sum(|shard| &shard.accept_pauses),
        )?;
        out.counter("fanfare_accept_errors", "Errors of accept()", self.sum(|shard| &shard.accept_errors))?;
        out.counter("fanfare_pings_sent", "WebSocket pings sent", self.sum(|shard| &shard.pings))?;
        out.counter("fanfare_pongs_received", "WebSocket pongs received", self.sum(|shard| &shard.pongs))?;
        out.counter(
            "fanfare_connections_throttled",
            "Times that reading from a connection was paused for its rate",
            self.sum(|shard| &shard.throttled),
        )?;
        out.counter(
            "fanfare_session_panics",
            "Sessions and HTTP connections that panicked",
            self.sum(|shard| &shard.panics),
        )
    }

    fn encode_topics(&self, out: &mut Families<'_>) -> fmt::Result {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        out.gauge("fanfare_subscriptions", "Subscriptions", gauge(self.census.subscriptions))?;
        out.gauge("fanfare_topics", "Topics in memory", gauge(self.census.topics))?;
        out.gauge("fanfare_presence_members", "Members of topics that know who is there", gauge(self.members))?;
        out.counters(
            "fanfare_joins_leaves",
            "Members that came or went, by whether their topic was told",
            [
                ([("result", "told")], self.sum(|shard| &shard.notices_told)),
                ([("result", "dropped")], self.sum(|shard| &shard.notices_dropped)),
            ],
        )?;
        out.gauge("fanfare_history_messages", "Publications kept", gauge(self.census.history_publications))?;
        out.gauge("fanfare_history_bytes", "Bytes of the publications kept", gauge(self.census.history_bytes))?;
        out.counters(
            "fanfare_recoveries",
            "Subscribers that came back with a position, by whether they got all they missed",
            std::iter::zip(RECOVERY_RESULTS, &self.counters.recoveries)
                .map(|(result, count)| ([("result", result)], count.get())),
        )
    }

    fn encode_publications(&self, out: &mut Families<'_>) -> fmt::Result {
        let counters = &self.counters;
        out.counters(
            "fanfare_messages_published",
            "Publications accepted",
            [("http", &counters.published_http), ("client", &counters.published_client)]
                .map(|(source, count)| ([("source", source)], count.get())),
        )?;
        let rejected = [("http", &counters.rejected_http), ("client", &counters.rejected_client)];
        out.counters(
            "fanfare_publish_rejected",
            "Publishes refused",
            rejected.into_iter().flat_map(|(source, counts)| {
                let labels = move |one: &Refusal| [("source", source), ("code", one.code())];
                Refusal::ALL.iter().map(move |one| (labels(one), counts[one.index()].get()))
            }),
        )?;
        out.counters(
            "fanfare_deliveries",
            "Publications handed to the kernel whole",
            Protocol::ALL.map(|one| ([("protocol", one.label())], self.sum(|shard| &shard.deliveries[one.index()]))),
        )?;
        out.counters(
            "fanfare_delivered_bytes",
            "Bytes of those publications on the wire",
            Protocol::ALL
                .map(|one| ([("protocol", one.label())], self.sum(|shard| &shard.delivered_bytes[one.index()]))),
        )?;
        out.counters(
            "fanfare_compression_bytes",
            "Payload bytes of publications that were compressed, before and after, once for all subscribers",
            [
                ([("stage", "in")], self.sum(|shard| &shard.compression_in_bytes)),
                ([("stage", "out")], self.sum(|shard| &shard.compression_out_bytes)),
            ],
        )?;
        out.counters(
            "fanfare_deliveries_lost",
            "Publications that a subscriber did not get because it lagged",
            LOST_POLICIES
                .iter()
                .enumerate()
                .map(|(index, policy)| ([("policy", *policy)], self.sum(|shard| &shard.lost[index]))),
        )?;
        out.gauge(
            "fanfare_slow_consumers",
            "Connections that are blocked and behind",
            self.total(|shard| &shard.slow_consumers),
        )?;
        out.gauge(
            "fanfare_outbound_pending_bytes",
            "Bytes that wait for sockets",
            self.total(|shard| &shard.outbound_pending_bytes),
        )
    }

    fn encode_listeners(&self, out: &mut Families<'_>) -> fmt::Result {
        out.gauges(
            "fanfare_tls_certificate_expiry_timestamp_seconds",
            "When the first certificate of a listener ends, since the Unix epoch",
            self.certificates
                .iter()
                .map(|(listener, at)| ([("listener", listener.as_str())], i64::try_from(*at).unwrap_or(i64::MAX))),
        )?;
        out.gauge(
            "fanfare_client_addresses",
            "Client addresses that are counted for their limits",
            self.client_addresses,
        )
    }

    fn encode_workers(&self, out: &mut Families<'_>) -> fmt::Result {
        let shards = || self.counters.shards.iter().enumerate().map(|(index, shard)| ([("worker", index)], shard));
        out.counters(
            "fanfare_worker_busy_seconds",
            "Time that a worker spent in turns",
            shards().map(|(labels, shard)| (labels, shard.busy_ns.get() as f64 / 1e9)),
        )?;
        out.counters(
            "fanfare_worker_wakeups",
            "Times a worker was woken",
            shards().map(|(labels, shard)| (labels, shard.wakeups.get())),
        )?;
        out.counters(
            "fanfare_worker_writes",
            "System calls that wrote to connections; a backlog makes them fewer than the deliveries",
            shards().map(|(labels, shard)| (labels, shard.writes.get())),
        )?;
        out.counters(
            "fanfare_worker_restarts",
            "Times a worker panicked and started again",
            shards().map(|(labels, shard)| (labels, shard.restarts.get())),
        )?;
        out.gauges(
            "fanfare_worker_mailbox_depth",
            "Letters that wait in a worker's mailbox",
            self.mailbox_depths.iter().enumerate().map(|(index, depth)| ([("worker", index)], *depth)),
        )
    }

    fn encode_hooks(&self, out: &mut Families<'_>) -> fmt::Result {
        let each = |of: fn(&HookCounters, Hook) -> u64| {
            Hook::ALL.map(|hook| ([("hook", hook.label())], of(&self.hooks, hook)))
        };
        out.histograms(
            "fanfare_hook_duration_seconds",
            "Time from asking for a call of the backend to its end, waiting for a place included",
            Hook::ALL.map(|hook| ([("hook", hook.label())], self.hooks.durations(hook))),
        )?;
        let failures = Hook::ALL.into_iter().flat_map(|hook| (0..Failure::CODES.len()).map(move |code| (hook, code)));
        out.counters(
            "fanfare_hook_failures",
            "Calls of the backend without an answer",
            failures.map(|(hook, code)| {
                ([("hook", hook.label()), ("code", Failure::CODES[code])], self.hooks.failures(hook, code))
            }),
        )?;
        out.counters(
            "fanfare_hook_coalesced",
            "Calls that got the answer of an equal one",
            each(HookCounters::coalesced),
        )?;
        out.counters("fanfare_hook_events_lost", "Events that will never be delivered", each(HookCounters::lost))?;
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        out.gauge("fanfare_hook_events_pending", "Events not confirmed yet", gauge(self.hook_census.events))?;
        out.gauge("fanfare_hook_calls_under_way", "Calls under way", gauge(self.hook_census.under_way))?;
        out.gauge("fanfare_hook_calls_waiting", "Calls that wait for their turn", gauge(self.hook_census.waiting))?;
        out.gauges(
            "fanfare_hook_breaker_state",
            "Whether the URL of a hook is left alone: 0 no, 1 tried again, 2 yes",
            self.hook_census.breakers.iter().map(|(hook, state)| ([("hook", hook.label())], *state)),
        )
    }

    fn encode_process(&self, out: &mut Families<'_>) -> fmt::Result {
        out.gauge("process_start_time_seconds", "Start time since the Unix epoch", self.started_unix_seconds)?;
        let Some(process) = self.process else { return Ok(()) };
        let gauge = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        out.gauge("process_open_fds", "Open file descriptors", gauge(process.open_fds))?;
        out.gauge(
            "process_max_fds",
            "File descriptors it may open",
            process.max_fds.map_or(f64::INFINITY, |limit| limit as f64),
        )?;
        out.gauge("process_resident_memory_bytes", "Resident memory", gauge(process.resident_bytes))?;
        out.counter("process_cpu_seconds", "User and system CPU time", process.cpu_seconds)
    }
}

impl Collector for Reading {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Families(encoder);
        let build = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("revision", option_env!("FANFARE_REVISION").unwrap_or("unknown")),
        ];
        out.gauges("fanfare_build_info", "Which build this is; always 1", [(build, 1_i64)])?;
        out.gauge("fanfare_ready", "1 if every worker reads its mailbox", i64::from(self.ready))?;
        out.gauge("fanfare_draining", "1 while the hub stops", i64::from(self.draining))?;
        self.encode_connections(&mut out)?;
        self.encode_topics(&mut out)?;
        self.disk.encode(&mut out)?;
        self.encode_publications(&mut out)?;
        self.encode_listeners(&mut out)?;
        self.encode_workers(&mut out)?;
        self.encode_hooks(&mut out)?;
        self.encode_process(&mut out)
    }
}

/// Writes metric families: a name, a help text, and a value per label set. Counters get their `_total` when written.
struct Families<'e>(DescriptorEncoder<'e>);

impl Families<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        values.into_iter().try_for_each(|(labels, value)| family.encode_family(&labels)?.encode_gauge(&value))
    }

    fn histogram(&mut self, name: &str, help: &str, sum: f64, buckets: &[(f64, u64)]) -> fmt::Result {
        let count = buckets.iter().map(|(_, count)| count).sum();
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        family.encode_histogram::<NoLabelSet>(sum, count, buckets, None)
    }

    fn counter(&mut self, name: &str, help: &str, value: impl EncodeCounterValue) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        family.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }

    fn counters<L: EncodeLabelSet, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        values.into_iter().try_for_each(|(labels, value)| {
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
        })
    }

    fn histograms<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, ([u64; HookCounters::BOUNDS_SECS.len()], f64))>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        values.into_iter().try_for_each(|(labels, (counts, sum))| {
            let buckets: Vec<(f64, u64)> = std::iter::zip(HookCounters::BOUNDS_SECS, counts).collect();
            let count = counts.iter().sum();
            family.encode_family(&labels)?.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn page() -> String {
        let counters = Arc::new(Counters::new(2));
        counters.shards[0].opened[Protocol::Topic.index()].add(2);
        counters.shards[1].opened[Protocol::Topic.index()].add(3);
        counters.shards[1].busy_ns.add(1_500_000_000);
        counters.refuse(Refusal::OriginRefused);
        counters.reject_http(Refusal::Overloaded);
        counters.fail_auth(Refusal::TokenExpired);
        let reading = Reading {
            counters,
            census: Census { topics: 4, subscriptions: 5, history_publications: 6, history_bytes: 7 },
            members: 18,
            mailbox_depths: vec![8, 9],
            ready: true,
            draining: false,
            process: Some(Process { open_fds: 10, max_fds: None, resident_bytes: 11, cpu_seconds: 1.25 }),
            started_unix_seconds: 12.5,
            certificates: vec![("0.0.0.0:443".to_owned(), 13)],
            client_addresses: 14,
            disk: DiskReading { commits: [1; COMMIT_BOUNDS_MICROS.len() + 1], ..DiskReading::default() },
            hooks: Arc::default(),
            hook_census: HookCensus { under_way: 15, waiting: 16, events: 17, breakers: vec![(Hook::Rpc, 2)] },
        };
        reading.into_text()
    }

    #[test]
    fn shards_are_summed_and_labels_are_written() {
        let page = page();
        for line in [
            "fanfare_ready 1",
            "fanfare_draining 0",
            "fanfare_connections_opened_total{protocol=\"topic\"} 5",
            "fanfare_connections_closed_total{protocol=\"sse\",reason=\"slow_consumer\"} 0",
            "fanfare_handshakes_refused_total{code=\"origin-refused\"} 1",
            "fanfare_publish_rejected_total{source=\"http\",code=\"overloaded\"} 1",
            "fanfare_auth_failures_total{code=\"token-expired\"} 1",
            "fanfare_topics 4",
            "fanfare_subscriptions 5",
            "fanfare_history_messages 6",
            "fanfare_history_bytes 7",
            "fanfare_worker_mailbox_depth{worker=\"1\"} 9",
            "fanfare_worker_busy_seconds_total{worker=\"1\"} 1.5",
            "fanfare_tls_certificate_expiry_timestamp_seconds{listener=\"0.0.0.0:443\"} 13",
            "fanfare_client_addresses 14",
            "fanfare_hook_calls_under_way 15",
            "fanfare_hook_calls_waiting 16",
            "fanfare_hook_events_pending 17",
            "fanfare_hook_breaker_state{hook=\"rpc\"} 2",
            "fanfare_hook_failures_total{hook=\"connect\",code=\"breaker_open\"} 0",
            "fanfare_hook_duration_seconds_bucket{le=\"+Inf\",hook=\"rpc\"} 0",
            "process_open_fds 10",
            "process_cpu_seconds_total 1.25",
            "process_start_time_seconds 12.5",
        ] {
            assert!(page.lines().any(|one| one == line), "{line} is not in\n{page}");
        }
        assert!(page.ends_with("# EOF\n"));
    }

    /// (name as Prometheus stores it, type, labels)
    type Listed = BTreeSet<(String, String, String)>;

    fn in_code(page: &str) -> Listed {
        let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let series = |name: &str| if page.contains(&format!("# TYPE {name} counter\n")) { "_total" } else { "" };
        types
            .map(|(name, kind)| {
                let stored = format!("{name}{}", series(name));
                let sample =
                    page.lines().find_map(|line| line.strip_prefix(&stored)).expect("every family has a sample");
                // Of a histogram, the first is the sum: NAME_sum{…}.
                let labelled = sample.split_once('{').filter(|(suffix, _)| matches!(*suffix, "" | "_sum"));
                let labels = labelled.and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inner, _)| inner);
                let keys: Vec<_> = labels.split(',').filter_map(|label| Some(label.split_once('=')?.0)).collect();
                (stored, kind.to_owned(), keys.join(", "))
            })
            .collect()
    }

    fn in_docs(docs: &str) -> Listed {
        let rows = docs.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
        rows.map(|row| {
            let mut cells = row.split(" | ");
            let name = cells.next().unwrap().trim_end_matches('`');
            let kind = cells.next().unwrap();
            let labels = cells.next().unwrap().replace('`', "");
            (name.to_owned(), kind.to_owned(), if labels == "–" { String::new() } else { labels })
        })
        .collect()
    }

    #[test]
    fn the_documentation_lists_exactly_the_metrics_that_exist() {
        let code = in_code(&page());
        let docs = in_docs(include_str!("../../docs/metrics.md"));
        assert!(code.len() > 20);
        let undocumented: Vec<_> = code.difference(&docs).collect();
        let invented: Vec<_> = docs.difference(&code).collect();
        assert!(
            undocumented.is_empty() && invented.is_empty(),
            "not in docs: {undocumented:?}; not in code: {invented:?}"
        );
    }
    #[test]
    fn the_documentation_lists_every_value_of_the_labels() {
        let docs = include_str!("../../docs/metrics.md");
        let values = docs.split_once("## Values of the labels").unwrap().1;
        let reasons = CloseReason::ALL.iter().map(|reason| reason.label());
        let protocols = Protocol::ALL.iter().map(|protocol| protocol.label());
        for value in
            reasons.chain(protocols).chain(LOST_POLICIES).chain(Failure::CODES).chain(Hook::ALL.map(Hook::label))
        {
            assert!(values.contains(&format!("`{value}`")), "{value}");
        }
    }
}

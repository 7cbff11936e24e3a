//! Limits that leave room for nothing, and limits that contradict each other.

use super::super::key_path::KeyPath;
use super::super::limits::OverRate;
use super::super::mistake::Mistake;
use super::super::settings::Config;
use super::super::units::{ByteSize, Span};
use super::report::Report;
use crate::hub::TopicName;

/// The smallest head buffer that hyper takes.
const SMALLEST_HEADER: ByteSize = ByteSize::kib(8);
/// Marks in a topic log count the bytes of a segment in 32 bits.
const LARGEST_MESSAGE: ByteSize = ByteSize::mib(1024);
/// Each is a thread of the operating system.
const MOST_WORKERS: usize = 1024;

/// Entries of one list. Some checks compare each with each, and topics look through their rules one by one.
const MOST_ENTRIES: usize = 1000;

/// Tells lists that nobody can have written by hand, and whether there are any: the other checks are not for those.
pub(super) fn too_many_entries(config: &Config, report: &mut Report<'_>) -> bool {
    let server = KeyPath::of("server");
    let endpoints = KeyPath::of("endpoints");
    let lists = [
        (server.key("listen"), config.server.listen.len()),
        (server.key("origins"), config.server.origins.len()),
        (KeyPath::of("api").key("keys"), config.api.keys.len()),
        (KeyPath::of("hooks").key("headers"), config.hooks.headers.len()),
        (KeyPath::of("hooks").key("emulated_headers"), config.hooks.emulated_headers.len()),
        (KeyPath::of("topics"), config.topics.len()),
        (endpoints.clone(), config.endpoints.len()),
        (KeyPath::of("pages"), config.pages.len()),
        (KeyPath::of("listeners"), config.listeners.len()),
    ];
    let of_endpoints = config.endpoints.iter().enumerate().flat_map(|(index, endpoint)| {
        let origins = endpoint.origins.as_ref().map_or(0, Vec::len);
        let path = endpoints.index(index);
        [(path.key("origins"), origins), (path.key("fields"), endpoint.fields.len())]
    });
    let too_long = lists.into_iter().chain(of_endpoints).find(|(_, length)| *length > MOST_ENTRIES);
    if let Some((path, length)) = &too_long {
        let mistake = Mistake::new(format!("`{path}` has {length} entries")).remark(format!("at most {MOST_ENTRIES}"));
        report.mistake(path, mistake);
    }
    too_long.is_some()
}

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    zeros(config, report);
    sizes(config, report);
    let server = KeyPath::of("server");
    if config.server.listen.is_empty() && config.listeners.is_empty() {
        let mistake = Mistake::new("`server.listen` has no address").remark("such as [\"127.0.0.1:8000\"]");
        report.mistake(&server.key("listen"), mistake);
    }
    for (index, address) in config.server.listen.iter().enumerate() {
        // Port 0 is a different port each time.
        if address.port() != 0 && config.server.listen[..index].contains(address) {
            let mistake = Mistake::new(format!("`server.listen` has {address} twice"));
            report.mistake(&server.key("listen").index(index), mistake);
        }
    }
    if config.server.workers > MOST_WORKERS {
        let mistake = Mistake::new(format!("`server.workers` is {}: each is a thread", config.server.workers));
        report.mistake(&server.key("workers"), mistake.remark(format!("at most {MOST_WORKERS}; 0 is one per core")));
    }
}

fn zeros(config: &Config, report: &mut Report<'_>) {
    let limits = &config.limits;
    for (key, value) in [
        ("connections", limits.connections),
        ("topics", limits.topics),
        ("subscriptions", limits.subscriptions),
        ("topic_name", limits.topic_name),
        ("fragments", limits.fragments as usize),
    ] {
        if value == 0 {
            let mistake = Mistake::new(format!("`limits.{key}` is 0")).remark("nothing would ever be let in");
            report.mistake(&KeyPath::of("limits").key(key), mistake);
        }
    }
    for (section, key, value) in [
        ("liveness", "ping_interval", config.liveness.ping_interval),
        ("liveness", "pong_timeout", config.liveness.pong_timeout),
        ("limits", "header_timeout", limits.header_timeout),
        ("limits", "keep_alive", limits.keep_alive),
        ("limits", "close_timeout", limits.close_timeout),
        ("sse", "retry", config.sse.retry),
    ] {
        positive(&KeyPath::of(section).key(key), value, report);
    }
}

/// A mistake if `value` is zero.
pub(super) fn positive(path: &KeyPath, value: Span, report: &mut Report<'_>) {
    if value.0.is_zero() {
        report.mistake(path, Mistake::new(format!("`{path}` is zero")).remark("must be longer than nothing"));
    }
}

fn sizes(config: &Config, report: &mut Report<'_>) {
    let limits = KeyPath::of("limits");
    let message = limits.key("message");
    let sizes = &config.limits;
    if sizes.message.0 == 0 {
        let mistake = Mistake::new("`limits.message` is 0").remark("no message would ever be taken");
        report.mistake(&message, mistake);
    }
    if sizes.message > LARGEST_MESSAGE {
        let mistake = Mistake::new(format!("`limits.message` is {}", sizes.message));
        report.mistake(&message, mistake.remark(format!("at most {LARGEST_MESSAGE}")));
    }
    if sizes.topic_name > TopicName::LIMIT_BYTES {
        let mistake = Mistake::new(format!("`limits.topic_name` is {}", sizes.topic_name));
        report.mistake(&limits.key("topic_name"), mistake.remark(format!("at most {}", TopicName::LIMIT_BYTES)));
    }
    if sizes.header < SMALLEST_HEADER {
        let mistake = Mistake::new(format!("`limits.header` is {}", sizes.header));
        report.mistake(&limits.key("header"), mistake.remark(format!("at least {SMALLEST_HEADER}")));
    }
    for (key, size) in [("mailbox", sizes.mailbox), ("outbound_total", sizes.outbound_total)] {
        if size < sizes.message {
            let mistake = Mistake::new(format!(
                "`limits.{key}` ({size}) is smaller than one `limits.message` ({})",
                sizes.message
            ));
            let mistake = mistake.fix(format!(
                "a message of that size could never pass: raise `limits.{key}` or lower `limits.message`"
            ));
            report.mistake_at_written(&[limits.key(key), message.clone()], mistake);
        }
    }
    if sizes.over_rate == OverRate::Close && sizes.byte_rate.0 > 0 && sizes.byte_rate.0 < sizes.message.0 {
        let mistake = Mistake::new(format!(
            "`limits.byte_rate` ({}) is smaller than one `limits.message` ({})",
            sizes.byte_rate, sizes.message
        ));
        let mistake = mistake.fix(
            "with `over_rate = \"close\"` such a message would end its connection: raise `limits.byte_rate`, lower \
             `limits.message`, or set `over_rate = \"pause\"`",
        );
        report.mistake_at_written(&[limits.key("byte_rate"), message.clone()], mistake);
    }
    let in_time = u128::from(sizes.byte_rate.0) * sizes.message_timeout.0.as_millis() / 1000;
    if sizes.byte_rate.0 > 0 && !sizes.message_timeout.0.is_zero() && in_time < u128::from(sizes.message.0) {
        let mistake = Mistake::new(format!(
            "at `limits.byte_rate` ({}) one `limits.message` ({}) takes longer than `limits.message_timeout` ({})",
            sizes.byte_rate, sizes.message, sizes.message_timeout
        ));
        let mistake =
            mistake.fix("such a message would end its connection: raise one of the two, or lower `limits.message`");
        report.mistake_at_written(&[limits.key("byte_rate"), limits.key("message_timeout"), message.clone()], mistake);
    }
    let keeps = config.topics.iter().any(|rules| rules.history.size > 0);
    if keeps && sizes.history_total < sizes.message {
        let total = sizes.history_total;
        let mistake = Mistake::new(format!(
            "`limits.history_total` ({total}) is smaller than one `limits.message` ({})",
            sizes.message
        ));
        let mistake =
            mistake.fix("topics keep history, but there is no room for one publication: raise `limits.history_total`");
        report.mistake_at_written(&[limits.key("history_total"), message], mistake);
    }
}

//! Hooks that could not be called, and headers that are not for passing on.

use hyper::header::HeaderName;

use super::super::key_path::KeyPath;
use super::super::mistake::Mistake;
use super::super::settings::Config;
use super::super::units::ByteSize;
use super::limits::positive;
use super::report::Report;

/// Each call under way is a connection, and so a file descriptor.
const MOST_CALLS: usize = 10_000;
/// An answer is held in memory whole.
const LARGEST_ANSWER: ByteSize = ByteSize::mib(64);
/// What one call that waits counts for at least; see `hooks`.
const SMALLEST_QUEUE: ByteSize = ByteSize::kib(64);

/// Headers that belong to one connection, or that the call itself sets: passed on, they would break or forge it.
const OF_THE_CALL: [&str; 14] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-fanfare-signature",
];

pub(super) fn check(config: &Config, report: &mut Report<'_>) {
    let section = KeyPath::of("hooks");
    let hooks = &config.hooks;
    positive(&section.key("timeout"), hooks.timeout, report);
    if !(1..=MOST_CALLS).contains(&hooks.concurrency) {
        let key = section.key("concurrency");
        let mistake = Mistake::new(format!("`{key}` is {}", hooks.concurrency));
        report.mistake(&key, mistake.remark(format!("1 to {MOST_CALLS}")));
    }
    if hooks.queue < SMALLEST_QUEUE {
        let key = section.key("queue");
        let mistake = Mistake::new(format!("`{key}` is {}", hooks.queue));
        report.mistake(&key, mistake.remark(format!("at least {SMALLEST_QUEUE}")));
    }
    if hooks.answer.0 == 0 || hooks.answer > LARGEST_ANSWER {
        let key = section.key("answer");
        let mistake = Mistake::new(format!("`{key}` is {}", hooks.answer));
        report.mistake(&key, mistake.remark(format!("1B to {LARGEST_ANSWER}")));
    }
    headers(&section.key("headers"), &hooks.headers, report);
    headers(&section.key("emulated_headers"), &hooks.emulated_headers, report);
    secret(config, report);
    let unused = [
        ("refresh", hooks.refresh.is_some() && hooks.connect.is_none(), "connect"),
        ("sub_refresh", hooks.sub_refresh.is_some() && hooks.subscribe.is_none(), "subscribe"),
    ];
    for (key, alone, other) in unused {
        if alone {
            let key = section.key(key);
            report.warn(
                &key,
                &format!("`{key}` is only asked about what expires; without `hooks.{other}`, tokens decide that"),
            );
        }
    }
    if hooks.coalesce && hooks.headers.is_empty() && hooks.emulated_headers.is_empty() {
        let key = section.key("coalesce");
        report.warn(
            &key,
            &format!("`{key}`: no header is passed on, so only the data that clients send tells them apart"),
        );
    }
}

fn headers(path: &KeyPath, names: &[String], report: &mut Report<'_>) {
    for (index, name) in names.iter().enumerate() {
        let entry = path.index(index);
        let lower = name.to_ascii_lowercase();
        let mistake = if HeaderName::from_bytes(name.as_bytes()).is_err() {
            Mistake::new(format!("`{entry}`: \"{name}\" is not the name of a header")).fix("such as \"cookie\"")
        } else if *name != lower {
            Mistake::new(format!("`{entry}` has capitals")).remark(format!("did you mean \"{lower}\"?"))
        } else if OF_THE_CALL.contains(&lower.as_str()) {
            Mistake::new(format!("`{entry}`: \"{name}\" belongs to one connection, or to the call itself"))
                .remark("cannot be passed on")
        } else if names[..index].contains(name) {
            Mistake::new(format!("`{path}` has \"{name}\" twice"))
        } else {
            continue;
        };
        report.mistake(&entry, mistake);
    }
}

fn secret(config: &Config, report: &mut Report<'_>) {
    let section = KeyPath::of("hooks");
    let (key, file) = (section.key("secret"), section.key("secret_file"));
    if config.hooks.secret.is_some() && config.hooks.secret_file.is_some() {
        report
            .mistake(&file, Mistake::new(format!("`{key}` and `{file}` are both set")).remark("one of them is enough"));
    } else if config.hooks.secret.as_deref() == Some("") {
        let mistake = Mistake::new(format!("`{key}` is empty")).remark("anyone could sign with it");
        report.mistake(&key, mistake);
    }
}

//! What the hub costs: a publish, history, and finding a topic by name.
//!
//! `cargo bench --bench hub`. Publishes include making the draft and popping the letters from the mailboxes on the same
//! thread, so that mailboxes stay empty; the workers count as awake, as they are under load.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fanfare::config::{ByteSize, Config, History, TopicRules};
use fanfare::hub::{Draft, Hub, Kind, Letter, Mailbox, Outcome, Start, Topic, TopicName, WorkerId};

const PAYLOAD: [u8; 128] = [b'x'; 128];

fn hub(workers: usize) -> Arc<Hub> {
    let history = History { size: 1_000, ..History::default() };
    let keep = TopicRules { pattern: "keep*".to_owned(), history, ..TopicRules::default() };
    let mut config = Config { topics: vec![keep], ..Config::default() };
    config.limits.history_total = ByteSize::mib(64);
    let mailboxes = (0..workers).map(|_| Arc::new(Mailbox::new(16 << 20, Box::new(|| {})))).collect();
    Hub::new(&config, mailboxes)
}

fn topic(hub: &Hub, name: &str) -> Arc<Topic> {
    hub.topic(&TopicName::new(name).expect("a good name")).expect("below the limit")
}

fn publish(hub: &Hub, topic: &Arc<Topic>, now: Instant) {
    hub.publish(topic, Draft::new(Kind::Binary, &PAYLOAD), now, |outcome| match outcome {
        Outcome::Accepted(receipt) => {
            black_box(receipt);
        }
        Outcome::Full { .. } | Outcome::Refused(_) => panic!("mailboxes are drained"),
    });
}

fn drain(hub: &Hub, workers: usize) {
    for worker in 0..workers {
        let mailbox = hub.mailbox(WorkerId(worker as u16));
        while let Some(letter) = mailbox.pop() {
            if let Letter::Publication(publication) = letter {
                mailbox.release(publication.charge_bytes());
            }
        }
    }
}

fn publishing(c: &mut Criterion) {
    let now = Instant::now();
    let mut group = c.benchmark_group("publish");
    group.throughput(Throughput::Elements(1));
    group.bench_function("draft alone", |b| b.iter(|| Draft::new(Kind::Binary, black_box(&PAYLOAD))));
    for (name, topic_name, workers) in
        [("no worker", "news", 0), ("1 worker", "news", 1), ("4 workers", "news", 4), ("4 workers, history", "keep", 4)]
    {
        let hub = hub(4);
        let topic = topic(&hub, topic_name);
        for worker in 0..workers {
            let _ = hub.subscribe(&topic, WorkerId(worker as u16), Start::Now, now);
        }
        group.bench_function(name, |b| {
            b.iter(|| {
                publish(&hub, &topic, now);
                drain(&hub, workers);
            });
        });
    }
    group.finish();
}

fn contended(c: &mut Criterion) {
    let now = Instant::now();
    let mut group = c.benchmark_group("contended");
    group.throughput(Throughput::Elements(1));
    for (name, shared) in
        [("publish, 3 others on the same topic", true), ("publish, 3 others on topics of their own", false)]
    {
        let hub = hub(1);
        let topics: Vec<_> = (0..4)
            .map(|one| topic(&hub, if shared { "news".to_owned() } else { format!("news{one}") }.as_str()))
            .collect();
        beside(
            3,
            |one| publish(&hub, &topics[one], now),
            || {
                group.bench_function(name, |b| b.iter(|| publish(&hub, &topics[3], now)));
            },
        );
    }
    let hub = hub(1);
    let names: Vec<_> = (0..10_000).map(|one| TopicName::new(&format!("news{one}")).expect("a good name")).collect();
    let _held: Vec<_> = names.iter().map(|name| hub.topic(name)).collect();
    let mut at = 0;
    let mut next = || {
        at = (at + 7) % names.len();
        &names[at]
    };
    group.bench_function("registry lookup, alone", |b| {
        b.iter(|| hub.find(next()));
    });
    beside(
        3,
        |one| drop(black_box(hub.find(&names[one * 100]))),
        || {
            group.bench_function("registry lookup, 3 others", |b| {
                b.iter(|| hub.find(next()));
            });
        },
    );
    group.finish();
}

/// Runs `measure` while `others` threads do `work` as fast as they can.
fn beside(others: usize, work: impl Fn(usize) + Sync, measure: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for one in 0..others {
            let (stop, work) = (&stop, &work);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    work(one);
                }
            });
        }
        measure();
        stop.store(true, Ordering::Relaxed);
    });
}

fn history(c: &mut Criterion) {
    let now = Instant::now();
    let hub = hub(1);
    let topic = topic(&hub, "keep");
    let mut group = c.benchmark_group("history");
    group.bench_function("append to a full ring of 1,000", |b| b.iter(|| publish(&hub, &topic, now)));
    for count in [1, 100] {
        group.bench_function(format!("read the last {count}"), |b| {
            b.iter(|| hub.history(&topic, Start::Last(count), usize::MAX, now));
        });
    }
    let few = topic_at_the_bound(now);
    group.bench_function("append with the bound over all topics reached", |b| {
        let mut next = 0;
        b.iter(|| {
            next = (next + 1) % few.1.len();
            publish(&few.0, &few.1[next], now);
        });
    });
    group.finish();
}

/// A hub whose 10,000 topics fill the bound on history.
fn topic_at_the_bound(now: Instant) -> (Arc<Hub>, Vec<Arc<Topic>>) {
    let hub = hub(1);
    let topics: Vec<_> = (0..10_000).map(|one| topic(&hub, &format!("keep{one}"))).collect();
    for _ in 0..40 {
        for topic in &topics {
            publish(&hub, topic, now);
        }
    }
    (hub, topics)
}

criterion_group!(benches, publishing, contended, history);
criterion_main!(benches);

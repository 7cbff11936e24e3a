//! A publish, from the payload to the mailboxes.
//!
//! The draft is made anew each time, and the letters are popped on the same thread, so that mailboxes stay empty; the
//! workers count as awake, as they are under load. The floor sends references to copies of the payload through as many
//! bare queues of the same kind: no topic, no offset, no limit in bytes.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use fanfare::hub::{Draft, Kind};

use super::beside::beside;
use super::stage::{HubStage, LINE};

pub(crate) fn bench(criterion: &mut Criterion) {
    alone(criterion);
    contended(criterion);
}

fn alone(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish");
    group.throughput(Throughput::Elements(1));
    group.bench_function("draft_alone", |b| b.iter(|| Draft::new(Kind::Text, black_box(LINE.as_bytes()))));
    for (name, topic, workers) in [
        ("nobody", "news", 0),
        ("1_worker", "news", 1),
        ("4_workers", "news", 4),
        ("history", "keep", 0),
        ("1_worker_history", "keep", 1),
        ("4_workers_history", "keep", 4),
    ] {
        let stage = HubStage::new(4);
        let topic = stage.topic_on(topic, workers);
        group.bench_function(name, |b| {
            b.iter(|| {
                stage.publish(&topic);
                stage.drain(workers)
            });
        });
    }
    for workers in [1, 4] {
        let queues: Vec<_> = (0..workers).map(|_| crossbeam_channel::bounded::<Arc<[u8]>>(1024)).collect();
        group.bench_function(format!("floor_{workers}_queues"), |b| {
            b.iter(|| {
                let letter: Arc<[u8]> = Arc::from(black_box(LINE.as_bytes()));
                for (sender, _) in &queues {
                    sender.try_send(Arc::clone(&letter)).expect("there is room");
                }
                queues.iter().for_each(|(_, receiver)| drop(black_box(receiver.try_recv())));
            });
        });
    }
    group.finish();
}

/// Four threads publish; the time is one publish of one of them. With subscribers, each takes the letters out again.
fn contended(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish/4_threads");
    group.throughput(Throughput::Elements(1));
    for (name, topics, workers) in [
        ("one_topic/nobody", ["news"; 4], 0),
        ("one_topic/1_worker", ["news"; 4], 1),
        ("one_topic/4_workers", ["news"; 4], 4),
        ("one_topic/1_worker_history", ["keep"; 4], 1),
        ("topics_of_their_own/nobody", ["news1", "news2", "news3", "news4"], 0),
    ] {
        let stage = HubStage::new(4);
        let topics = topics.map(|topic| stage.topic(topic));
        (0..workers).for_each(|worker| stage.subscribe(&topics[0], worker));
        let publish = |one: usize| {
            stage.publish(&topics[one]);
            stage.drain(workers);
        };
        beside(3, publish, || {
            group.bench_function(name, |b| b.iter(|| publish(3)));
        });
    }
    group.finish();
}

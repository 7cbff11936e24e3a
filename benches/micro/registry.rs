//! Finding a topic by its name, among 10,000: on subscribe, and on a publish over plain HTTP. The floor is a bare map
//! with the same hasher, which no other thread may touch.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use fanfare::hub::TopicName;

use super::beside::beside;
use super::stage::HubStage;

pub(crate) fn bench(criterion: &mut Criterion) {
    let stage = HubStage::new(1);
    let names: Vec<_> = (0..10_000).map(|one| TopicName::new(&format!("news{one}")).expect("a good name")).collect();
    let topics: Vec<_> = names.iter().map(|name| stage.topic(name.as_str())).collect();
    let mut at = 0;
    let mut next = || {
        at = (at + 7) % names.len();
        &names[at]
    };
    let mut group = criterion.benchmark_group("registry");
    group.throughput(Throughput::Elements(1));
    let map: HashMap<&TopicName, _> = names.iter().zip(&topics).collect();
    group.bench_function("floor_map", |b| b.iter(|| map.get(next()).map(|&topic| Arc::clone(topic))));
    group.bench_function("find/alone", |b| b.iter(|| stage.hub.find(next())));
    beside(
        3,
        |one| drop(black_box(stage.hub.find(&names[one * 100]))),
        || {
            group.bench_function("find/4_threads", |b| b.iter(|| stage.hub.find(next())));
        },
    );
    beside(
        3,
        |_| drop(black_box(stage.hub.find(&names[0]))),
        || {
            group.bench_function("find/4_threads_one_topic", |b| b.iter(|| stage.hub.find(&names[0])));
        },
    );
    group.finish();
}

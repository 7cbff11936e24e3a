//! Kept publications: appending to a full ring, reading its end, and appending when the bound over all topics is reached.
//!
//! The floor of appending is the same publish on a topic without history (`publish/nobody`), that of reading is cloning as
//! many references to payloads out of a vector.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use fanfare::hub::Topic;

use super::stage::{HubStage, LINE};

pub(crate) fn bench(criterion: &mut Criterion) {
    let stage = HubStage::new(1);
    let topic = stage.topic("keep");
    (0..HubStage::HISTORY).for_each(|_| stage.publish(&topic));
    let mut group = criterion.benchmark_group("history");
    group.bench_function("append_to_a_full_ring", |b| b.iter(|| stage.publish(&topic)));
    let (full, topics) = at_the_bound();
    group.bench_function("append_at_the_bound_over_all_topics", |b| {
        let mut next = 0;
        b.iter(|| {
            next = (next + 1) % topics.len();
            full.publish(&topics[next]);
        });
    });
    let payloads: Vec<Bytes> = (0..HubStage::HISTORY).map(|_| Bytes::copy_from_slice(LINE.as_bytes())).collect();
    for count in [1, 100] {
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::new("read_the_last", count), |b| b.iter(|| stage.read_last(&topic, count)));
        group.bench_function(BenchmarkId::new("floor_clones", count), |b| {
            b.iter(|| black_box(&payloads)[HubStage::HISTORY - count..].to_vec());
        });
    }
    group.finish();
}

/// A hub whose 10,000 topics fill the bound on history.
fn at_the_bound() -> (HubStage, Vec<Arc<Topic>>) {
    let stage = HubStage::new(1);
    let topics: Vec<_> = (0..10_000).map(|one| stage.topic(&format!("keep{one}"))).collect();
    for _ in 0..40 {
        topics.iter().for_each(|topic| stage.publish(topic));
    }
    (stage, topics)
}

//! The worker's side of a mailbox: popping what was published, and lying down and being woken.
//!
//! The floor of popping is a bare queue of the same kind: it counts no bytes and tells nobody of room.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use fanfare::hub::WorkerId;

use super::stage::{HubStage, LINE};

/// Letters that a worker takes in a turn.
const LETTERS: usize = 256;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mailbox");
    group.throughput(Throughput::Elements(LETTERS as u64));
    let stage = HubStage::new(1);
    let topic = stage.topic_on("news", 1);
    group.bench_function("drain_256", |b| {
        b.iter_custom(|rounds| {
            timed(rounds, || (0..LETTERS).for_each(|_| stage.publish(&topic)), || assert_eq!(stage.drain(1), LETTERS))
        });
    });
    let (sender, receiver) = crossbeam_channel::bounded::<Arc<[u8]>>(LETTERS);
    group.bench_function("floor_queue_256", |b| {
        let fill = || (0..LETTERS).for_each(|_| sender.try_send(Arc::from(LINE.as_bytes())).expect("there is room"));
        b.iter_custom(|rounds| timed(rounds, fill, || receiver.try_iter().for_each(|letter| drop(black_box(letter)))));
    });
    group.finish();

    let mut group = criterion.benchmark_group("mailbox");
    let mailbox = stage.hub.mailbox(WorkerId(0));
    group.bench_function("park_wake_unpark", |b| {
        b.iter(|| {
            assert!(mailbox.park());
            mailbox.wake();
            mailbox.unpark();
        });
    });
    group.bench_function("publish_to_a_sleeping_worker", |b| {
        b.iter(|| {
            assert!(mailbox.park());
            stage.publish(&topic);
            mailbox.unpark();
            assert_eq!(stage.drain(1), 1);
        });
    });
    group.bench_function("wake_one_that_is_awake", |b| b.iter(|| mailbox.wake()));
    group.finish();
}

/// The time of `rounds` rounds of `work`, each after its `preparation`, which is not counted.
fn timed(rounds: u64, preparation: impl Fn(), work: impl Fn()) -> Duration {
    let mut took = Duration::ZERO;
    for _ in 0..rounds {
        preparation();
        let began = Instant::now();
        work();
        took += began.elapsed();
    }
    took
}

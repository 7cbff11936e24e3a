//! What the fan-out costs besides the kernel's sends: appending, passing members, planning and settling visits.
//!
//! The sink takes everything and does nothing with it. Times are per round; throughput is per member. The floor is a loop
//! that moves as many cursors of the same size and looks at the same frame: no round could do less.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use fanfare::fanout::{Join, Policy, Sent, Writer};

use super::stage::FanoutStage;

pub(crate) fn bench(criterion: &mut Criterion) {
    sweeps(criterion);
    gather(criterion);
    append(criterion);
    pass_at_head(criterion);
    visit_nothing(criterion);
}

fn sweeps(criterion: &mut Criterion) {
    for burst in [1, 64] {
        let mut group = criterion.benchmark_group(format!("sweep/burst_{burst}"));
        for members in [1, 100, 10_000] {
            let mut stage = FanoutStage::new(Policy::Disconnect);
            let (log, _) = stage.log(members);
            group.throughput(Throughput::Elements(members as u64));
            group.bench_function(BenchmarkId::new("members", members), |bencher| {
                bencher.iter(|| {
                    (0..burst).for_each(|_| stage.append(log));
                    stage.sweep();
                });
            });
            let mut cursors = vec![(0_u32, 0_u32, 0_u64); members];
            let frames = vec![7_u8; burst * FanoutStage::FRAME_BYTES];
            group.bench_function(BenchmarkId::new("floor_cursors", members), |bencher| {
                bencher.iter(|| {
                    for (_, _, cursor) in &mut cursors {
                        *cursor += black_box(&frames[..]).len() as u64;
                    }
                    black_box(&mut cursors);
                });
            });
        }
        group.finish();
    }
}

/// One connection that is on many logs, each with one publication: one visit gathers them.
fn gather(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sweep/gather");
    for logs in [8, 20] {
        let mut stage = FanoutStage::new(Policy::Disconnect);
        let logs = stage.member_of(logs);
        group.throughput(Throughput::Elements(logs.len() as u64));
        group.bench_function(BenchmarkId::new("logs", logs.len()), |bencher| {
            bencher.iter(|| {
                logs.iter().for_each(|&log| stage.append(log));
                stage.sweep();
            });
        });
    }
    group.finish();
}

/// One member is blocked for good: appends, with the skips and the trimming that keep its log within 1 MiB.
fn append(criterion: &mut Criterion) {
    let mut stage = FanoutStage::new(Policy::Skip);
    let (log, members) = stage.log(1);
    stage.append(log);
    assert_eq!(stage.visit(members[0], |_| Sent::Blocked), Writer::Blocked);
    let mut group = criterion.benchmark_group("sweep/append");
    group.bench_function("beside_a_laggard", |bencher| bencher.iter(|| stage.append(log)));
    let (frame, mut joined) = (vec![7; FanoutStage::FRAME_BYTES], Vec::with_capacity(16 * 1024));
    group.bench_function("floor_copy", |bencher| {
        bencher.iter(|| {
            if joined.len() + frame.len() > joined.capacity() {
                joined.clear();
            }
            black_box(&mut joined).extend_from_slice(black_box(&frame));
        });
    });
    group.finish();
}

/// A round over members who have everything; one held member keeps the log active.
fn pass_at_head(criterion: &mut Criterion) {
    let members = 10_000;
    let mut stage = FanoutStage::new(Policy::Disconnect);
    let (log, _) = stage.log(members);
    let held = stage.fanout.connect();
    stage.fanout.subscribe(log, held, Join::Held);
    stage.append(log);
    stage.sweep();
    let mut group = criterion.benchmark_group("sweep/pass_at_head");
    group.throughput(Throughput::Elements(members as u64));
    group.bench_function(BenchmarkId::new("members", members), |bencher| {
        bencher.iter(|| {
            stage.fanout.sweep_log_first(log);
            assert!(stage.fanout.next().is_none());
        });
    });
    group.finish();
}

fn visit_nothing(criterion: &mut Criterion) {
    let mut stage = FanoutStage::new(Policy::Disconnect);
    let (_, members) = stage.log(1);
    criterion.bench_function("sweep/visit_nothing", |bencher| {
        bencher.iter(|| assert_eq!(stage.visit(black_box(members[0]), Sent::Wrote), Writer::Open));
    });
}

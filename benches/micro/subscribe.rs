//! One subscriber more, and less: in the hub, and in a fan-out's log with so many members. Both are to stay O(1): the times
//! for 1 and 10,000 members are to be the same.

use criterion::{BenchmarkId, Criterion};
use fanfare::fanout::{Join, Policy};
use fanfare::hub::Offset;

use super::stage::{FanoutStage, HubStage};

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("subscribe");
    for members in [1, 10_000] {
        let stage = HubStage::new(1);
        let topic = stage.topic("news");
        (0..members).for_each(|_| stage.subscribe(&topic, 0));
        group.bench_function(BenchmarkId::new("hub", members), |b| {
            b.iter(|| {
                stage.subscribe(&topic, 0);
                stage.unsubscribe(&topic, 0);
            });
        });
        let mut stage = FanoutStage::new(Policy::Disconnect);
        let (log, _) = stage.log(members);
        let other = stage.fanout.connect();
        group.bench_function(BenchmarkId::new("fanout", members), |b| {
            b.iter(|| {
                stage.fanout.subscribe(log, other, Join::At(Offset(0)));
                stage.fanout.unsubscribe(log, other)
            });
        });
    }
    group.finish();
}

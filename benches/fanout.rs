//! What the fan-out costs besides the kernel's sends: appending, passing members, planning and settling visits.
//!
//! The sink takes everything and does nothing with it. Divide by the number in the name for the cost per member.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fanfare::fanout::{
    Appended, ConnectionId, Entry, Fanout, Join, LogId, LogRules, Missed, Policy, RulesId, Sent, Settings, Tick, Writer,
};
use fanfare::hub::Offset;

/// 128 bytes of payload in a WebSocket frame.
const FRAME_BYTES: usize = 132;

struct Stage {
    fanout: Fanout,
    frame: Bytes,
    offset: u64,
}

impl Stage {
    fn new(policy: Policy) -> Self {
        let rules = vec![LogRules { policy, ..LogRules::default() }];
        Self { fanout: Fanout::new(Settings::default(), rules), frame: Bytes::from(vec![7; FRAME_BYTES]), offset: 0 }
    }

    fn log(&mut self, members: usize) -> (LogId, Vec<ConnectionId>) {
        let log = self.fanout.open(RulesId(0), Offset(0));
        let members: Vec<ConnectionId> = (0..members).map(|_| self.fanout.connect()).collect();
        for &member in &members {
            self.fanout.subscribe(log, member, Join::At(Offset(0)));
        }
        (log, members)
    }

    fn append(&mut self, log: LogId) {
        self.offset += 1;
        let entry = Entry { offset: Offset(self.offset), frame: &self.frame, key: 0, exclude: None };
        assert_eq!(self.fanout.append(log, entry, Tick(0)), Appended::Ok);
    }

    fn visit(&mut self, connection: ConnectionId, sent: impl FnOnce(usize) -> Sent) -> Writer {
        let mut notice = |_: LogId, _: Missed| Bytes::new();
        let visited = self.fanout.visit(connection, Tick(0), &mut notice, |slices| {
            sent(black_box(slices).iter().map(|slice| slice.len()).sum())
        });
        visited.writer
    }

    fn sweep(&mut self) {
        while self.fanout.has_work() {
            if let Some(connection) = self.fanout.next() {
                assert_eq!(self.visit(connection, Sent::Wrote), Writer::Open);
            }
        }
    }
}

fn sweeps(criterion: &mut Criterion) {
    for burst in [1, 64] {
        let mut group = criterion.benchmark_group(format!("fanout/sweep/burst_{burst}"));
        for members in [1, 100, 10_000] {
            let mut stage = Stage::new(Policy::Disconnect);
            let (log, _) = stage.log(members);
            group.throughput(Throughput::Elements(members as u64));
            group.bench_function(BenchmarkId::from_parameter(members), |bencher| {
                bencher.iter(|| {
                    (0..burst).for_each(|_| stage.append(log));
                    stage.sweep();
                });
            });
        }
    }
}

/// One connection that is on many logs, each with one publication: one visit gathers them.
fn gather(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fanout/gather");
    for logs in [8, 20] {
        let mut stage = Stage::new(Policy::Disconnect);
        let connection = stage.fanout.connect();
        let logs: Vec<LogId> = (0..logs).map(|_| stage.fanout.open(RulesId(0), Offset(0))).collect();
        logs.iter().for_each(|&log| stage.fanout.subscribe(log, connection, Join::At(Offset(0))));
        group.throughput(Throughput::Elements(logs.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(logs.len()), |bencher| {
            bencher.iter(|| {
                logs.iter().for_each(|&log| stage.append(log));
                stage.sweep();
            });
        });
    }
}

/// One member is blocked for good: appends, with the skips and the trimming that keep its log within 1 MiB.
fn append(criterion: &mut Criterion) {
    let mut stage = Stage::new(Policy::Skip);
    let (log, members) = stage.log(1);
    stage.append(log);
    assert_eq!(stage.visit(members[0], |_| Sent::Blocked), Writer::Blocked);
    criterion.bench_function("fanout/append", |bencher| bencher.iter(|| stage.append(log)));
}

/// A round over members who have everything; one held member keeps the log active.
fn pass_at_head(criterion: &mut Criterion) {
    let members = 10_000;
    let mut stage = Stage::new(Policy::Disconnect);
    let (log, _) = stage.log(members);
    let held = stage.fanout.connect();
    stage.fanout.subscribe(log, held, Join::Held);
    stage.append(log);
    stage.sweep();
    let mut group = criterion.benchmark_group("fanout/pass_at_head");
    group.throughput(Throughput::Elements(members as u64));
    group.bench_function(BenchmarkId::from_parameter(members), |bencher| {
        bencher.iter(|| {
            stage.fanout.sweep_log_first(log);
            assert!(stage.fanout.next().is_none());
        });
    });
}

fn visit_nothing(criterion: &mut Criterion) {
    let mut stage = Stage::new(Policy::Disconnect);
    let (_, members) = stage.log(1);
    criterion.bench_function("fanout/visit_nothing", |bencher| {
        bencher.iter(|| assert_eq!(stage.visit(black_box(members[0]), Sent::Wrote), Writer::Open));
    });
}

criterion_group!(benches, sweeps, gather, append, pass_at_head, visit_nothing);
criterion_main!(benches);

//! Reading what clients send. Decoding is held to `unmask`, without which no server can read a frame, and that to a copy
//! of as many bytes; text is checked to be UTF-8 besides.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use fanfare::ws::{Decoder, OpCode};

use super::stage::{client_frame, decode};

const SIZES_BYTES: [usize; 5] = [16, 128, 1024, 16 * 1024, 64 * 1024];

/// What a full TCP segment carries without options: the pieces a frame comes in from far away.
const SEGMENT_BYTES: usize = 1460;

pub(crate) fn bench(criterion: &mut Criterion) {
    sizes_and_cuts(criterion);
    bursts(criterion);
    unmasking(criterion);
}

fn sizes_and_cuts(criterion: &mut Criterion) {
    for (name, opcode) in [("decoder/text", OpCode::Text), ("decoder/binary", OpCode::Binary)] {
        let mut group = criterion.benchmark_group(name);
        for size in SIZES_BYTES {
            let mut input = client_frame(opcode, size);
            group.throughput(Throughput::Bytes(size as u64));
            let cuts = [("whole", usize::MAX), ("in_segments", SEGMENT_BYTES), ("byte_by_byte", 1)];
            for (cut, read_bytes) in cuts.into_iter().filter(|&(cut, _)| cut != "in_segments" || size > SEGMENT_BYTES) {
                group.bench_function(BenchmarkId::new(cut, size), |bencher| {
                    let mut decoder = Decoder::new();
                    bencher.iter(|| assert_eq!(decode(&mut decoder, &mut input, read_bytes), size));
                });
            }
        }
        group.finish();
    }
}

/// A hundred chat lines in one go.
fn bursts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decoder/burst_of_100");
    let mut burst = client_frame(OpCode::Text, 128).repeat(100);
    group.throughput(Throughput::Elements(100));
    for (cut, read_bytes) in [("whole", usize::MAX), ("in_segments", SEGMENT_BYTES), ("byte_by_byte", 1)] {
        group.bench_function(cut, |bencher| {
            let mut decoder = Decoder::new();
            bencher.iter(|| assert_eq!(decode(&mut decoder, &mut burst, read_bytes), 128 * 100));
        });
    }
    group.finish();
}

fn unmasking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("unmask");
    for size in SIZES_BYTES {
        group.throughput(Throughput::Bytes(size as u64));
        let (mut payload, source) = (vec![b'x'; size], vec![b'y'; size]);
        group.bench_function(BenchmarkId::new("in_place", size), |bencher| {
            bencher.iter(|| fastwebsockets::unmask(black_box(&mut payload), black_box([1, 2, 3, 4])));
        });
        group.bench_function(BenchmarkId::new("floor_copy", size), |bencher| {
            bencher.iter(|| black_box(&mut payload[..]).copy_from_slice(black_box(&source)));
        });
    }
    group.finish();
}

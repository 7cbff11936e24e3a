//! Making the frame of a publication, once per encoding in use. The floor is a copy of the payload into memory of its own.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use fanfare::hub::{Epoch, Kind, Offset, Position};
use fanfare::protocol::{Content, Encoding, encode};

use super::stage::LINE;

pub(crate) fn bench(criterion: &mut Criterion) {
    let position = Position { epoch: Epoch(1_763_700_000_000_000), offset: Offset(123_456) };
    for (name, kind) in [("encoding/text", Kind::Text), ("encoding/binary", Kind::Binary)] {
        let mut group = criterion.benchmark_group(name);
        for size in [128, 16 * 1024] {
            let payload = LINE.repeat(size / LINE.len());
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::new("floor_copy", size), |bencher| {
                bencher.iter(|| Bytes::copy_from_slice(black_box(payload.as_bytes())));
            });
            for encoding in Encoding::UNCOMPRESSED {
                group.bench_function(BenchmarkId::new(format!("{encoding:?}"), size), |bencher| {
                    bencher.iter(|| {
                        encode(encoding, &Content::plain("news", position, kind, black_box(payload.as_bytes())))
                    });
                });
            }
        }
        group.finish();
    }
}

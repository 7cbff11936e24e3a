//! Making the frame of a publication, once per encoding in use. The floor is a copy of the payload into memory of its own.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use fanfare::hub::{Epoch, Kind, Offset, Position};
use fanfare::protocol::centrifuge::{Batch, Data, Envelope, Format, Publication, Push, Transport};
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
    centrifuge(criterion, position);
}

/// In JSON the payload is read once more, to know if it is JSON.
fn centrifuge(criterion: &mut Criterion, position: Position) {
    let mut group = criterion.benchmark_group("encoding/centrifuge");
    for line_count in [1, 128] {
        let payload = format!("[{}]", vec![LINE; line_count].join(","));
        let size = payload.len();
        group.throughput(Throughput::Bytes(size as u64));
        for (format, data) in [
            (Format::Json, Data::Value(payload.as_bytes())),
            (Format::Json, Data::Full(payload.as_bytes())),
            (Format::Protobuf, Data::Value(payload.as_bytes())),
        ] {
            let name = match data {
                Data::Full(_) => format!("{format:?}_string"),
                Data::Value(_) | Data::Delta(_) => format!("{format:?}"),
            };
            let push = Push::Publication(Publication { offset: position.offset, ..Publication::new(data) });
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                let transport = Transport::WebSocket(format);
                bencher.iter(|| Batch::of_push(transport, Envelope::Wrapped, "news", black_box(&push)));
            });
        }
    }
    group.finish();
}

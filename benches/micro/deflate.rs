//! Compressing a publication, once for all subscribers, and inflating a client's message. The floor is a copy.

use std::fmt::Write as _;
use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput};
use fanfare::ws::{Decoder, Deflater, Inflater, MessageLimits, Thresholds, Window, frame};

const LIMITS: MessageLimits = MessageLimits { bytes: 64 * 1024, fragments: 4096 };

pub(crate) fn bench(criterion: &mut Criterion) {
    for size in [1024, 16 * 1024] {
        let plain = frame::text(&json(size));
        let mut group = criterion.benchmark_group(format!("deflate/json_{size}"));
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function("floor_copy", |bencher| bencher.iter(|| Bytes::copy_from_slice(black_box(&plain))));
        for level in [1, 3, 6, 9] {
            let mut deflater = Deflater::new(level, Thresholds::default());
            group.bench_function(BenchmarkId::new("level", level), |bencher| {
                bencher.iter(|| deflater.deflate(Window::Bits15, black_box(&plain)));
            });
        }
        for window in [Window::Bits9, Window::Bits12] {
            let mut deflater = Deflater::new(3, Thresholds::default());
            group.bench_function(BenchmarkId::new("level_3_window", window.bits()), |bencher| {
                bencher.iter(|| deflater.deflate(window, black_box(&plain)));
            });
        }
        let mut input = client_frame(
            &Deflater::new(3, Thresholds::default()).deflate(Window::Bits15, &plain).expect("JSON compresses"),
        );
        let (mut decoder, mut inflater) = (Decoder::new(), Inflater::new());
        group.bench_function("inflate", |bencher| {
            bencher.iter(|| {
                let step = decoder.next(&mut input, LIMITS, Some(&mut inflater)).expect("the frame is valid");
                black_box(step.message.is_some())
            });
        });
        group.finish();
    }
}

/// Readings of sensors, as an API would write them.
fn json(size: usize) -> String {
    let mut text = String::from("[");
    let mut noise = 7_u64;
    while text.len() < size {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (id, value, second) = (noise >> 32, noise >> 20 & 127, noise >> 40 & 31);
        let reading =
            write!(text, "{{\"id\":\"{id:08x}\",\"value\":{value},\"at\":\"2026-11-27T16:00:{second:02}Z\"}},");
        reading.expect("invariant: writing to a String does not fail");
    }
    text.truncate(size);
    text
}

/// The same message from a client, masked with zeros: unmasking leaves it as it is, each time.
fn client_frame(server: &[u8]) -> Vec<u8> {
    let header_bytes = match server[1] {
        127 => 10,
        126 => 4,
        _ => 2,
    };
    let (header, payload) = server.split_at(header_bytes);
    let mut frame = header.to_vec();
    frame[1] |= 0x80;
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}

//! What a client's bytes and a server's frames cost: the decoder by size and by how the input is cut, unmasking alone, and
//! writing frames.
//!
//! `cargo bench --bench decode`

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fanfare::hub::{Epoch, Kind, Offset, Position};
use fanfare::protocol::{Encoding, encode};
use fanfare::ws::{Decoder, Message, OpCode, frame};

const SIZES_BYTES: [usize; 5] = [16, 128, 1024, 16 * 1024, 64 * 1024];
const LIMIT_BYTES: usize = 64 * 1024;

/// A whole client frame with `payload_bytes` of ASCII; masked with zeros, which costs as much to take off as any mask and
/// lets the same buffer be decoded again and again.
fn client_frame(opcode: OpCode, payload_bytes: usize) -> Vec<u8> {
    let mut bytes = frame::FrameHeader::new(opcode, payload_bytes).as_bytes().to_vec();
    bytes[1] |= 0x80;
    bytes.extend_from_slice(&[0; 4]);
    bytes.resize(bytes.len() + payload_bytes, b'x');
    bytes
}

/// Decodes all of `input` in reads of `read_bytes`; gives the payload bytes seen.
fn decode(decoder: &mut Decoder, input: &mut [u8], read_bytes: usize) -> usize {
    let mut seen = 0;
    for read in input.chunks_mut(read_bytes) {
        let mut at = 0;
        loop {
            let step = decoder.next(&mut read[at..], LIMIT_BYTES).expect("the frames are valid");
            at += step.consumed;
            match step.message {
                Some(Message::Text(text)) => seen += black_box(text).len(),
                Some(Message::Binary(bytes)) => seen += black_box(bytes).len(),
                Some(Message::Ping(_) | Message::Pong(_) | Message::Close(_)) => {}
                None => break,
            }
        }
    }
    seen
}

fn decoder(criterion: &mut Criterion) {
    for (name, opcode) in [("decode/text", OpCode::Text), ("decode/binary", OpCode::Binary)] {
        let mut group = criterion.benchmark_group(name);
        for size in SIZES_BYTES {
            let whole = client_frame(opcode, size);
            group.throughput(Throughput::Bytes(size as u64));
            // Zero masks leave the input as it is, so that it needs no fresh copy per round.
            let cuts = [("whole", usize::MAX), ("halves", whole.len().div_ceil(2)), ("reads_of_1448", 1448)];
            for (cut, read_bytes) in cuts.into_iter().filter(|&(cut, _)| cut != "reads_of_1448" || size > 1448) {
                group.bench_function(BenchmarkId::new(cut, size), |bencher| {
                    let (mut decoder, mut input) = (Decoder::new(), whole.clone());
                    bencher.iter(|| assert_eq!(decode(&mut decoder, &mut input, read_bytes.min(whole.len())), size));
                });
            }
        }
        group.finish();
    }

    let mut group = criterion.benchmark_group("decode/burst");
    let count = 100;
    let burst = client_frame(OpCode::Text, 128).repeat(count);
    group.throughput(Throughput::Elements(count as u64));
    for (cut, read_bytes) in [("one_read", burst.len()), ("reads_of_1448", 1448), ("byte_by_byte", 1)] {
        group.bench_function(cut, |bencher| {
            let (mut decoder, mut input) = (Decoder::new(), burst.clone());
            bencher.iter(|| assert_eq!(decode(&mut decoder, &mut input, read_bytes), 128 * count));
        });
    }
    group.finish();
}

fn unmasking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("unmask");
    for size in SIZES_BYTES {
        group.throughput(Throughput::Bytes(size as u64));
        let mut payload = vec![b'x'; size];
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| fastwebsockets::unmask(black_box(&mut payload), black_box([1, 2, 3, 4])));
        });
    }
    group.finish();
}

fn encoding(criterion: &mut Criterion) {
    let position = Position { epoch: Epoch(1_763_700_000_000), offset: Offset(123_456) };
    let mut group = criterion.benchmark_group("encode");
    for size in [128, 16 * 1024] {
        let text = "{\"user\":\"ada\",\"text\":\"hello\"}\n".repeat(size / 30 + 1)[..size].to_owned();
        group.throughput(Throughput::Bytes(size as u64));
        for encoding in Encoding::ALL {
            group.bench_function(BenchmarkId::new(format!("{encoding:?}"), size), |bencher| {
                bencher.iter(|| encode(encoding, "news", position, Kind::Text, black_box(text.as_bytes())));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, decoder, unmasking, encoding);
criterion_main!(benches);

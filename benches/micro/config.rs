//! From a text to a checked configuration: at the start, and again at each reload. The floor parses the same text into a
//! TOML table, without types, places or checks.

use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput};
use fanfare::config::Config;

/// The documented configuration, with every key.
const DOCUMENTED: &str = include_str!("../../config/fanfare.toml");

pub(crate) fn bench(criterion: &mut Criterion) {
    let many = (0..1_000).fold(String::new(), |text, one| {
        format!("{text}[[topics]]\npattern = \"chat{one}.*\"\nhistory = {{ size = 100, ttl = \"1h\" }}\n\n")
    });
    let mut group = criterion.benchmark_group("config");
    for (name, text) in [("documented", DOCUMENTED), ("1000_topic_rules", &many)] {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::new("load", name), |b| {
            b.iter(|| Config::from_toml(black_box(text), Path::new("")).expect("a valid configuration"));
        });
        group.bench_function(BenchmarkId::new("floor_table", name), |b| {
            b.iter(|| black_box(text).parse::<toml::Table>().expect("valid TOML"));
        });
    }
    group.finish();
}

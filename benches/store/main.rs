//! What history on disk costs: records a second with a sync for each group, bytes written for each byte published, and how
//! long a start takes.
//!
//! `cargo bench --bench store [-- DIRECTORY]`; the directory decides which disk is measured. Beside each row stands `floor`:
//! the same payloads appended to a plain file, with `fdatasync` after each group. Bytes written are what the kernel charged
//! this process for (`/proc/self/io`). The figures of one machine in one run are to be read against each other.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare::hub::{Epoch, Kind, Offset, Position, TopicName};
use fanfare::store::{Entry, Record, Store, SyncMode};

const PAYLOAD_BYTES: usize = 128;

/// One row: so many records in groups of this size, over so many topics that keep this many each.
struct Load {
    records: u64,
    group: u64,
    topics: u64,
    keep: u64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let directory = arguments.first().map_or_else(std::env::temp_dir, |path| path.into());
    let directory = directory.join(format!("fanfare-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory to write to");
    let loads = [
        Load { records: 2_000, group: 1, topics: 1, keep: 100_000 },
        Load { records: 100_000, group: 100, topics: 1, keep: 10_000 },
        Load { records: 100_000, group: 100, topics: 1_000, keep: 100 },
        Load { records: 500_000, group: 2_000, topics: 1_000, keep: 100 },
        Load { records: 500_000, group: 2_000, topics: 10, keep: 10_000 },
        Load { records: 1_000_000, group: 2_000, topics: 10_000, keep: 100_000 },
    ];
    for load in &loads {
        floor(load, &directory.join("floor"));
        store(load, &directory.join("store.redb"));
    }
    std::fs::remove_dir_all(&directory).expect("the directory goes");
}

fn floor(load: &Load, path: &Path) {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(path).expect("a file");
    let group = vec![7; PAYLOAD_BYTES * load.group as usize];
    let measured = measure(load, |_| {
        file.write_all(&group).expect("room");
        file.sync_data().expect("a disk");
    });
    println!("floor  {measured}");
}

fn store(load: &Load, path: &Path) {
    let _ = std::fs::remove_file(path);
    let (mut store, _) = Store::open(path, SyncMode::Always, 1).expect("a store");
    let mut tops = vec![0_u64; load.topics as usize];
    let mut state = 1_u64;
    let names: Vec<TopicName> =
        (0..load.topics).map(|topic| TopicName::new(&format!("topic-{topic}")).expect("a name")).collect();
    let (mut live, mut next_look) = (0_u64, 16 << 20);
    let mut rewritten = 0;
    let measured = measure(load, |group| {
        let (mut topics, mut entries) = (Vec::new(), Vec::new());
        for _ in 0..group {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let topic = (state % load.topics) as usize;
            tops[topic] += 1;
            live += u64::from(tops[topic] <= load.keep);
            let epoch = Epoch(topic as u64 + 1);
            topics.push((epoch, names[topic].clone()));
            entries.push(Entry::Publication(Record {
                position: Position { epoch, offset: Offset(tops[topic]) },
                kind: Kind::Text,
                accepted_micros: 1,
                payload: Bytes::from_static(&[7; PAYLOAD_BYTES]),
                extras: Bytes::new(),
            }));
        }
        store.append(&topics, &entries).expect("a disk");
        // As the hub does it: see `engine/disk`.
        while store.bytes() > next_look.max(2 * live * 170) {
            let low = |epoch: Epoch| Some(Offset(tops[epoch.0 as usize - 1].saturating_sub(load.keep) + 1));
            rewritten += store.clean(4 << 20, 1, low, |_| true).expect("a disk").kept_bytes;
        }
        next_look = 16 << 20;
    });
    let on_disk = File::open(path).and_then(|file| file.metadata()).expect("a file").len();
    store.close().expect("a disk");
    let began = Instant::now();
    let (store, kept) = Store::open(path, SyncMode::Always, 1).expect("the store");
    let opened = began.elapsed();
    let read: usize = kept.topics.iter().map(|topic| topic.records.len()).sum();
    println!(
        "store  {measured}, rewritten {rewritten} B, file {} MiB, start {:.2} s for {read} records, {} MiB resident",
        on_disk >> 20,
        opened.as_secs_f64(),
        resident_mib(),
    );
    drop(store);
}

fn measure(load: &Load, mut group: impl FnMut(u64)) -> String {
    let (written, cpu, began) = (written_bytes(), cpu_time(), Instant::now());
    let mut times = Vec::new();
    for _ in 0..load.records / load.group {
        let one = Instant::now();
        group(load.group);
        times.push(one.elapsed());
    }
    let (all, cpu) = (began.elapsed(), cpu_time() - cpu);
    times.sort_unstable();
    let payload = load.records * PAYLOAD_BYTES as u64;
    format!(
        "{} records in groups of {}, {} topics of {}: {:.0}/s, group p50 {:?} p99 {:?}, CPU {:.2} us each, written {:.2} x",
        load.records,
        load.group,
        load.topics,
        load.keep,
        load.records as f64 / all.as_secs_f64(),
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        cpu.as_secs_f64() * 1e6 / load.records as f64,
        (written_bytes() - written) as f64 / payload as f64,
    )
}

fn proc_number(file: &str, key: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("0");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn written_bytes() -> u64 {
    proc_number("/proc/self/io", "write_bytes: ")
}

fn resident_mib() -> u64 {
    proc_number("/proc/self/status", "VmRSS:") >> 10
}

fn cpu_time() -> Duration {
    // In ticks of 10 ms; what is measured takes longer.
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = text.rsplit(')').next().unwrap_or("");
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks)
}

//! Times of single steps: one binary, a noun per file.
//!
//! | file | what is timed | beside it, as the floor |
//! |---|---|---|
//! | `decoder` | reading client frames, by size and by how they are cut | taking the mask off, which is held to a copy |
//! | `deflate` | compressing JSON by level and window, inflating it | a copy |
//! | `encoding` | making frames, per protocol encoding | a copy of the payload |
//! | `publish` | a publish for 0, 1 and 4 workers, with and without history, alone and with 3 other threads | the same letters through bare queues |
//! | `mailbox` | popping and releasing, parking and waking | the same letters from a bare queue |
//! | `sweep` | appending, passing, planning and settling for 1, 100 and 10,000 members | a loop over as many cursors |
//! | `history` | appending to and reading the kept publications | cloning as many entries of a vector |
//! | `registry` | finding a topic by name, alone and with 3 other threads | a bare map, alone |
//! | `subscribe` | a subscriber more and less, among 1 and 10,000 | (the two are to be equal) |
//! | `presence` | who is in a topic of many, and the answers that list them | (1 and 50,000 are to be equal, but for lists) |
//! | `config` | from a text to a checked configuration | the same text to a TOML table |
//!
//! `cargo bench --bench micro -- sweep` runs what has that in its name; `cargo bench -- --test` tries everything once.
//! The benches called `floor` are the cheapest thing that could do the job, on the same machine in the same run: on a
//! machine that others use, too, the ratio means something and the time does not. `cargo xtask instructions` counts
//! instructions instead.

#[path = "../stage/mod.rs"]
mod stage;

mod beside;
mod config;
mod decoder;
mod deflate;
mod encoding;
mod history;
mod mailbox;
mod presence;
mod publish;
mod registry;
mod subscribe;
mod sweep;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

/// The hub's own, since an allocation is part of most of what is timed.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Short, so that all of them take minutes: criterion's own eight seconds each would take a quarter of an hour.
fn briefly() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(40)
}

criterion_group! {
    name = benches;
    config = briefly();
    targets = decoder::bench, deflate::bench, encoding::bench, publish::bench, mailbox::bench, sweep::bench, history::bench,
        registry::bench, subscribe::bench, config::bench, presence::bench
}
criterion_main!(benches);

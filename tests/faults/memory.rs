//! Memory is short: crowds of clients stop reading under load, in a process that may not have what it would need for all
//! they are owed. `limits.outbound_total` holds, and the process lives.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use crate::child::Process;
use crate::client::{Http, WebSocket};
use crate::level::{Level, Metrics, mib, most_resident_bytes};
use crate::steady::{alone, beside};

/// No lag limit of a topic is reached: only the budget of the process bounds what waits.
const CONFIG: &str = "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[limits]\noutbound_total = \"16MiB\"\n\
    mailbox = \"1MiB\"\nclose_timeout = \"1s\"\n[liveness]\nping_interval = \"300d\"\n[[topics]]\npattern = \"*\"\n\
    publish = \"anyone\"\nslow_consumer = { lag = \"1GiB\", age = \"1h\" }\n";

const BUDGET_BYTES: u64 = 16 << 20;

/// What the process may map, in KiB (`RLIMIT_DATA`). The allocator maps more than it uses, 143 MiB here whatever the
/// number of rounds; with 96 MiB it is refused some when less than half of that is resident.
const DATA_KIB: u64 = 256 << 10;

const TOPICS: usize = 10;

/// So often so many more clients come that do not read. Those before them were given up by then, or are soon.
const ROUNDS: usize = 8;
const SLEEPERS: usize = 100;

/// What is published beside them, in all 375 MiB.
const PUBLICATIONS: usize = 1500;
const PAYLOAD_BYTES: usize = 32 << 10;

/// Has clients subscribe and not read, and publishes to them. Returns the most that was seen waiting.
fn overload(hub: &Process) -> u64 {
    let (over, pending) = (AtomicBool::new(false), AtomicU64::new(0));
    let address = hub.address;
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                pending.fetch_max(Metrics::of(address).value("fanfare_outbound_pending_bytes"), Ordering::Relaxed);
            }
        });
        let mut publisher = Http::connect(address);
        let payload = vec![b'x'; PAYLOAD_BYTES];
        let mut sleepers = Vec::new();
        for _ in 0..ROUNDS {
            let topics = (0..SLEEPERS).map(|n| format!("/topics/busy-{}", n % TOPICS));
            sleepers.extend(topics.map(|topic| WebSocket::open_with_small_buffer(address, &topic)));
            for n in 0..PUBLICATIONS {
                publisher.publish(&format!("busy-{}", n % TOPICS), &payload);
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    pending.into_inner()
}

#[test]
fn the_outbound_budget_holds_and_the_process_lives() {
    let _alone = alone();
    let hub = Process::start_under(&format!("ulimit -d {DATA_KIB}"), CONFIG);
    overload(&hub);
    let before = Level::of(&hub);
    let mut pending = 0;
    let report = beside(hub.address, || pending = overload(&hub));
    let given_up = Metrics::of(hub.address).closed("slow_consumer");
    assert!(given_up >= 1, "nobody was over the budget");
    assert!(pending <= BUDGET_BYTES, "{pending} bytes were waiting");
    report.tell(&format!("{} clients that do not read 375 MiB, in a process that may map 256 MiB", ROUNDS * SLEEPERS));
    println!(
        "    {given_up} given up in two runs; at most {:.1} MiB seen waiting; never more than {:.1} MiB resident",
        mib(pending),
        mib(most_resident_bytes(hub.id()))
    );
    // What the allocator keeps is of the size of the budget.
    before.is_reached_again_within(&hub, BUDGET_BYTES);
}

//! A steady topic beside a fault: its subscribers verify every publication and note how long it took.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Http, WebSocket};
use crate::deadline::eventually;

/// The topic.
pub(crate) const TOPIC: &str = "steady";

/// Bytes of a publication. Large enough that a reader which stops is over its lag limit soon.
const PAYLOAD_BYTES: usize = 4096;

/// The time between two publications: 200 per second.
const INTERVAL: Duration = Duration::from_millis(5);

const SUBSCRIBERS: usize = 10;

/// Publications that the slowest subscriber may be behind before the publisher waits for it: these threads share a busy
/// machine with the hub, and must not become slow consumers themselves. The wait counts as latency.
const WINDOW: u64 = 16;

/// Publications before the fault begins, and after it is over.
const QUIET: u64 = 100;

/// What the last publication says.
const END: &str = "end";

/// What the subscribers of the steady topic saw. That nothing was lost, doubled or swapped is asserted before.
#[derive(Debug)]
pub(crate) struct Report {
    publications: u64,
    /// Latencies from the intended time of a publication to a subscriber, sorted: without the fault, and during it.
    quiet: Vec<Duration>,
    during: Vec<Duration>,
}

/// One publication at one subscriber.
#[derive(Debug, Clone, Copy)]
struct Seen {
    number: u64,
    /// When it was to be published, since the start.
    intended: Duration,
    latency: Duration,
}

/// One test at a time: the latencies of one fault are not to be measured beside another, and descriptors of this process
/// are counted.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    // Poisoned by a test that failed: no reason for the next one to fail.
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does `fault` while the steady topic goes on, and asserts that each of its subscribers got each publication once and
/// in order: before it, meanwhile, and after it.
#[track_caller]
pub(crate) fn beside(address: SocketAddr, fault: impl FnOnce()) -> Report {
    let subscribers: Vec<_> = (0..SUBSCRIBERS).map(|_| WebSocket::open(address, &format!("/topics/{TOPIC}"))).collect();
    beside_these(address, subscribers, fault)
}

/// The same with subscribers that are there already, who have seen nothing yet.
#[track_caller]
pub(crate) fn beside_these(address: SocketAddr, subscribers: Vec<WebSocket>, fault: impl FnOnce()) -> Report {
    let began = Instant::now();
    let (over, published) = (AtomicBool::new(false), AtomicU64::new(0));
    // How many publications each subscriber has seen.
    let seen: Vec<_> = subscribers.iter().map(|_| AtomicU64::new(0)).collect();
    thread::scope(|scope| {
        let readers = std::iter::zip(subscribers, &seen).map(|(one, seen)| scope.spawn(move || read(one, began, seen)));
        let readers: Vec<_> = readers.collect();
        let publisher = scope.spawn(|| {
            // A subscriber that fails keeps it waiting until it fails as well.
            let slowest = || seen.iter().map(|one| one.load(Ordering::Relaxed)).min().unwrap_or(u64::MAX);
            publish(address, began, &over, &published, slowest);
        });
        let _ends = AtEnd(&over);
        let reached = |number: u64| {
            eventually("the steady topic goes on", || {
                publisher.is_finished() || published.load(Ordering::Relaxed) >= number
            });
        };
        reached(QUIET);
        let fault_began = began.elapsed();
        fault();
        let fault_ended = began.elapsed();
        reached(published.load(Ordering::Relaxed) + QUIET);
        over.store(true, Ordering::Relaxed);
        assert!(publisher.join().is_ok(), "the publisher failed");
        let publications = published.load(Ordering::Relaxed);
        let (mut quiet, mut during) = (Vec::new(), Vec::new());
        for reader in readers {
            let Ok(all) = reader.join() else { panic!("a subscriber failed") };
            let tally = Tally::of(&all, publications);
            assert_eq!(tally, Tally::default(), "of {publications} publications");
            for one in all {
                let phase = if (fault_began..fault_ended).contains(&one.intended) { &mut during } else { &mut quiet };
                phase.push(one.latency);
            }
        }
        quiet.sort_unstable();
        during.sort_unstable();
        Report { publications, quiet, during }
    })
}

/// Sets its flag when dropped, also by a panic: a scope waits for its threads.
struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What went wrong at one subscriber.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    lost: u64,
    duplicated: u64,
    reordered: u64,
}

impl Tally {
    fn of(all: &[Seen], publications: u64) -> Self {
        let mut numbers: Vec<u64> = all.iter().map(|one| one.number).collect();
        let reordered = numbers.windows(2).filter(|pair| pair[1] < pair[0]).count() as u64;
        numbers.sort_unstable();
        let before = numbers.len() as u64;
        numbers.dedup();
        let distinct = numbers.len() as u64;
        Self { lost: publications - distinct, duplicated: before - distinct, reordered }
    }
}

fn publish(address: SocketAddr, began: Instant, over: &AtomicBool, published: &AtomicU64, slowest: impl Fn() -> u64) {
    let mut publisher = Http::connect(address);
    let mut number = 0;
    let mut intended = began.elapsed();
    while !over.load(Ordering::Relaxed) {
        // An open loop: what is late is published at once, and its lateness counts.
        thread::sleep(intended.saturating_sub(began.elapsed()));
        eventually("the subscribers keep up", || {
            over.load(Ordering::Relaxed) || slowest().saturating_add(WINDOW) >= number
        });
        number += 1;
        let text = format!("{number} {}", intended.as_micros());
        publisher.publish(TOPIC, format!("{text:PAYLOAD_BYTES$}"));
        published.store(number, Ordering::Relaxed);
        intended += INTERVAL;
    }
    publisher.publish(TOPIC, END);
}

/// Reads to the end of the topic.
fn read(mut socket: WebSocket, began: Instant, seen: &AtomicU64) -> Vec<Seen> {
    let mut all = Vec::new();
    loop {
        let text = socket.text();
        if text == END {
            return all;
        }
        let arrived = began.elapsed();
        let (number, intended_us) = text.trim_end().split_once(' ').unwrap();
        let intended = Duration::from_micros(intended_us.parse().unwrap());
        all.push(Seen { number: number.parse().unwrap(), intended, latency: arrived.saturating_sub(intended) });
        seen.fetch_add(1, Ordering::Relaxed);
    }
}

impl Report {
    /// Says what was done, and what the subscribers of the steady topic saw of it.
    pub(crate) fn tell(&self, what: &str) {
        println!("{what}: {self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |all: &[Duration], part: f64| {
            let at = (all.len() as f64 * part) as usize;
            all.get(at.min(all.len().saturating_sub(1))).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
        };
        let deliveries = self.quiet.len() + self.during.len();
        write!(
            f,
            "{} publications, {deliveries} deliveries verified, lost, duplicated, reordered = 0; \
             p50/p99/most {:.1}/{:.1}/{:.1} ms during it, {:.1}/{:.1}/{:.1} ms without",
            self.publications,
            ms(&self.during, 0.5),
            ms(&self.during, 0.99),
            ms(&self.during, 1.0),
            ms(&self.quiet, 0.5),
            ms(&self.quiet, 0.99),
            ms(&self.quiet, 1.0),
        )
    }
}

#[test]
fn a_tally_tells_what_was_lost_doubled_and_swapped() {
    let seen = |numbers: &[u64]| -> Vec<Seen> {
        let seen = |&number: &u64| Seen { number, intended: Duration::ZERO, latency: Duration::ZERO };
        numbers.iter().map(seen).collect()
    };
    assert_eq!(Tally::of(&seen(&[1, 2, 3]), 3), Tally::default());
    assert_eq!(Tally::of(&seen(&[1, 3]), 3), Tally { lost: 1, duplicated: 0, reordered: 0 });
    assert_eq!(Tally::of(&seen(&[1, 2, 2, 4, 3, 5]), 5), Tally { lost: 0, duplicated: 1, reordered: 1 });
}

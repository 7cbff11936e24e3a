//! Event streams of one topic, published to over HTTP; every stream verifies every number.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};

use super::client::Http;
use super::deliveries::Verdict;
use super::interrupt::Interrupt;

/// What precedes the number in a publication, behind the field's name in the stream.
const MARK: &str = "data: soak ";

/// A load of event streams.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streams {
    pub(super) topic: &'static str,
    pub(super) count: u64,
    pub(super) publications: u64,
    pub(super) interval: Duration,
    pub(super) payload_bytes: usize,
}

impl Streams {
    /// Opens them all, publishes, and reads until each has everything or its hub has been silent for too long.
    pub(super) fn run(self, address: SocketAddr, interrupt: &Interrupt) -> anyhow::Result<Verdict> {
        let path = format!("/topics/{}", self.topic);
        // All are open before the first publication: each is owed every number.
        let readers: Vec<BufReader<TcpStream>> =
            (0..self.count).map(|_| Http::connect(address)?.open_stream(&path)).collect::<anyhow::Result<_>>()?;
        let publications = self.publications;
        let threads: Vec<_> =
            readers.into_iter().map(|reader| thread::spawn(move || read(reader, publications))).collect();
        self.publish(&mut Http::connect(address)?, &path, interrupt)?;
        let mut all = Verdict::default();
        for thread in threads {
            let numbers = thread.join().map_err(|_| anyhow!("a reader panicked"))?;
            let Verdict { in_order, lost, duplicated, reordered, .. } = numbers.verdict(publications);
            all.in_order += in_order;
            all.lost += lost;
            all.duplicated += duplicated;
            all.reordered += reordered;
        }
        Ok(all)
    }

    fn publish(self, http: &mut Http, path: &str, interrupt: &Interrupt) -> anyhow::Result<()> {
        let filler = "x".repeat(self.payload_bytes);
        let start = Instant::now();
        for number in 0..self.publications {
            ensure!(!interrupt.has_come(), "interrupted");
            let due = start + self.interval * u32::try_from(number).context("too many publications")?;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            http.post(path, &format!("soak {number} {filler}"))?;
        }
        Ok(())
    }
}

/// Reads to the last number, or as far as it comes: what is missing then is lost.
fn read(mut reader: BufReader<TcpStream>, publications: u64) -> Numbers {
    let mut numbers = Numbers::default();
    let mut line = String::new();
    while numbers.next < publications {
        line.clear();
        match reader.read_line(&mut line) {
            Ok(1..) => {}
            // The stream ended, or nothing came for as long as a read may take.
            Ok(0) | Err(_) => break,
        }
        // Sizes of chunks, ids and empty lines are none of ours.
        let number = line.strip_prefix(MARK).and_then(|rest| rest.split(' ').next());
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            numbers.take(number);
        }
    }
    numbers
}

/// The numbers that one stream has had. Pure.
#[derive(Debug, Default)]
struct Numbers {
    next: u64,
    skipped: BTreeSet<u64>,
    in_order: u64,
    duplicated: u64,
    reordered: u64,
}

impl Numbers {
    fn take(&mut self, number: u64) {
        if number >= self.next {
            self.skipped.extend(self.next..number);
            self.next = number + 1;
            self.in_order += 1;
        } else if self.skipped.remove(&number) {
            self.reordered += 1;
        } else {
            self.duplicated += 1;
        }
    }

    fn verdict(&self, publications: u64) -> Verdict {
        let lost = self.skipped.len() as u64 + publications.saturating_sub(self.next);
        let &Self { in_order, duplicated, reordered, .. } = self;
        Verdict { in_order, lost, duplicated, reordered, ..Verdict::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(numbers: &[u64], publications: u64) -> Verdict {
        let mut stream = Numbers::default();
        numbers.iter().for_each(|&number| stream.take(number));
        stream.verdict(publications)
    }

    #[test]
    fn a_sequence_without_a_hole_is_clean() {
        assert_eq!(verdict(&[0, 1, 2], 3), Verdict { in_order: 3, ..Verdict::default() });
    }

    #[test]
    fn holes_repetitions_and_late_ones_are_told_apart() {
        assert_eq!(verdict(&[0, 2], 3), Verdict { in_order: 2, lost: 1, ..Verdict::default() });
        assert_eq!(verdict(&[0, 1], 3), Verdict { in_order: 2, lost: 1, ..Verdict::default() });
        assert_eq!(verdict(&[0, 1, 1, 2], 3), Verdict { in_order: 3, duplicated: 1, ..Verdict::default() });
        assert_eq!(verdict(&[0, 2, 1], 3), Verdict { in_order: 2, reordered: 1, ..Verdict::default() });
    }
}

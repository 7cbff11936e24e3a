//! Events that the backend has not confirmed yet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

/// The events for one URL, in order, until each was confirmed. Pure: time comes in.
///
/// Bounded: events hold at most `limit_bytes` together, and each counts as [`Backlog::COST_BYTES`] beside its own. One
/// that finds no room is lost, and counted; those before it are kept, so that what arrives is without a gap up to there.
/// One batch is under way at a time, and is sent again unchanged, with the same id, until it is confirmed.
#[derive(Debug)]
pub(super) struct Backlog {
    limit_bytes: usize,
    /// What ids of batches begin with.
    name: String,
    waiting: VecDeque<Bytes>,
    batch: Option<Batch>,
    batches: u64,
    held_bytes: usize,
    is_hurried: bool,
}

#[derive(Debug)]
struct Batch {
    parcel: Parcel,
    held_bytes: usize,
    failures: u32,
    state: Sending,
}

#[derive(Debug, PartialEq, Eq)]
enum Sending {
    UnderWay,
    Pausing { until: Instant },
}

/// Events that are sent together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parcel {
    id: String,
    events: Arc<[Bytes]>,
}

impl Parcel {
    /// As it is sent. Copies the events: not for under a lock.
    pub(super) fn to_body(&self) -> Bytes {
        let bytes = self.events.iter().map(|event| event.len() + 1).sum::<usize>();
        let mut body = Vec::with_capacity(bytes + self.id.len() + 32);
        body.extend_from_slice(b"{\"id\":\"");
        body.extend_from_slice(self.id.as_bytes());
        body.extend_from_slice(b"\",\"events\":[");
        for (index, event) in self.events.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(event);
        }
        body.extend_from_slice(b"]}");
        body.into()
    }
}

/// Whether an event was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Kept {
    /// It will be delivered, if the process lives.
    Queued,
    /// There was no room.
    Lost,
}

impl Backlog {
    /// What an event counts as beside its JSON.
    pub(super) const COST_BYTES: usize = 128;
    /// Events of one batch.
    pub(super) const BATCH_EVENTS: usize = 256;
    /// Bytes of one batch, unless its first event alone is larger.
    pub(super) const BATCH_BYTES: usize = 256 * 1024;
    const FIRST_PAUSE: Duration = Duration::from_millis(100);
    const LONGEST_PAUSE: Duration = Duration::from_secs(30);

    pub(super) fn new(limit_bytes: usize, name: String) -> Self {
        Self { limit_bytes, name, waiting: VecDeque::new(), batch: None, batches: 0, held_bytes: 0, is_hurried: false }
    }

    /// Takes an event, as JSON.
    pub(super) fn offer(&mut self, event: Bytes) -> Kept {
        let cost = event.len() + Self::COST_BYTES;
        if self.held_bytes.saturating_add(cost) > self.limit_bytes {
            return Kept::Lost;
        }
        self.held_bytes += cost;
        self.waiting.push_back(event);
        Kept::Queued
    }

    /// What is to be sent at `now`, if something is. Say how that went with [`Backlog::delivered`] or
    /// [`Backlog::failed`].
    pub(super) fn due(&mut self, now: Instant) -> Option<Parcel> {
        if self.batch.is_none() {
            self.batch = self.next_batch(now);
        }
        let hurried = self.is_hurried;
        let batch = self.batch.as_mut()?;
        match batch.state {
            Sending::Pausing { until } if until <= now || (hurried && until > now + Self::FIRST_PAUSE) => {
                batch.state = Sending::UnderWay;
                Some(batch.parcel.clone())
            }
            Sending::Pausing { .. } | Sending::UnderWay => None,
        }
    }

    /// When [`Backlog::due`] has something that it has not now; `None`: not before something happens.
    pub(super) fn due_at(&self) -> Option<Instant> {
        match self.batch.as_ref()?.state {
            Sending::Pausing { until } => Some(until),
            Sending::UnderWay => None,
        }
    }

    /// The batch under way was confirmed.
    pub(super) fn delivered(&mut self) {
        if let Some(batch) = self.batch.take() {
            self.held_bytes -= batch.held_bytes;
        }
    }

    /// It was not: it is sent again after a pause, which is returned. It doubles each time, up to half a minute; while
    /// the hub ends, it stays short.
    pub(super) fn failed(&mut self, now: Instant) -> Duration {
        let hurried = self.is_hurried;
        let Some(batch) = &mut self.batch else { return Duration::ZERO };
        let pause = if hurried { Self::FIRST_PAUSE } else { pause(batch.failures) };
        batch.failures = batch.failures.saturating_add(1);
        batch.state = Sending::Pausing { until: now + pause };
        pause
    }

    /// The hub is ending: no pause is long any more.
    pub(super) fn hurry(&mut self) {
        self.is_hurried = true;
    }

    /// Gives up everything that was not confirmed, and says how many events that were.
    pub(super) fn abandon(&mut self) -> usize {
        let left = self.len();
        self.waiting.clear();
        self.batch = None;
        self.held_bytes = 0;
        left
    }

    /// Events that were not confirmed.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.batch.as_ref().map_or(0, |batch| batch.parcel.events.len())
    }

    fn next_batch(&mut self, now: Instant) -> Option<Batch> {
        let (mut events, mut bytes) = (0, 0);
        for event in self.waiting.iter().take(Self::BATCH_EVENTS) {
            if events > 0 && bytes + event.len() > Self::BATCH_BYTES {
                break;
            }
            events += 1;
            bytes += event.len();
        }
        if events == 0 {
            return None;
        }
        let id = format!("{}-{}", self.name, self.batches);
        self.batches += 1;
        let parcel = Parcel { id, events: self.waiting.drain(..events).collect() };
        let held_bytes = bytes + events * Self::COST_BYTES;
        Some(Batch { parcel, held_bytes, failures: 0, state: Sending::Pausing { until: now } })
    }
}

fn pause(failures: u32) -> Duration {
    let doubled = 2u32.checked_pow(failures).and_then(|factor| Backlog::FIRST_PAUSE.checked_mul(factor));
    doubled.unwrap_or(Backlog::LONGEST_PAUSE).min(Backlog::LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(n: usize) -> Bytes {
        Bytes::from(format!("{{\"n\":{n}}}"))
    }

    fn numbers(parcel: &Parcel) -> (String, Vec<u64>) {
        let batch: serde_json::Value = serde_json::from_slice(&parcel.to_body()).unwrap();
        let events = batch["events"].as_array().unwrap().iter();
        (batch["id"].as_str().unwrap().to_owned(), events.map(|event| event["n"].as_u64().unwrap()).collect())
    }

    #[test]
    fn a_batch_is_sent_again_unchanged_until_it_is_confirmed_and_the_next_waits() {
        let start = Instant::now();
        let mut backlog = Backlog::new(1 << 20, "run".to_owned());
        assert_eq!(backlog.due(start), None);
        let _ = (backlog.offer(event(0)), backlog.offer(event(1)));
        let first = backlog.due(start).unwrap();
        assert_eq!(numbers(&first), ("run-0".to_owned(), vec![0, 1]));
        let _ = backlog.offer(event(2));
        assert_eq!(backlog.due(start), None, "one batch at a time");
        let mut now = start;
        for pause_ms in [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000] {
            let pause = backlog.failed(now);
            assert_eq!(pause, Duration::from_millis(pause_ms));
            assert_eq!(backlog.due_at(), Some(now + pause));
            assert_eq!(backlog.due(now + pause - Duration::from_millis(1)), None);
            now += pause;
            assert_eq!(backlog.due(now).as_ref(), Some(&first));
        }
        backlog.delivered();
        assert_eq!(numbers(&backlog.due(now).unwrap()), ("run-1".to_owned(), vec![2]));
        backlog.delivered();
        assert_eq!((backlog.len(), backlog.held_bytes), (0, 0));
    }

    #[test]
    fn while_the_hub_ends_no_pause_is_long() {
        let start = Instant::now();
        let mut backlog = Backlog::new(1 << 20, "run".to_owned());
        let _ = backlog.offer(event(0));
        let mut now = start;
        for _ in 0..10 {
            backlog.due(now).unwrap();
            now += backlog.failed(now);
        }
        backlog.due(now).unwrap();
        assert_eq!(backlog.failed(now), Duration::from_secs(30));
        assert_eq!(backlog.due(now), None);
        backlog.hurry();
        assert!(backlog.due(now).is_some(), "the pause of half a minute is over");
        assert_eq!(backlog.failed(now), Duration::from_millis(100));
        assert_eq!(backlog.due(now), None);
        assert!(backlog.due(now + Duration::from_millis(100)).is_some());
    }

    #[test]
    fn a_batch_has_a_largest_number_of_events_and_of_bytes() {
        let now = Instant::now();
        let mut backlog = Backlog::new(1 << 30, "run".to_owned());
        for n in 0..=Backlog::BATCH_EVENTS {
            let _ = backlog.offer(event(n));
        }
        assert_eq!(numbers(&backlog.due(now).unwrap()).1.len(), Backlog::BATCH_EVENTS);
        backlog.delivered();
        assert_eq!(numbers(&backlog.due(now).unwrap()).1, [Backlog::BATCH_EVENTS as u64]);
        backlog.delivered();
        let large = |n: usize| Bytes::from(format!("{{\"n\":{n},\"x\":\"{}\"}}", "y".repeat(Backlog::BATCH_BYTES)));
        let _ = (backlog.offer(large(1)), backlog.offer(large(2)));
        assert_eq!(numbers(&backlog.due(now).unwrap()).1, [1], "one that alone is too large is sent alone");
    }

    #[test]
    fn the_last_one_fits_the_next_is_lost_and_counted_and_room_given_back_is_room() {
        let now = Instant::now();
        let cost = event(0).len() + Backlog::COST_BYTES;
        let mut backlog = Backlog::new(3 * cost, "run".to_owned());
        for n in 0..3 {
            assert_eq!(backlog.offer(event(n)), Kept::Queued);
        }
        assert_eq!((backlog.offer(event(3)), backlog.offer(event(4))), (Kept::Lost, Kept::Lost));
        let _ = backlog.due(now).unwrap();
        assert_eq!(backlog.offer(event(5)), Kept::Lost, "what is under way is not confirmed");
        backlog.delivered();
        assert_eq!(backlog.offer(event(6)), Kept::Queued);
    }

    proptest! {
        #[test]
        fn whatever_fails_each_event_kept_is_confirmed_once_in_order_and_within_the_limit(
            steps in prop::collection::vec((0u8..4, 0u64..60_000), 1..300), limit in 200usize..5_000
        ) {
            let mut now = Instant::now();
            let mut backlog = Backlog::new(limit, "run".to_owned());
            let (mut kept, mut confirmed, mut n) = (Vec::new(), Vec::new(), 0);
            let mut under_way: Option<Parcel> = None;
            for (what, after_ms) in steps {
                match what {
                    0 | 1 => {
                        if backlog.offer(event(n)) == Kept::Queued {
                            kept.push(n as u64);
                        }
                        n += 1;
                    }
                    2 => {
                        now += Duration::from_millis(after_ms);
                        if let Some(body) = backlog.due(now) {
                            prop_assert!(under_way.replace(body).is_none());
                        }
                    }
                    _ => if let Some(body) = under_way.take() {
                        if after_ms % 2 == 0 {
                            confirmed.extend(numbers(&body).1);
                            backlog.delivered();
                        } else {
                            let _ = backlog.failed(now);
                        }
                    },
                }
                prop_assert!(backlog.held_bytes <= limit);
                prop_assert_eq!(backlog.len() + confirmed.len(), kept.len());
            }
            prop_assert_eq!(&confirmed[..], &kept[..confirmed.len()]);
        }
    }
}

//! Publications that may come twice: the same key on the same topic is published once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::idempotency_key::IdempotencyKey;
use super::outcome::Receipt;
use super::topic_name::TopicName;

/// What became of each key of the last minutes. One short lock for all topics: only publishers that ask for it come here.
///
/// Bounded in bytes: when they are used up, the key that was done longest ago is forgotten before its time. A key whose
/// publication is under way is never forgotten. Those of topics on disk are there as well, and again after a restart.
#[derive(Debug)]
pub struct Idempotency {
    limit_bytes: usize,
    keys: Mutex<Keys>,
}

/// What is to be done with a publication that has a key.
#[derive(Debug)]
#[must_use]
pub enum Claim {
    /// Publish it: nobody else has, or is about to.
    First(Turn),
    /// It was published.
    Known(Receipt),
    /// Somebody else publishes it now: wait until that is over (an error is what tells so), and claim again.
    UnderWay(watch::Receiver<()>),
    /// All there is room for is under way. Come back later.
    NoRoom,
}

/// The right to publish under a key. Dropped without [`Turn::done`], the key is as if it had never come, and whoever waits
/// gets the turn.
#[derive(Debug)]
pub struct Turn {
    home: Arc<Idempotency>,
    key: IdempotencyKey,
    is_done: bool,
    /// Those who wait hold the other end. Dropped behind everything else.
    _others: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Keys {
    /// The standard hasher: clients of publishers may choose the keys.
    fates: HashMap<IdempotencyKey, Fate>,
    /// Keys that are done, in the order in which they were.
    done: VecDeque<(Instant, IdempotencyKey)>,
    bytes: usize,
}

#[derive(Debug)]
enum Fate {
    UnderWay(watch::Receiver<()>),
    Done(Instant, Receipt),
}

impl Idempotency {
    /// How long a key is known.
    pub const TTL: Duration = Duration::from_secs(300);

    /// What all keys may hold, in bytes: about 200,000 of the usual length.
    pub const LIMIT_BYTES: usize = 64 * 1024 * 1024;

    /// The longest key, in bytes.
    pub const KEY_LIMIT_BYTES: usize = 512;

    /// What a key costs beside its text and its topic's name, about: places in both collections, each of which may have twice
    /// the places it needs, and what tells those who wait.
    const OVERHEAD_BYTES: usize = 256;

    /// What a key costs on disk beside its text and its topic's name; see `store/chunk`.
    const RECORD_BYTES: usize = 36;

    /// Keys whose time is over and that one claim clears away: more than it adds.
    const CLEARED_AT_ONCE: usize = 4;

    /// Knows no key yet; all of them may hold `limit_bytes`.
    pub fn new(limit_bytes: usize) -> Arc<Self> {
        Arc::new(Self { limit_bytes, keys: Mutex::default() })
    }

    /// Asks what is to be done with a publication on `topic` under `key`.
    pub fn claim(self: &Arc<Self>, topic: &TopicName, key: &str, now: Instant) -> Claim {
        let key = IdempotencyKey::new(topic, key);
        let mut keys = self.lock();
        keys.clear_old(now);
        match keys.fates.get(&key) {
            Some(Fate::UnderWay(over)) => return Claim::UnderWay(over.clone()),
            Some(Fate::Done(at, receipt)) if now.saturating_duration_since(*at) < Self::TTL => {
                return Claim::Known(*receipt);
            }
            Some(Fate::Done(..)) => keys.forget(&key),
            None => {}
        }
        let charge = charge_bytes(&key);
        while keys.bytes + charge > self.limit_bytes {
            if !keys.forget_oldest() {
                return Claim::NoRoom;
            }
        }
        let (others, over) = watch::channel(());
        keys.bytes += charge;
        keys.fates.insert(key.clone(), Fate::UnderWay(over));
        drop(keys);
        Claim::First(Turn { home: Arc::clone(self), key, is_done: false, _others: others })
    }

    /// Takes in keys from before a restart, with when they were done. Returns how many there was no room for: the oldest.
    pub(super) fn restore(&self, mut used: Vec<(IdempotencyKey, Instant, Receipt)>) -> usize {
        used.sort_by_key(|&(_, at, _)| at);
        let mut keys = self.lock();
        let mut left_out = 0;
        for (key, at, receipt) in used {
            // One that was forgotten for want of room may have been used again: the later use counts.
            keys.forget(&key);
            let charge = charge_bytes(&key);
            while keys.bytes + charge > self.limit_bytes && !keys.done.is_empty() {
                let before = keys.fates.len();
                keys.forget_oldest();
                left_out += before - keys.fates.len();
            }
            if keys.bytes + charge > self.limit_bytes {
                left_out += 1;
                continue;
            }
            keys.bytes += charge;
            keys.fates.insert(key.clone(), Fate::Done(at, receipt));
            keys.done.push_back((at, key));
        }
        left_out
    }

    /// Whether a key, as it is kept on disk, is known or under way.
    pub(crate) fn knows(&self, key: &[u8]) -> bool {
        IdempotencyKey::from_bytes(key).is_some_and(|key| self.lock().fates.contains_key(&key))
    }

    /// What all keys would take on disk, about: those of topics in memory are counted, too, which are some 20 MB at most.
    pub(crate) fn disk_bytes(&self) -> usize {
        let keys = self.lock();
        keys.bytes - keys.fates.len() * (Self::OVERHEAD_BYTES - Self::RECORD_BYTES)
    }

    /// Keys that are known or under way.
    pub fn len(&self) -> usize {
        self.lock().fates.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// It was published at `now`, with this receipt.
    pub fn done(mut self, receipt: Receipt, now: Instant) {
        self.is_done = true;
        let home = Arc::clone(&self.home);
        let mut keys = home.lock();
        keys.fates.insert(self.key.clone(), Fate::Done(now, receipt));
        keys.done.push_back((now, self.key.clone()));
        drop(keys);
    }

    /// The key.
    pub fn key(&self) -> &IdempotencyKey {
        &self.key
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Those who wait look at the key when `_others` is gone, and that is after this.
        if !self.is_done {
            self.home.lock().forget(&self.key);
        }
    }
}

impl Keys {
    fn forget(&mut self, key: &IdempotencyKey) {
        if self.fates.remove(key).is_some() {
            self.bytes -= charge_bytes(key);
        }
    }

    /// Whether there was one that is done.
    fn forget_oldest(&mut self) -> bool {
        let Some((at, key)) = self.done.pop_front() else { return false };
        // The key may have come again when its time was over.
        if matches!(self.fates.get(&key), Some(Fate::Done(done, _)) if *done == at) {
            self.forget(&key);
        }
        true
    }

    fn clear_old(&mut self, now: Instant) {
        for _ in 0..Idempotency::CLEARED_AT_ONCE {
            match self.done.front() {
                Some((at, _)) if now.saturating_duration_since(*at) >= Idempotency::TTL => self.forget_oldest(),
                Some(_) | None => return,
            };
        }
    }
}

fn charge_bytes(key: &IdempotencyKey) -> usize {
    key.text_bytes() + Idempotency::OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Barrier, Mutex};

    use proptest::prelude::*;

    use super::*;
    use crate::hub::{Epoch, Offset, Position};

    fn topic(name: &str) -> TopicName {
        TopicName::new(name).unwrap()
    }

    fn receipt(offset: u64) -> Receipt {
        Receipt { position: Position { epoch: Epoch(1), offset: Offset(offset) }, receivers: 0 }
    }

    fn publish(keys: &Arc<Idempotency>, name: &str, key: &str, offset: u64, now: Instant) -> Receipt {
        match keys.claim(&topic(name), key, now) {
            Claim::First(turn) => {
                turn.done(receipt(offset), now);
                receipt(offset)
            }
            Claim::Known(receipt) => receipt,
            other @ (Claim::UnderWay(_) | Claim::NoRoom) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_key_is_published_once_per_topic_until_its_time_is_over() {
        let (keys, start) = (Idempotency::new(Idempotency::LIMIT_BYTES), Instant::now());
        assert_eq!(publish(&keys, "a", "k", 1, start), receipt(1));
        let just_before = start + Idempotency::TTL - Duration::from_nanos(1);
        assert_eq!(publish(&keys, "a", "k", 2, just_before), receipt(1));
        assert_eq!(publish(&keys, "b", "k", 3, just_before), receipt(3), "of another topic");
        assert_eq!(publish(&keys, "a", "k", 4, start + Idempotency::TTL), receipt(4));
        assert_eq!(publish(&keys, "a", "k", 5, start + Idempotency::TTL), receipt(4));
    }

    #[test]
    fn what_came_to_nothing_leaves_the_turn_to_who_waits() {
        let (keys, now) = (Idempotency::new(Idempotency::LIMIT_BYTES), Instant::now());
        let Claim::First(turn) = keys.claim(&topic("a"), "k", now) else { panic!("it is the first") };
        let Claim::UnderWay(over) = keys.claim(&topic("a"), "k", now) else { panic!("it is under way") };
        assert!(over.has_changed().is_ok(), "not over yet");
        drop(turn);
        assert!(over.has_changed().is_err(), "over");
        assert!(keys.is_empty());
        assert_eq!(publish(&keys, "a", "k", 7, now), receipt(7));
    }

    #[test]
    fn who_waited_finds_what_the_first_one_got() {
        let (keys, now) = (Idempotency::new(Idempotency::LIMIT_BYTES), Instant::now());
        let Claim::First(turn) = keys.claim(&topic("a"), "k", now) else { panic!("it is the first") };
        let Claim::UnderWay(over) = keys.claim(&topic("a"), "k", now) else { panic!("it is under way") };
        turn.done(receipt(9), now);
        assert!(over.has_changed().is_err(), "over");
        assert_eq!(publish(&keys, "a", "k", 10, now), receipt(9));
    }

    #[test]
    fn at_its_limit_the_oldest_is_forgotten_and_what_is_under_way_never() {
        let now = Instant::now();
        let keys = Idempotency::new(2 * (Idempotency::OVERHEAD_BYTES + 2));
        for (offset, key) in [(1, "k"), (2, "l"), (3, "m")] {
            publish(&keys, "a", key, offset, now + Duration::from_secs(offset));
        }
        assert_eq!(keys.len(), 2);
        let later = now + Duration::from_secs(4);
        assert_eq!(publish(&keys, "a", "m", 4, later), receipt(3));
        assert_eq!(publish(&keys, "a", "k", 5, later), receipt(5), "forgotten, and published again");
        let names = [topic("a"), topic("b"), topic("c")];
        let Claim::First(first) = keys.claim(&names[0], "x", later) else { panic!("there is room") };
        let Claim::First(second) = keys.claim(&names[1], "x", later) else { panic!("there is room") };
        assert!(matches!(keys.claim(&names[2], "x", later), Claim::NoRoom));
        assert!(matches!(keys.claim(&names[0], "x", later), Claim::UnderWay(_)));
        drop(first);
        assert!(matches!(keys.claim(&names[2], "x", later), Claim::First(_)));
        drop(second);
        assert!(keys.is_empty() && keys.lock().bytes == 0);
    }

    fn used(key: &str, at: Instant, offset: u64) -> (IdempotencyKey, Instant, Receipt) {
        (IdempotencyKey::new(&topic("a"), key), at, receipt(offset))
    }

    #[test]
    fn what_is_restored_is_known_for_the_rest_of_its_time() {
        let (keys, start) = (Idempotency::new(Idempotency::LIMIT_BYTES), Instant::now());
        let later = start + Duration::from_secs(1);
        // In any order; of one that was forgotten and used again, the later use counts.
        assert_eq!(keys.restore(vec![used("l", later, 3), used("k", later, 2), used("k", start, 1)]), 0);
        assert_eq!(keys.len(), 2);
        assert!(keys.knows(&used("k", start, 1).0.to_bytes()) && !keys.knows(&used("m", start, 1).0.to_bytes()));
        assert_eq!(publish(&keys, "a", "k", 8, start + Idempotency::TTL), receipt(2));
        assert_eq!(publish(&keys, "a", "l", 8, later + Idempotency::TTL), receipt(8));
        assert_eq!(publish(&keys, "a", "m", 9, later + Idempotency::TTL), receipt(9));
        assert_eq!(keys.len(), 2, "those whose time is over have gone");
        assert_eq!(keys.disk_bytes(), 2 * (2 + Idempotency::RECORD_BYTES));
    }

    #[test]
    fn of_more_than_there_is_room_for_the_newest_are_restored() {
        let now = Instant::now();
        let keys = Idempotency::new(2 * (Idempotency::OVERHEAD_BYTES + 2));
        let many: Vec<_> = (1..=5).map(|n| used(&n.to_string(), now + Duration::from_secs(n), n)).rev().collect();
        assert_eq!(keys.restore(many), 3);
        let later = now + Duration::from_secs(6);
        assert_eq!((publish(&keys, "a", "4", 8, later), publish(&keys, "a", "5", 9, later)), (receipt(4), receipt(5)));
        assert_eq!(keys.len(), 2);
        assert_eq!(publish(&keys, "a", "6", 6, later), receipt(6), "and those that come count as ever");
        assert_eq!((keys.len(), publish(&keys, "a", "4", 7, later)), (2, receipt(7)));
        let none = Idempotency::new(10);
        assert_eq!((none.restore(vec![used("k", now, 1)]), none.len()), (1, 0));
    }

    #[test]
    fn many_who_come_at_once_publish_each_key_once() {
        const THREADS: usize = 4;
        let (keys, published) = (Idempotency::new(Idempotency::LIMIT_BYTES), AtomicU64::new(0));
        let begin = Barrier::new(THREADS);
        let found = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (keys, published, begin, found) = (&keys, &published, &begin, &found);
                scope.spawn(move || {
                    begin.wait();
                    for round in 0..500_u64 {
                        let (name, now) = (topic("a"), Instant::now());
                        // Now and then the first one fails: another one must step in.
                        let mut fails = thread == 0 && round.is_multiple_of(3);
                        let receipt = loop {
                            match keys.claim(&name, &round.to_string(), now) {
                                Claim::First(turn) if std::mem::take(&mut fails) => drop(turn),
                                Claim::First(turn) => {
                                    let receipt = receipt(published.fetch_add(1, Ordering::Relaxed));
                                    std::thread::yield_now();
                                    turn.done(receipt, now);
                                    break receipt;
                                }
                                Claim::Known(receipt) => break receipt,
                                Claim::UnderWay(over) => {
                                    while over.has_changed().is_ok() {
                                        std::thread::yield_now();
                                    }
                                }
                                Claim::NoRoom => panic!("there is room"),
                            }
                        };
                        found.lock().unwrap().push((round, receipt.position.offset.0));
                    }
                });
            }
        });
        assert_eq!(published.load(Ordering::Relaxed), 500);
        let mut found = found.into_inner().unwrap();
        found.sort_unstable();
        assert_eq!(found.len(), THREADS * 500);
        found.dedup();
        assert_eq!(found.len(), 500, "all who used a key got the same receipt");
    }

    proptest! {
        #[test]
        fn keys_are_as_a_list_of_what_was_published_in_time(
            steps in proptest::collection::vec((0..3_usize, 0..4_usize, 0..200_u64, any::<bool>()), 1..80),
        ) {
            let (keys, mut now) = (Idempotency::new(Idempotency::LIMIT_BYTES), Instant::now());
            let mut list: Vec<(usize, usize, Instant, Receipt)> = Vec::new();
            for (offset, (name, key, wait, succeeds)) in (1..).zip(steps) {
                now += Duration::from_secs(wait);
                list.retain(|&(_, _, at, _)| now.duration_since(at) < Idempotency::TTL);
                let known = list.iter().find(|&&(n, k, _, _)| (n, k) == (name, key)).map(|one| one.3);
                match keys.claim(&topic(["a", "b", "c"][name]), ["k", "l", "m", "n"][key], now) {
                    Claim::Known(receipt) => prop_assert_eq!(Some(receipt), known),
                    Claim::First(turn) => {
                        prop_assert_eq!(None, known);
                        if succeeds {
                            turn.done(receipt(offset), now);
                            list.push((name, key, now, receipt(offset)));
                        }
                    }
                    other @ (Claim::UnderWay(_) | Claim::NoRoom) => prop_assert!(false, "{:?}", other),
                }
                prop_assert!(keys.len() >= list.len());
            }
        }
    }
}

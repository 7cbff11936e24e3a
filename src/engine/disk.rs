//! Topics that live on disk, too: the door to the thread that gives their publications their places.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustc_hash::FxHashMap;
use tokio::sync::Notify;

use super::disk_figures::DiskFigures;
use super::interval_writer::{self, Pending};
use super::sequencer;
use crate::config::{Config, Sync};
use crate::hub::{Done, Draft, Epoch, Hub, IdempotencyKey, Mailbox, Offset, Outcome, Queue, Topic};
use crate::refusal::Refusal;
use crate::store::{Failure, Store};

/// Bytes of publications that wait for their places.
pub(super) const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// Publications that wait, however small they are.
const QUEUE_COUNT: usize = 16_384;
/// What one is charged with beside its payload: its place, its topic's reference, the way of its answer.
const OVERHEAD_BYTES: usize = 256;

/// Topics that live on disk, too.
///
/// One thread gives all their publications their places. With `sync = "always"` it takes whatever waits, writes it in one
/// commit, and only then delivers and acknowledges it: so nobody ever has a position that a crash could take back and give
/// to another publication. With an interval it delivers and acknowledges at once, and another thread writes what has come.
/// Workers and HTTP only ever put a draft into the queue here.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(super) sync: Sync,
    waiting: Mutex<Waiting>,
    work: Condvar,
    room: Notify,
    paused: Mutex<Vec<Weak<Mailbox>>>,
    /// What was let go on purpose and is not gone on disk yet: the first offset that is kept, by epoch. At most one for each
    /// topic.
    let_go: Mutex<FxHashMap<Epoch, Offset>>,
    /// The disk takes nothing: neither does the door.
    is_failing: AtomicBool,
    pub(super) pending: Pending,
    pub(super) figures: DiskFigures,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Waiting {
    items: VecDeque<Item>,
    bytes: usize,
    is_closing: bool,
}

/// A draft that waits for its place.
pub(super) struct Item {
    pub(super) topic: Arc<Topic>,
    pub(super) draft: Draft,
    /// The idempotency key, as it is written.
    pub(super) key: Option<Bytes>,
    pub(super) now: Instant,
    pub(super) done: Done,
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Item").field("topic", self.topic.name()).finish_non_exhaustive()
    }
}

/// What the thread is to do next.
#[derive(Debug)]
pub(super) enum Work {
    /// These, in this order.
    Group(Vec<Item>),
    /// Nothing has come for a while.
    Idle,
    /// Nothing will come any more.
    Closing,
}

impl Disk {
    /// Without its threads yet: nothing is taken in before [`Disk::start`] but into the queue.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            sync: config.history.sync,
            waiting: Mutex::default(),
            work: Condvar::new(),
            room: Notify::new(),
            paused: Mutex::default(),
            let_go: Mutex::default(),
            is_failing: AtomicBool::new(false),
            pending: Pending::default(),
            figures: DiskFigures::new(&config.history.path),
            threads: Mutex::default(),
        }
    }

    /// Starts the threads of `hub`, of which this is the disk; `topics` are in the store already.
    pub(crate) fn start(&self, hub: &Arc<Hub>, store: Store, topics: Vec<Arc<Topic>>) -> io::Result<()> {
        let mut threads = lock(&self.threads);
        let spawn = |name: &str, run: Box<dyn FnOnce() + Send>| thread::Builder::new().name(name.to_owned()).spawn(run);
        let known = sequencer::known(&topics);
        drop(topics);
        let hub = Arc::clone(hub);
        match self.sync {
            Sync::Always => {
                threads.push(spawn("history", Box::new(move || sequencer::write_then_deliver(&hub, store, known)))?);
            }
            Sync::Every(interval) => {
                let writing = Arc::clone(&hub);
                let write = move || interval_writer::write(&writing, store, known, interval.0);
                threads.push(spawn("history-writer", Box::new(write))?);
                threads.push(spawn("history", Box::new(move || sequencer::deliver_then_write(&hub)))?);
            }
        }
        Ok(())
    }

    /// Ends the threads, when they have written what waits.
    pub(crate) fn close(&self) {
        lock(&self.waiting).is_closing = true;
        self.work.notify_all();
        // In the reverse of the order of their start: the one that fills what the other empties ends first.
        for thread in std::mem::take(&mut *lock(&self.threads)).into_iter().rev() {
            if thread.join().is_err() {
                tracing::error!("the thread of the history on disk panicked");
            }
            self.pending.close();
        }
    }

    /// Takes `draft` into the queue.
    pub(crate) fn publish(
        &self,
        topic: &Arc<Topic>,
        draft: Draft,
        key: Option<&IdempotencyKey>,
        now: Instant,
        later: impl FnOnce() -> Done,
    ) -> Option<Outcome> {
        if self.is_failing.load(Ordering::Acquire) {
            return Some(Outcome::Refused(Refusal::HistoryUnavailable));
        }
        let key = key.map(IdempotencyKey::to_bytes);
        let bytes = charge_bytes(&draft, key.as_ref());
        let mut waiting = lock(&self.waiting);
        if waiting.is_closing {
            return Some(Outcome::Refused(Refusal::Draining));
        }
        let is_full = waiting.bytes > 0 && waiting.bytes + bytes > QUEUE_BYTES || waiting.items.len() >= QUEUE_COUNT;
        if is_full {
            return Some(Outcome::Full { draft, queue: Queue::Disk });
        }
        waiting.bytes += bytes;
        let was_empty = waiting.items.is_empty();
        waiting.items.push_back(Item { topic: Arc::clone(topic), draft, key, now, done: later() });
        drop(waiting);
        if was_empty {
            self.work.notify_one();
        }
        None
    }

    pub(crate) fn room(&self) -> &Notify {
        &self.room
    }

    pub(crate) fn wake_when_roomy(&self, worker: &Arc<Mailbox>) {
        {
            // At most one entry per worker there is.
            let mut paused = lock(&self.paused);
            if !paused.iter().any(|one| one.as_ptr() == Arc::as_ptr(worker)) {
                paused.push(Arc::downgrade(worker));
            }
        }
        // Room may have been made before the worker stood in the list.
        if lock(&self.waiting).items.is_empty() {
            self.tell_room();
        }
    }

    /// What `topic` does not keep any more is to be gone on disk, too, soon.
    pub(crate) fn let_go(&self, topic: &Topic) {
        lock(&self.let_go).insert(topic.epoch(), topic.kept().0);
        self.work.notify_one();
    }

    /// Takes it away in `store`.
    pub(super) fn take_away(&self, store: &mut Store) -> Result<(), Failure> {
        let mut let_go = lock(&self.let_go);
        if let_go.is_empty() {
            return Ok(());
        }
        let lows: Vec<(Epoch, Offset)> = let_go.drain().collect();
        drop(let_go);
        let taken = store.let_go(&lows);
        if taken.is_err() {
            let mut let_go = lock(&self.let_go);
            for (epoch, low) in lows {
                // What came meanwhile is later.
                let_go.entry(epoch).or_insert(low);
            }
        }
        taken
    }

    pub(crate) fn figures(&self) -> &DiskFigures {
        &self.figures
    }

    /// All that waits, as soon as something does.
    pub(super) fn next(&self, patience: Duration) -> Work {
        let mut waiting = lock(&self.waiting);
        if waiting.items.is_empty() && !waiting.is_closing {
            waiting = self.work.wait_timeout(waiting, patience).unwrap_or_else(PoisonError::into_inner).0;
        }
        if waiting.items.is_empty() {
            return if waiting.is_closing { Work::Closing } else { Work::Idle };
        }
        let items = std::mem::take(&mut waiting.items);
        waiting.bytes = 0;
        drop(waiting);
        self.tell_room();
        Work::Group(items.into())
    }

    pub(super) fn is_closing(&self) -> bool {
        lock(&self.waiting).is_closing
    }

    /// Waits, but not when everything is to end.
    pub(super) fn pause(&self, time: Duration) {
        let waiting = lock(&self.waiting);
        if !waiting.is_closing {
            drop(self.work.wait_timeout(waiting, time));
        }
    }

    /// From now on the door is shut, or open again.
    pub(crate) fn set_failing(&self, is_failing: bool) {
        self.is_failing.store(is_failing, Ordering::Release);
    }

    pub(super) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Acquire)
    }

    /// Refuses these and all that wait.
    pub(super) fn refuse(&self, group: Vec<Item>) {
        let waiting = match self.next(Duration::ZERO) {
            Work::Group(items) => items,
            Work::Idle | Work::Closing => Vec::new(),
        };
        for item in group.into_iter().chain(waiting) {
            (item.done)(Outcome::Refused(Refusal::HistoryUnavailable));
        }
    }

    fn tell_room(&self) {
        self.room.notify_waiters();
        for worker in std::mem::take(&mut *lock(&self.paused)).iter().filter_map(Weak::upgrade) {
            worker.wake();
        }
    }
}

/// What a draft is charged with in the queue.
fn charge_bytes(draft: &Draft, key: Option<&Bytes>) -> usize {
    draft.content_bytes() + key.map_or(0, Bytes::len) + OVERHEAD_BYTES
}

/// Locks, also after a panic of another holder: the data is whole at each step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::TopicName;

    fn stage() -> (Arc<Hub>, Arc<Topic>, Disk) {
        let config = Config::default();
        let hub = Hub::new(&config, Vec::new());
        let topic = hub.topic(&TopicName::new("disk").unwrap()).unwrap();
        (hub, topic, Disk::new(&config))
    }

    fn offer(disk: &Disk, topic: &Arc<Topic>, text: &str) -> Option<Outcome> {
        disk.publish(topic, Draft::text(text), None, Instant::now(), || Box::new(|_| {}))
    }

    #[test]
    fn the_queue_takes_so_many_publications_and_so_many_bytes_and_no_more() {
        let (_hub, topic, disk) = stage();
        for _ in 0..QUEUE_COUNT {
            assert!(offer(&disk, &topic, "").is_none());
        }
        assert!(matches!(offer(&disk, &topic, ""), Some(Outcome::Full { queue: Queue::Disk, .. })));
        let Work::Group(group) = disk.next(Duration::ZERO) else { panic!("there is something") };
        assert_eq!(group.len(), QUEUE_COUNT);
        assert!(matches!(disk.next(Duration::ZERO), Work::Idle));
        let megabyte = "x".repeat(1 << 20);
        let taken = std::iter::repeat_with(|| offer(&disk, &topic, &megabyte)).take_while(Option::is_none).count();
        assert_eq!(taken, QUEUE_BYTES / (1 << 20) - 1, "with what each costs besides");
        // One that is larger than all of the queue is taken into an empty one.
        drop(disk.next(Duration::ZERO));
        assert!(offer(&disk, &topic, &"x".repeat(QUEUE_BYTES + 1)).is_none());
    }

    #[test]
    fn a_full_queue_wakes_who_waits_when_it_is_taken() {
        let (_hub, topic, disk) = stage();
        while offer(&disk, &topic, "").is_none() {}
        let (tell, told) = std::sync::mpsc::channel();
        let worker = Arc::new(Mailbox::new(1, Box::new(move || tell.send(()).unwrap())));
        assert!(worker.park());
        disk.wake_when_roomy(&worker);
        assert!(told.try_recv().is_err());
        drop(disk.next(Duration::ZERO));
        told.try_recv().expect("it is woken");
        // Who comes too late to be told is woken at once.
        worker.unpark();
        assert!(worker.park());
        disk.wake_when_roomy(&worker);
        told.try_recv().expect("it is woken");
    }

    #[test]
    fn a_failing_disk_takes_nothing_and_lets_nobody_wait() {
        let (_hub, topic, disk) = stage();
        let (tell, told) = std::sync::mpsc::channel();
        let later = || -> Done { Box::new(move |outcome| tell.send(outcome).unwrap()) };
        assert!(disk.publish(&topic, Draft::text("a"), None, Instant::now(), later).is_none());
        disk.set_failing(true);
        let unavailable =
            |outcome: Option<Outcome>| matches!(outcome, Some(Outcome::Refused(Refusal::HistoryUnavailable)));
        assert!(unavailable(offer(&disk, &topic, "b")));
        disk.refuse(Vec::new());
        assert!(unavailable(told.try_recv().ok()));
        disk.set_failing(false);
        assert!(offer(&disk, &topic, "c").is_none());
        disk.close();
        assert!(matches!(offer(&disk, &topic, "d"), Some(Outcome::Refused(Refusal::Draining))));
    }
}

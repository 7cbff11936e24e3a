//! The bounded input of a worker.

use std::sync::{Arc, Weak};

use tokio::sync::Notify;

use super::canary::Canary;
use super::doorbell::Doorbell;
use super::publication::Publication;
use super::room::{Reserved, Room, Tell};
use super::sync::{AtomicUsize, Mutex, Ordering, Queue, lock};
use super::wildcard::Matched;
use super::worker_set::WorkerSet;

/// What a worker finds in its mailbox.
#[derive(Debug)]
pub enum Letter {
    /// A publication on a topic it is interested in.
    Publication(Arc<Publication>),
    /// One on another topic, for the subscribers of a wildcard.
    Matched(Arc<Matched>),
    /// A readiness check: to be answered with [`Canary::seen`].
    Canary(Arc<Canary>),
}

/// The bounded input of one worker: many publishers push, the worker pops.
///
/// Bounded in bytes by `limits.mailbox` and in letters by [`Mailbox::LIMIT_LETTERS`]. A publication is charged with
/// [`Publication::charge_bytes`] from its reservation until the worker has released it, also while the worker holds it.
/// A publication larger than the whole limit is let in when nothing is charged, so that it can be published at all;
/// `limits.message` bounds that.
#[derive(Debug)]
pub struct Mailbox {
    letters: Queue<Letter>,
    room: Room,
    doorbell: Doorbell,
    canaries: AtomicUsize,
    room_made: Notify,
    waiting: Mutex<Vec<Weak<Mailbox>>>,
}

impl Mailbox {
    /// Publications that wait at most, however small they are. Their places are allocated up front, 24 bytes each.
    pub const LIMIT_LETTERS: usize = 16_384;
    /// Canaries that wait at most; they have places of their own and are charged with nothing.
    pub const LIMIT_CANARIES: usize = 16;

    /// A mailbox for `limit_bytes` of charges; `wake` makes the parked worker look again (an eventfd write).
    pub fn new(limit_bytes: usize, wake: Box<dyn Fn() + Send + Sync>) -> Self {
        // No more letters fit in a small limit than this, so their places need no memory.
        let limit_letters = (limit_bytes / size_of::<Publication>()).clamp(1, Self::LIMIT_LETTERS);
        Self {
            letters: Queue::bounded(limit_letters + Self::LIMIT_CANARIES),
            room: Room::new(limit_bytes, limit_letters),
            doorbell: Doorbell::new(wake),
            canaries: AtomicUsize::new(0),
            room_made: Notify::new(),
            waiting: Mutex::new(Vec::new()),
        }
    }

    /// Counts a publication of `charge_bytes`, if there is room; then it must be pushed or cancelled.
    pub(super) fn reserve(&self, charge_bytes: usize) -> Reserved {
        self.room.reserve(charge_bytes)
    }

    /// Takes a reservation back, and tells those who wait for room.
    pub(super) fn cancel(&self, charge_bytes: usize) {
        self.tell(self.room.cancel(charge_bytes));
    }

    /// Pushes a letter that has its reservation. To be followed by [`Mailbox::wake_for_letters`].
    pub(super) fn push_reserved(&self, letter: Letter) {
        let pushed = self.letters.push(letter);
        assert!(pushed, "invariant: a reserved letter has its place in the queue");
    }

    /// Wakes those of `workers` that sleep, after letters were pushed to them. One fence for all; a worker that is awake
    /// costs a load.
    pub(super) fn wake_for_letters(mailboxes: &[Arc<Self>], workers: &WorkerSet) {
        Doorbell::after_push();
        for worker in workers.iter() {
            mailboxes[worker.index()].doorbell.ring_if_asleep();
        }
    }

    /// Puts `canary` behind the letters that wait. If [`Mailbox::LIMIT_CANARIES`] wait already it is left out: then the
    /// mailbox is not being read, and the canary is not answered, which says so.
    pub(super) fn push_canary(&self, canary: &Arc<Canary>) {
        let places = |waiting: usize| (waiting < Self::LIMIT_CANARIES).then_some(waiting + 1);
        if self.canaries.fetch_update(Ordering::AcqRel, Ordering::Acquire, places).is_ok() {
            let pushed = self.letters.push(Letter::Canary(Arc::clone(canary)));
            assert!(pushed, "invariant: canaries have places of their own in the queue");
            Doorbell::after_push();
            self.doorbell.ring_if_asleep();
        }
    }

    /// The next letter; its charge is held until [`Mailbox::release`]. Worker only.
    pub fn pop(&self) -> Option<Letter> {
        let letter = self.letters.pop()?;
        match letter {
            Letter::Publication(_) | Letter::Matched(_) => self.room.letter_left(),
            Letter::Canary(_) => {
                self.canaries.fetch_sub(1, Ordering::AcqRel);
            }
        }
        Some(letter)
    }

    /// Gives back the charge of a letter whose work is done, and tells waiting publishers. Worker only.
    ///
    /// `charge_bytes` is [`Publication::charge_bytes`], or the sum over several publications; a canary has none.
    pub fn release(&self, charge_bytes: usize) {
        self.tell(self.room.release(charge_bytes));
    }

    /// Whether the worker may sleep: marks it asleep, then looks once more. `false`: there is work. Worker only.
    ///
    /// `false` also after a [`Mailbox::wake`] since the worker last went past here or [`Mailbox::unpark`]: whoever calls
    /// that has work that does not lie in the mailbox, and the worker must look at all its inputs before it parks again.
    #[must_use]
    pub fn park(&self) -> bool {
        self.doorbell.go_to_sleep(|| !self.letters.is_empty())
    }

    /// Marks the worker awake again after sleep. Worker only. It then looks at all its inputs.
    pub fn unpark(&self) {
        self.doorbell.get_up();
    }

    /// Makes the worker look up, at most once while it is awake. What the caller did before is visible to it then.
    pub fn wake(&self) {
        self.doorbell.ring();
    }

    /// Letters waiting, for the metric.
    pub fn depth(&self) -> usize {
        self.letters.len()
    }

    /// Resolves (once enabled) when room was made; for publishers over HTTP.
    ///
    /// Enable the notification, then publish, then wait for it if that was [`super::Outcome::Full`]. Told once the
    /// mailbox is at most half full: publish again then, and be prepared for another `Full`.
    pub fn room(&self) -> &Notify {
        &self.room_made
    }

    /// Wakes `worker` when room was made; for workers with paused publishers.
    ///
    /// To be called after a publish was [`super::Outcome::Full`]; `worker` is woken once, then has to publish again and,
    /// if that is `Full`, to call this again. If there is room already it is woken at once. Also right for one's own
    /// mailbox.
    pub fn wake_when_roomy(&self, worker: &Arc<Mailbox>) {
        {
            // At most one entry per worker there is.
            let mut waiting = lock(&self.waiting);
            if !waiting.iter().any(|one| one.as_ptr() == Arc::as_ptr(worker)) {
                waiting.push(Arc::downgrade(worker));
            }
        }
        self.tell(self.room.wait());
    }

    fn tell(&self, tell: Tell) {
        match tell {
            Tell::Nobody => {}
            Tell::Now => {
                self.room_made.notify_waiters();
                let waiting = std::mem::take(&mut *lock(&self.waiting));
                for worker in waiting.iter().filter_map(Weak::upgrade) {
                    worker.wake();
                }
            }
        }
    }
}

//! The concurrent part of this station once more, over primitives that loom schedules.
//!
//! The modules below are the very files that the hub is made of: [`sync`] is all that differs. loom runs each test through
//! every interleaving of its threads (up to the stated number of preemptions) and every value that a weakly ordered load
//! may return; a sleep that nobody ends is a deadlock, and found.

use super::{canary, extras, history, joined, kind, member, position, topic_name, worker_set};

#[path = "budget.rs"]
mod budget;
#[path = "doorbell.rs"]
mod doorbell;
#[path = "idle.rs"]
mod idle;
#[path = "mailbox.rs"]
mod mailbox;
#[path = "node.rs"]
mod node;
#[path = "outcome.rs"]
mod outcome;
#[path = "publication.rs"]
mod publication;
#[path = "room.rs"]
mod room;
#[path = "topic.rs"]
mod topic;
#[path = "wildcard.rs"]
mod wildcard;

mod sync {
    use std::collections::VecDeque;
    use std::sync::PoisonError;

    // Used under a topic's lock only: nothing to schedule.
    pub(super) use std::sync::atomic::AtomicBool;

    pub(super) use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
    pub(super) use loom::sync::{Mutex, MutexGuard};

    pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As the real queue to those who use it. Whether it is empty is a relaxed load, not ordered by the lock: the
    /// doorbell must not owe its correctness to this queue.
    #[derive(Debug)]
    pub(super) struct Queue<T> {
        items: Mutex<VecDeque<T>>,
        len: AtomicUsize,
        limit: usize,
    }

    impl<T> Queue<T> {
        pub(super) fn bounded(limit: usize) -> Self {
            Self { items: Mutex::new(VecDeque::new()), len: AtomicUsize::new(0), limit }
        }

        pub(super) fn push(&self, item: T) -> bool {
            let mut items = lock(&self.items);
            if items.len() == self.limit {
                return false;
            }
            items.push_back(item);
            self.len.fetch_add(1, Ordering::Relaxed);
            true
        }

        pub(super) fn pop(&self) -> Option<T> {
            let mut items = lock(&self.items);
            let item = items.pop_front()?;
            self.len.fetch_sub(1, Ordering::Relaxed);
            Some(item)
        }

        pub(super) fn is_empty(&self) -> bool {
            self.len() == 0
        }

        pub(super) fn len(&self) -> usize {
            self.len.load(Ordering::Relaxed)
        }
    }
}

mod checks {
    use std::future::Future;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake, Waker};
    use std::time::{Duration, Instant};

    use loom::sync::Notify;
    use loom::sync::atomic::{AtomicBool, Ordering};
    use loom::thread;

    use super::history::{Keep, Retained};
    use super::joined::{Recovery, Start};
    use super::mailbox::{Letter, Mailbox};
    use super::node::Node;
    use super::outcome::Outcome;
    use super::position::Epoch;
    use super::publication::Draft;
    use super::room::{Reserved, Room, Tell};
    use super::topic::{Topic, TopicId};
    use super::topic_name::TopicName;
    use super::worker_set::WorkerId;

    const CHARGE: usize = 1000;
    const TTL: Duration = Duration::from_secs(60);

    /// Every interleaving with at most this many preemptions; two find nearly all mistakes there are to find. More with
    /// `FANFARE_LOOM_PREEMPTIONS`.
    fn check(preemptions: usize, run: impl Fn() + Sync + Send + 'static) {
        let wanted = std::env::var("FANFARE_LOOM_PREEMPTIONS").map_or(0, |text| text.parse().expect("a whole number"));
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(preemptions.max(wanted));
        model.check(run);
    }

    /// A worker's eventfd.
    #[derive(Debug)]
    struct EventFd(Notify);

    impl Wake for EventFd {
        fn wake(self: Arc<Self>) {
            self.0.notify();
        }
    }

    #[derive(Debug, Clone)]
    struct Worker {
        mailbox: Arc<Mailbox>,
        event: Arc<EventFd>,
    }

    fn worker(limit_bytes: usize) -> Worker {
        let event = Arc::new(EventFd(Notify::new()));
        let wake = Arc::clone(&event);
        Worker { mailbox: Arc::new(Mailbox::new(limit_bytes, Box::new(move || wake.0.notify()))), event }
    }

    impl Worker {
        /// Runs `turn` as a worker's loop does, until it says that all is done.
        fn run(&self, mut turn: impl FnMut() -> bool) {
            while !turn() {
                if self.mailbox.park() {
                    self.event.0.wait();
                    self.mailbox.unpark();
                }
            }
        }
    }

    fn topic(workers: usize) -> Arc<Topic> {
        Arc::new(Topic::new(TopicId(0), TopicName::new("news").unwrap(), 0, Epoch(7), workers))
    }

    /// A node whose topics keep `history` publications.
    fn node(workers: &[Worker], history: usize) -> Arc<Node> {
        bounded_node(workers, history, usize::MAX)
    }

    fn bounded_node(workers: &[Worker], history: usize, history_limit_bytes: usize) -> Arc<Node> {
        let mailboxes = workers.iter().map(|worker| Arc::clone(&worker.mailbox)).collect();
        let keep = Keep { size: history, ttl: TTL, on_disk: false, delta: false, wildcards: false };
        Arc::new(Node::new(mailboxes, vec![keep], history_limit_bytes))
    }

    fn pop_offset(mailbox: &Mailbox) -> Option<u64> {
        match mailbox.pop()? {
            Letter::Publication(publication) => {
                mailbox.release(publication.charge_bytes());
                Some(publication.position.offset.0)
            }
            Letter::Matched(_) | Letter::Canary(_) => None,
        }
    }

    #[test]
    fn a_worker_that_goes_to_sleep_misses_no_publication() {
        check(3, || {
            let now = Instant::now();
            let reader = worker(1 << 20);
            let topic = topic(1);
            let node = node(std::slice::from_ref(&reader), 0);
            let _ = topic.join(WorkerId(0), Start::Now, now);
            let publishers: Vec<_> = (0..2)
                .map(|_| {
                    let (topic, node) = (Arc::clone(&topic), Arc::clone(&node));
                    thread::spawn(move || {
                        assert!(matches!(topic.publish(Draft::text("a"), now, &node), Outcome::Accepted(_)));
                    })
                })
                .collect();
            let mut got = Vec::new();
            reader.run(|| {
                got.extend(std::iter::from_fn(|| pop_offset(&reader.mailbox)));
                got.len() == 2
            });
            assert_eq!(got, [1, 2]);
            for publisher in publishers {
                publisher.join().unwrap();
            }
        });
    }

    #[test]
    fn a_worker_that_goes_to_sleep_misses_no_work_that_lies_elsewhere() {
        check(3, || {
            let reader = worker(1 << 20);
            let work = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
            let others: Vec<_> = (0..2)
                .map(|one: usize| {
                    let (mailbox, work) = (Arc::clone(&reader.mailbox), Arc::clone(&work));
                    thread::spawn(move || {
                        work[one].store(true, Ordering::Relaxed);
                        mailbox.wake();
                    })
                })
                .collect();
            reader.run(|| work.iter().all(|done| done.load(Ordering::Relaxed)));
            for other in others {
                other.join().unwrap();
            }
        });
    }

    #[test]
    fn a_paused_worker_is_told_when_room_is_made() {
        check(3, || {
            let full = worker(CHARGE);
            let paused = worker(CHARGE);
            assert_eq!(full.mailbox.reserve(CHARGE), Reserved::Yes);
            let releaser = {
                let mailbox = Arc::clone(&full.mailbox);
                thread::spawn(move || mailbox.cancel(CHARGE))
            };
            paused.run(|| match full.mailbox.reserve(CHARGE) {
                Reserved::Yes => true,
                Reserved::No => {
                    full.mailbox.wake_when_roomy(&paused.mailbox);
                    false
                }
            });
            releaser.join().unwrap();
        });
    }

    #[test]
    fn either_who_waits_or_who_releases_finds_out_that_there_is_room() {
        check(3, || {
            let room = Arc::new(Room::new(CHARGE, 1));
            assert_eq!(room.reserve(CHARGE), Reserved::Yes);
            let releaser = {
                let room = Arc::clone(&room);
                thread::spawn(move || room.cancel(CHARGE))
            };
            let waiter = room.wait();
            let releaser = releaser.join().unwrap();
            assert_ne!((waiter == Tell::Now), (releaser == Tell::Now), "exactly one of them");
        });
    }

    #[test]
    fn an_http_publisher_is_told_when_room_is_made() {
        check(3, || {
            let full = worker(CHARGE);
            assert_eq!(full.mailbox.reserve(CHARGE), Reserved::Yes);
            let releaser = {
                let mailbox = Arc::clone(&full.mailbox);
                thread::spawn(move || mailbox.cancel(CHARGE))
            };
            let event = Arc::new(EventFd(Notify::new()));
            let waker = Waker::from(Arc::clone(&event));
            loop {
                let mut room = pin!(full.mailbox.room().notified());
                let _ = room.as_mut().enable();
                if full.mailbox.reserve(CHARGE) == Reserved::Yes {
                    break;
                }
                while room.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Pending {
                    event.0.wait();
                }
            }
            releaser.join().unwrap();
        });
    }

    #[test]
    fn two_publishers_who_need_the_same_two_mailboxes_never_wait_for_each_other() {
        // One reserves here and is refused there while the other does it the other way round: what is given back must be
        // told of, for nobody else ever releases anything.
        check(2, || {
            let mailboxes = [worker(CHARGE), worker(CHARGE)];
            let publisher = |order: [usize; 2], me: Worker, mailboxes: [Worker; 2]| {
                me.run(|| {
                    let [first, second] = order.map(|at| &mailboxes[at].mailbox);
                    if first.reserve(CHARGE) == Reserved::No {
                        first.wake_when_roomy(&me.mailbox);
                        return false;
                    }
                    let both = second.reserve(CHARGE) == Reserved::Yes;
                    first.cancel(CHARGE);
                    if both {
                        second.cancel(CHARGE);
                    } else {
                        second.wake_when_roomy(&me.mailbox);
                    }
                    both
                });
            };
            let other = {
                let mailboxes = mailboxes.clone();
                thread::spawn(move || publisher([1, 0], worker(CHARGE), mailboxes))
            };
            publisher([0, 1], worker(CHARGE), mailboxes);
            other.join().unwrap();
        });
    }

    #[test]
    fn nothing_is_lost_or_doubled_between_history_and_live() {
        check(3, || {
            let now = Instant::now();
            let reader = worker(1 << 20);
            let topic = topic(1);
            let node = node(std::slice::from_ref(&reader), 8);
            let publisher = {
                let (topic, node) = (Arc::clone(&topic), Arc::clone(&node));
                thread::spawn(move || {
                    for _ in 0..2 {
                        assert!(matches!(topic.publish(Draft::text("a"), now, &node), Outcome::Accepted(_)));
                    }
                })
            };
            let joined = topic.join(WorkerId(0), Start::Last(8), now);
            let mut got: Vec<u64> = joined.replay.iter().map(|one| one.offset.0).collect();
            assert_eq!(got.len() as u64, joined.top.offset.0);
            reader.run(|| {
                let live = std::iter::from_fn(|| pop_offset(&reader.mailbox));
                got.extend(live.filter(|&offset| offset > joined.top.offset.0));
                got.len() == 2
            });
            assert_eq!(got, [1, 2]);
            publisher.join().unwrap();
            assert_eq!(pop_offset(&reader.mailbox), None);
            assert_eq!(topic.read(Start::Since(joined.top), 8, now).recovery, Recovery::Complete);
        });
    }

    #[test]
    fn two_workers_see_two_publishers_in_the_same_order() {
        check(2, || {
            let now = Instant::now();
            let readers = [worker(1 << 20), worker(1 << 20)];
            let topic = topic(2);
            let node = node(&readers, 0);
            for id in 0..2 {
                let _ = topic.join(WorkerId(id), Start::Now, now);
            }
            let publish = |text: &'static str| {
                let (topic, node) = (Arc::clone(&topic), Arc::clone(&node));
                move || assert!(matches!(topic.publish(Draft::text(text), now, &node), Outcome::Accepted(_)))
            };
            let other = thread::spawn(publish("a"));
            publish("b")();
            other.join().unwrap();
            for reader in &readers {
                let got: Vec<u64> = std::iter::from_fn(|| pop_offset(&reader.mailbox)).collect();
                assert_eq!(got, [1, 2]);
            }
        });
    }

    #[test]
    fn history_passes_its_bound_by_no_more_than_the_publications_in_flight() {
        check_bound(|topic, node, now| {
            assert!(matches!(topic.publish(Draft::text("a"), now, node), Outcome::Accepted(_)));
        });
    }

    #[test]
    fn history_keeps_its_bound_also_while_what_has_expired_is_taken_away() {
        check_bound(|_, node, now| node.budget.expire(&node.idle, now + TTL, 1));
    }

    /// Publishes three times with room for one in the history, while another thread does `other`.
    fn check_bound(other: impl Fn(&Arc<Topic>, &Node, Instant) + Copy + Send + Sync + 'static) {
        check(2, move || {
            let now = Instant::now();
            let entry = 1 + Retained::OVERHEAD_BYTES;
            let topic = topic(0);
            let node = bounded_node(&[], 8, entry);
            let other = {
                let (topic, node) = (Arc::clone(&topic), Arc::clone(&node));
                thread::spawn(move || other(&topic, &node, now))
            };
            for _ in 0..3 {
                assert!(matches!(topic.publish(Draft::text("a"), now, &node), Outcome::Accepted(_)));
                assert!(node.budget.weight().bytes <= 2 * entry);
            }
            other.join().unwrap();
            assert!(node.budget.weight().bytes <= entry);
        });
    }
}

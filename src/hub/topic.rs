//! One topic: the sequencer, its history and its interest, under one short lock.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use smallvec::SmallVec;

use super::budget::Budget;
use super::extras::Extras;
use super::history::{History, NOTHING, Retained, Weight};
use super::idle::Idle;
use super::joined::{Joined, Recovery, Start};
use super::kind::Kind;
use super::mailbox::{Letter, Mailbox};
use super::node::Node;
use super::outcome::{Outcome, Queue, Receipt};
use super::position::{Epoch, Offset, Position};
use super::publication::{Draft, Prepared, Publication, Purpose};
use super::room::Reserved;
use super::sync::{AtomicBool, AtomicU32, Mutex, Ordering, lock};
use super::topic_name::TopicName;
use super::wildcard::{Match, Matched};
use super::worker_set::{WorkerId, WorkerSet};

/// A topic's number in this process; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub u64);

/// A named stream that clients join. 96 bytes without history, its reference counts included: there may be millions.
///
/// While anyone holds it, it is the one topic of its name: it is freed only when the registry's is the last reference.
#[derive(Debug)]
pub struct Topic {
    id: TopicId,
    name: TopicName,
    epoch: Epoch,
    rules: u16,
    /// [`Budget`] has an entry of this topic (or holds it in hand): it must if there is history. Like [`Topic::in_idle`]
    /// part of the state and used under its lock only; there it would take 8 bytes, and here is room for it.
    in_budget: AtomicBool,
    /// [`Idle`] has an entry of this topic (or holds it in hand): it must if nobody needs the topic.
    in_idle: AtomicBool,
    /// Written under the lock, so that it is exact there; read without it elsewhere.
    subscribers: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    top: Offset,
    /// Made with the first publication that is kept.
    history: Option<Box<History>>,
    /// The workers with subscribers.
    interest: WorkerSet,
}

/// A publication on its way out.
struct Outgoing<'a> {
    /// Until it has its place; then what is left of it if nobody is interested.
    prepared: Option<Prepared>,
    /// Whose subscribers get it besides the topic's own.
    matches: &'a [Match],
}

impl Topic {
    /// A topic that is listed in [`Idle`] by its maker.
    pub(super) fn new(id: TopicId, name: TopicName, rules: u16, epoch: Epoch, workers: usize) -> Self {
        let state = State { top: Offset(0), history: None, interest: WorkerSet::over(workers) };
        Self {
            id,
            name,
            epoch,
            rules,
            in_budget: AtomicBool::new(false),
            in_idle: AtomicBool::new(true),
            subscribers: AtomicU32::new(0),
            state: Mutex::new(state),
        }
    }

    /// Its number.
    pub fn id(&self) -> TopicId {
        self.id
    }

    /// Its name.
    pub fn name(&self) -> &TopicName {
        &self.name
    }

    /// The life of its numbering.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The index of its rules in [`super::Hub::rules`].
    pub fn rules(&self) -> usize {
        usize::from(self.rules)
    }

    /// Subscribers on this node at this moment.
    pub fn subscribers(&self) -> usize {
        self.subscribers.load(Ordering::Relaxed) as usize
    }

    /// The workers with subscribers at this moment.
    pub(super) fn interest(&self) -> WorkerSet {
        lock(&self.state).interest.clone()
    }

    /// The sequencer: gives `draft` the next offset and puts it into the history and the mailboxes of all interested
    /// workers, or does nothing at all if one of those has no room.
    pub(crate) fn publish(self: &Arc<Self>, draft: Draft, now: Instant, node: &Node) -> Outcome {
        self.sequence(draft, now, &[], node)
    }

    /// The same for the workers that are interested in one of `matches`, too.
    #[cold]
    pub(super) fn publish_matching(
        self: &Arc<Self>,
        draft: Draft,
        now: Instant,
        matches: &[Match],
        node: &Node,
    ) -> Outcome {
        self.sequence(draft, now, matches, node)
    }

    #[expect(clippy::inline_always, reason = "without matches, nothing of what is done for them is to be left")]
    #[inline(always)]
    fn sequence(self: &Arc<Self>, draft: Draft, now: Instant, matches: &[Match], node: &Node) -> Outcome {
        let charge_bytes = draft.charge_bytes();
        let purpose = draft.purpose;
        let is_numbered = purpose == Purpose::Publication;
        let is_kept = is_numbered && node.keeps[self.rules()].keeps();
        let retained = is_kept.then(|| (draft.kind, draft.payload(), draft.extras.clone()));
        let has_receivers = self.subscribers() > 0 || !matches.is_empty();
        let mut outgoing = Outgoing { prepared: Some(Prepared::new(self, draft, now, has_receivers)), matches };
        let mut state = lock(&self.state);
        if let Some((_, _, Some(extras))) = &retained
            && state.history().is_outdated(extras)
        {
            let position = Position { epoch: self.epoch, offset: state.top };
            return Outcome::Accepted(Receipt { position, receivers: 0 });
        }
        if let Err(worker) = reserve_all(&state.interest, matches, node, charge_bytes) {
            drop(state);
            let draft = outgoing.prepared.map(Prepared::into_draft).expect("invariant: only placing takes it");
            return Outcome::Full { draft, queue: Queue::Mailbox(worker) };
        }
        // The sequencing half ends here: a remote engine would have chosen this position elsewhere.
        let position = Position { epoch: self.epoch, offset: Offset(state.top.0 + u64::from(is_numbered)) };
        if purpose == Purpose::Passing
            && let Some(history) = &mut state.history
        {
            history.note_passing();
        }
        let displaced = self.place(&mut state, position, &mut outgoing, retained, now, node);
        let mut receipt = Receipt { position, receivers: self.subscribers() };
        let mut interested = state.interest.clone();
        drop(state);
        // Wakes cost a system call each, frees a walk through the allocator, eviction locks of other topics: all of that
        // without this lock.
        drop(displaced);
        drop(outgoing.prepared);
        for one in matches {
            receipt.receivers += one.wildcard.subscribers();
            one.workers.iter().for_each(|worker| interested.insert(worker));
        }
        Mailbox::wake_for_letters(&node.mailboxes, &interested);
        node.budget.enforce(&node.idle);
        Outcome::Accepted(receipt)
    }

    /// The push half: what goes out stands at `position`, next after the top or, without a number of its own, at it, and
    /// every interested mailbox has reserved room for it. Returns what left the history.
    #[expect(clippy::inline_always, reason = "as its caller, which is compiled twice")]
    #[inline(always)]
    fn place(
        self: &Arc<Self>,
        state: &mut State,
        position: Position,
        outgoing: &mut Outgoing<'_>,
        retained: Option<(Kind, Bytes, Option<Arc<Extras>>)>,
        now: Instant,
        node: &Node,
    ) -> SmallVec<[Retained; 2]> {
        let last = std::mem::replace(&mut state.top, position.offset);
        let mut accepted = now;
        let mut displaced = SmallVec::new();
        let mut previous = None;
        let is_kept = retained.is_some();
        if let Some((kind, payload, extras)) = retained {
            let keep = node.keeps[self.rules()];
            let history = state.history.get_or_insert_with(|| Box::new(History::new(keep)));
            if keep.delta {
                previous = history.take_base(last);
            }
            accepted = history.accept(now);
            let before = history.weight();
            displaced = history.push(Retained { offset: position.offset, kind, payload, accepted, extras }, now);
            node.budget.settle(before, history.weight());
            self.enroll(state, &node.budget);
        }
        if (!state.interest.is_empty() || !outgoing.matches.is_empty())
            && let Some(prepared) = outgoing.prepared.take()
        {
            let publication = prepared.place(self, position, accepted, is_kept, previous);
            for worker in state.interest.iter() {
                node.mailboxes[worker.index()].push_reserved(Letter::Publication(Arc::clone(&publication)));
            }
            if !outgoing.matches.is_empty() {
                push_matching(&publication, outgoing.matches, node);
            }
        }
        displaced
    }

    /// Adds a subscriber on `worker`; what it gets first and what comes live meet without a gap or an overlap.
    pub(super) fn join(&self, worker: WorkerId, start: Start, now: Instant) -> Joined {
        let mut state = lock(&self.state);
        let joined = self.read_locked(&state, start, usize::MAX, now);
        state.interest.insert(worker);
        self.subscribers.fetch_add(1, Ordering::Relaxed);
        joined
    }

    /// Takes a subscriber on `worker` away; `last` if it was that worker's last.
    pub(super) fn leave(self: &Arc<Self>, worker: WorkerId, last: bool, idle: &Idle) {
        let mut state = lock(&self.state);
        if last {
            state.interest.remove(worker);
        }
        let before = self.subscribers.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "more subscribers left than joined");
        self.list_if_idle(&state, idle);
    }

    /// Takes all `count` subscribers on `worker` away.
    pub(super) fn leave_all(self: &Arc<Self>, worker: WorkerId, count: u32, idle: &Idle) {
        let mut state = lock(&self.state);
        state.interest.remove(worker);
        let before = self.subscribers.fetch_sub(count, Ordering::Relaxed);
        debug_assert!(before >= count, "more subscribers left than joined");
        self.list_if_idle(&state, idle);
    }

    /// What is kept for someone who starts at `start`, at most `limit`; nothing changes.
    pub(super) fn read(&self, start: Start, limit: usize, now: Instant) -> Joined {
        self.read_locked(&lock(&self.state), start, limit, now)
    }

    /// The position just before the oldest kept publication, or the top if none is kept.
    pub(super) fn before_oldest(&self, now: Instant) -> Position {
        let state = lock(&self.state);
        let offset = state.history().oldest(now).map_or(state.top, |oldest| Offset(oldest.0 - 1));
        Position { epoch: self.epoch, offset }
    }

    /// What is kept before `before`, the last `limit` of it, oldest first; nothing changes.
    pub(super) fn read_before(&self, before: Offset, limit: usize, now: Instant) -> Joined {
        let state = lock(&self.state);
        let top = Position { epoch: self.epoch, offset: state.top };
        let replay = state.history().before(before, limit, now).cloned().collect();
        Joined { top, replay, recovery: Recovery::NotAsked }
    }

    /// Forgets all that is kept. Numbers and epoch go on, and so does what publishers number themselves.
    pub(super) fn forget(self: &Arc<Self>, node: &Node) {
        let mut state = lock(&self.state);
        let gone = state.history.as_mut().map(|history| {
            let before = history.weight();
            let gone = history.clear();
            node.budget.settle(before, history.weight());
            gone
        });
        state.history.take_if(|history| history.is_blank());
        self.list_if_idle(&state, &node.idle);
        // Frees walk through the allocator: without the lock.
        drop(state);
        drop(gone);
    }

    fn read_locked(&self, state: &State, start: Start, limit: usize, now: Instant) -> Joined {
        let top = Position { epoch: self.epoch, offset: state.top };
        let (replay, recovery) = match start {
            Start::Now => (Vec::new(), Recovery::NotAsked),
            Start::Last(count) => (state.history().last(count.min(limit), now).cloned().collect(), Recovery::NotAsked),
            Start::SinceWithin(position, limit) if state.top.0.saturating_sub(position.offset.0) > limit as u64 => {
                (Vec::new(), Recovery::Gap)
            }
            Start::Since(position) | Start::SinceWithin(position, _) if position.epoch != self.epoch => {
                (Vec::new(), Recovery::Gap)
            }
            Start::Since(position) | Start::SinceWithin(position, _) => {
                match state.history().since(position.offset, state.top, now) {
                    Some(missed) => (missed.take(limit).cloned().collect(), Recovery::Complete),
                    None => (Vec::new(), Recovery::Gap),
                }
            }
        };
        Joined { top, replay, recovery }
    }

    /// The last offset there was.
    pub(crate) fn top(&self) -> Offset {
        lock(&self.state).top
    }

    /// Whether something with these extras will be told to nobody: see [`Extras::version`].
    pub(crate) fn is_outdated(&self, extras: &Extras) -> bool {
        lock(&self.state).history().is_outdated(extras)
    }

    /// The first offset that is kept, or the one after the top; and what is kept, expired or not.
    pub(crate) fn kept(&self) -> (Offset, Weight) {
        let state = lock(&self.state);
        let history = state.history();
        let weight = history.weight();
        (Offset(state.top.0 + 1 - weight.publications as u64), weight)
    }

    /// Puts a topic that nobody has yet where it was before a restart. `records` stand without a gap up to `top`.
    pub(super) fn restore(self: &Arc<Self>, top: Offset, records: Vec<Retained>, now: Instant, node: &Node) {
        let mut state = lock(&self.state);
        state.top = top;
        if records.is_empty() {
            return;
        }
        let mut history = Box::new(History::new(node.keeps[self.rules()]));
        for mut record in records {
            record.accepted = history.accept(record.accepted);
            drop(history.push(record, now));
        }
        node.budget.settle(Weight::default(), history.weight());
        state.history = Some(history);
        self.enroll(&state, &node.budget);
    }

    /// Takes old history away on behalf of `budget`, which holds this topic's entry in hand, and gives the entry back if
    /// history is left. Returns how many publications went.
    pub(super) fn shed(
        self: &Arc<Self>,
        budget: &Budget,
        idle: &Idle,
        at_most: usize,
        wanted: impl Fn(Instant, usize) -> bool,
    ) -> usize {
        let mut state = lock(&self.state);
        let gone = match &mut state.history {
            None => Vec::new(),
            Some(history) => {
                let before = history.weight();
                let gone = history.shed_while(at_most, wanted);
                budget.settle(before, history.weight());
                gone
            }
        };
        // A topic may be quiet for long after its history has expired.
        state.history.take_if(|history| history.is_blank());
        self.in_budget.store(false, Ordering::Relaxed);
        self.enroll(&state, budget);
        self.list_if_idle(&state, idle);
        drop(state);
        gone.len()
    }

    /// Asked by the holder of this topic's entry in [`Idle`]: whether it stays there. If not, it comes back when nobody
    /// needs the topic any more.
    pub(super) fn stays_idle(&self) -> bool {
        let state = lock(&self.state);
        let stays = self.is_idle(&state);
        self.in_idle.store(stays, Ordering::Relaxed);
        stays
    }

    /// Whether nobody subscribes and nothing is kept.
    pub(super) fn is_unneeded(&self) -> bool {
        self.is_idle(&lock(&self.state))
    }

    fn is_idle(&self, state: &State) -> bool {
        self.subscribers() == 0 && state.history().is_empty()
    }

    fn enroll(self: &Arc<Self>, state: &State, budget: &Budget) {
        if let (false, Some(expiry)) = (self.in_budget.load(Ordering::Relaxed), state.history().expiry()) {
            self.in_budget.store(true, Ordering::Relaxed);
            budget.enroll(Arc::clone(self), expiry);
        }
    }

    fn list_if_idle(self: &Arc<Self>, state: &State, idle: &Idle) {
        if !self.in_idle.load(Ordering::Relaxed) && self.is_idle(state) {
            self.in_idle.store(true, Ordering::Relaxed);
            idle.push(Arc::clone(self));
        }
    }
}

impl State {
    fn history(&self) -> &History {
        self.history.as_deref().unwrap_or(&NOTHING)
    }
}

/// Pushes a publication to the workers of `matches`. Each letter has its reservation.
#[cold]
fn push_matching(publication: &Arc<Publication>, matches: &[Match], node: &Node) {
    for Match { wildcard, workers } in matches {
        let matched = Arc::new(Matched { publication: Arc::clone(publication), wildcard: Arc::clone(wildcard) });
        for worker in workers.iter() {
            node.mailboxes[worker.index()].push_reserved(Letter::Matched(Arc::clone(&matched)));
        }
    }
}

/// Reserves `charge_bytes` for each letter to one of `workers` or for one of `matches`, or for none: then says whose mailbox
/// has no room.
#[expect(clippy::inline_always, reason = "as its caller, which is compiled twice")]
#[inline(always)]
fn reserve_all(workers: &WorkerSet, matches: &[Match], node: &Node, charge_bytes: usize) -> Result<(), WorkerId> {
    for (count, worker) in workers.iter().enumerate() {
        match node.mailboxes[worker.index()].reserve(charge_bytes) {
            Reserved::Yes => {}
            Reserved::No => {
                cancel(workers.iter().take(count), node, charge_bytes);
                return Err(worker);
            }
        }
    }
    if matches.is_empty() { Ok(()) } else { reserve_matching(workers, matches, node, charge_bytes) }
}

/// The second half of [`reserve_all`], apart from what every publish does.
#[cold]
fn reserve_matching(workers: &WorkerSet, matches: &[Match], node: &Node, charge_bytes: usize) -> Result<(), WorkerId> {
    let matching = || matches.iter().flat_map(|one| one.workers.iter());
    for (count, worker) in matching().enumerate() {
        match node.mailboxes[worker.index()].reserve(charge_bytes) {
            Reserved::Yes => {}
            Reserved::No => {
                cancel(matching().take(count), node, charge_bytes);
                cancel(workers.iter(), node, charge_bytes);
                return Err(worker);
            }
        }
    }
    Ok(())
}

fn cancel(workers: impl Iterator<Item = WorkerId>, node: &Node, charge_bytes: usize) {
    workers.for_each(|worker| node.mailboxes[worker.index()].cancel(charge_bytes));
}

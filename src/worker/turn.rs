//! One turn of a worker, and the loop around it.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use super::membership::{Destinations, Variant};
use super::poller::Token;
use super::reading::Depth;
use super::worker::{Arrival, Due, TICK_MS, Worker};
use crate::fanout::{Appended, Entry, Moment, Tick};
use crate::hub::{Letter, Matched, Offset, Publication, Purpose, Topic};
use crate::protocol::{Encoding, Shape};

/// Turns of a busy worker between two looks at the tasks of its thread, which are plain HTTP. Each look costs a system
/// call of tokio's driver; at 64 writes a turn they wait for about 0.6 ms.
const TURNS: u32 = 4;

/// Turns without a look at the poller after which one is due, even if all seems done: letters of other workers could keep
/// this one from sleeping for ever. The first turn after a sleep has what the sleep brought, and the second is that in
/// which a message read in the first is delivered; then the worker sleeps again, and a look between would be a system
/// call for nothing.
const UNPOLLED_TURNS: u32 = 2;

/// Handshakes and endings whose garbage is worth a collection, and the rest after the last of them, in ticks.
const BURST: usize = 64;
const BURST_REST_TICKS: u32 = 10;

/// Letters taken from the mailbox in a turn.
const LETTERS: usize = 256;

/// Deadlines met in a turn: each may be a ping, which is a write, beside the 64 of the sweep.
const DEADLINES: usize = 32;

/// Sockets taken from a listener, and arrivals from other shards, in a turn.
pub(super) const ACCEPTS: usize = 64;

/// What a log gets that is not told of a publication: only its number.
static NOTHING: Bytes = Bytes::new();

/// A publication that not all of its logs had room for. It keeps its place at the head of the mailbox, and its charge.
#[derive(Debug)]
pub(super) struct Stuck {
    publication: Arc<Publication>,
    /// The logs and bundles that still lack it: without this a second try would double it in the others.
    lacking: Destinations,
    /// The wildcard whose logs these are, if they are not those of the topic.
    wildcard: Option<Arc<Topic>>,
}

/// Whether a worker has something to do at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
enum Work {
    Left,
    Done,
}

impl Worker {
    /// Runs turns until the drain is over. Must be called in a `LocalSet` of a current-thread runtime.
    ///
    /// While plain HTTP is served in tasks of this thread, it sleeps in the runtime, which has to wake them. Without
    /// any it sleeps in the poller: a message that comes alone then costs the system calls of a bare epoll loop, three,
    /// where a sleep in the runtime adds two, and the walk through the runtime besides.
    ///
    /// # Errors
    /// If the poller fails, which is a bug or a kernel out of memory.
    pub(crate) async fn run(&mut self) -> io::Result<()> {
        let mut watched = None;
        let mut draining = self.seat.draining.clone();
        let mut turns = 0;
        loop {
            if *draining.borrow_and_update() {
                self.start_drain();
            }
            let work = self.turn()?;
            if self.drain_is_over() {
                return Ok(());
            }
            let has_tasks = self.http_tasks.get() > 0;
            if work == Work::Left || !self.mailbox.park() {
                turns += 1;
                if turns >= TURNS && has_tasks {
                    turns = 0;
                    tokio::task::yield_now().await;
                }
                continue;
            }
            turns = 0;
            if has_tasks {
                let watched = match &watched {
                    Some(watched) => watched,
                    None => watched.insert(self.poller.watch()?),
                };
                self.sleep_with_tasks(watched, &mut draining).await?;
            } else {
                // The runtime's own epoll would be told of every event, too.
                watched = None;
                let longest = self.until_next_moment();
                self.poller.wait(&mut self.ready, longest)?;
            }
            self.mailbox.unpark();
            self.unpolled = 0;
            if !self.ready.is_empty() {
                self.counters().wakeups.add(1);
            }
        }
    }

    /// Sleeps until the poller, the clock, the drain or a task of this thread has something.
    async fn sleep_with_tasks(
        &mut self,
        watched: &AsyncFd<Arc<OwnedFd>>,
        draining: &mut watch::Receiver<bool>,
    ) -> io::Result<()> {
        // All three may be dropped half way: readiness stays in the poller.
        tokio::select! {
            ready = watched.readable() => {
                // The next turn polls until there is nothing left: only then may readiness be cleared.
                let mut guard = ready?;
                if !self.poller.poll(&mut self.ready)? {
                    guard.clear_ready();
                }
            }
            () = tokio::time::sleep(self.until_next_moment()) => {}
            _ = draining.changed(), if !self.is_draining() => {}
        }
        Ok(())
    }

    /// The time until [`Worker::tick`] or the next write delay is over, not less than a millisecond, which is what the
    /// poller counts in.
    fn until_next_moment(&self) -> Duration {
        let tick = Duration::from_millis(TICK_MS * (u64::from(self.tick) + 1));
        let next = match self.next_write {
            Some(Moment(write_us)) => tick.min(Duration::from_micros(write_us)),
            None => tick,
        };
        let next = self.started + next;
        next.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }

    fn turn(&mut self) -> io::Result<Work> {
        let began = Instant::now();
        self.now = began;
        let mut left = false;
        left |= self.take_arrivals();
        left |= self.shake_hands();
        left |= self.do_orders();
        left |= self.empty_mailbox();
        self.end_write_delays();
        self.pace_drain();
        self.close_doomed();
        self.sweep();
        left |= self.fanout.has_work() || self.can_read_queued();
        if self.ready.is_empty() && (left || self.unpolled >= UNPOLLED_TURNS) {
            left |= self.poller.poll(&mut self.ready)?;
            self.unpolled = 0;
        }
        self.unpolled += 1;
        left |= self.serve_ready();
        self.read_queued();
        left |= self.keep_time();
        // The sweep has a budget, and what was read since may have been answered.
        left |= self.fanout.has_work() || self.can_read_queued();
        let busy = began.elapsed();
        self.counters().busy_ns.add(u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX));
        Ok(if left { Work::Left } else { Work::Done })
    }

    /// Topics whose write delay is over are swept in this turn. In a drain nothing waits.
    fn end_write_delays(&mut self) {
        self.next_write = None;
        if !self.fanout.has_delayed() {
            return;
        }
        if self.is_draining() {
            self.fanout.release_all_delayed();
        } else {
            let now = u64::try_from(self.now.duration_since(self.started).as_micros()).unwrap_or(u64::MAX);
            self.next_write = self.fanout.release_delayed(Moment(now));
        }
    }

    fn take_arrivals(&mut self) -> bool {
        for _ in 0..ACCEPTS {
            match self.seat.arrivals.try_recv() {
                // It came just before the drain; closed unanswered, the client tries again elsewhere.
                Ok(Arrival::Accepted(accepted, counted)) if self.is_draining() => {
                    self.leave_place(accepted.listener, counted);
                }
                Ok(Arrival::Accepted(accepted, counted)) => self.greet(accepted, counted),
                Ok(Arrival::Opened(opened)) => {
                    self.in_hand = Some((opened.listener, opened.counted));
                    self.http_tasks_to_connection();
                    self.open_opened(*opened);
                }
                Err(_) => return false,
            }
        }
        true
    }

    /// Moves letters into the logs. `true` if letters are left.
    fn empty_mailbox(&mut self) -> bool {
        self.counters().mailbox_depth.set(self.mailbox.depth() as i64);
        self.publish_farewells();
        self.retry_paused();
        for _ in 0..LETTERS {
            let stuck = match self.stuck.take() {
                Some(stuck) => stuck,
                None => match self.mailbox.pop() {
                    None => return false,
                    Some(Letter::Canary(canary)) => {
                        canary.seen();
                        continue;
                    }
                    Some(Letter::Publication(publication)) => match self.address(publication) {
                        Some(stuck) => stuck,
                        None => continue,
                    },
                    Some(Letter::Matched(matched)) => match self.address_matched(&matched) {
                        Some(stuck) => stuck,
                        None => continue,
                    },
                },
            };
            if let Some(stuck) = self.append(stuck) {
                self.stuck = Some(stuck);
                return true;
            }
        }
        true
    }

    /// Where a publication goes here; `None`, and its charge is given back, if nobody here wants it any more.
    fn address(&mut self, publication: Arc<Publication>) -> Option<Stuck> {
        self.unreleased_bytes = publication.charge_bytes();
        if !self.newcomers.is_empty() {
            self.settle_newcomers(publication.topic.id());
        }
        let Some(lacking) = self.memberships.destinations(publication.topic.id()) else {
            self.release_letter();
            return None;
        };
        Some(Stuck { publication, lacking, wildcard: None })
    }

    /// The same for the subscribers of a wildcard.
    fn address_matched(&mut self, matched: &Matched) -> Option<Stuck> {
        self.unreleased_bytes = matched.publication.charge_bytes();
        let Some(lacking) = self.memberships.destinations(matched.wildcard.id()) else {
            self.release_letter();
            return None;
        };
        let (publication, wildcard) = (Arc::clone(&matched.publication), Some(Arc::clone(&matched.wildcard)));
        Some(Stuck { publication, lacking, wildcard })
    }

    /// Appends a publication to the logs that lack it; gives it back if one of them has no room.
    fn append(&mut self, mut stuck: Stuck) -> Option<Stuck> {
        let tick = Tick(self.tick);
        let Stuck { publication, lacking, wildcard } = &mut stuck;
        while let Some(&(variant, log)) = lacking.logs.last() {
            let encoding = match variant {
                Variant::Of(encoding) => is_for(publication, encoding).then_some(encoding),
                Variant::Filtered(filtered) => self.filtered.encoding(filtered, publication),
            };
            let for_wildcard;
            let frame = match (encoding, &wildcard) {
                (None, _) => &NOTHING,
                (Some(encoding), None) => publication.frame(encoding, &mut self.deflater),
                (Some(encoding), Some(wildcard)) => {
                    for_wildcard = publication.frame_for(wildcard.name(), encoding, &mut self.deflater);
                    &for_wildcard
                }
            };
            let is_numbered = publication.purpose() == Purpose::Publication;
            let mut entry = Entry { offset: publication.position.offset, frame, key: 0, exclude: None, is_numbered };
            if wildcard.is_some() {
                // Many topics come together here: the log counts for itself.
                entry.offset = Offset(self.fanout.last(log).0 + 1);
                entry.is_numbered = true;
            } else if !is_numbered && self.seat.surface.hub.is_wildcard(&publication.topic) {
                entry.offset = self.fanout.last(log);
            }
            match self.fanout.append(log, entry, tick) {
                Appended::Ok => {
                    lacking.logs.pop();
                }
                Appended::Full => {
                    self.fanout.sweep_log_first(log);
                    return Some(stuck);
                }
            }
        }
        while let Some(&bundle) = lacking.bundles.last() {
            match self.append_to_bundle(bundle, publication) {
                Appended::Ok => lacking.bundles.pop(),
                Appended::Full => return Some(stuck),
            };
        }
        #[cfg(test)]
        super::restart::panic_if_asked("the mailbox", &publication.payload());
        self.release_letter();
        None
    }

    /// Gives the charge of the publication in hand back.
    pub(super) fn release_letter(&mut self) {
        let charge_bytes = std::mem::take(&mut self.unreleased_bytes);
        if charge_bytes > 0 {
            self.mailbox.release(charge_bytes);
        }
    }

    fn serve_ready(&mut self) -> bool {
        let mut left = false;
        let mut ready = std::mem::take(&mut self.ready);
        for one in ready.drain(..) {
            match one.token {
                Token::Wake => {}
                Token::Listener(index) => left |= self.accept(index as usize),
                Token::Greeting { index, serial } => self.read_head(index, serial),
                Token::Connection(token) => {
                    let Some(connection) = self.connections.get_mut(token.index) else { continue };
                    if !Token::same_generation(token.generation, connection.id.generation) {
                        continue;
                    }
                    let id = connection.id;
                    if one.writable {
                        self.fanout.writable(id);
                    }
                    if one.readable {
                        self.read(id, if one.ended { Depth::ToTheEnd } else { Depth::ToAShortRead });
                    }
                }
            }
        }
        self.ready = ready;
        left
    }

    /// Everything that happens because time passed. `true` if deadlines are left for the next turn.
    fn keep_time(&mut self) -> bool {
        let tick = u32::try_from(self.now.duration_since(self.started).as_millis() as u64 / TICK_MS);
        let tick = tick.unwrap_or(u32::MAX);
        if tick == self.tick {
            return self.deadlines_left && self.meet_deadlines();
        }
        let second = tick / 10 != self.tick / 10;
        self.tick = tick;
        let left = self.meet_deadlines();
        self.fanout.enforce(Tick(tick));
        self.close_doomed();
        self.resume_accepting();
        self.collect_after_a_burst();
        if second {
            self.each_second();
        }
        left
    }

    /// Does what is due, up to a budget. `true` if more is.
    fn meet_deadlines(&mut self) -> bool {
        for _ in 0..DEADLINES {
            let Some(due) = self.wheel.poll(self.tick) else {
                self.deadlines_left = false;
                return false;
            };
            match due {
                Due::Head { index, serial } => self.drop_greeting(index, serial),
                Due::Liveness(id) => self.check_liveness(id),
                Due::Close(id) => self.close_is_overdue(id),
                Due::Resume(id) => self.resume_throttled(id),
                Due::Meter(id) => self.check_meter(id),
                Due::Message(id) => self.check_message(id),
                Due::Idle(id) => self.check_idle(id),
                Due::Age(id) => self.check_age(id),
                Due::Client(id) => self.check_client(id),
                Due::End(id) => self.end_stream(id),
            }
        }
        self.deadlines_left = true;
        true
    }

    /// A second after the last of a burst of handshakes or endings: their garbage is all that is left of it.
    fn collect_after_a_burst(&mut self) {
        let (count, last) = self.burst;
        if count >= BURST && self.tick - last >= BURST_REST_TICKS {
            self.burst.0 = 0;
            (self.seat.collect)();
        }
    }

    fn each_second(&mut self) {
        if self.seat.id.0 == 0 {
            self.seat.surface.hub.tidy(self.now);
            self.seat.surface.addresses.tidy(self.now);
        }
        self.replayed.each_second();
        self.count_compressed();
        let counters = self.counters();
        counters.slow_consumers.set(self.fanout.slow_consumers() as i64);
        counters.outbound_pending_bytes.set(self.fanout.outbound_bytes() as i64);
        self.count_losses();
    }

    pub(super) fn count_losses(&mut self) {
        let losses = self.fanout.losses();
        let counters = self.counters();
        counters.lost[0].add(losses.disconnect);
        counters.lost[1].add(losses.skip);
        counters.lost[2].add(losses.latest);
    }

    pub(super) fn count_compressed(&mut self) {
        let tally = self.deflater.take_tally();
        let counters = self.counters();
        counters.compression_in_bytes.add(tally.in_bytes);
        counters.compression_out_bytes.add(tally.out_bytes);
    }
}

/// Whether those who subscribe in `encoding` are told of it: who comes and goes, they must have asked for.
fn is_for(publication: &Publication, encoding: Encoding) -> bool {
    match publication.purpose() {
        Purpose::Publication | Purpose::Passing => true,
        Purpose::Join | Purpose::Leave => encoding.shape().is_some_and(Shape::hears_joins),
    }
}

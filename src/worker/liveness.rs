//! When a connection is pinged and given up, and the coarse wheel that remembers to look. Pure: ticks come in.
//!
//! A tick is 100 ms in a `u32` that may wrap (after 13.6 years); instants more than half of that apart do not occur.

/// What the hub knows of one peer's life. 12 bytes per connection.
///
/// ```text
/// quiet ──(interval without a byte, or on schedule)──> waiting ──(timeout)──> dead
///   ^──────────────────(any byte)─────────────────────────┘
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Liveness {
    /// Quiet: when the peer was last heard. Waiting: when the first ping since then was sent.
    since: u32,
    /// When the last ping was sent.
    pinged: u32,
    waiting: bool,
}

/// How a connection is watched, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rhythm {
    /// The silence after which a peer is pinged, or the time between pings on schedule; at least 1.
    pub interval: u32,
    /// How long a pinged peer may stay silent; at least 1.
    pub timeout: u32,
    /// Pings go out every interval even to a peer that was heard.
    pub on_schedule: bool,
}

/// What is due, and the tick to look again at. The tick is always later than now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "without the next look a silent peer is never given up"]
pub enum Due {
    /// Nothing to do before this tick.
    Nothing(u32),
    /// A ping is to be sent now; look again at this tick.
    Ping(u32),
    /// The peer did not answer in time: close it.
    Dead,
}

impl Liveness {
    /// A peer that came at `now` and gets its first ping after `first_ping` ticks; unless it is heard before, where pings
    /// are not on schedule.
    ///
    /// Peers that came together are pinged apart if each gets another `first_ping`, at random up to the interval. The
    /// first look belongs at `now + first_ping`.
    pub fn new(now: u32, first_ping: u32, rhythm: Rhythm) -> Self {
        let since = now.wrapping_add(first_ping).wrapping_sub(rhythm.interval);
        Self { since, pinged: since, waiting: false }
    }

    /// Bytes came from the peer: any bytes, for they show as much as a pong does.
    pub fn heard(&mut self, now: u32) {
        self.since = now;
        self.waiting = false;
    }

    /// Whether a ping is not answered yet.
    pub fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// What is due at `now`. An early or repeated look does no harm.
    pub fn poll(&mut self, now: u32, rhythm: Rhythm) -> Due {
        let Rhythm { interval, timeout, on_schedule } = rhythm;
        if self.waiting && elapsed(now, self.since) >= timeout {
            return Due::Dead;
        }
        let ping_is_due = if on_schedule {
            elapsed(now, self.pinged) >= interval
        } else {
            !self.waiting && elapsed(now, self.since) >= interval
        };
        if ping_is_due {
            self.pinged = now;
            if !self.waiting {
                self.since = now;
                self.waiting = true;
            }
        }
        let next = self.next_look(now, rhythm);
        if ping_is_due { Due::Ping(next) } else { Due::Nothing(next) }
    }

    fn next_look(&self, now: u32, rhythm: Rhythm) -> u32 {
        let remaining = |since: u32, span: u32| span.saturating_sub(elapsed(now, since));
        // Who answers is due for the next ping an interval after that, which may be before the timeout would be over.
        let longest = if self.waiting && elapsed(now, self.since) >= rhythm.interval {
            rhythm.timeout
        } else if self.waiting {
            rhythm.timeout.min(rhythm.interval)
        } else {
            rhythm.interval
        };
        let deadline = remaining(self.since, longest);
        let schedule = remaining(self.pinged, rhythm.interval);
        let wait = match (rhythm.on_schedule, self.waiting) {
            (false, _) => deadline,
            (true, false) => schedule,
            (true, true) => deadline.min(schedule),
        };
        now.wrapping_add(wait.max(1))
    }
}

/// Ticks from `since` to `now`; none if `since` is still to come: the clock of the caller's turn may be older than the one
/// a byte was stamped with.
pub(super) fn elapsed(now: u32, since: u32) -> u32 {
    if is_at_or_after(now, since) { now.wrapping_sub(since) } else { 0 }
}

fn is_at_or_after(now: u32, then: u32) -> bool {
    now.wrapping_sub(then) <= u32::MAX / 2
}

/// A coarse timer wheel: keys come back at or after their tick. 12 bytes per entry with an 8-byte key.
///
/// Scheduling is O(1). Nothing is cancelled: a key carries a generation, and the caller skips it when that is stale. So
/// the wheel holds one entry per live connection, and those of dead ones until their tick: at most an interval's worth of
/// closed connections.
#[derive(Debug)]
pub struct Wheel<K> {
    /// An entry is in the bucket of its tick modulo the count. Deadlines further off than one turn stay for the next.
    buckets: Box<[Vec<Entry<K>>]>,
    /// The tick whose bucket is being looked through.
    tick: u32,
    /// How far it was looked through: entries before are for later turns.
    looked: usize,
    len: usize,
}

#[derive(Debug)]
struct Entry<K> {
    key: K,
    due: u32,
}

impl<K: Copy> Wheel<K> {
    /// A wheel of at least `span` ticks (rounded up to a power of two): deadlines within it are looked at once.
    /// 24 bytes per tick of span.
    pub fn new(span: u32, now: u32) -> Self {
        // A power of two, so that buckets stay in order when ticks wrap.
        let buckets = (0..span.next_power_of_two()).map(|_| Vec::new()).collect();
        Self { buckets, tick: now, looked: 0, len: 0 }
    }

    /// Entries, stale ones included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is scheduled.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Brings `key` back at `due`, or at the next tick if that is not later than the tick last polled: so a key that is
    /// scheduled again while its bucket is drained cannot keep the drain going.
    pub fn schedule(&mut self, key: K, due: u32) {
        let due = if is_at_or_after(self.tick, due) { self.tick.wrapping_add(1) } else { due };
        let bucket = self.bucket(due);
        self.buckets[bucket].push(Entry { key, due });
        self.len += 1;
    }

    /// The next key that is due at `now`; call until `None`, or stop at a budget and go on in a later turn.
    ///
    /// Keys of one tick come in no particular order. Amortized O(1) per key and tick; a wheel that was not polled for
    /// long looks at each bucket once.
    pub fn poll(&mut self, now: u32) -> Option<K> {
        if !is_at_or_after(now, self.tick) {
            return None;
        }
        if self.len == 0 {
            self.leave_for(now);
            return None;
        }
        let turn = self.buckets.len() as u32;
        if now.wrapping_sub(self.tick) > turn {
            // One turn up to `now` passes every bucket, and takes from each all that is due at `now`.
            self.leave_for(now.wrapping_sub(turn));
        }
        loop {
            let index = self.bucket(self.tick);
            let bucket = &mut self.buckets[index];
            while let Some(entry) = bucket.get(self.looked) {
                if is_at_or_after(now, entry.due) {
                    self.len -= 1;
                    return Some(bucket.swap_remove(self.looked).key);
                }
                self.looked += 1;
            }
            if self.tick == now {
                return None;
            }
            self.leave_for(self.tick.wrapping_add(1));
        }
    }

    /// A tick before which nothing is due, for the sleep of a worker whose last poll gave `None`; `None` when empty.
    ///
    /// It may be early by whole turns of the wheel. Looks through the buckets: at most the span.
    pub fn next_look(&self) -> Option<u32> {
        if self.is_empty() {
            return None;
        }
        (1..=self.buckets.len() as u32)
            .map(|ahead| self.tick.wrapping_add(ahead))
            .find(|&tick| !self.buckets[self.bucket(tick)].is_empty())
    }

    /// Heap bytes held, for the memory account. Looks through the buckets.
    pub fn capacity_bytes(&self) -> usize {
        let entries: usize = self.buckets.iter().map(Vec::capacity).sum();
        size_of_val(&*self.buckets) + entries * size_of::<Entry<K>>()
    }

    fn leave_for(&mut self, tick: u32) {
        let left = self.bucket(self.tick);
        release_slack(&mut self.buckets[left]);
        self.tick = tick;
        self.looked = 0;
    }

    fn bucket(&self, tick: u32) -> usize {
        tick as usize & (self.buckets.len() - 1)
    }
}

/// A storm of connects fills one bucket, and its pings the next one, and so on: without this each would keep the room for
/// the whole storm.
fn release_slack<T>(bucket: &mut Vec<T>) {
    const WORTH_KEEPING: usize = 16;
    if bucket.capacity() > WORTH_KEEPING && bucket.len() < bucket.capacity() / 4 {
        bucket.shrink_to(WORTH_KEEPING.max(bucket.len() * 2));
    }
}

#[cfg(test)]
mod tests;

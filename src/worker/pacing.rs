//! How fast one connection may talk: messages, bytes and control frames per second.

use rustc_hash::FxHashMap;

use super::bucket::{BURST_SECONDS, Bucket, Rate, Taken};
use super::connection::Reading;
use super::reading::Went;
use super::worker::{Due, TICK_MS, Worker};
use crate::close_reason::CloseReason;
use crate::config::{Limits, OverRate};
use crate::fanout::ConnectionId;

/// Bytes read at once where the messages in them may have to wait: what is behind the last one that may pass is held.
const PACED_READ_BYTES: usize = 16 * 1024;

/// After this an empty bucket is full, and its meter may go.
const METER_TICKS: u32 = BURST_SECONDS * (1000 / TICK_MS as u32);

/// The rates of `[limits]`, and what connections have left of them. One that talks seldom has no meter: it is made when
/// something is counted, and goes when its buckets are full again.
#[derive(Debug)]
pub(super) struct Pacing {
    messages: Option<Rate>,
    bytes: Option<Rate>,
    controls: Option<Rate>,
    over: OverRate,
    makes_wait: bool,
    /// By connection.
    meters: FxHashMap<u32, Meter>,
}

#[derive(Debug)]
struct Meter {
    id: ConnectionId,
    messages: Bucket,
    bytes: Bucket,
    controls: Bucket,
}

impl Pacing {
    pub(super) fn new(limits: &Limits) -> Self {
        let (messages, bytes) = (Rate::new(limits.message_rate.into()), Rate::new(limits.byte_rate.0));
        Self {
            messages,
            bytes,
            makes_wait: limits.over_rate == OverRate::Pause && (messages.is_some() || bytes.is_some()),
            controls: Rate::new(limits.control_rate.into()),
            over: limits.over_rate,
            meters: FxHashMap::default(),
        }
    }

    /// Whether messages are counted.
    pub(super) fn counts_messages(&self) -> bool {
        self.messages.is_some()
    }

    /// Whether bytes are counted.
    pub(super) fn counts_bytes(&self) -> bool {
        self.bytes.is_some()
    }

    /// Whether a connection may have to wait before it is read or its next message is decoded.
    pub(super) fn makes_wait(&self) -> bool {
        self.makes_wait
    }

    fn forget(&mut self, id: ConnectionId) {
        if !self.meters.is_empty() {
            self.meters.remove(&id.index);
        }
    }
}

impl Worker {
    /// Bytes that may be read from a connection now; 0 if it has to wait. Asked only where something
    /// [makes wait](Pacing::makes_wait).
    pub(super) fn readable_bytes(&mut self, id: ConnectionId) -> usize {
        if !self.is_paced(id) {
            return usize::MAX;
        }
        let tick = self.tick;
        let Pacing { messages, bytes, meters, .. } = &mut self.pacing;
        let mut meter = meters.get_mut(&id.index);
        let mut readable = usize::MAX;
        if let Some(rate) = *messages {
            let left = meter.as_mut().map_or(rate.burst(), |meter| meter.messages.tokens(tick, rate));
            readable = if left == 0 { 0 } else { PACED_READ_BYTES };
        }
        if let Some(rate) = *bytes {
            let left = meter.as_mut().map_or(rate.burst(), |meter| meter.bytes.tokens(tick, rate));
            readable = readable.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        readable
    }

    /// Whether a connection's next message has to wait, though its bytes are here. Asked only where something
    /// [makes wait](Pacing::makes_wait).
    pub(super) fn must_wait(&mut self, id: ConnectionId) -> bool {
        if !self.is_paced(id) {
            return false;
        }
        let tick = self.tick;
        let Some(rate) = self.pacing.messages else { return false };
        self.pacing.meters.get_mut(&id.index).is_some_and(|meter| meter.messages.tokens(tick, rate) == 0)
    }

    /// Whether what a client said beside its stream has to wait, though it is here.
    pub(super) fn must_wait_to_speak(&mut self, id: ConnectionId) -> bool {
        if !self.pacing.makes_wait {
            return false;
        }
        let tick = self.tick;
        let Pacing { messages, bytes, meters, .. } = &mut self.pacing;
        let Some(meter) = meters.get_mut(&id.index) else { return false };
        messages.is_some_and(|rate| meter.messages.tokens(tick, rate) == 0)
            || bytes.is_some_and(|rate| meter.bytes.tokens(tick, rate) == 0)
    }

    /// A client said something beside its stream, or with the request that opened it: it counts as a message on a WebSocket
    /// would. Nothing was done with it yet.
    pub(super) fn count_said(&mut self, id: ConnectionId, bytes: usize) -> Went {
        if self.count_fresh(id, bytes) == Went::Stopped {
            return Went::Stopped;
        }
        self.count_message(id)
    }

    /// Bytes came from a connection.
    pub(super) fn count_bytes(&mut self, id: ConnectionId, fresh: usize) -> Went {
        if self.pacing.bytes.is_none() || !self.is_paced(id) {
            return Went::On;
        }
        self.count_fresh(id, fresh)
    }

    fn count_fresh(&mut self, id: ConnectionId, fresh: usize) -> Went {
        let Some(rate) = self.pacing.bytes else { return Went::On };
        let (tick, over) = (self.tick, self.pacing.over);
        let bucket = &mut self.meter(id).bytes;
        match over {
            // It is asked before a read, which takes no more than is left. What comes with the handshake is here unasked.
            OverRate::Pause => bucket.owe(fresh as u64, tick, rate),
            OverRate::Close => {
                if bucket.take(fresh as u64, tick, rate) == Taken::Over {
                    self.fail(id, CloseReason::ByteRate);
                    return Went::Stopped;
                }
            }
        }
        Went::On
    }

    /// A message came whole from an open connection, and nothing was done with it yet.
    pub(super) fn count_message(&mut self, id: ConnectionId) -> Went {
        let Some(rate) = self.pacing.messages else { return Went::On };
        let (tick, over) = (self.tick, self.pacing.over);
        let bucket = &mut self.meter(id).messages;
        match over {
            // It is asked before a message is decoded, so there is one.
            OverRate::Pause => bucket.owe(1, tick, rate),
            OverRate::Close => {
                if bucket.take(1, tick, rate) == Taken::Over {
                    self.fail(id, CloseReason::MessageRate);
                    return Went::Stopped;
                }
            }
        }
        Went::On
    }

    /// A ping or a pong came from an open connection, and was not answered yet.
    ///
    /// Not called for a pong that comes alone, which costs a read and a look at two bytes. A flood of them does not stay
    /// lone: once it is faster than this worker's turns, several come in one read.
    pub(super) fn count_control(&mut self, id: ConnectionId) -> Went {
        let Some(rate) = self.pacing.controls else { return Went::On };
        let tick = self.tick;
        match self.meter(id).controls.take(1, tick, rate) {
            Taken::Within => Went::On,
            Taken::Over => {
                self.fail(id, CloseReason::ControlRate);
                Went::Stopped
            }
        }
    }

    /// A connection is not read on until it has something left again. What it sends meanwhile fills the buffers of the
    /// kernel, and then it cannot send.
    pub(super) fn throttle(&mut self, id: ConnectionId) {
        let tick = self.tick;
        let Pacing { messages, bytes, meters, .. } = &mut self.pacing;
        let wait = meters.get_mut(&id.index).map_or(0, |meter| {
            let until = |bucket: &mut Bucket, rate: &Option<Rate>| {
                rate.map_or(0, |rate| bucket.ticks_until(rate.worth_waiting_for(), tick, rate))
            };
            until(&mut meter.messages, messages).max(until(&mut meter.bytes, bytes))
        });
        let Some(connection) = self.connection(id) else { return };
        connection.reading = Reading::Throttled;
        self.wheel.schedule(Due::Resume(id), tick.wrapping_add(wait.max(1)));
        self.counters().throttled.add(1);
    }

    /// The wait of a throttled connection is over.
    pub(super) fn resume_throttled(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connection(id)
            && connection.reading == Reading::Throttled
        {
            connection.reading = Reading::Queued;
            self.queued.push_back(id);
        }
    }

    /// A meter may be full again.
    pub(super) fn check_meter(&mut self, id: ConnectionId) {
        let tick = self.tick;
        let Pacing { messages, bytes, controls, meters, .. } = &mut self.pacing;
        let Some(meter) = meters.get_mut(&id.index).filter(|meter| meter.id == id) else { return };
        let until_full = |bucket: &mut Bucket, rate: &Option<Rate>| {
            rate.map_or(0, |rate| bucket.ticks_until(rate.burst(), tick, rate))
        };
        let wait = until_full(&mut meter.messages, messages)
            .max(until_full(&mut meter.bytes, bytes))
            .max(until_full(&mut meter.controls, controls));
        match wait {
            0 => self.pacing.forget(id),
            wait => self.wheel.schedule(Due::Meter(id), tick.wrapping_add(wait)),
        }
    }

    /// What is counted of a connection that is gone.
    pub(super) fn forget_meter(&mut self, id: ConnectionId) {
        self.pacing.forget(id);
    }

    /// Whether what a connection sends counts: it is open, and no stream, whose client has nothing to say.
    fn is_paced(&mut self, id: ConnectionId) -> bool {
        self.connection(id).is_some_and(|connection| connection.is_open() && connection.session.is_websocket())
    }

    /// The meter of a connection, made full if there is none.
    fn meter(&mut self, id: ConnectionId) -> &mut Meter {
        let (tick, wheel) = (self.tick, &mut self.wheel);
        self.pacing.meters.entry(id.index).or_insert_with(|| {
            // One entry for the life of a meter: it is looked at again when it may be full.
            wheel.schedule(Due::Meter(id), tick.wrapping_add(METER_TICKS));
            let full = Bucket::full(tick);
            Meter { id, messages: full, bytes: full, controls: full }
        })
    }
}

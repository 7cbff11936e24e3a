//! What the fan-out knows of a connection: its memberships, and what it owes it besides.

use std::collections::VecDeque;

use bytes::Bytes;
use smallvec::SmallVec;

use super::ledger::Hold;
use super::log::LogId;
use crate::hub::Offset;

/// A connection of this worker. Slots are dense and used again; the generation tells owners of one slot apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    /// The slot, from 0; the worker keeps its sockets in a slab by this index.
    pub index: u32,
    /// Counts the owners of the slot.
    pub generation: u32,
}

/// Where a connection's member of a log stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat {
    pub(super) log: LogId,
    /// Its index in the log's members.
    pub(super) at: u32,
}

/// `Connection::stall` of one that is not blocked.
pub(super) const NOT_BLOCKED: u32 = u32::MAX;

/// A connection's tables: 48 bytes, up to two memberships included, while nothing is owed.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) generation: u32,
    pub(super) flags: u32,
    /// The seat to plan first: after a plan that did not reach all, the one behind the last that was served.
    pub(super) turn: u32,
    /// Its place in the list of blocked connections, or [`NOT_BLOCKED`].
    pub(super) stall: u32,
    pub(super) owed: Option<Box<Owed>>,
    pub(super) seats: SmallVec<[Seat; 2]>,
}

impl Default for Connection {
    fn default() -> Self {
        Self { generation: 0, flags: 0, turn: 0, stall: NOT_BLOCKED, owed: None, seats: SmallVec::new() }
    }
}

impl Connection {
    /// The slot has an owner.
    pub(super) const LIVE: u32 = 1;
    /// The slot stands in the list of those to visit. Belongs to the slot: it stays when the owner goes, as the place
    /// in the list does (pitfall 11).
    pub(super) const READY: u32 = 2;
    /// Nothing new is for it; when all is sent, it is finished.
    pub(super) const FINISHING: u32 = 4;
    /// Its close frame went out, in whole or in part: nothing may follow.
    pub(super) const CLOSE_SENT: u32 = 8;
    /// A policy ends it, and has said so.
    pub(super) const DOOMED: u32 = 16;
    /// It ends at once: what it was owed is gone, so nothing more can be written to it.
    pub(super) const CUT_OFF: u32 = 32;

    pub(super) const fn is(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    pub(super) const fn is_blocked(&self) -> bool {
        self.stall != NOT_BLOCKED
    }

    /// The place of its seat in `log` among its seats. O(seats).
    pub(super) fn seat_in(&self, log: LogId) -> Option<usize> {
        self.seats.iter().position(|seat| seat.log == log)
    }
}

/// The rest of the one frame that was cut by a short write.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) rest: Bytes,
    /// The memory that `rest` keeps alive: all of a frame that is shared.
    pub(super) hold: Hold,
    /// The publication it belongs to, and the bytes of its whole frame; `None` for replies, notices, the close frame.
    pub(super) publication: Option<(LogId, Offset, usize)>,
}

/// What goes to a connection besides its topics. Exists only while there is something.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// Bytes that a sink has made of what it took: they go out as they are, alone, before everything else.
    pub(super) sealed: Option<(Bytes, Hold)>,
    pub(super) tail: Option<Tail>,
    pub(super) outbox: VecDeque<(Bytes, Hold)>,
    pub(super) outbox_bytes: usize,
    pub(super) close: Option<Bytes>,
}

impl Owed {
    pub(super) fn is_nothing(&self) -> bool {
        self.sealed.is_none() && self.tail.is_none() && self.outbox.is_empty() && self.close.is_none()
    }
}

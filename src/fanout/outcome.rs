//! What the caller is told: of an append, a visit, a parting, a doom, and of what was missed.

use bytes::Bytes;

use super::connection::ConnectionId;
use super::log::LogId;
use crate::hub::Offset;

/// Publications of one log that a member did not and will not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// The offset of the first.
    pub first: Offset,
    /// The offset of the last.
    pub last: Offset,
    /// How many; those it was not meant to get (excluded, before its join point) are not among them.
    pub count: u64,
}

impl Missed {
    pub(super) const fn one(offset: Offset) -> Self {
        Self { first: offset, last: offset, count: 1 }
    }

    /// Both together.
    pub(super) fn join(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(a), Some(b)) => {
                Some(Self { first: a.first.min(b.first), last: a.last.max(b.last), count: a.count + b.count })
            }
            (a, None) => a,
            (None, b) => b,
        }
    }
}

/// One publication, ready for the members of one log.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its number in the topic; above all that were appended before, else it is taken for one of them.
    pub offset: Offset,
    /// Its wire bytes, header included.
    pub frame: &'a Bytes,
    /// Under [`super::Policy::Latest`] a newer publication replaces an older one of the same key; 0 is the topic's
    /// single key.
    pub key: u64,
    /// The one connection that does not get it: usually its publisher.
    pub exclude: Option<ConnectionId>,
    /// Whether the number is its own. What is not numbered goes in behind the publication of `offset`, any number of
    /// them, unless the log began behind that.
    pub is_numbered: bool,
}

/// What became of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Appended {
    /// It is in the log (or was already, or nobody is there to get it).
    Ok,
    /// There is no room, because the sweep has not reached members that could take theirs. Nothing happened to it: keep
    /// it, call [`super::Fanout::sweep_log_first`], visit, and append it again.
    Full,
}

/// Where a new member of a log starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// After the publication of this offset: those up to it that are still to be appended are not sent to it.
    At(Offset),
    /// Nothing is sent until [`super::Fanout::release`]; what is appended meanwhile waits for it in the log.
    Held,
}

/// How many members a log has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Members(pub usize);

/// What a sink did with the bytes of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It took this many, from the front. Fewer than were offered, or 0: the connection is blocked until
    /// [`super::Fanout::writable`].
    Wrote(usize),
    /// It took this many, from the front, and takes no more until [`super::Fanout::writable`]: what it made of them waits,
    /// and is owed with [`super::Fanout::owe_sealed`].
    Full(usize),
    /// It took nothing and will say when it can.
    Blocked,
    /// It is broken.
    Dead,
}

/// What a visit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Visited {
    /// Publications of which the last byte was taken in this visit.
    pub publications: u64,
    /// The bytes of their frames.
    pub bytes: u64,
    /// How the connection stands now.
    pub writer: Writer,
}

/// How a connection stands after a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    /// It has got everything, or will be visited again for the rest.
    Open,
    /// The sink takes no more until [`super::Fanout::writable`].
    Blocked,
    /// It was finished and all is sent, the close frame included: disconnect it.
    Finished,
    /// The sink is broken, or the connection is none any more: disconnect it.
    Dead,
}

/// Why a connection has to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It lagged behind this log by more bytes than its rules allow.
    Lag(LogId),
    /// The first unsent frame of this log waited longer than its rules allow.
    Age(LogId),
    /// It took not one byte for [`super::Settings::stalled_ticks`].
    Stalled,
    /// The outbound budget was used up, and it was the largest laggard. Its bytes are gone: no close frame can be sent.
    Budget,
}

/// A connection that a policy ends.
///
/// It is out of its logs already and gets no more publications. Either [`super::Fanout::disconnect`] it, or
/// [`super::Fanout::finish_now`] with a close frame and disconnect it later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doomed {
    /// Who.
    pub connection: ConnectionId,
    /// Why.
    pub cause: Cause,
    /// What it did not get of the log in `cause` (nothing if there is none). For all its logs see [`Parted`].
    pub missed: Option<Missed>,
}

/// One log that a connection has left by disconnecting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parted {
    /// The log.
    pub log: LogId,
    /// Members it has left. At 0 it can be closed.
    pub left: Members,
    /// What the connection was meant to get of it, did not get whole, and was not told of.
    pub missed: Option<Missed>,
}

/// Publications lost to policies, each counted once per member that did not get it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    /// By disconnecting; budget and stalled connections included.
    pub disconnect: u64,
    /// By skipping; each was or will be told in a notice.
    pub skip: u64,
    /// By conflation: a newer one of the same key took its place.
    pub latest: u64,
}

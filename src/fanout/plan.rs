//! What one visit offers to the sink: slices of everything a connection has pending, and what each of them is.

use std::io::IoSlice;

use bytes::Bytes;
use smallvec::SmallVec;

use super::connection::Connection;
use super::fanout::Fanout;
use super::log::{Log, LogId, Member, PARKED};
use super::outcome::Missed;
use super::settings::Settings;
use super::special::{Filter, Kept};

/// Slices and parts of a plan up to this many need no allocation.
const COMMON: usize = 16;

/// What a slice of the plan is.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    /// What a sink made of bytes that it took.
    Sealed,
    /// The rest of a cut frame.
    Tail,
    /// The first of the replies still queued.
    Reply,
    /// The notice of what the member at this seat missed: the index among those made for this visit.
    Notice { seat: u32, index: u32 },
    /// The first of the conflated frames of the member at this seat.
    Kept { seat: u32 },
    /// Frames in one segment, from log position `from` on, for the member at this seat. When all is sent, its cursor goes
    /// to `to`: there may be frames before it that are not for it. No bytes at all: only such frames.
    Frames { seat: u32, from: u64, to: u64, publications: u32 },
    /// The close frame.
    Close,
}

/// One slice, or a step without bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) what: What,
    pub(super) len: usize,
}

/// The one slice of a plan that has no other: frames for a plain member of one log, who then has everything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sole {
    pub(super) log: LogId,
    /// Its index in the log's members.
    pub(super) at: u32,
    from: u64,
    pub(super) to: u64,
    pub(super) publications: u32,
}

impl Sole {
    pub(super) const fn len(&self) -> usize {
        (self.to - self.from) as usize
    }

    /// The same as a part of a plan.
    pub(super) const fn part(&self) -> Part {
        let what = What::Frames { seat: 0, from: self.from, to: self.to, publications: self.publications };
        Part { what, len: self.len() }
    }
}

/// Notices made for one visit, with the place of their seat.
pub(super) type Notices = SmallVec<[(u32, Bytes); 1]>;

/// Room for the slices of a plan, and for its parts: the caller's, since they are too large to be moved about.
pub(super) type Slices<'a> = SmallVec<[IoSlice<'a>; COMMON]>;
/// See [`Slices`].
pub(super) type Parts = SmallVec<[Part; COMMON]>;

/// What one visit offers to the sink.
pub(super) struct Plan<'s, 'a> {
    slices: &'s mut Slices<'a>,
    parts: &'s mut Parts,
    pub(super) bytes: usize,
    /// Everything pending is in it.
    pub(super) is_complete: bool,
    /// It has parts of members that are not plain.
    pub(super) has_special: bool,
    max_bytes: usize,
    max_slices: usize,
}

impl<'s, 'a> Plan<'s, 'a> {
    fn new(settings: &Settings, slices: &'s mut Slices<'a>, parts: &'s mut Parts) -> Self {
        Self {
            slices,
            parts,
            bytes: 0,
            is_complete: true,
            has_special: false,
            max_bytes: settings.visit_bytes.max(1),
            max_slices: settings.visit_slices.max(1),
        }
    }

    /// Whether one more slice may be added; if not, the plan is not complete. A slice is added whole.
    fn has_room(&mut self) -> bool {
        self.is_complete &= self.bytes < self.max_bytes && self.slices.len() < self.max_slices;
        self.is_complete
    }

    fn push(&mut self, what: What, slice: &'a [u8]) {
        self.slices.push(IoSlice::new(slice));
        self.parts.push(Part { what, len: slice.len() });
        self.bytes += slice.len();
    }

    fn step(&mut self, what: What) {
        self.parts.push(Part { what, len: 0 });
    }

    /// The frames of a plain member: a slice per segment, most often one.
    fn push_run(&mut self, seat: u32, log: &'a Log, cursor: u64, end: u64) {
        for segment in log.segments_from(cursor) {
            if segment.start >= end || !self.has_room() {
                return;
            }
            let (from, to) = (cursor.max(segment.start), end.min(segment.end()));
            let behind = if to == segment.end() { segment.marks.len() } else { segment.frame_at(to) };
            let publications = (behind - segment.frame_at(from)) as u32;
            self.push(What::Frames { seat, from, to, publications }, segment.slice(from, to));
        }
    }

    /// The frames of a member that wants only some: a slice per run of wanted frames in a segment.
    fn push_filtered(&mut self, seat: u32, log: &'a Log, cursor: u64, end: u64, filter: &Filter) {
        let mut run = Run { from: cursor, to: cursor, publications: 0 };
        for (segment, frame) in log.frames(cursor, end) {
            if !filter.wants(&frame) {
                continue;
            }
            if run.publications > 0 && (frame.start != run.to || frame.start == segment.start) {
                self.push_wanted(seat, log, run, frame.start);
                run.publications = 0;
            }
            if run.publications == 0 {
                if !self.has_room() {
                    return;
                }
                run.from = frame.start;
            }
            run.to = frame.end;
            run.publications += 1;
        }
        if run.publications > 0 {
            self.push_wanted(seat, log, run, end);
        } else {
            self.step(What::Frames { seat, from: end, to: end, publications: 0 });
        }
    }

    fn push_wanted(&mut self, seat: u32, log: &'a Log, run: Run, to: u64) {
        let what = What::Frames { seat, from: run.from, to, publications: run.publications };
        self.push(what, log.segment_at(run.from).slice(run.from, run.to));
    }
}

#[derive(Clone, Copy)]
struct Run {
    from: u64,
    to: u64,
    publications: u32,
}

impl Fanout {
    /// Notices of what this slot's members missed: made only for a visit that can write them.
    pub(super) fn make_notices(&self, slot: u32, notice: &mut dyn FnMut(LogId, Missed) -> Bytes) -> Notices {
        let mut notices = Notices::new();
        let ahead = self.connections[slot].owed.as_ref().map_or(0, |owed| owed.outbox.len());
        if ahead >= self.settings.visit_slices {
            return notices;
        }
        for (place, seat) in self.connections[slot].seats.iter().enumerate() {
            let member = self.logs[seat.log.0].members[seat.at as usize];
            if member.is(Member::SPECIAL)
                && member.cursor != PARKED
                && let Some(missed) = self.special_of(seat.log, &member).and_then(|special| special.missed)
            {
                notices.push((place as u32, notice(seat.log, missed)));
            }
        }
        notices
    }

    /// The one slice that is all a connection has pending, if it is so: by far the most frequent plan, and it needs no
    /// list of parts (bench `sweep`).
    pub(super) fn sole(&self, conn: &Connection) -> Option<(Sole, &[u8])> {
        let (None, [seat]) = (&conn.owed, &conn.seats[..]) else { return None };
        let log = &self.logs[seat.log.0];
        let member = log.members[seat.at as usize];
        if member.flags != 0 || member.cursor >= log.head {
            return None;
        }
        let segment = log.active.as_ref()?.segments.back().filter(|last| last.start <= member.cursor)?;
        let slice = segment.slice(member.cursor, log.head);
        let publications = (segment.marks.len() - segment.frame_at(member.cursor)) as u32;
        let sole = Sole { log: seat.log, at: seat.at, from: member.cursor, to: log.head, publications };
        Some((sole, slice))
    }

    /// Plans one visit: tail, outbox, topics, close frame; at most as much as the settings say. What is sealed goes alone.
    pub(super) fn plan<'s, 'a>(
        &'a self,
        slot: u32,
        notices: &'a Notices,
        slices: &'s mut Slices<'a>,
        parts: &'s mut Parts,
    ) -> Plan<'s, 'a> {
        let mut plan = Plan::new(&self.settings, slices, parts);
        let conn = &self.connections[slot];
        if let Some(owed) = &conn.owed {
            if let Some((sealed, _)) = &owed.sealed {
                plan.push(What::Sealed, sealed);
                plan.is_complete = false;
                return plan;
            }
            if let Some(tail) = &owed.tail {
                plan.push(What::Tail, &tail.rest);
            }
            for (reply, _) in &owed.outbox {
                // An outbox longer than one plan keeps the topics out of it: replies stand before them (pitfall 11).
                if !plan.has_room() {
                    return plan;
                }
                plan.push(What::Reply, reply);
            }
        }
        let count = conn.seats.len();
        let first = if (conn.turn as usize) < count { conn.turn as usize } else { 0 };
        for place in (first..count).chain(0..first) {
            self.plan_seat(&mut plan, conn, place, notices);
            if !plan.is_complete {
                return plan;
            }
        }
        if let Some(close) = conn.owed.as_ref().and_then(|owed| owed.close.as_ref())
            && plan.has_room()
        {
            plan.push(What::Close, close);
        }
        plan
    }

    fn plan_seat<'a>(&'a self, plan: &mut Plan<'_, 'a>, conn: &'a Connection, place: usize, notices: &'a Notices) {
        let seat = conn.seats[place];
        let log = &self.logs[seat.log.0];
        let member = &log.members[seat.at as usize];
        let place = place as u32;
        if member.flags == 0 {
            if member.cursor < log.head {
                plan.push_run(place, log, member.cursor, log.head);
            }
            return;
        }
        if member.cursor == PARKED || member.is(Member::HELD) {
            return;
        }
        plan.has_special = true;
        let special = self.special_of(seat.log, member);
        if special.is_some_and(|special| special.missed.is_some()) {
            let made = notices.iter().position(|&(of, _)| of == place);
            // Without its notice nothing of this member may be in the plan.
            plan.is_complete &= made.is_some();
            let (true, Some(index)) = (plan.has_room(), made) else { return };
            plan.push(What::Notice { seat: place, index: index as u32 }, &notices[index].1);
        }
        for Kept { frame, .. } in special.iter().flat_map(|special| &special.kept) {
            if !plan.has_room() {
                return;
            }
            plan.push(What::Kept { seat: place }, frame);
        }
        let end = self.end_of(seat.log, member);
        let filter = self.filter(seat.log, member);
        if member.cursor >= end {
            // Nothing in the log; but the end may have been reached.
            plan.step(What::Frames { seat: place, from: member.cursor, to: member.cursor, publications: 0 });
        } else if filter.is_open() {
            plan.push_run(place, log, member.cursor, end);
        } else {
            plan.push_filtered(place, log, member.cursor, end, &filter);
        }
    }
}

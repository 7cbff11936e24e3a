//! One visit: the plan goes to the sink in one write, and what the sink took is settled.

use std::io::IoSlice;

use bytes::{Buf, Bytes};

use super::connection::{Connection, ConnectionId, Tail};
use super::fanout::Fanout;
use super::ledger::Hold;
use super::log::LogId;
use super::outcome::{Missed, Sent, Visited, Writer};
use super::plan::{Notices, Part, Parts, Slices, Sole, What};
use super::settings::Tick;

/// A plan without its slices.
#[derive(Clone, Copy)]
struct Outline {
    bytes: usize,
    is_complete: bool,
    has_special: bool,
}

#[derive(Default)]
struct Tally {
    publications: u64,
    bytes: u64,
}

impl Fanout {
    /// Writes everything `connection` has pending, over all its logs, in one call of `sink`: at most
    /// [`super::Settings::visit_bytes`], or the first whole segment beyond. What does not fit is visited again.
    ///
    /// `notice` makes the frame that tells a subscriber what it missed; it is asked only when there is something to tell
    /// and it can be written, and again when it was not written after all. `sink` is not called when there is nothing to
    /// write, nor for a blocked connection; while there is [`Fanout::sealed`], it gets just that. No allocation for up to 16 slices. O(its memberships + slices), and O(frames)
    /// for members with a join point ahead or an exclusion.
    pub fn visit(
        &mut self,
        connection: ConnectionId,
        tick: Tick,
        notice: &mut dyn FnMut(LogId, Missed) -> Bytes,
        sink: impl FnOnce(&[IoSlice<'_>]) -> Sent,
    ) -> Visited {
        let over = |writer| Visited { publications: 0, bytes: 0, writer };
        let conn = match self.live(connection) {
            None => return over(Writer::Dead),
            Some(conn) if conn.is(Connection::CUT_OFF) => return over(Writer::Dead),
            Some(conn) if conn.is_blocked() => return over(Writer::Blocked),
            Some(conn) => conn,
        };
        let slot = connection.index;
        if let Some((sole, slice)) = self.sole(conn) {
            let is_finishing = conn.is(Connection::FINISHING);
            return match sink(&[IoSlice::new(slice)]) {
                Sent::Wrote(written) if written >= sole.len() && !is_finishing => self.settle_sole(&sole),
                sent => {
                    let outline = Outline { bytes: sole.len(), is_complete: true, has_special: false };
                    self.settle(slot, tick, sent, &[sole.part()], outline, &Notices::new())
                }
            };
        }
        let notices = self.make_notices(slot, notice);
        let mut parts = Parts::new();
        let (sent, outline) = {
            let mut slices = Slices::new();
            let plan = self.plan(slot, &notices, &mut slices, &mut parts);
            let outline = Outline { bytes: plan.bytes, is_complete: plan.is_complete, has_special: plan.has_special };
            (if outline.bytes == 0 { Sent::Wrote(0) } else { sink(&slices) }, outline)
        };
        self.settle(slot, tick, sent, &parts, outline, &notices)
    }

    /// As [`Fanout::settle`], for by far the most frequent case: the one slice there was is written, and nothing else is
    /// owed.
    fn settle_sole(&mut self, sole: &Sole) -> Visited {
        self.advance(sole.log, sole.at as usize, sole.to);
        Visited { publications: u64::from(sole.publications), bytes: sole.len() as u64, writer: Writer::Open }
    }

    /// Moves on past what was written, and says how the connection stands.
    fn settle(
        &mut self,
        slot: u32,
        tick: Tick,
        sent: Sent,
        parts: &[Part],
        outline: Outline,
        notices: &Notices,
    ) -> Visited {
        let Outline { bytes: planned_bytes, is_complete, has_special } = outline;
        let mut tally = Tally::default();
        let (written, is_full) = match sent {
            Sent::Wrote(written) => (written.min(planned_bytes), written < planned_bytes),
            Sent::Full(written) => (written.min(planned_bytes), true),
            Sent::Blocked => (0, planned_bytes > 0),
            Sent::Dead => return Visited { publications: 0, bytes: 0, writer: Writer::Dead },
        };
        self.move_on(slot, parts, written, is_complete, notices, &mut tally);
        if has_special {
            for place in 0..self.connections[slot].seats.len() {
                let (log, at) = self.seat(slot, place);
                self.tidy_special(log, at);
            }
        }
        self.tidy_owed(slot);
        let writer = if is_full {
            self.block(slot, tick);
            Writer::Blocked
        } else if !is_complete {
            self.enqueue_ready(slot);
            Writer::Open
        } else if self.connections[slot].is(Connection::FINISHING) {
            Writer::Finished
        } else {
            Writer::Open
        };
        Visited { publications: tally.publications, bytes: tally.bytes, writer }
    }

    /// Moves on past what was written, and gives the seats behind the last that was served the next turn.
    fn move_on(
        &mut self,
        slot: u32,
        parts: &[Part],
        mut written: usize,
        is_complete: bool,
        notices: &Notices,
        tally: &mut Tally,
    ) {
        let mut served = None;
        for part in parts {
            if written >= part.len {
                written -= part.len;
                self.complete(slot, *part, tally);
                served = part.what.seat().or(served);
                continue;
            }
            if written > 0 {
                self.cut(slot, *part, written, notices, tally);
                served = part.what.seat().or(served);
            }
            self.connections[slot].turn = served.map_or(0, |seat| seat + 1);
            return;
        }
        if !is_complete {
            self.connections[slot].turn = served.map_or(0, |seat| seat + 1);
        }
    }

    fn complete(&mut self, slot: u32, part: Part, tally: &mut Tally) {
        match part.what {
            What::Sealed => {
                if let Some((_, hold)) = self.owed_mut(slot).sealed.take() {
                    self.ledger.release(hold);
                }
            }
            What::Tail => {
                if let Some(tail) = self.owed_mut(slot).tail.take() {
                    self.ledger.release(tail.hold);
                    if let Some((_, _, frame_bytes)) = tail.publication {
                        tally.publications += 1;
                        tally.bytes += frame_bytes as u64;
                    }
                }
            }
            What::Reply => {
                if let Some((_, hold)) = self.pop_reply(slot) {
                    self.ledger.release(hold);
                }
            }
            What::Notice { seat, .. } => self.told(slot, seat),
            What::Kept { seat } => {
                if let Some((_, _, _, hold)) = self.pop_kept(slot, seat) {
                    self.ledger.release(hold);
                    tally.publications += 1;
                    tally.bytes += part.len as u64;
                }
            }
            What::Frames { seat, to, publications, .. } => {
                tally.publications += u64::from(publications);
                tally.bytes += part.len as u64;
                let (log, at) = self.seat(slot, seat as usize);
                self.advance(log, at, to);
            }
            What::Close => {
                self.owed_mut(slot).close = None;
                self.connections[slot].flags |= Connection::CLOSE_SENT;
            }
        }
    }

    /// `written` bytes of the part went out, not all: the rest of the frame that was cut becomes the tail.
    fn cut(&mut self, slot: u32, part: Part, written: usize, notices: &Notices, tally: &mut Tally) {
        let tail = match part.what {
            What::Sealed => {
                if let Some((sealed, _)) = &mut self.owed_mut(slot).sealed {
                    sealed.advance(written);
                }
                return;
            }
            What::Tail => {
                if let Some(tail) = &mut self.owed_mut(slot).tail {
                    tail.rest.advance(written);
                }
                return;
            }
            What::Reply => {
                let Some((frame, hold)) = self.pop_reply(slot) else { return };
                Tail { rest: frame.slice(written..), hold, publication: None }
            }
            What::Notice { seat, index } => {
                self.told(slot, seat);
                let frame = &notices[index as usize].1;
                Tail { rest: frame.slice(written..), hold: self.hold(frame), publication: None }
            }
            What::Kept { seat } => {
                let Some((log, offset, frame, hold)) = self.pop_kept(slot, seat) else { return };
                Tail { rest: frame.slice(written..), hold, publication: Some((log, offset, frame.len())) }
            }
            What::Frames { seat, from, .. } => {
                let (log, at) = self.seat(slot, seat as usize);
                let cut_at = from + written as u64;
                let segment = self.logs[log.0].segment_at(from);
                let index = segment.frame_at(cut_at);
                let frame = segment.frame(index);
                tally.publications += (index - segment.frame_at(from)) as u64;
                tally.bytes += frame.start - from;
                if frame.start == cut_at {
                    self.advance(log, at, cut_at);
                    return;
                }
                let rest = segment.detach(cut_at, frame.end);
                let memory = segment.shared_frame().unwrap_or(&rest).clone();
                self.advance(log, at, frame.end);
                let publication = Some((log, frame.offset, (frame.end - frame.start) as usize));
                Tail { rest, hold: self.hold(&memory), publication }
            }
            What::Close => {
                self.connections[slot].flags |= Connection::CLOSE_SENT;
                let Some(frame) = self.owed_mut(slot).close.take() else { return };
                Tail { rest: frame.slice(written..), hold: Hold::NOTHING, publication: None }
            }
        };
        self.owed_mut(slot).tail = Some(tail);
    }

    fn pop_reply(&mut self, slot: u32) -> Option<(Bytes, Hold)> {
        let owed = self.owed_mut(slot);
        let (frame, hold) = owed.outbox.pop_front()?;
        owed.outbox_bytes -= frame.len();
        Some((frame, hold))
    }

    /// A conflated frame goes out. Of its own log: one plan may hold those of several (pitfall 11).
    fn pop_kept(&mut self, slot: u32, seat: u32) -> Option<(LogId, crate::hub::Offset, Bytes, Hold)> {
        let (log, _) = self.seat(slot, seat as usize);
        let kept = self.specials.get_mut(log, slot)?.kept.pop_front()?;
        Some((log, kept.offset, kept.frame, kept.hold))
    }

    fn told(&mut self, slot: u32, seat: u32) {
        let (log, _) = self.seat(slot, seat as usize);
        if let Some(special) = self.specials.get_mut(log, slot) {
            special.missed = None;
        }
    }
}

impl What {
    /// The seat it belongs to, if to any.
    const fn seat(self) -> Option<u32> {
        match self {
            Self::Sealed | Self::Tail | Self::Reply | Self::Close => None,
            Self::Notice { seat, .. } | Self::Kept { seat } | Self::Frames { seat, .. } => Some(seat),
        }
    }
}

//! The sweep: what connections are owed goes to their sockets.

use std::io::IoSlice;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags};

use super::connection::Reading;
use super::membership::{Carried, Variant};
use super::opening::protocol_of;
use super::poller::Token;
use super::worker::Worker;
use crate::close_reason::CloseReason;
use crate::fanout::{ConnectionId, LogId, Missed, Sent, Tick, Writer};
use crate::protocol::{self, Notice};
use crate::tls::{Channel, RECORD_BYTES};

impl Worker {
    /// One sweep: writes to at most [`crate::fanout::Settings::sweep_visits`] connections what they are owed.
    pub(super) fn sweep(&mut self) {
        let mut writes = 0;
        while let Some(id) = self.fanout.next() {
            let Some(connection) = self.connections.get_mut(id.index) else { continue };
            let (session, reading) = (connection.session, connection.reading);
            let memberships = &self.memberships;
            let mut notice = |log: LogId, missed: Missed| notice(memberships.carried(log), missed);
            let mut rest = None;
            self.visited = Some(id);
            let visited = match &mut connection.tls {
                None => self.fanout.visit(id, Tick(self.tick), &mut notice, |slices| {
                    writes += 1;
                    let sent = send(&connection.socket, slices, &mut self.scratch);
                    #[cfg(test)]
                    slices.iter().for_each(|slice| super::restart::panic_if_asked("the sweep", slice));
                    sent
                }),
                Some(channel) => {
                    let is_sealed = self.fanout.sealed(id).is_some();
                    self.fanout.visit(id, Tick(self.tick), &mut notice, |slices| {
                        writes += 1;
                        if is_sealed {
                            return send(&connection.socket, slices, &mut self.scratch);
                        }
                        let mut sink = Sealing { channel, scratch: &mut self.scratch, sealed: &mut self.sealed };
                        sink.send(&connection.socket, slices, &mut rest)
                    })
                }
            };
            if let Some(rest) = rest {
                self.fanout.owe_sealed(id, rest);
            }
            self.visited = None;
            if visited.publications > 0 {
                let counters = self.counters();
                let protocol = protocol_of(session).index();
                counters.deliveries[protocol].add(visited.publications);
                counters.delivered_bytes[protocol].add(visited.bytes);
            }
            match visited.writer {
                Writer::Open => {}
                Writer::Blocked => {
                    if !self.watch_room(id) {
                        continue;
                    }
                }
                Writer::Finished => self.close_frame_is_out(id),
                Writer::Dead => {
                    self.drop_connection(id, CloseReason::Gone);
                    continue;
                }
            }
            if reading == Reading::OutboxFull {
                self.resume_reading(id);
            }
            if !self.catch_ups.is_empty() {
                self.feed_catch_up(id);
            }
        }
        self.counters().writes.add(writes);
    }

    /// Has the poller tell when a blocked connection has room. `false` if that fails, and the connection is gone: only a
    /// kernel out of memory does that.
    fn watch_room(&mut self, id: ConnectionId) -> bool {
        let Some(connection) = self.connections.get_mut(id.index) else { return false };
        if connection.room_is_watched {
            return true;
        }
        connection.room_is_watched = true;
        let watched = self.poller.watch_room(&connection.socket, Token::Connection(id));
        if let Err(error) = watched {
            tracing::warn!(connection = %id, %error, "cannot watch a blocked connection");
            self.drop_connection(id, CloseReason::InternalError);
            return false;
        }
        true
    }
}

/// What a subscriber is told of publications that were skipped for it.
fn notice(carried: Option<Carried<'_>>, missed: Missed) -> bytes::Bytes {
    match carried {
        Some(Carried::Topic(topic, Variant::Of(encoding))) if encoding.shape().is_none() => {
            let json =
                protocol::missed_json(topic.name().as_str(), topic.epoch(), missed.first, missed.last, missed.count);
            protocol::notice(encoding, Notice::Missed, &json)
        }
        // Their policy is to disconnect, so nothing is skipped in them; and a log without owner has no members.
        Some(Carried::Topic(..) | Carried::Bundle(_)) | None => bytes::Bytes::new(),
    }
}

/// Up to this many bytes in several slices are joined before they are sent. Copying small frames costs less than the
/// kernel's walk through as many slices: 1,000 connections on 20 of 1,000 topics, `fanfare-loadtest compare --scenario
/// mixed`. Beyond it a frame is large enough to be worth its own slice.
const JOIN_BYTES: usize = 16 * 1024;

/// One system call: `send` for one slice, or for several that are joined in `scratch`; `sendmsg` for more.
pub(super) fn send(socket: &OwnedFd, slices: &[IoSlice<'_>], scratch: &mut [u8]) -> Sent {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let joined = match slices {
        [_] => None,
        several => join(several, &mut scratch[..JOIN_BYTES]),
    };
    loop {
        let sent = match (slices, joined) {
            ([one], _) => rustix::net::send(socket, one, flags),
            (_, Some(bytes)) => rustix::net::send(socket, &scratch[..bytes], flags),
            (several, None) => rustix::net::sendmsg(socket, several, &mut SendAncillaryBuffer::default(), flags),
        };
        return match sent {
            Ok(bytes) => Sent::Wrote(bytes),
            Err(Errno::AGAIN) => Sent::Blocked,
            Err(Errno::INTR) => continue,
            Err(_) => Sent::Dead,
        };
    }
}

/// A sink that makes TLS records of what it takes.
struct Sealing<'a> {
    channel: &'a mut Channel,
    scratch: &'a mut [u8],
    sealed: &'a mut Vec<u8>,
}

impl Sealing<'_> {
    /// As [`send`], a record at a time. `rest` gets what the socket did not take of the last one: it is less than a record,
    /// however much is pending, so that a slow reader holds no more sealed bytes than that.
    fn send(&mut self, socket: &OwnedFd, slices: &[IoSlice<'_>], rest: &mut Option<Bytes>) -> Sent {
        let mut taken = 0;
        let mut plan = Pending { slices, at: 0 };
        while let Some(plain) = plan.next_record(&mut self.scratch[..RECORD_BYTES]) {
            self.sealed.clear();
            if self.channel.seal(plain, self.sealed).is_err() {
                return Sent::Dead;
            }
            taken += plain.len();
            let written = match send(socket, &[IoSlice::new(self.sealed)], &mut []) {
                Sent::Wrote(written) | Sent::Full(written) => written,
                Sent::Blocked => 0,
                Sent::Dead => return Sent::Dead,
            };
            if written < self.sealed.len() {
                *rest = Some(Bytes::copy_from_slice(&self.sealed[written..]));
                return Sent::Full(taken);
            }
        }
        Sent::Wrote(taken)
    }
}

/// What is left of a plan.
struct Pending<'s, 'a> {
    slices: &'s [IoSlice<'a>],
    /// Bytes of the first slice that are done with.
    at: usize,
}

impl<'s> Pending<'s, '_> {
    /// The plaintext of the next record: a piece of a slice as it is, if that is large or the last, else several slices
    /// joined in `room`.
    fn next_record<'r>(&mut self, room: &'r mut [u8]) -> Option<&'r [u8]>
    where
        's: 'r,
    {
        let slices = self.slices;
        let first = &slices.first()?[self.at..];
        if first.len() >= room.len() || slices.len() == 1 {
            let record = &first[..first.len().min(room.len())];
            self.pass(record.len());
            return Some(record);
        }
        let mut joined = 0;
        while let Some(slice) = self.slices.first() {
            let piece = &slice[self.at..];
            let piece = &piece[..piece.len().min(room.len() - joined)];
            if piece.is_empty() && joined == room.len() {
                break;
            }
            room[joined..joined + piece.len()].copy_from_slice(piece);
            joined += piece.len();
            self.pass(piece.len());
        }
        Some(&room[..joined])
    }

    fn pass(&mut self, bytes: usize) {
        self.at += bytes;
        if self.slices.first().is_some_and(|first| self.at >= first.len()) {
            self.slices = &self.slices[1..];
            self.at = 0;
        }
    }
}

/// Copies `slices` one behind the other to the front of `room` and says how long they are; `None`, and nothing is copied,
/// if they do not fit.
fn join(slices: &[IoSlice<'_>], room: &mut [u8]) -> Option<usize> {
    let mut rest = room.get_mut(..slices.iter().map(|slice| slice.len()).sum())?;
    let bytes = rest.len();
    for slice in slices {
        let (front, behind) = rest.split_at_mut(slice.len());
        front.copy_from_slice(slice);
        rest = behind;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_joined_in_order_if_they_fit() {
        let mut room = [0; 6];
        let slices = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cdef")];
        assert_eq!(join(&slices, &mut room), Some(6));
        assert_eq!(&room, b"abcdef");
        room.fill(0);
        assert_eq!(join(&slices, &mut room[..5]), None);
        assert_eq!(room, [0; 6]);
    }

    #[test]
    fn records_are_full_and_none_is_joined_that_could_go_as_it_is() {
        let (small, large) = (vec![1; 10], vec![2; 25]);
        let slices = [&small, &small, &large, &small, &large].map(|slice| IoSlice::new(slice));
        let whole: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        let mut plan = Pending { slices: &slices, at: 0 };
        let mut room = vec![0; 20];
        let (mut all, mut lengths) = (Vec::new(), Vec::new());
        while let Some(record) = plan.next_record(&mut room) {
            lengths.push(record.len());
            all.extend_from_slice(record);
        }
        assert_eq!(all, whole);
        assert_eq!(lengths, [20, 20, 20, 20]);
    }

    #[test]
    fn what_is_sent_is_the_same_whether_it_is_joined_or_not() {
        use std::io::Read as _;
        use std::os::unix::net::UnixStream;

        let (mut reader, writer) = UnixStream::pair().unwrap();
        let writer = OwnedFd::from(writer);
        let mut scratch = vec![0; JOIN_BYTES];
        for size in [1, 100, JOIN_BYTES / 2, JOIN_BYTES / 2 + 1] {
            let (first, second) = (vec![1; size], vec![2; size]);
            let sent = send(&writer, &[IoSlice::new(&first), IoSlice::new(&second)], &mut scratch);
            assert_eq!(sent, Sent::Wrote(2 * size));
            let mut read = vec![0; 2 * size];
            reader.read_exact(&mut read).unwrap();
            assert_eq!(read, [first, second].concat());
        }
    }
}

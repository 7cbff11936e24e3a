//! The sweep: what connections are owed goes to their sockets.

use std::io::IoSlice;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags};

use super::connection::Reading;
use super::membership::Carried;
use super::opening::protocol_of;
use super::poller::Token;
use super::worker::Worker;
use crate::close_reason::CloseReason;
use crate::fanout::{ConnectionId, LogId, Missed, Sent, Tick, Writer};
use crate::protocol::{self, Notice};

impl Worker {
    /// One sweep: writes to at most [`crate::fanout::Settings::sweep_visits`] connections what they are owed.
    pub(super) fn sweep(&mut self) {
        let mut writes = 0;
        while let Some(id) = self.fanout.next() {
            let Some(connection) = self.connections.get(id.index) else { continue };
            let (session, reading) = (connection.session, connection.reading);
            let memberships = &self.memberships;
            let mut notice = |log: LogId, missed: Missed| notice(memberships.carried(log), missed);
            self.visited = Some(id);
            let visited = self.fanout.visit(id, Tick(self.tick), &mut notice, |slices| {
                writes += 1;
                let sent = send(&connection.socket, slices, &mut self.scratch);
                #[cfg(test)]
                slices.iter().for_each(|slice| super::restart::panic_if_asked("the sweep", slice));
                sent
            });
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
        Some(Carried::Topic(topic, encoding)) => {
            let json =
                protocol::missed_json(topic.name().as_str(), topic.epoch(), missed.first, missed.last, missed.count);
            protocol::notice(encoding, Notice::Missed, &json)
        }
        // Their policy is to disconnect, so nothing is skipped in them; and a log without owner has no members.
        Some(Carried::Bundle(_)) | None => bytes::Bytes::new(),
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
